//! How a participant gets media: the room permits it, a node is chosen, and it makes the peer.
//!
//! ```text
//!   member ── permit ──▶ room      may they? origin, epoch, number
//!          ── Admit ───▶ node      listeners: the best edge, then others; speakers: the origin
//!          ── admitted ▶ room      now it knows which peer to remove, and whom to move
//! ```
//!
//! This runs beside the room's task: a slow node makes one person wait, never a room.

use std::sync::Arc;

use cluster::Bus;
use protocol::message::{Purpose, ServerMessage};
use protocol::node::{self, Admit, NodeKind, Request, Response};
use protocol::{Answer, ApiError, Code, NodeId, Offer, PeerId};

use crate::app::Shared;
use crate::live::{Admitted, Permit};
use crate::rooms::Member;

/// Edges that are tried, one after another, before somebody is told that there is no room.
const EDGES: usize = 3;

/// A media request.
pub(crate) struct Asked {
    pub(crate) purpose: Purpose,
    pub(crate) offer: Offer,
    /// Of this connection's media requests: the last one holds.
    pub(crate) turn: u64,
}

/// A peer that a node has made.
struct Made {
    node: NodeId,
    peer: PeerId,
    answer: Answer,
}

/// Gets a peer for a member. Answers with the `media` message.
pub(crate) async fn admit(app: &Shared, member: &Member, asked: Asked) -> Result<ServerMessage, ApiError> {
    let Asked { purpose, offer, turn } = asked;
    check_lines(purpose, &offer)?;
    let permit = member.permit(purpose).await?;
    let admission = Admission { app, member, permit, offer };
    let Made { node, peer, answer } = match purpose {
        Purpose::Speak => admission.at_origin().await?,
        Purpose::Listen => admission.at_an_edge().await?,
    };
    let admitted = Admitted { purpose, turn, node: node.clone(), peer };
    if let Err(error) = member.admitted(admitted).await {
        app.remove_peer(node, peer);
        return Err(error);
    }
    Ok(ServerMessage::Media { purpose, node, answer })
}

fn check_lines(purpose: Purpose, offer: &Offer) -> Result<(), ApiError> {
    let hears = offer.lines.value() > 0;
    if purpose == Purpose::Speak || hears {
        return Ok(());
    }
    Err(ApiError::new(Code::BadOffer, "`offer.lines`: a listener needs 1 or 3 receive lines"))
}

struct Admission<'a> {
    app: &'a Shared,
    member: &'a Member,
    permit: Permit,
    offer: Offer,
}

impl Admission<'_> {
    async fn at_origin(&self) -> Result<Made, ApiError> {
        self.at(&self.permit.origin).await
    }

    async fn at_an_edge(&self) -> Result<Made, ApiError> {
        let mut tried = Vec::new();
        let mut last = no_node();
        while tried.len() < EDGES {
            let Some(edge) = self.app.nodes.place(NodeKind::Edge, &self.app.config.region, &tried) else {
                break;
            };
            match self.at(&edge.node).await {
                Ok(made) => return Ok(made),
                // Another edge would say the same.
                Err(error) if error.code != Code::Unavailable => {
                    self.app.nodes.unplace(&edge.node);
                    return Err(error);
                }
                Err(error) => {
                    self.app.nodes.unplace(&edge.node);
                    last = error;
                    tried.push(edge.node);
                }
            }
        }
        Err(last)
    }

    async fn at(&self, node: &NodeId) -> Result<Made, ApiError> {
        let admit = Admit {
            room: self.member.room.clone(),
            identity: self.member.identity.clone(),
            speaker: self.permit.speaker,
            origin: self.permit.origin.clone(),
            epoch: self.permit.epoch,
            offer: self.offer.clone(),
        };
        match ask(self.app, node, &Request::Admit(Box::new(admit))).await? {
            Response::Admitted { peer, answer } => Ok(Made { node: node.clone(), peer, answer }),
            Response::Refused(error) => Err(error),
            Response::Done => Err(ApiError::new(Code::Internal, "the node gave no answer to an offer")),
        }
    }
}

/// Asks a node and waits for its answer. Silence is `unavailable`.
pub(crate) async fn ask(app: &Shared, node: &NodeId, request: &Request) -> Result<Response, ApiError> {
    let bus: Arc<dyn Bus> = app.bus.clone();
    let payload = serde_json::to_vec(request).map_err(|_| internal("a request cannot be written"))?;
    let reply =
        bus.request(&node::subject(node), payload.into(), app.config.times.node).await.map_err(|error| {
            tracing::debug!(%node, %error, "a node does not answer");
            no_node()
        })?;
    serde_json::from_slice(&reply).map_err(|_| internal("a node's answer cannot be read"))
}

fn internal(says: &str) -> ApiError {
    ApiError::new(Code::Internal, says)
}

/// What is said where no node can serve.
pub(crate) fn no_node() -> ApiError {
    ApiError::new(Code::Unavailable, "no media node has room").retry_after_ms(2_000)
}
