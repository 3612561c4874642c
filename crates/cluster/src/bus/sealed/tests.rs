//! The contract in envelopes, in memory and on a real server; and what strangers achieve there: nothing.

use std::collections::BTreeMap;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::bus::nats::Prefix;
use crate::contract::servers::Server;
use crate::{Heard, MemoryBus, NatsBus, NatsConfig};

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

const KEY: &[u8] = b"the key of this cluster";

/// One process: its bus, and what drives it.
struct Process {
    bus: Arc<Sealed>,
    driving: Vec<JoinHandle<()>>,
    /// Of its own; gone with it.
    #[allow(dead_code, reason = "kept alive")]
    server: Option<Server>,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.driving.iter().for_each(JoinHandle::abort);
    }
}

impl Process {
    fn start(inner: Arc<dyn Bus>, node: &str, boot: u64, key: &[u8]) -> Self {
        let (bus, herald) = Sealed::new(inner, NodeId::new(node).unwrap(), boot, Keys::new(key));
        let driving = tokio::spawn(async move { drop(herald.run().await) });
        Self { bus, driving: vec![driving], server: None }
    }

    async fn on_nats(server: &Server, node: &str) -> Self {
        let (nats, driving) = nats(server).await;
        let mut process = Self::start(nats, node, 1, KEY);
        process.driving.push(driving);
        process
    }

    fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.bus.refused().filter(|(_, count)| *count > 0).collect()
    }

    fn knows(&self, other: &Self) -> bool {
        self.bus.seal.trust().knows(&other.bus.seal.me)
    }

    /// Waits until it believes another one.
    async fn meets(&self, other: &Self) {
        let mut met = self.bus.seal.met.subscribe();
        let meeting = async {
            while !self.knows(other) {
                met.changed().await.unwrap();
            }
        };
        timeout(LONG, meeting).await.expect("they meet");
    }

    async fn asks(&self, subject: &str, payload: &'static str) -> Result<Bytes, BusError> {
        self.bus.request(subject, payload.into(), LONG).await
    }
}

#[async_trait]
impl Bus for Process {
    async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), BusError> {
        self.bus.publish(subject, payload).await
    }

    async fn subscribe(&self, subject: &str) -> Result<Subscription, BusError> {
        self.bus.subscribe(subject).await
    }

    async fn respond(&self, reply: &Reply, payload: Bytes) -> Result<(), BusError> {
        self.bus.respond(reply, payload).await
    }

    async fn request(&self, subject: &str, payload: Bytes, timeout: Duration) -> Result<Bytes, BusError> {
        self.bus.request(subject, payload, timeout).await
    }

    fn is_up(&self) -> bool {
        self.bus.is_up()
    }

    fn stats(&self) -> BusStats {
        self.bus.stats()
    }
}

async fn nats(server: &Server) -> (Arc<NatsBus>, JoinHandle<()>) {
    let at = format!("nats://{}", server.address()).parse().unwrap();
    let config = NatsConfig { server: at, credentials: None, prefix: Prefix::default() };
    let (bus, driver) = NatsBus::new(config);
    let driving = tokio::spawn(async move { match driver.run().await {} });
    timeout(LONG, bus.reached()).await.expect("it is up in time");
    (bus, driving)
}

mod in_memory {
    use super::*;

    async fn fresh() -> Arc<Process> {
        Arc::new(Process::start(MemoryBus::new(), "o", 1, KEY))
    }

    crate::bus_contract!(fresh);
}

mod on_nats {
    use super::*;

    async fn fresh() -> Arc<Process> {
        let server = Server::nats();
        let mut process = Process::on_nats(&server, "o").await;
        process.server = Some(server);
        Arc::new(process)
    }

    crate::bus_contract!(fresh);
}

async fn next(subscription: &mut Subscription) -> Heard {
    timeout(LONG, subscription.hear()).await.expect("it comes in time").unwrap()
}

/// The next message; gaps are not looked at.
async fn said(subscription: &mut Subscription) -> Message {
    timeout(LONG, subscription.recv()).await.expect("it comes in time").unwrap()
}

/// Waits until so many messages were refused for this reason.
async fn until_refused(process: &Process, what: &str, count: u64) {
    let refused = async {
        while process.refused().get(what).copied().unwrap_or_default() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let refused = timeout(LONG, refused).await;
    assert!(refused.is_ok(), "{what} {count}: {:?}", process.refused());
}

/// Answers each request with its own words.
fn echo(process: &Process, mut requests: Subscription) -> JoinHandle<()> {
    let bus = process.bus.clone();
    tokio::spawn(async move {
        while let Some(message) = requests.recv().await {
            message.respond(&*bus, message.payload.clone()).await.unwrap();
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_believed_once_it_has_answered_and_what_was_missed_is_a_gap() {
    let bus = MemoryBus::new();
    let old = Process::start(bus.clone(), "signaling-1", 1, KEY);
    let mut notes = old.subscribe("room.a").await.unwrap();
    let new = Process::start(bus.clone(), "signaling-2", 1, KEY);
    new.publish("room.a", "too early".into()).await.unwrap();
    assert_eq!(next(&mut notes).await, Heard::Gap, "once it is known that there is somebody");
    assert!(old.knows(&new));
    new.meets(&old).await;
    new.publish("room.a", "in time".into()).await.unwrap();
    assert_eq!(said(&mut notes).await.payload, "in time");
    let refused = old.refused();
    assert!(refused.keys().eq(["bus_stranger"].iter()), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_is_for_the_life_that_was_heard() {
    let bus = MemoryBus::new();
    let signaling = Process::start(bus.clone(), "signaling-1", 1, KEY);
    let mut raw = bus.subscribe("node.edge-1").await.unwrap();
    assert_eq!(signaling.asks("node.edge-1", "who").await, Err(BusError::NoResponder("node.edge-1".into())));

    let edge = Process::start(bus.clone(), "edge-1", 1, KEY);
    let serving = echo(&edge, edge.subscribe("node.edge-1").await.unwrap());
    signaling.meets(&edge).await;
    assert_eq!(signaling.asks("node.edge-1", "close").await.unwrap(), "close");
    let recorded = said(&mut raw).await.payload;
    bus.publish("node.edge-1", recorded.clone()).await.unwrap();
    until_refused(&edge, "bus_replayed", 1).await;

    // Restarted: yesterday's command is for a life that is over.
    serving.abort();
    drop(edge);
    let edge = Process::start(bus.clone(), "edge-1", 2, KEY);
    let mut requests = edge.subscribe("node.edge-1").await.unwrap();
    bus.publish("node.edge-1", recorded).await.unwrap();
    signaling.meets(&edge).await;
    let asking = signaling.asks("node.edge-1", "anew");
    let serving = async {
        let message = said(&mut requests).await;
        message.respond(&edge, "done".into()).await.unwrap();
        message.payload
    };
    let (answer, asked) = tokio::join!(asking, serving);
    assert_eq!((answer.unwrap(), asked), ("done".into(), "anew".into()));
    assert_eq!(edge.refused().get("bus_addressee"), Some(&1));
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_with_one_name_one_is_believed_and_all_are_told() {
    let bus = MemoryBus::new();
    let signaling = Process::start(bus.clone(), "signaling-1", 1, KEY);
    let mut announcements = signaling.subscribe("nodes").await.unwrap();
    let [first, second] = [1, 2].map(|boot| Process::start(bus.clone(), "edge-1", boot, KEY));
    signaling.meets(&second).await;
    for process in [&signaling, &first, &second] {
        until_refused(process, "bus_twin", 3).await;
    }
    first.publish("nodes", "the first".into()).await.unwrap();
    second.publish("nodes", "the second".into()).await.unwrap();
    assert_eq!(said(&mut announcements).await.payload, "the second");
    // The others go on. And when the second has ended, the first has its name.
    drop(second);
    signaling.meets(&first).await;
    first.publish("nodes", "the first".into()).await.unwrap();
    assert_eq!(said(&mut announcements).await.payload, "the first");
}

#[tokio::test(start_paused = true)]
async fn keys_change_without_a_moment_in_which_parts_do_not_understand_each_other() {
    let bus = MemoryBus::new();
    let with = |node: &str, keys: Keys| {
        let (bus, herald) = Sealed::new(bus.clone(), NodeId::new(node).unwrap(), 1, keys);
        let driving = vec![tokio::spawn(async move { drop(herald.run().await) })];
        Process { bus, driving, server: None }
    };
    let (old, new) = (|| Keys::new(b"old"), || Keys::new(b"new"));
    let steps = [old(), old().and_believes(b"new"), new().and_believes(b"old"), new()];
    let steps: Vec<_> =
        steps.into_iter().enumerate().map(|(step, keys)| with(&format!("step-{step}"), keys)).collect();
    for pair in steps.windows(2) {
        pair[0].meets(&pair[1]).await;
        pair[1].meets(&pair[0]).await;
    }
    assert!(!steps[0].knows(&steps[3]) && !steps[3].knows(&steps[0]));
    until_refused(&steps[3], "bus_forged", 1).await;
    // Nobody has to begin anew for it.
    steps[0].bus.renew(old().and_believes(b"new"));
    steps[0].bus.renew(new());
    steps[0].meets(&steps[3]).await;
    steps[3].meets(&steps[0]).await;
}

/// Whoever may speak on NATS and has no key: hears everything, and says it again, and more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_on_nats_achieves_nothing() {
    let server = Server::nats();
    let signaling = Process::on_nats(&server, "signaling-1").await;
    let edge = Process::on_nats(&server, "edge-1").await;
    let (stranger, driving) = nats(&server).await;
    let life = life_subject(&edge.bus.seal.me);
    let subjects = ["nodes", "node.edge-1", "events", "room.a", HERE, &life];
    let mut recorders = Vec::new();
    for subject in &subjects[..4] {
        recorders.push(stranger.subscribe(subject).await.unwrap());
    }
    let mut ears = Vec::new();
    for subject in ["nodes", "events", "room.a"] {
        ears.push(signaling.subscribe(subject).await.unwrap());
    }
    let mut requests = edge.subscribe("node.edge-1").await.unwrap();
    signaling.meets(&edge).await;
    edge.meets(&signaling).await;

    for subject in ["nodes", "events", "room.a"] {
        edge.publish(subject, "true".into()).await.unwrap();
    }
    let asking = signaling.asks("node.edge-1", "true");
    let serving = async { said(&mut requests).await.respond(&edge, "done".into()).await.unwrap() };
    assert_eq!(tokio::join!(asking, serving).0.unwrap(), "done");

    let mut recorded = Vec::new();
    for recorder in &mut recorders {
        recorded.push(said(recorder).await.payload);
    }
    let refused_before = signaling.refused();
    for payload in &recorded {
        let mut changed = payload.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        let garbage = [vec![], vec![0; 7], vec![1; crate::bus::MAX_MESSAGE], changed];
        for (subject, payload) in subjects.iter().flat_map(|subject| {
            garbage.iter().map(move |payload| (*subject, Bytes::copy_from_slice(payload)))
        }) {
            stranger.publish(subject, payload).await.unwrap();
        }
        // Of each subject its own recording is one; the others are of another subject.
        for subject in subjects {
            stranger.publish(subject, payload.clone()).await.unwrap();
        }
    }
    // The server has taken it all: it answers in order, also that nobody answers.
    let asked = stranger.request("nobody", Bytes::new(), LONG).await;
    assert_eq!(asked, Err(BusError::NoResponder("nobody".into())));
    // With the words "true" each was heard once; what comes behind them is what is said after all that.
    for subject in ["nodes", "events", "room.a"] {
        edge.publish(subject, "after".into()).await.unwrap();
    }
    for ear in &mut ears {
        assert_eq!(said(ear).await.payload, "true");
        assert_eq!(said(ear).await.payload, "after");
    }
    let asking = signaling.asks("node.edge-1", "after");
    let serving = async {
        let message = said(&mut requests).await;
        message.respond(&edge, "done".into()).await.unwrap();
        message.payload
    };
    let (answer, asked) = tokio::join!(asking, serving);
    assert_eq!((answer.unwrap(), asked), ("done".into(), "after".into()));

    // On each of three subjects: four times garbage of four kinds, three recordings of others and its own.
    let now = signaling.refused();
    let more = |what| now.get(what).unwrap_or(&0) - refused_before.get(what).unwrap_or(&0);
    assert!(more("bus_forged") >= 3 * (16 + 3) && more("bus_replayed") == 3, "{now:?}");
    assert_eq!(edge.refused().get("bus_replayed"), Some(&1));
    driving.abort();
}
