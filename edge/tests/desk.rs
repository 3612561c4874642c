//! An edge seen from the bus: it announces itself, admits, refuses and drains.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::sync::Arc;
use std::time::Duration;

use cluster::{Bus, MemoryBus, Subscription};
use media::dtls::Certificate;
use node::{Config, Surroundings};
use protocol::node::{
    self as wire, Admit, Announcement, Claim, Event, Known, NodeKind, Origins, PeerEvent, Request, Response,
    RoomOrigin, Root,
};
use protocol::{Code, Epoch, Identity, NodeId, PeerId, Region, RoomId, Session};
use room::peers::{BUCKETS, Digests, bucket};
use service::{Registry, Tasks, shutdown};
use tokio::sync::watch;
use tokio::task::JoinSet;
use transport::Authority;

fn name(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

/// An edge at work, and the bus that it is on.
struct Running {
    bus: Arc<MemoryBus>,
    edge: edge::Edge,
    tasks: Tasks,
    drain: shutdown::Trigger,
    announcements: Subscription,
}

impl Running {
    async fn start(capacity: u32) -> Self {
        Self::with(|config| config.capacity = capacity).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let bus = MemoryBus::new();
        let announcements = bus.subscribe(wire::NODES).await.unwrap();
        let (drain, shutdown) = shutdown::channel();
        let tasks = Tasks::new(shutdown);
        let mut config = Config {
            node: name("edge-1"),
            region: Region::new("home").unwrap(),
            media: "127.0.0.1:0".parse().unwrap(),
            media_ips: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
            shards: 2,
            link: "127.0.0.1:0".parse().unwrap(),
            link_ips: Vec::new(),
            capacity: 0,
            max_egress: None,
            drain: Duration::from_secs(10),
            version: String::new(),
        };
        change(&mut config);
        let surroundings = Surroundings {
            bus: bus.clone(),
            credentials: Authority::ephemeral().unwrap().issue(&config.node, NodeKind::Edge).unwrap().into(),
            certificate: Arc::new(Certificate::generate().unwrap()),
            metrics: Registry::default().node("edge-1", "home"),
            tasks: tasks.clone(),
        };
        let live = watch::Sender::default();
        let edge = edge::start(config, surroundings, live.subscribe(), edge::FramingChoice::Fixed(60))
            .await
            .unwrap();
        Self { bus, edge, tasks, drain, announcements }
    }

    async fn ask(&self, payload: Vec<u8>) -> Response {
        let subject = wire::subject(&name("edge-1"));
        let reply = self.bus.request(&subject, payload.into(), Duration::from_secs(5)).await;
        serde_json::from_slice(&reply.unwrap()).unwrap()
    }

    async fn say(&self, request: &Request) -> Response {
        self.ask(serde_json::to_vec(request).unwrap()).await
    }

    async fn admit(&self) -> Response {
        self.admit_in(1).await
    }

    async fn close(&self, version: u64) -> Response {
        let room = RoomId::new("all-hands").unwrap();
        self.ask(serde_json::to_vec(&Request::Close { room, version: Some(version), epoch: None }).unwrap())
            .await
    }

    async fn admit_in(&self, version: u64) -> Response {
        let root = Root { origin: name("origin-1"), epoch: Epoch(1) };
        self.admit_from(Some(root), version).await
    }

    async fn admit_from(&self, root: Option<Root>, version: u64) -> Response {
        let offer = r#"{"ufrag":"abcd","pwd":"abcdefghijklmnopqrstuv","opus":111,"level_ext":1,"lines":3,
            "fingerprint":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
        let admit = Admit {
            room: RoomId::new("all-hands").unwrap(),
            identity: Identity::new("anna").unwrap(),
            version,
            speaker: None,
            root,
            offer: serde_json::from_str(offer).unwrap(),
            claim: Some(claim("signaling-1")),
        };
        self.say(&Request::Admit(Box::new(admit))).await
    }

    async fn announcement(&mut self) -> Announcement {
        serde_json::from_slice(&self.announcements.recv().await.unwrap().payload).unwrap()
    }
}

/// Of a WHEP session at this signaling node.
fn claim(node: &str) -> Claim {
    let session = Session { node: name(node), boot: 1, number: 7 };
    Claim { session, whip: Some(format!("the key of {node}")) }
}

fn code(response: Response) -> Code {
    match response {
        Response::Refused(error) => error.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn listeners_are_spread_over_the_shards_and_told_where_theirs_is() {
    let running = Running::start(100).await;
    let mut ports = Vec::new();
    for _ in 0..2 {
        let Response::Admitted { answer, .. } = running.admit().await else { panic!() };
        assert_eq!(answer.ssrcs.len(), 3);
        let [v4, v6] = answer.candidates[..] else { panic!() };
        assert_eq!(
            (v4.ip.to_string(), v6.ip.to_string(), v4.port),
            ("127.0.0.1".into(), "::1".into(), v6.port)
        );
        ports.push(v4.port);
    }
    let shards: Vec<_> = running.edge.media.iter().map(|addr| addr.port()).collect();
    assert_eq!(ports, shards);
}

#[tokio::test]
async fn a_full_edge_refuses_until_somebody_leaves() {
    let running = Running::start(1).await;
    let Response::Admitted { peer, .. } = running.admit().await else { panic!() };
    assert_eq!(code(running.admit().await), Code::Full);
    let remove = serde_json::to_vec(&Request::Remove { peer, by: None }).unwrap();
    assert_eq!(running.ask(remove).await, Response::Done);
    assert!(matches!(running.admit().await, Response::Admitted { .. }));
}

#[tokio::test]
async fn a_peer_belongs_to_the_signaling_node_that_answers_for_it() {
    let running = Running::start(10).await;
    let mut events = running.bus.subscribe(wire::EVENTS).await.unwrap();
    let Response::Admitted { peer, .. } = running.admit().await else { panic!() };
    let owner = |node: &str| claim(node).session.owner();
    let want = |node: &str, peers: &[PeerId]| {
        let digests: Digests = peers.iter().copied().collect();
        Request::Want { owner: owner(node), digests: digests.to_vec() }
    };
    let same = Response::Compared { differ: vec![], orphans: vec![], judge: false };
    assert_eq!(running.say(&want("signaling-1", &[peer])).await, same);
    let behind = bucket(peer) as u8;
    let differs = Response::Compared { differ: vec![behind], orphans: vec![], judge: false };
    assert_eq!(running.say(&want("signaling-2", &[peer])).await, differs);
    let gone = PeerId(peer.0 + BUCKETS as u64);
    let claimed = Request::Claim { owner: owner("signaling-1"), bucket: behind, peers: vec![peer, gone] };
    assert_eq!(running.say(&claimed).await, Response::Lacks { peers: vec![gone] });
    let bad = Request::Want { owner: owner("signaling-1"), digests: vec![1] };
    assert_eq!(code(running.say(&bad).await), Code::BadRequest);

    let adopted = Request::Adopt { peer, claim: claim("signaling-2") };
    assert_eq!(running.say(&adopted).await, Response::Done);
    assert_eq!(running.say(&want("signaling-2", &[peer])).await, same);
    for nobody in
        [Request::Remove { peer, by: Some(owner("signaling-1")) }, Request::Disown { peers: vec![peer] }]
    {
        assert_eq!(running.say(&nobody).await, Response::Done);
    }
    assert_eq!(running.say(&want("signaling-2", &[peer])).await, same, "it is there still");

    let hang = |node: &str| Request::Hang { peer, key: claim(node).whip.unwrap() };
    assert_eq!(code(running.say(&hang("signaling-1")).await), Code::NotFound);
    assert_eq!(running.say(&hang("signaling-2")).await, Response::Done);
    let event: Event = serde_json::from_slice(&events.recv().await.unwrap().payload).unwrap();
    assert_eq!((event.peer, event.what), (peer, PeerEvent::Gone));
}

#[tokio::test]
async fn an_edge_says_which_origin_it_knows_where_it_is_told_an_older_one() {
    let running = Running::start(1).await;
    let mut known = running.bus.subscribe(wire::KNOWN).await.unwrap();
    assert!(matches!(running.admit().await, Response::Admitted { .. }));
    let from = |epoch, stage| {
        let root = Root { origin: NodeId::new("origin-1").unwrap(), epoch: Epoch(epoch) };
        RoomOrigin { room: RoomId::new("all-hands").unwrap(), root, stage }
    };
    for told in [from(7, Some(3)), from(7, Some(4)), from(6, Some(5))] {
        let told = serde_json::to_vec(&Origins { rooms: vec![told] }).unwrap();
        running.bus.publish(wire::ORIGINS, told.into()).await.unwrap();
    }
    let said: Known = serde_json::from_slice(&known.recv().await.unwrap().payload).unwrap();
    assert_eq!(said.rooms, [from(7, None)]);
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_desk_goes_on() {
    let running = Running::start(1).await;
    assert_eq!(code(running.ask(b"{\"type\":\"dance\"}".to_vec()).await), Code::BadRequest);
    assert!(matches!(running.admit().await, Response::Admitted { .. }));
}

#[tokio::test]
async fn a_drain_is_announced_admits_nobody_and_waits_for_those_who_are_here() {
    let mut running = Running::start(100).await;
    let Response::Admitted { peer, .. } = running.admit().await else { panic!() };
    let first = running.announcement().await;
    assert_eq!((first.kind, first.admits, first.link), (NodeKind::Edge, true, Some(running.edge.link)));
    running.drain.begin();
    while running.announcement().await.admits {}
    assert_eq!(code(running.admit().await), Code::Unavailable);
    let remove = serde_json::to_vec(&Request::Remove { peer, by: None }).unwrap();
    assert_eq!(running.ask(remove).await, Response::Done);
    running.tasks.watch().await.unwrap();
}

#[tokio::test]
async fn a_drain_is_taken_back_unless_the_process_is_to_stop() {
    let mut running = Running::start(100).await;
    let Response::Admitted { peer, .. } = running.admit().await else { panic!() };
    assert_eq!(running.say(&Request::Drain { on: true }).await, Response::Done);
    let draining = loop {
        let said = running.announcement().await;
        if !said.admits {
            break said;
        }
    };
    let over_ms = draining.drain_ms.unwrap();
    assert!((3_000..=5_000).contains(&over_ms), "of ten seconds, five are for the last: {over_ms}");
    assert_eq!(code(running.admit().await), Code::Unavailable);

    assert_eq!(running.say(&Request::Drain { on: false }).await, Response::Done);
    assert!(matches!(running.admit().await, Response::Admitted { .. }));
    while !running.announcement().await.admits {}

    running.drain.begin();
    while running.announcement().await.admits {}
    assert_eq!(code(running.say(&Request::Drain { on: false }).await), Code::Conflict);
    assert_eq!(running.say(&Request::Remove { peer, by: None }).await, Response::Done);
    let gone = loop {
        let said = running.announcement().await;
        if said.peers == 1 {
            break said.gone;
        }
    };
    assert_eq!(gone, 1);
}

#[tokio::test]
async fn an_edge_takes_as_many_as_its_network_lets_hear() {
    let mut running =
        Running::with(|config| (config.capacity, config.max_egress) = (100, Some(250_000))).await;
    assert_eq!(running.announcement().await.capacity, 2, "120 kbit/s each");
    for _ in 0..2 {
        assert!(matches!(running.admit().await, Response::Admitted { .. }));
    }
    assert_eq!(code(running.admit().await), Code::Full);
    while running.announcement().await.headroom != Some(0) {}
}

/// More newcomers than the two shards take at a time: those who have not been answered once as many as
/// may arrive are in.
async fn crowd(running: &Arc<Running>) -> JoinSet<Response> {
    let mut crowd = JoinSet::new();
    for _ in 0..1_100 {
        let running = running.clone();
        crowd.spawn(async move { running.admit().await });
    }
    for _ in 0..1_000 {
        assert!(matches!(crowd.join_next().await, Some(Ok(Response::Admitted { .. }))));
    }
    crowd
}

#[tokio::test]
async fn who_waits_to_be_admitted_is_told_that_the_room_is_over() {
    let running = Arc::new(Running::start(2_000).await);
    let waiting = crowd(&running).await;
    assert_eq!(running.close(1).await, Response::Done);
    for answer in waiting.join_all().await {
        assert_eq!(code(answer), Code::Ended);
    }
    assert_eq!(code(running.admit().await), Code::Ended);
    assert!(matches!(running.admit_in(2).await, Response::Admitted { .. }), "there is room again");
}

#[tokio::test]
async fn the_end_of_a_room_is_not_that_of_the_one_made_after_it() {
    let mut running = Running::start(100).await;
    assert!(matches!(running.admit_in(2).await, Response::Admitted { .. }));
    assert_eq!(running.close(1).await, Response::Done);
    assert!(matches!(running.admit_in(2).await, Response::Admitted { .. }));
    while running.announcement().await.peers != 2 {}
}

#[tokio::test]
async fn who_waits_when_the_drain_begins_is_sent_elsewhere() {
    let running = Arc::new(Running::start(2_000).await);
    let waiting = crowd(&running).await;
    running.drain.begin();
    for answer in waiting.join_all().await {
        let Response::Refused(error) = answer else { panic!() };
        assert_eq!((error.code, error.retry_after_ms), (Code::Unavailable, None));
    }
}

#[tokio::test]
async fn a_room_without_an_origin_is_entered_and_ends_and_is_entered_again() {
    let mut running = Running::start(100).await;
    assert!(matches!(running.admit_from(None, 3).await, Response::Admitted { .. }));
    while running.announcement().await.peers != 1 {}
    assert_eq!(running.close(4).await, Response::Done);
    while running.announcement().await.peers != 0 {}
    assert_eq!(code(running.admit_from(None, 3).await), Code::Ended);
    assert!(matches!(running.admit_from(None, 5).await, Response::Admitted { .. }), "made anew");
    assert_eq!(running.close(4).await, Response::Done, "another node says so, late");
    assert!(matches!(running.admit_in(6).await, Response::Admitted { .. }), "it has an origin now");
    while running.announcement().await.peers != 2 {}
}
