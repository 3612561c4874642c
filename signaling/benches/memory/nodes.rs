//! Media nodes of which only the control side exists: they announce themselves and make peers of nothing
//! but numbers.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Bus, MemoryBus, Nodes};
use protocol::node::{self, Announcement, NodeKind, Request, Response};
use protocol::session::{Answer, Candidate, CandidateProtocol, Fingerprint, IceText};
use protocol::{NodeId, PeerId, Region, VoiceId};

const NODES: [(&str, NodeKind); 3] =
    [("origin-1", NodeKind::Origin), ("edge-1", NodeKind::Edge), ("edge-2", NodeKind::Edge)];

/// Starts one origin and two edges, and waits until they are known.
pub(crate) async fn start(bus: &Arc<MemoryBus>, nodes: &Nodes) {
    for (name, kind) in NODES {
        tokio::spawn(run(bus.clone(), NodeId::new(name).unwrap(), kind));
    }
    nodes.watch().wait_for(|live| live.len() == NODES.len()).await.unwrap();
}

async fn run(bus: Arc<MemoryBus>, name: NodeId, kind: NodeKind) {
    let mut inbox = bus.subscribe(&node::subject(&name)).await.unwrap();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut peers = 0;
    loop {
        tokio::select! {
            _ = second.tick() => {
                let said = serde_json::to_vec(&announcement(&name, kind)).unwrap();
                bus.publish(node::NODES, said.into()).await.unwrap();
            }
            Some(message) = inbox.recv() => {
                let request: Request = serde_json::from_slice(&message.payload).unwrap();
                let response = respond(&request, &mut peers);
                message.respond(&*bus, serde_json::to_vec(&response).unwrap().into()).await.unwrap();
            }
        }
    }
}

fn respond(request: &Request, peers: &mut u64) -> Response {
    match request {
        Request::Admit(_) => {
            *peers += 1;
            Response::Admitted { peer: PeerId(*peers), answer: answer() }
        }
        _ => Response::Done,
    }
}

fn answer() -> Answer {
    let candidate = Candidate { protocol: CandidateProtocol::Udp, ip: [127, 0, 0, 1].into(), port: 7100 };
    Answer {
        ufrag: IceText::new("node").unwrap(),
        pwd: IceText::new("0123456789012345678901").unwrap(),
        fingerprint: Fingerprint([3; 32]),
        candidates: vec![candidate],
        ssrcs: VoiceId::all().map(VoiceId::ssrc).collect(),
        red: false,
    }
}

fn announcement(name: &NodeId, kind: NodeKind) -> Announcement {
    let region = Region::new("local").unwrap();
    Announcement { capacity: 100_000, ..Announcement::new(name.clone(), kind, region, 1) }
}
