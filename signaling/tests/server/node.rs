//! A media node of which only the control side exists.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cluster::{Bus, MemoryBus, Message};
use protocol::message::Purpose;
use protocol::node::{
    self, Admit, Announcement, Event, Known, NodeKind, PeerEvent, Request, Response, RoomOrigin, Root, Stage,
};
use protocol::session::{Answer, Candidate, CandidateProtocol, Fingerprint, IceText};
use protocol::{ApiError, Code, Epoch, PeerId, Region, RoomId, VoiceId};
use room::peers::{Books, Compared};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::venue::{PATIENCE, ROOM, name};

/// The node; whoever asks it for a peer gets the next number.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    bus: Arc<MemoryBus>,
    requests: tokio::sync::Mutex<mpsc::UnboundedReceiver<Request>>,
    mood: Arc<Mutex<Mood>>,
    release: Arc<Notify>,
    /// What it announces.
    said: Arc<Mutex<Announcement>>,
    task: tokio::task::JoinHandle<()>,
}

/// What it says to those who want a peer.
#[derive(Clone)]
enum Mood {
    Admits,
    Refuses(ApiError),
    /// Nothing, until it is released.
    Holds,
}

impl Node {
    pub(crate) async fn start(bus: &Arc<MemoryBus>, name: &'static str, kind: NodeKind) -> Self {
        let (tell, requests) = mpsc::unbounded_channel();
        let (mood, release) = (Arc::new(Mutex::new(Mood::Admits)), Arc::new(Notify::new()));
        let mut inbox = bus.subscribe(&node::subject(&crate::venue::name(name))).await.unwrap();
        let said = Arc::new(Mutex::new(announcement(name, kind)));
        let task = tokio::spawn({
            let (bus, said, mood, release) = (bus.clone(), said.clone(), mood.clone(), release.clone());
            async move {
                let mut second = tokio::time::interval(Duration::from_millis(200));
                let mut held = Vec::new();
                let mut peers = Peers { last: 0, books: Books::default() };
                loop {
                    tokio::select! {
                        _ = second.tick() => {
                            let said = serde_json::to_vec(&*said.lock().unwrap()).unwrap();
                            bus.publish(node::NODES, said.into()).await.unwrap();
                        }
                        Some(message) = inbox.recv() => {
                            let request: Request = serde_json::from_slice(&message.payload).unwrap();
                            let mood = mood.lock().unwrap().clone();
                            let _ = tell.send(request.clone());
                            match mood {
                                Mood::Holds if matches!(request, Request::Admit(_)) => held.push(message),
                                mood => respond(&bus, name, &message, &mut peers, &mood).await,
                            }
                        }
                        () = release.notified() => for message in held.drain(..) {
                            respond(&bus, name, &message, &mut peers, &Mood::Admits).await;
                        }
                    }
                }
            }
        });
        let requests = tokio::sync::Mutex::new(requests);
        Self { name, bus: bus.clone(), requests, mood, release, said, task }
    }

    /// From now on nobody is admitted.
    pub(crate) fn refuse(&self) {
        *self.mood.lock().unwrap() = Mood::Refuses(ApiError::new(Code::Unavailable, "full"));
    }

    /// From now on everybody is told to come back later.
    pub(crate) fn be_busy(&self, retry_after_ms: u64) {
        let busy = ApiError::new(Code::Unavailable, "busy").retry_after_ms(retry_after_ms);
        *self.mood.lock().unwrap() = Mood::Refuses(busy);
    }

    /// From now on whoever wants a peer waits.
    pub(crate) fn hold(&self) {
        *self.mood.lock().unwrap() = Mood::Holds;
    }

    /// Makes the peers of those who wait.
    pub(crate) fn release(&self) {
        self.release.notify_one();
    }

    /// How many peers it was asked for since this was asked last.
    pub(crate) async fn admissions(&self) -> usize {
        let mut requests = self.requests.lock().await;
        let so_far = std::iter::from_fn(|| requests.try_recv().ok());
        so_far.filter(|request| matches!(request, Request::Admit(_))).count()
    }

    /// From now on it announces something else.
    pub(crate) fn says(&self, change: impl FnOnce(&mut Announcement)) {
        change(&mut self.said.lock().unwrap());
    }

    /// Starts anew, with all its peers forgotten.
    pub(crate) fn restart(&self) {
        self.says(|said| said.boot += 1);
    }

    /// Falls silent.
    pub(crate) fn kill(&self) {
        self.task.abort();
    }

    /// The next request that `wanted` makes something of.
    pub(crate) async fn asked<T>(&self, wanted: impl Fn(Request) -> Option<T>) -> T {
        let mut requests = self.requests.lock().await;
        loop {
            let request = timeout(PATIENCE, requests.recv()).await.expect("a request in time");
            if let Some(found) = wanted(request.expect("the node lives")) {
                return found;
            }
        }
    }

    /// The first stage from here on that fits.
    pub(crate) async fn stage(&self, fits: impl Fn(&Stage) -> bool) -> Stage {
        self.asked(|request| match request {
            Request::Stage(stage) if fits(&stage) => Some(stage),
            _ => None,
        })
        .await
    }

    pub(crate) async fn removed(&self) -> u64 {
        let peer = |request| if let Request::Remove { peer, .. } = request { Some(peer.0) } else { None };
        self.asked(peer).await
    }

    /// Tells that a peer is gone.
    pub(crate) async fn lose(&self, peer: u64) {
        tell(&self.bus, self.name, PeerId(peer), PeerEvent::Gone).await;
    }

    /// Says what it knows of the room, where it was told something else.
    pub(crate) async fn knows(&self, epoch: Epoch, stage: u64) {
        let (room, root) = (RoomId::new(ROOM).unwrap(), Root { origin: name(self.name), epoch });
        let rooms = vec![RoomOrigin { room, root, stage: Some(stage) }];
        let known = Known { node: name(self.name), rooms };
        self.bus.publish(node::KNOWN, serde_json::to_vec(&known).unwrap().into()).await.unwrap();
    }

    /// Tells that a peer is connected.
    pub(crate) async fn connect(&self, peer: u64) {
        tell(&self.bus, self.name, PeerId(peer), PeerEvent::Connected).await;
    }
}

async fn tell(bus: &MemoryBus, node: &'static str, peer: PeerId, what: PeerEvent) {
    let event = Event { node: name(node), room: RoomId::new(ROOM).unwrap(), peer, what };
    bus.publish(node::EVENTS, serde_json::to_vec(&event).unwrap().into()).await.unwrap();
}

/// The peers that it has, with the books of a real one.
struct Peers {
    last: u64,
    books: Books,
}

async fn respond(bus: &MemoryBus, name: &'static str, message: &Message, peers: &mut Peers, mood: &Mood) {
    let books = &mut peers.books;
    let response = match (serde_json::from_slice(&message.payload).unwrap(), mood) {
        (Request::Admit(_), Mood::Refuses(error)) => Response::Refused(error.clone()),
        (Request::Admit(admit), _) => {
            peers.last += 1;
            let (peer, Admit { room, identity, speaker, offer, claim, .. }) = (PeerId(peers.last), *admit);
            let purpose = if speaker.is_some() { Purpose::Speak } else { Purpose::Listen };
            books.enter(0, peer, purpose, room, identity, claim.unwrap());
            Response::Admitted { peer, answer: answer(offer.lines.value()) }
        }
        (Request::Want { owner, digests }, _) => {
            let Compared { differ, orphans, judge } = books.compare(0, &owner, &digests).unwrap();
            Response::Compared { differ, orphans, judge }
        }
        (Request::Claim { owner, bucket, peers }, _) => {
            Response::Lacks { peers: books.claim(0, &owner, bucket, &peers).unwrap() }
        }
        (Request::Hang { peer, key }, _) if books.is_key(peer, &key) => {
            books.forget(peer);
            tell(bus, name, peer, PeerEvent::Gone).await;
            Response::Done
        }
        (Request::Hang { .. }, _) => Response::Refused(ApiError::new(Code::NotFound, "no such session")),
        (Request::Remove { peer, .. }, _) => {
            books.forget(peer);
            Response::Done
        }
        _ => Response::Done,
    };
    message.respond(bus, serde_json::to_vec(&response).unwrap().into()).await.unwrap();
}

fn answer(lines: u8) -> Answer {
    let candidate = Candidate { protocol: CandidateProtocol::Udp, ip: [127, 0, 0, 1].into(), port: 7100 };
    Answer {
        ufrag: IceText::new("node").unwrap(),
        pwd: IceText::new("0123456789012345678901").unwrap(),
        fingerprint: Fingerprint([3; 32]),
        candidates: vec![candidate],
        ssrcs: VoiceId::all().take(lines.into()).map(VoiceId::ssrc).collect(),
        red: false,
    }
}

fn announcement(text: &str, kind: NodeKind) -> Announcement {
    let region = Region::new("local").unwrap();
    Announcement { capacity: 1_000, ..Announcement::new(name(text), kind, region, 1) }
}
