//! Edges with real links on loopback: a root that the test speaks through, and shards that only listen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ::room::tree::{self, Parent};
use media::listeners::ListenersEvent;
use media::relay::Downstream;
use media::{Batch, Plane};
use protocol::node::Announcement;
use protocol::{Epoch, Frame, Region, SpeakerNumber, VoiceId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use service::{Registry, shutdown};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use transport::shard::Observer;
use transport::{Authority, Shard};

use super::*;

fn name(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

fn room() -> RoomId {
    RoomId::new("all-hands").unwrap()
}

fn member(node: &str) -> Member {
    Member { node: name(node), region: Region::new("home").unwrap() }
}

/// Of two edges, the hub of the room and the other.
fn hub_and_leaf() -> (&'static str, &'static str) {
    let edges = [member("edge-1"), member("edge-2")];
    match tree::parent(&room(), &edges, &edges[0]) {
        Parent::Origin => ("edge-1", "edge-2"),
        Parent::Edge(_) => ("edge-2", "edge-1"),
    }
}

fn frame(number: u32) -> Frame {
    Frame {
        epoch: Epoch(1),
        number,
        timestamp: number.wrapping_mul(960),
        speaker: SpeakerNumber(1),
        voice: VoiceId::new(0).unwrap(),
        level: 20,
        payload: vec![number as u8; 80].into(),
    }
}

/// A plane that tells the test what it is given.
struct Tap(mpsc::UnboundedSender<Frame>);

impl Plane for Tap {
    type Command = ListenersCommand;
    type Event = ListenersEvent;

    fn receive(&mut self, _now: Instant, _from: SocketAddr, _datagram: &mut [u8], _out: &mut Batch) {}

    fn handle(&mut self, _now: Instant, command: ListenersCommand, _out: &mut Batch) {
        if let ListenersCommand::Frame { frame, .. } = command {
            let _ = self.0.send(frame);
        }
    }

    fn on_timeout(&mut self, _now: Instant, _out: &mut Batch) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn poll(&mut self) -> Option<ListenersEvent> {
        None
    }
}

struct Nothing;

impl Observer<Tap> for Nothing {
    fn event(&mut self, _event: ListenersEvent) {}
}

/// What all nodes of a test share.
struct World {
    authority: Authority,
    tasks: Tasks,
    _running: shutdown::Trigger,
    registry: Registry,
    live: watch::Sender<Live>,
}

impl World {
    fn new() -> Self {
        let (running, shutdown) = shutdown::channel();
        Self {
            authority: Authority::ephemeral().unwrap(),
            tasks: Tasks::new(shutdown),
            _running: running,
            registry: Registry::default(),
            live: watch::Sender::default(),
        }
    }

    fn bind(&self, node: &str, kind: NodeKind) -> Links {
        let identity = self.authority.issue(&name(node), kind).unwrap();
        Links::bind("127.0.0.1:0".parse().unwrap(), identity.into()).unwrap()
    }

    /// Everybody hears of a node, and that its links are at `link`.
    fn announce(&self, node: &str, kind: NodeKind, link: SocketAddr) {
        let region = Region::new("home").unwrap();
        let said = Announcement { link: Some(link), ..Announcement::new(name(node), kind, region, 1) };
        let mut live: BTreeMap<_, _> = (**self.live.borrow()).clone();
        live.insert(said.node.clone(), said);
        self.live.send_replace(Arc::new(live));
    }
}

/// The root of the tree: what the test speaks goes down.
struct Root {
    addr: SocketAddr,
    speak: mpsc::UnboundedSender<Frame>,
    /// Any bytes, as a datagram to everybody.
    mutter: mpsc::UnboundedSender<Vec<u8>>,
    /// Who has linked, in order.
    linked: mpsc::UnboundedReceiver<NodeId>,
}

impl Root {
    fn start(world: &World) -> Self {
        Self::busy(world, 0)
    }

    /// One that is too busy for the first messages of its children.
    fn busy(world: &World, messages: usize) -> Self {
        let refuses = Arc::new(AtomicUsize::new(messages));
        let links = world.bind("origin-1", NodeKind::Origin);
        let addr = links.local_addr();
        let (tell, told) = mpsc::unbounded_channel();
        let (speak, spoken) = mpsc::unbounded_channel();
        let (mutter, muttered) = mpsc::unbounded_channel();
        let (who, linked) = mpsc::unbounded_channel();
        let tell = move |id, child| {
            let is_message = matches!(child, Child::Said(Event::Message(_)));
            if is_message && refuses.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                return Err(Full);
            }
            let _ = tell.send((id, child));
            Ok(())
        };
        let metrics = world.registry.node("origin-1", "home");
        node::serve::children(&name("origin-1"), links, node::ids(), &world.tasks, &metrics, tell);
        tokio::spawn(Self::work(told, spoken, muttered, who));
        Self { addr, speak, mutter, linked }
    }

    async fn work(
        mut told: mpsc::UnboundedReceiver<(LinkId, Child)>,
        mut spoken: mpsc::UnboundedReceiver<Frame>,
        mut muttered: mpsc::UnboundedReceiver<Vec<u8>>,
        who: mpsc::UnboundedSender<NodeId>,
    ) {
        let (mut downstream, mut links, mut out) = (Downstream::default(), HashMap::new(), Vec::new());
        downstream.set_path(&room(), vec![name("origin-1")], Epoch(1), &mut out);
        loop {
            tokio::select! {
                Some((id, child)) = told.recv() => match child {
                    Child::Up(handle) => {
                        let _ = who.send(handle.remote().node.clone());
                        links.insert(id, handle);
                        downstream.link_up(id);
                    }
                    Child::Said(Event::Message(ChildMessage::Subscribe { room, channel, .. })) => {
                        downstream.subscribe(id, &room, channel, &mut out).unwrap();
                    }
                    Child::Said(Event::Message(ChildMessage::Unsubscribe { channel })) => {
                        downstream.unsubscribe(id, channel);
                    }
                    Child::Said(Event::Datagram(Datagram::Missing(missing))) => {
                        downstream.missing(id, &missing, &mut out);
                    }
                    Child::Said(Event::Datagram(_)) => {}
                    Child::Lost => drop(downstream.link_lost(id)),
                },
                Some(bytes) = muttered.recv() => {
                    links.values().for_each(|link: &LinkHandle<_>| link.send_datagram(bytes.clone().into()));
                }
                Some(frame) = spoken.recv() => downstream.forward(&room(), &frame, &mut out),
                else => return,
            }
            out.drain(..).for_each(|output| send(&links, output));
        }
    }
}

/// An edge whose shard is a tap.
struct TestEdge {
    addr: SocketAddr,
    queue: Arc<RelayQueue>,
    heard: mpsc::UnboundedReceiver<Frame>,
    end: shutdown::Trigger,
}

impl TestEdge {
    fn start(world: &World, node: &str) -> Self {
        let links = world.bind(node, NodeKind::Edge);
        let addr = links.local_addr();
        let (shard, handle) = Shard::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (tell, heard) = mpsc::unbounded_channel();
        std::thread::spawn(move || shard.run(Tap(tell), Nothing).unwrap());
        let queue: Arc<RelayQueue> = Arc::new(Queue::new(Notify::new()));
        let (end, ended) = shutdown::channel();
        let metrics = world.registry.node(node, "home");
        let (ids, tasks) = (node::ids(), world.tasks.clone());
        let taken = queue.clone();
        let tell = move |id, child| child_told(&taken, id, child);
        node::serve::children(&name(node), links.clone(), ids.clone(), &tasks, &metrics, tell);
        let (shards, live) = (vec![handle.clone()], world.live.subscribe());
        let (hears, _) = watch::channel(Vec::new());
        let (changes, _) = mpsc::channel(1);
        let links_of = links.clone();
        let tools = Tools { queue: queue.clone(), shards, links: links_of, ids, tasks, live, hears, changes };
        let rooms = Rooms::new(member(node), StdRng::seed_from_u64(1));
        let relay = Relay::new(tools, rooms, RelayMeters::new(metrics));
        tokio::spawn(async move {
            relay.run(ended).await;
            links.close().await;
            handle.stop();
        });
        Self { addr, queue, heard, end }
    }

    /// There is a listener on its shard.
    fn listen(&self) {
        let root = protocol::node::Root { origin: name("origin-1"), epoch: Epoch(1) };
        let known = Input::Known { room: room(), root: Some(root) };
        self.queue.push(known).ok().unwrap();
        self.queue.push(Input::Wanted(0, room())).ok().unwrap();
    }
}

/// Speaks a frame every 10 ms, until `until` says that it is enough; what was heard meanwhile.
async fn speak(
    root: &Root,
    next: &mut u32,
    edge: &mut TestEdge,
    until: impl Fn(&[Frame]) -> bool,
) -> Vec<Frame> {
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    let mut heard = Vec::new();
    while !until(&heard) {
        tokio::select! {
            _ = pace.tick() => {
                root.speak.send(frame(*next)).unwrap();
                *next += 1;
            }
            frame = edge.heard.recv() => heard.push(frame.unwrap()),
        }
    }
    heard
}

fn sorted(heard: &[Frame]) -> Vec<u32> {
    let mut numbers: Vec<_> = heard.iter().map(|frame| frame.number).collect();
    numbers.sort_unstable();
    numbers
}

fn assert_unbroken(heard: &[Frame]) {
    let numbers = sorted(heard);
    let expected: Vec<_> = (numbers[0]..numbers[0] + numbers.len() as u32).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn a_listener_of_the_second_edge_hears_through_the_first_and_when_that_dies_without_it() {
    let world = World::new();
    let (hub, leaf) = hub_and_leaf();
    let mut root = Root::start(&world);
    let (hub_edge, mut leaf_edge) = (TestEdge::start(&world, hub), TestEdge::start(&world, leaf));
    world.announce("origin-1", NodeKind::Origin, root.addr);
    world.announce(hub, NodeKind::Edge, hub_edge.addr);
    world.announce(leaf, NodeKind::Edge, leaf_edge.addr);
    leaf_edge.listen();

    let mut next = 1;
    let mut heard = speak(&root, &mut next, &mut leaf_edge, |heard| heard.len() >= 50).await;
    assert_eq!(root.linked.recv().await.unwrap(), name(hub));
    assert!(root.linked.try_recv().is_err(), "one copy leaves the root");

    hub_edge.end.begin();
    let last = next + 50;
    let enough = |heard: &[Frame]| heard.iter().any(|frame| frame.number >= last);
    heard.extend(speak(&root, &mut next, &mut leaf_edge, enough).await);
    assert_eq!(root.linked.recv().await.unwrap(), name(leaf));
    assert_unbroken(&heard);
}

#[tokio::test]
async fn what_a_busy_parent_did_not_hear_is_said_again_on_another_link() {
    let world = World::new();
    let mut root = Root::busy(&world, 1);
    let mut edge = TestEdge::start(&world, "edge-1");
    world.announce("origin-1", NodeKind::Origin, root.addr);
    edge.listen();
    speak(&root, &mut 1, &mut edge, |heard| heard.len() >= 20).await;
    for _ in 0..2 {
        assert_eq!(root.linked.recv().await.unwrap(), name("edge-1"));
    }
}

#[tokio::test]
async fn a_link_survives_loss_and_its_frames_are_repaired() {
    let world = World::new();
    let root = Root::start(&world);
    let mut edge = TestEdge::start(&world, "edge-1");
    world.announce("origin-1", NodeKind::Origin, lossy(root.addr, 0.1).await);
    world.announce("edge-1", NodeKind::Edge, edge.addr);
    edge.listen();
    let mut next = 1;
    let heard = speak(&root, &mut next, &mut edge, |heard| heard.len() >= 300).await;
    let numbers = sorted(&heard);
    let span = numbers[numbers.len() - 1] - numbers[0] + 1;
    assert!(span - numbers.len() as u32 <= 6, "{} of {span} came", numbers.len());

    while counted(&world, "dais_link_repaired_frames_total{node=\"edge-1\",region=\"home\"}") == 0 {
        speak(&root, &mut next, &mut edge, |heard| heard.len() >= 10).await;
    }
}

#[tokio::test]
async fn a_frame_of_a_future_version_is_counted_and_nobody_notices() {
    let world = World::new();
    let root = Root::start(&world);
    let mut edge = TestEdge::start(&world, "edge-1");
    world.announce("origin-1", NodeKind::Origin, root.addr);
    edge.listen();
    let mut next = 1;
    let mut heard = speak(&root, &mut next, &mut edge, |heard| heard.len() >= 20).await;
    root.mutter.send(vec![protocol::frame::VERSION + 1, 1, 2, 3]).unwrap();
    root.mutter.send(vec![protocol::frame::VERSION, 1, 2, 3]).unwrap();
    for what in ["relay_version", "relay_malformed"] {
        let name = format!("dais_bad_input_total{{node=\"edge-1\",region=\"home\",what=\"{what}\"}}");
        while counted(&world, &name) == 0 {
            heard.extend(speak(&root, &mut next, &mut edge, |heard| heard.len() >= 10).await);
        }
        assert_eq!(counted(&world, &name), 1);
    }
    assert_unbroken(&heard);
}

/// A metric, as it was at the last look.
fn counted(world: &World, name: &str) -> u32 {
    let text = world.registry.render();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

/// An address that leads to `server`, less what is lost each way.
async fn lossy(server: SocketAddr, loss: f64) -> SocketAddr {
    let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let addr = front.local_addr().unwrap();
    let mut rng = StdRng::seed_from_u64(4);
    tokio::spawn(async move {
        let (mut up, mut down, mut client) = ([0; 2_000], [0; 2_000], None);
        loop {
            let (socket, to, datagram) = tokio::select! {
                received = front.recv_from(&mut up) => {
                    let (length, from) = received.unwrap();
                    client = Some(from);
                    (&back, server, &up[..length])
                }
                received = back.recv_from(&mut down) => {
                    let (length, _) = received.unwrap();
                    (&front, client.unwrap(), &down[..length])
                }
            };
            if !rng.random_bool(loss) {
                socket.send_to(datagram, to).await.unwrap();
            }
        }
    });
    addr
}
