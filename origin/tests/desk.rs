//! An origin seen from the bus: it admits speakers, one shard for each room, and takes stages.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::sync::Arc;
use std::time::Duration;

use cluster::{Bus, MemoryBus};
use media::dtls::Certificate;
use node::{Config, Surroundings};
use protocol::message::RoomState;
use protocol::node::{
    self as wire, Admit, Event, Known, NodeKind, Origins, PeerEvent, Request, Response, RoomOrigin, Root,
    Stage, StageSpeaker,
};
use protocol::{Code, Epoch, Identity, NodeId, Region, RoomId, SpeakerNumber};
use service::{Registry, Tasks, shutdown};
use transport::Authority;

fn name(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

async fn start(bus: &Arc<MemoryBus>) -> (origin::Origin, Tasks, shutdown::Trigger) {
    let (drain, shutdown) = shutdown::channel();
    let tasks = Tasks::new(shutdown);
    let config = Config {
        node: name("origin-1"),
        region: Region::new("home").unwrap(),
        media: "127.0.0.1:0".parse().unwrap(),
        media_ips: vec!["127.0.0.1".parse().unwrap()],
        shards: 4,
        link: "127.0.0.1:0".parse().unwrap(),
        link_ips: Vec::new(),
        capacity: 100,
        max_egress: None,
        drain: Duration::from_secs(10),
        version: String::new(),
    };
    let surroundings = Surroundings {
        bus: bus.clone(),
        credentials: Authority::ephemeral().unwrap().issue(&config.node, NodeKind::Origin).unwrap().into(),
        certificate: Arc::new(Certificate::generate().unwrap()),
        metrics: Registry::default().node("origin-1", "home"),
        tasks: tasks.clone(),
    };
    (origin::start(config, surroundings).await.unwrap(), tasks, drain)
}

async fn ask(bus: &MemoryBus, request: &Request) -> Response {
    let payload = serde_json::to_vec(request).unwrap();
    let reply = bus.request(&wire::subject(&name("origin-1")), payload.into(), Duration::from_secs(5)).await;
    serde_json::from_slice(&reply.unwrap()).unwrap()
}

fn admit(identity: &str, speaker: Option<SpeakerNumber>) -> Request {
    let offer = r#"{"ufrag":"abcd","pwd":"abcdefghijklmnopqrstuv","opus":111,"red":63,"lines":3,
        "fingerprint":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
    Request::Admit(Box::new(Admit {
        room: RoomId::new("all-hands").unwrap(),
        identity: Identity::new(identity).unwrap(),
        version: 1,
        speaker,
        root: Some(Root { origin: name("origin-1"), epoch: Epoch(1) }),
        offer: serde_json::from_str(offer).unwrap(),
        claim: None,
    }))
}

fn code(response: Response) -> Code {
    match response {
        Response::Refused(error) => error.code,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn speakers_of_one_room_share_a_shard_and_a_drain_ends_when_they_have_left() {
    let bus = MemoryBus::new();
    let (origin, tasks, drain) = start(&bus).await;
    let mut ports = Vec::new();
    let mut peers = Vec::new();
    for number in 1..=3 {
        let admitted = ask(&bus, &admit(&format!("speaker-{number}"), Some(SpeakerNumber(number)))).await;
        let Response::Admitted { peer, answer } = admitted else { panic!("{admitted:?}") };
        assert!(answer.red);
        ports.push(answer.candidates[0].port);
        peers.push(peer);
    }
    ports.dedup();
    assert_eq!(ports.len(), 1);
    assert!(origin.media.iter().any(|addr| addr.port() == ports[0]));

    drain.begin();
    for peer in peers {
        assert_eq!(ask(&bus, &Request::Remove { peer, by: None }).await, Response::Done);
    }
    tasks.watch().await.unwrap();
}

#[tokio::test]
async fn who_has_no_number_or_no_origin_is_no_speaker() {
    let bus = MemoryBus::new();
    let (_origin, _tasks, _drain) = start(&bus).await;
    assert_eq!(code(ask(&bus, &admit("anna", None)).await), Code::BadRequest);
    let Request::Admit(mut waits) = admit("anna", Some(SpeakerNumber(1))) else { panic!() };
    waits.root = None;
    assert_eq!(code(ask(&bus, &Request::Admit(waits)).await), Code::BadRequest);
}

#[tokio::test]
async fn a_stage_is_taken_and_a_room_closed() {
    let bus = MemoryBus::new();
    let (_origin, _tasks, _drain) = start(&bus).await;
    let room = RoomId::new("all-hands").unwrap();
    let speaker =
        StageSpeaker { identity: Identity::new("anna").unwrap(), number: SpeakerNumber(1), muted: false };
    let stage = Stage {
        room: room.clone(),
        epoch: Epoch(1),
        version: 1,
        state: RoomState::Live,
        speakers: vec![speaker],
    };
    assert_eq!(ask(&bus, &Request::Stage(stage.clone())).await, Response::Done);
    assert_eq!(ask(&bus, &Request::Close { room, version: Some(1), epoch: None }).await, Response::Done);
    // What was underway when the room ended opens it no more.
    assert_eq!(code(ask(&bus, &Request::Stage(stage.clone())).await), Code::Ended);
    assert_eq!(code(ask(&bus, &admit("anna", Some(SpeakerNumber(1)))).await), Code::Ended);
    let anew = Stage { epoch: Epoch(2), version: 2, ..stage.clone() };
    assert_eq!(ask(&bus, &Request::Stage(anew)).await, Response::Done);
    let forgotten = code(ask(&bus, &Request::Stage(Stage { version: 3, ..stage })).await);
    assert_eq!(forgotten, Code::Conflict, "a store that has lost the epoch must learn of it");
}

#[tokio::test]
async fn an_origin_that_was_replaced_lets_its_speakers_go_and_no_other() {
    let bus = MemoryBus::new();
    let (_origin, _tasks, _drain) = start(&bus).await;
    let mut events = bus.subscribe(wire::EVENTS).await.unwrap();
    let admitted = ask(&bus, &admit("anna", Some(SpeakerNumber(1)))).await;
    let Response::Admitted { peer, .. } = admitted else { panic!("{admitted:?}") };
    let room = RoomId::new("all-hands").unwrap();
    let tell = async |origin: &str, epoch| {
        let told = RoomOrigin {
            room: room.clone(),
            root: Root { origin: name(origin), epoch: Epoch(epoch) },
            stage: None,
        };
        let told = serde_json::to_vec(&Origins { rooms: vec![told] }).unwrap();
        bus.publish(wire::ORIGINS, told.into()).await.unwrap();
        // Taken in order: what was told before has been heard.
        assert_eq!(ask(&bus, &Request::Ping).await, Response::Done);
    };
    bus.publish(wire::ORIGINS, "nonsense".into()).await.unwrap();
    tell("origin-2", 1).await;
    tell("origin-1", 2).await;
    tell("origin-2", 2).await;
    let event: Event = serde_json::from_slice(&events.recv().await.unwrap().payload).unwrap();
    assert_eq!((event.peer, event.what), (peer, PeerEvent::Gone));
}

#[tokio::test]
async fn an_origin_says_what_it_knows_of_a_room_of_which_it_is_told_otherwise() {
    let bus = MemoryBus::new();
    let (_origin, _tasks, _drain) = start(&bus).await;
    let mut known = bus.subscribe(wire::KNOWN).await.unwrap();
    let (room, me) = (RoomId::new("all-hands").unwrap(), name("origin-1"));
    let from = |epoch, stage| RoomOrigin {
        room: room.clone(),
        root: Root { origin: me.clone(), epoch: Epoch(epoch) },
        stage: Some(stage),
    };
    let told = serde_json::to_vec(&Origins { rooms: vec![from(3, 7)] }).unwrap();
    bus.publish(wire::ORIGINS, told.into()).await.unwrap();
    let said: Known = serde_json::from_slice(&known.recv().await.unwrap().payload).unwrap();
    assert_eq!(said, Known { node: me.clone(), rooms: vec![from(0, 0)] });
}
