//! Those who come and go: joins at the rate asked for, churn, promotions, cuts.

use std::sync::Arc;

use protocol::Identity;
use rand::Rng;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::listener::{Listener, Order};
use crate::probe::Probe;
use crate::run::Run;

/// Everybody in the audience.
pub(super) struct Ramp {
    run: Arc<Run>,
    /// Listeners of all rooms without the probes.
    wanted: u64,
    next: u64,
    people: Vec<Person>,
    probes: Vec<JoinHandle<anyhow::Result<Probe>>>,
    /// Second by second.
    pub(super) usage: Vec<Usage>,
}

/// What is known of one second, beside what the crowds count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Usage {
    /// Its number.
    pub(super) second: usize,
    /// CPU of all nodes.
    pub(super) node_cores: f64,
    /// Memory of all nodes.
    pub(super) node_rss_bytes: u64,
    /// Our own CPU.
    pub(super) generator_cores: f64,
    /// Probes that listen at its end.
    pub(super) probes: u64,
}

struct Person {
    room: usize,
    orders: UnboundedSender<Order>,
}

impl Ramp {
    pub(super) fn new(run: Arc<Run>) -> Self {
        let all = u64::from(run.options.rooms) * u64::from(run.options.listeners);
        let wanted = all - u64::from(run.options.probes);
        Self { run, wanted, next: 0, people: Vec::new(), probes: Vec::new(), usage: Vec::new() }
    }

    pub(super) fn wanted(&self) -> u64 {
        self.wanted
    }

    pub(super) fn is_complete(&self) -> bool {
        self.next >= self.wanted
    }

    /// Lets the probes in.
    pub(super) fn probes(&mut self) {
        for number in 0..u64::from(self.run.options.probes) {
            let run = Arc::clone(&self.run);
            let room = number as usize % run.rooms.len();
            self.probes.push(tokio::spawn(async move {
                let probe = Probe::enter(&run, room, number).await?;
                run.counts.add(|counts| &counts.probes);
                Ok(probe)
            }));
        }
    }

    pub(super) fn probes_are_settled(&self) -> bool {
        self.probes.iter().all(JoinHandle::is_finished)
    }

    /// The probes that are in, and why others are not.
    pub(super) async fn take_probes(&mut self) -> Vec<anyhow::Result<Probe>> {
        let mut probes = Vec::new();
        for probe in self.probes.drain(..) {
            probes.push(probe.await.map_err(Into::into).flatten());
        }
        probes
    }

    /// Lets listeners in until there were `due`, over all rooms in turn.
    pub(super) fn join_until(&mut self, due: u64) {
        while self.next < due.min(self.wanted) {
            let room = self.next as usize % self.run.rooms.len();
            self.join(room, true);
        }
    }

    fn join(&mut self, room: usize, is_first: bool) {
        let (orders, inbox) = unbounded_channel();
        let number = self.next;
        self.next += 1;
        let listener = Listener { run: Arc::clone(&self.run), room, number, is_first, orders: inbox };
        tokio::spawn(listener.live());
        self.people.push(Person { room, orders });
    }

    /// One leaves, another comes.
    pub(super) fn churn(&mut self) {
        if self.people.is_empty() {
            return;
        }
        let index = rand::rng().random_range(0..self.people.len());
        let person = self.people.swap_remove(index);
        let _ = person.orders.send(Order::Leave(None));
        self.join(person.room, false);
    }

    /// Somebody raises a hand, and their host takes them on stage.
    pub(super) fn promote(&mut self, hosts: &[UnboundedSender<Identity>]) {
        if self.people.is_empty() {
            return;
        }
        let person = &self.people[rand::rng().random_range(0..self.people.len())];
        if let Some(host) = hosts.get(person.room) {
            let _ = person.orders.send(Order::RaiseHand(Some(host.clone())));
        }
    }

    /// So many of each room raise their hands, and nobody takes them on stage.
    pub(super) fn raise_hands(&mut self, of_each: u32) {
        // They came over all rooms in turn.
        let count = of_each as usize * self.run.rooms.len();
        for person in self.people.iter().take(count) {
            let _ = person.orders.send(Order::RaiseHand(None));
        }
    }

    /// Everybody loses everything at once.
    pub(super) fn cut_all(&mut self) {
        for person in &self.people {
            let _ = person.orders.send(Order::Cut);
        }
    }

    /// Everybody leaves.
    pub(super) async fn dismiss(&mut self) {
        let leave = self.people.drain(..).map(|person| {
            let (done, left) = oneshot::channel();
            let _ = person.orders.send(Order::Leave(Some(done)));
            left
        });
        for left in leave.collect::<Vec<_>>() {
            // Whoever failed before has nobody to answer.
            let _ = left.await;
        }
    }
}
