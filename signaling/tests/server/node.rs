//! A media node of which only the control side exists.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cluster::{Bus, MemoryBus};
use protocol::node::{self, Announcement, Event, NodeKind, PeerEvent, Request, Response, Stage};
use protocol::session::{Answer, Candidate, CandidateProtocol, Fingerprint, IceText};
use protocol::{ApiError, Code, PeerId, RoomId, VoiceId};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::venue::{PATIENCE, ROOM, name};

/// The node; whoever asks it for a peer gets the next number.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    bus: Arc<MemoryBus>,
    requests: tokio::sync::Mutex<mpsc::UnboundedReceiver<Request>>,
    refuses: Arc<AtomicBool>,
    boot: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start(bus: &Arc<MemoryBus>, name: &'static str, kind: NodeKind) -> Self {
        let (tell, requests) = mpsc::unbounded_channel();
        let refuses = Arc::new(AtomicBool::new(false));
        let mut inbox = bus.subscribe(&node::subject(&crate::venue::name(name))).await.unwrap();
        let boot = Arc::new(AtomicU64::new(1));
        let task = tokio::spawn({
            let (bus, refuses, boot) = (bus.clone(), refuses.clone(), boot.clone());
            async move {
                let mut second = tokio::time::interval(Duration::from_millis(200));
                let mut peers = 0;
                loop {
                    tokio::select! {
                        _ = second.tick() => {
                            let said = announcement(name, kind, boot.load(Ordering::Relaxed));
                            let said = serde_json::to_vec(&said).unwrap();
                            bus.publish(node::NODES, said.into()).await.unwrap();
                        }
                        Some(message) = inbox.recv() => {
                            let request: Request = serde_json::from_slice(&message.payload).unwrap();
                            let response = respond(&request, &mut peers, refuses.load(Ordering::Relaxed));
                            let _ = tell.send(request);
                            let payload = serde_json::to_vec(&response).unwrap();
                            message.respond(&*bus, payload.into()).await.unwrap();
                        }
                    }
                }
            }
        });
        Self { name, bus: bus.clone(), requests: tokio::sync::Mutex::new(requests), refuses, boot, task }
    }

    /// From now on nobody is admitted.
    pub(crate) fn refuse(&self) {
        self.refuses.store(true, Ordering::Relaxed);
    }

    /// Starts anew, with all its peers forgotten.
    pub(crate) fn restart(&self) {
        self.boot.fetch_add(1, Ordering::Relaxed);
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
        let peer = |request| if let Request::Remove { peer } = request { Some(peer.0) } else { None };
        self.asked(peer).await
    }

    /// Tells that a peer is gone.
    pub(crate) async fn lose(&self, peer: u64) {
        self.tell(peer, PeerEvent::Gone).await;
    }

    /// Tells that a peer is connected.
    pub(crate) async fn connect(&self, peer: u64) {
        self.tell(peer, PeerEvent::Connected).await;
    }

    async fn tell(&self, peer: u64, what: PeerEvent) {
        let event =
            Event { node: name(self.name), room: RoomId::new(ROOM).unwrap(), peer: PeerId(peer), what };
        self.bus.publish(node::EVENTS, serde_json::to_vec(&event).unwrap().into()).await.unwrap();
    }
}

fn respond(request: &Request, peers: &mut u64, refuses: bool) -> Response {
    match request {
        Request::Admit(_) if refuses => Response::Refused(ApiError::new(Code::Unavailable, "full")),
        Request::Admit(admit) => {
            *peers += 1;
            Response::Admitted { peer: PeerId(*peers), answer: answer(admit.offer.lines.value()) }
        }
        _ => Response::Done,
    }
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

fn announcement(text: &str, kind: NodeKind, boot: u64) -> Announcement {
    Announcement {
        node: name(text),
        kind,
        region: "local".into(),
        boot,
        link: "127.0.0.1:7200".parse().unwrap(),
        peers: 0,
        capacity: 1_000,
        admits: true,
    }
}
