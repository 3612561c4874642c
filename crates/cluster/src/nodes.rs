//! Who is alive, and how busy: listens to the announcements of all nodes.
//!
//! Everybody who needs a node picks from what it last heard itself; there is no other registry.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use protocol::Region;
use protocol::id::NodeId;
use protocol::node::{self, Announcement, NODES, NodeKind, Request};
use room::Fleet;
use room::placement::{NoPlace, Outlook, Wish};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::{Bus, BusError};

/// How often silence is looked for.
const TICK: Duration = Duration::from_millis(250);

/// How long an origin may take to answer that no edge hears any more.
const ANSWER: Duration = Duration::from_millis(500);

/// What every live node said last. A node that is missing is gone; one with a higher `boot` than
/// before has forgotten all its peers.
pub type Live = Arc<BTreeMap<NodeId, Announcement>>;

/// The nodes that are heard on the bus.
pub struct Nodes {
    fleet: Mutex<Fleet>,
    live: watch::Sender<Live>,
    start: Instant,
    bad: AtomicU64,
}

impl Nodes {
    /// Nobody heard yet. Share it, and drive [`run`](Self::run). Where several place people, each has another seed.
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            fleet: Mutex::new(Fleet::new(seed)),
            live: watch::Sender::default(),
            start: Instant::now(),
            bad: AtomicU64::new(0),
        })
    }

    /// Listens until the bus is gone.
    pub async fn run(&self, bus: &dyn Bus) -> Result<(), BusError> {
        let mut announcements = bus.subscribe(NODES).await?;
        let mut asked = FuturesUnordered::new();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = announcements.recv() => match message {
                    Some(message) => self.heard(&message.payload),
                    None => return Err(BusError::Down("the subscription ended".into())),
                },
                Some(answer) = asked.next() => self.asked(answer),
                _ = tick.tick() => self.look_for_silence(bus.is_up()),
            }
            asked.extend(self.fleet().suspects().into_iter().map(|node| ping(bus, node)));
        }
    }

    /// What every live node said last; the receiver also wakes whenever that changes.
    pub fn watch(&self) -> watch::Receiver<Live> {
        self.live.subscribe()
    }

    /// What every live node said last.
    pub fn live(&self) -> Live {
        self.live.borrow().clone()
    }

    /// The node that takes the next peer. It is charged for the peer at once.
    pub fn place(&self, wish: &Wish<'_>) -> Result<Announcement, NoPlace> {
        self.fleet().place(wish)
    }

    /// Waits until a node has missed announcements.
    pub async fn fallen_silent(&self, node: &NodeId) {
        while !self.fleet().has_fallen_silent(node) {
            tokio::time::sleep(TICK).await;
        }
    }

    /// How many of a wish can be met, and how soon more.
    pub fn outlook(&self, wish: &Wish<'_>) -> Outlook {
        self.fleet().outlook(wish)
    }

    /// Whether there is such a node in a region.
    pub fn is_in(&self, kind: NodeKind, region: &Region) -> bool {
        self.fleet().is_in(kind, region)
    }

    /// The node did not take the peer that it was charged for.
    pub fn unplace(&self, node: &NodeId) {
        self.fleet().unplace(node);
    }

    /// Announcements that could not be read, or not be taken because there are too many nodes.
    pub fn bad(&self) -> u64 {
        self.bad.load(Relaxed) + self.fleet().refused()
    }

    fn heard(&self, payload: &[u8]) {
        match serde_json::from_slice(payload) {
            Ok(announcement) => {
                self.fleet().heard(self.now_ms(), announcement);
                self.show();
            }
            Err(_) => {
                self.bad.fetch_add(1, Relaxed);
            }
        }
    }

    fn look_for_silence(&self, bus_is_up: bool) {
        let lost = self.fleet().tick(self.now_ms(), bus_is_up);
        for node in &lost {
            tracing::warn!(node = %node.node, kind = ?node.kind, "node is silent, taken for gone");
        }
        if !lost.is_empty() {
            self.show();
        }
    }

    fn asked(&self, (node, is_there): (NodeId, bool)) {
        if !is_there && self.fleet().unanswered(self.now_ms(), &node).is_some() {
            tracing::warn!(%node, "no edge hears this origin, and it does not answer: taken for gone");
            self.show();
        }
    }

    fn show(&self) {
        let live = self.fleet().live().map(|said| (said.node.clone(), said.clone())).collect();
        self.live.send_replace(Arc::new(live));
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a node answers.
async fn ping(bus: &dyn Bus, node: NodeId) -> (NodeId, bool) {
    let ask = serde_json::to_vec(&Request::Ping).unwrap_or_default();
    let answer = bus.request(&node::subject(&node), ask.into(), ANSWER).await;
    (node, answer.is_ok())
}

#[cfg(test)]
mod tests {
    use room::placement::Spill;

    use super::*;
    use crate::MemoryBus;

    fn announced(name: &str, boot: u64) -> bytes::Bytes {
        let (node, region) = (NodeId::new(name).unwrap(), Region::new("here").unwrap());
        let announcement =
            Announcement { capacity: 10, ..Announcement::new(node, NodeKind::Edge, region, boot) };
        serde_json::to_vec(&announcement).unwrap().into()
    }

    async fn until(watch: &mut watch::Receiver<Live>, holds: impl Fn(&Live) -> bool) {
        watch.wait_for(|live| holds(live)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_there_while_it_is_heard() {
        let (bus, nodes) = (MemoryBus::new(), Nodes::new(1));
        let mut watch = nodes.watch();
        let running = Arc::clone(&nodes);
        let on = Arc::clone(&bus);
        let listening = tokio::spawn(async move { running.run(&*on).await });
        tokio::task::yield_now().await;

        bus.publish(NODES, announced("e1", 1)).await.unwrap();
        bus.publish(NODES, announced("e2", 1)).await.unwrap();
        bus.publish(NODES, bytes::Bytes::from_static(b"{\"node\":7}")).await.unwrap();
        until(&mut watch, |live| live.len() == 2).await;
        for _ in 0..10 {
            tokio::time::advance(Duration::from_secs(1)).await;
            bus.publish(NODES, announced("e2", 2)).await.unwrap();
            tokio::task::yield_now().await;
        }
        until(&mut watch, |live| live.len() == 1 && live.values().all(|node| node.boot == 2)).await;
        let (region, spill) = (Region::new("here").unwrap(), Spill::default());
        let wish = Wish { kind: NodeKind::Edge, region: &region, spill: &spill, not: &[] };
        assert_eq!(nodes.place(&wish).unwrap().node.as_str(), "e2");
        assert_eq!(nodes.bad(), 1);
        listening.abort();
    }
}
