//! The thread of a crowd. Everything of a millisecond happens in one pass; nothing here waits.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

mod shaking;

use super::backlog::{Backlog, Step};
use super::dtls::Handshakes;
use super::hearing::Ears;
use super::peer::{Due, FADE_NS, Peer, Phase, Timer, remote_of};
use super::socket::{Arrival, Inbound};
use super::talk::{Microphone, Room, TalkPlan};
use super::tally::Tally;
use super::wire::{Came, Wire};
use super::{Command, CrowdPlan, Newcomer, Part, Place};
use crate::clock::now_ns;

/// How often the socket is looked at: then nobody has to wake us.
const TICK: Duration = Duration::from_millis(1);

/// Most calls to the kernel for one look: then timers and talk have their turn.
const LOOKS: usize = 256;

pub(super) struct Worker {
    wire: Wire,
    addresses: Part,
    inbox: mpsc::Receiver<Command>,
    ears: Ears,
    /// By place; places are never given twice, so it only grows, by eight bytes for each.
    peers: Vec<Option<Box<Peer>>>,
    connected: u64,
    timers: BinaryHeap<Timer>,
    handshakes: Handshakes,
    /// What these have to do.
    backlog: Backlog,
    talk: Option<TalkPlan>,
    rooms: Vec<Room>,
    microphones: HashMap<Place, Microphone>,
    /// Those who hear elsewhere by now, and when they are over.
    fading: VecDeque<(u64, Place)>,
    second: u64,
    out: Vec<u8>,
}

impl Worker {
    pub(super) fn new(wire: Wire, inbox: mpsc::Receiver<Command>, plan: CrowdPlan) -> Self {
        let now_ns = now_ns();
        let CrowdPlan { addresses, identity, notes, seconds, talk, .. } = plan;
        let rooms = talk.as_ref().map_or(Vec::new(), |plan| {
            (0..plan.rooms).map(|number| Room::new(number, plan, now_ns)).collect()
        });
        let second = seconds.of(now_ns);
        Self {
            wire,
            addresses,
            inbox,
            ears: Ears::new(notes, seconds),
            peers: Vec::new(),
            connected: 0,
            timers: BinaryHeap::new(),
            handshakes: Handshakes::new(identity),
            backlog: Backlog::default(),
            talk,
            rooms,
            microphones: HashMap::new(),
            fading: VecDeque::new(),
            second,
            out: Vec::with_capacity(2_048),
        }
    }

    pub(super) fn run(mut self) -> Tally {
        let mut inbound = Inbound::default();
        while self.obey() {
            self.ears.tick_ns = now_ns();
            self.ears.catch_up();
            self.look(&mut inbound);
            self.talk();
            self.timers();
            self.let_go();
            self.work_off();
            self.close_second(false);
            // Whoever waits for their handshake need not wait for the next tick.
            if self.backlog.is_empty() {
                std::thread::sleep(TICK);
            }
        }
        self.close_second(true);
        self.ears.tally.count_backlog(&self.backlog);
        self.ears.tally.socket_drops = self.wire.dropped();
        self.ears.tally
    }

    /// Does what it is told; false at the end of the run.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Add(newcomer)) => self.add(*newcomer),
                Ok(Command::Remove(place)) => self.remove(place),
                Ok(Command::Move(place, via)) => {
                    if let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) {
                        peer.moves(now_ns(), via);
                    }
                }
                Ok(Command::Close) => self.close_all(),
                Err(mpsc::TryRecvError::Empty) => return true,
                Ok(Command::End) | Err(mpsc::TryRecvError::Disconnected) => {
                    (0..self.peers.len() as u32).for_each(|place| self.remove(Place(place)));
                    return false;
                }
            }
        }
    }

    fn add(&mut self, newcomer: Newcomer) {
        let now_ns = now_ns();
        let place = newcomer.place;
        let Some(remote) = remote_of(&newcomer.answer) else {
            let _ = newcomer.connected.send(Err("no_ipv4"));
            return;
        };
        if let Err(error) = self.wire.open(place, remote) {
            tracing::debug!("no socket for a listener: {error}");
            let _ = newcomer.connected.send(Err("open_files"));
            return;
        }
        if newcomer.speaks.is_some() {
            self.microphones.insert(place, Microphone::new());
        }
        let peer = Peer::new(newcomer, self.addresses.address(place.0), remote, now_ns);
        let index = place.0 as usize;
        if self.peers.len() <= index {
            self.peers.resize_with(index + 1, || None);
        }
        self.peers[index] = Some(Box::new(peer));
        self.timers.push(std::cmp::Reverse((now_ns, place)));
    }

    /// Closes somebody's account. What still comes for them is a stray.
    fn remove(&mut self, place: Place) {
        if self.fades(place) {
            return;
        }
        if let Some(mut peer) = self.take_out(place)
            && peer.flows()
        {
            self.ears.close(&mut peer);
        }
    }

    fn take_out(&mut self, place: Place) -> Option<Box<Peer>> {
        let peer = self.peers.get_mut(place.0 as usize)?.take()?;
        self.handshakes.forget(Instant::now(), place);
        self.microphones.remove(&place);
        self.wire.close(place);
        self.connected -= u64::from(peer.flows() && peer.fades_into.is_none());
        Some(peer)
    }

    fn fades(&self, place: Place) -> bool {
        matches!(self.peers.get(place.0 as usize), Some(Some(peer)) if peer.fades_into.is_some())
    }

    /// Takes out whoever has gone over.
    fn let_go(&mut self) {
        let now_ns = now_ns();
        while let Some((_, place)) = self.fading.pop_front_if(|(until_ns, _)| *until_ns <= now_ns) {
            self.take_out(place);
        }
    }

    /// Somebody's first packet has come: they hear and speak here from now on. What is still on its way to where they
    /// were is heard too: whoever listens in a browser is faded over.
    fn flow(&mut self, place: Place) {
        let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) else { return };
        let (room, speaker) = (peer.room, peer.speaker);
        let predecessor = peer.instead_of.take().filter(|before| !self.fades(*before));
        let mut before = predecessor.and_then(|before| self.peers.get_mut(before.0 as usize)?.take());
        if let Some(before) = &before {
            self.ears.count_wraps(before);
        }
        let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) else { return };
        // Not when this pass began: the peer before may have brought what was said since.
        let now_ns = now_ns();
        peer.flow(now_ns, before.as_deref_mut());
        if self.ears.is_closed {
            peer.forget();
        }
        self.timers.push(std::cmp::Reverse((peer.next_timer(), place)));
        self.connected += 1;
        self.ears.current.counts.joins += u64::from(before.is_none());
        if let Some((mut before, at)) = before.zip(predecessor) {
            self.connected -= u64::from(before.flows());
            self.microphones.remove(&at);
            before.fade(place);
            self.peers[at.0 as usize] = Some(before);
            self.fading.push_back((now_ns + FADE_NS, at));
        }
        let room = self.rooms.iter_mut().find(|other| other.number == room);
        if let Some(speaker) = speaker.and_then(|index| room?.speakers.get_mut(index)) {
            speaker.place = Some(place);
        }
    }

    /// Closes everybody's account.
    fn close_all(&mut self) {
        for peer in self.peers.iter_mut().flatten() {
            if peer.flows() && peer.fades_into.is_none() {
                self.ears.close(peer);
                peer.forget();
            }
        }
        self.ears.is_closed = true;
    }

    /// Reads what has arrived.
    fn look(&mut self, inbound: &mut Inbound) {
        for _ in 0..LOOKS {
            let whose = match self.wire.receive(inbound) {
                Ok(Came::Nothing) => return,
                Ok(Came::ForMany) => None,
                Ok(Came::For(place)) => Some(place),
                Err(error) => {
                    tracing::warn!("cannot read the socket of the simulated people: {error}");
                    return;
                }
            };
            if whose.is_none() {
                self.call_up(inbound);
            }
            for (arrival, bytes) in inbound.messages() {
                let place = whose.unwrap_or_else(|| Place(self.addresses.number(arrival.to)));
                for datagram in bytes.chunks_mut(arrival.segment) {
                    self.take(place, &arrival, datagram);
                }
            }
        }
    }

    /// Looks at everybody for whom something has come. Each lies in another corner of the memory: waiting for
    /// one after the other was 30 % of this thread's time, asking for all at once makes it 20 %.
    fn call_up(&self, inbound: &Inbound) {
        for to in inbound.receivers() {
            let place = Place(self.addresses.number(to));
            let peer = self.peers.get(place.0 as usize).and_then(Option::as_ref);
            std::hint::black_box(peer.map(|peer| peer.is_connected()));
        }
    }

    /// RFC 7983: the first byte tells what it is.
    fn take(&mut self, place: Place, arrival: &Arrival, datagram: &mut [u8]) {
        if !matches!(self.peers.get(place.0 as usize), Some(Some(_))) {
            self.ears.tally.strays += 1;
            return;
        }
        match datagram.first() {
            Some(128..=191) => self.on_media(place, arrival, datagram),
            Some(20..=63) => self.on_dtls(place, datagram),
            Some(0..=3) => self.on_stun(place, datagram),
            _ => {}
        }
    }

    fn on_media(&mut self, place: Place, arrival: &Arrival, datagram: &mut [u8]) {
        let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) else { return };
        let length = datagram.len() as u64;
        let Some(plain) = self.ears.open(peer, datagram) else { return };
        if let Some(heir) = peer.fades_into {
            if !self.fades(heir)
                && let Some(Some(heir)) = self.peers.get_mut(heir.0 as usize)
            {
                self.ears.take_echo(arrival, heir, plain);
            }
            return;
        }
        if peer.hear(self.ears.tick_ns) {
            self.flow(place);
        }
        if let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) {
            self.ears.take(arrival, peer, plain, length);
        }
    }

    fn on_stun(&mut self, place: Place, datagram: &[u8]) {
        let now_ns = now_ns();
        let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) else { return };
        self.out.clear();
        let reached = peer.on_stun(now_ns, datagram, &mut self.out);
        if !self.out.is_empty() {
            self.wire.send(place, peer.local, peer.remote, &self.out);
        }
        if reached {
            self.begin(place, now_ns);
        }
    }

    /// Whoever has heard something is still in, and waits until they hear elsewhere.
    fn fail(&mut self, place: Place, why: &'static str) {
        let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) else { return };
        peer.fail(why);
        if peer.flows() {
            peer.rest();
        } else {
            self.remove(place);
        }
    }

    /// A timer may be of somebody who has another one by now, for every new phase sets one: then it finds
    /// nothing due.
    fn timers(&mut self) {
        let now_ns = now_ns();
        while let Some(&std::cmp::Reverse((at, place))) = self.timers.peek() {
            if at > now_ns {
                return;
            }
            self.timers.pop();
            let Some(Some(peer)) = self.peers.get_mut(place.0 as usize) else { continue };
            if peer.next_timer() > now_ns {
                continue;
            }
            self.out.clear();
            let due = peer.on_timer(now_ns, &mut self.out);
            if !self.out.is_empty() {
                self.wire.send(place, peer.local, peer.remote, &self.out);
            }
            self.timers.push(std::cmp::Reverse((peer.next_timer().max(now_ns + 1), place)));
            match due {
                Due::Nothing => {}
                Due::Repeat => self.let_wait(place, now_ns, Step::Repeat),
                Due::Silent => peer.fail("silent"),
                Due::Over(why) => self.fail(place, why),
            }
        }
    }

    /// Sends what the speakers say now.
    fn talk(&mut self) {
        let Some(plan) = &self.talk else { return };
        for room in &mut self.rooms {
            while let Some((index, sound, late)) = room.next_due(now_ns()) {
                let Some(place) = room.speakers[index].place else { continue };
                let Some(microphone) = self.microphones.get_mut(&place) else { continue };
                self.ears.tally.ticks += 1;
                self.ears.tally.late_ticks += u64::from(late);
                microphone.step();
                let Some(Some(peer)) = self.peers.get(place.0 as usize) else { continue };
                let (Some(sound), Phase::Connected(keys)) = (sound, &peer.phase) else { continue };
                self.out.clear();
                microphone.write(&sound, keys, &mut self.out);
                let said = peer.own.and_then(|csrc| room.record(index, csrc, &sound, now_ns()));
                if let Some(said) = said.map(Arc::new) {
                    for tell in &plan.tell {
                        let _ = tell.send(Arc::clone(&said));
                    }
                    self.ears.tally.said.push(said);
                }
                self.wire.send(place, peer.local, peer.remote, &self.out);
            }
        }
    }

    fn close_second(&mut self, in_any_case: bool) {
        let second = self.ears.seconds.of(now_ns());
        if second != self.second || in_any_case {
            // Speakers are no listeners.
            self.ears.current.counts.connected = if self.talk.is_some() { 0 } else { self.connected };
            if self.talk.is_none() {
                self.ears.seconds.submit(self.second, &mut self.ears.current);
            }
            self.second = second;
        }
    }
}

#[cfg(test)]
mod tests;
