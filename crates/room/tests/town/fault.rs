//! What goes wrong.

use rand::Rng;
use room::live::Input;

use super::client::Place;
use super::store::Store;
use super::world::{Happening, MISFORTUNE_MS, NODES, World};

/// What goes wrong, for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Dead(usize),
    Asleep(usize),
    NoBus(usize),
    NoBusAtAll,
    NoStore(usize),
    NoStoreAtAll,
    NoOrigin(usize),
    /// The store comes back without anything.
    Empty,
    /// The store comes back as it was a while ago.
    Older,
}

impl World {
    pub(crate) fn fault(&mut self) {
        if !self.is_misfortune() {
            return;
        }
        let next = self.now + self.rng.random_range(1_000..9_000);
        self.at(next, Happening::Fault);
        let index = self.rng.random_range(0..NODES);
        let (fault, most) = match self.rng.random_range(0..10) {
            0 => (Fault::Dead(index), 12_000),
            1 | 2 => (Fault::Asleep(index), 9_000),
            3 => (Fault::NoBus(index), 12_000),
            4 => (Fault::NoBusAtAll, 12_000),
            5 => (Fault::NoStore(index), 12_000),
            6 => (Fault::NoStoreAtAll, 12_000),
            7 => (Fault::Empty, 2_000),
            8 => (Fault::Older, 2_000),
            _ => (Fault::NoOrigin(self.rng.random_range(0..2)), 12_000),
        };
        let until = (self.now + self.rng.random_range(300..most)).min(MISFORTUNE_MS);
        self.tell(format!("FAULT {fault:?} until {until}"));
        match fault {
            Fault::Dead(index) => self.die(index),
            Fault::Asleep(index) => self.nodes[index].asleep_until = until,
            Fault::NoBus(index) => self.nodes[index].has_bus = false,
            Fault::NoBusAtAll => self.has_bus = false,
            Fault::NoStore(index) => self.nodes[index].has_store = false,
            Fault::NoStoreAtAll | Fault::Empty | Fault::Older => self.has_store = false,
            Fault::NoOrigin(index) => self.lose_origin(index),
        }
        self.faults += 1;
        self.at(until, Happening::End(fault));
    }

    pub(crate) fn end_fault(&mut self, fault: Fault) {
        self.tell(format!("END {fault:?}"));
        self.faults -= 1;
        self.calm_since = self.calm_since.max(self.now);
        match fault {
            Fault::Dead(index) => {
                if self.nodes[index].life.is_none() {
                    self.start(index);
                }
            }
            Fault::Asleep(_) => {}
            Fault::NoBus(index) => {
                self.nodes[index].has_bus = true;
                self.missed(index);
            }
            Fault::NoBusAtAll => {
                self.has_bus = true;
                (0..NODES).for_each(|index| self.missed(index));
            }
            Fault::NoStore(index) => self.nodes[index].has_store = true,
            Fault::NoStoreAtAll => self.has_store = true,
            Fault::Empty => {
                self.has_store = true;
                self.store.lose(&Store::default());
                self.calm_since += 2_500;
            }
            Fault::Older => {
                self.has_store = true;
                let older = std::mem::take(&mut self.older);
                self.store.lose(&older);
                self.calm_since += 2_500;
            }
            Fault::NoOrigin(index) => self.origins[index].is_live = true,
        }
    }

    fn missed(&mut self, index: usize) {
        if let Some(life) = self.nodes[index].life.as_ref().filter(|_| self.hears(index)) {
            let boot = life.boot;
            self.at(self.now + 20, Happening::Input(index, boot, Box::new(Input::Missed)));
        }
    }

    fn die(&mut self, index: usize) {
        let Some(life) = self.nodes[index].life.take() else { return };
        for client in life.sockets.into_values() {
            let is_there = match self.people[client].place {
                Place::In(node, boot, _) => node == index && boot == life.boot,
                Place::Door(node, ..) => node == index,
                Place::Out(_) | Place::Gone => false,
            };
            if is_there {
                let wait = self.rng.random_range(100..1_500);
                self.people[client].place = Place::Out(self.now + wait);
            }
        }
    }
}
