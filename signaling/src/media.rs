//! How a participant gets media: the room permits it, a node is chosen, and it makes the peer.
//!
//! ```text
//!   member ── permit ──▶ room      may they? origin, if there is one, and number
//!          ── Admit ───▶ node      listeners: an edge near them, then others; speakers: the origin
//!          ── admitted ▶ room      now it knows which peer to remove, and whom to move
//! ```
//!
//! This runs beside the room's task: a slow node makes one person wait, never a room.

use std::ops::RangeInclusive;
use std::time::Duration;

use protocol::message::Purpose;
use protocol::node::{self, Admit, Claim, NodeKind, Request, Response};
use protocol::{Answer, ApiError, Code, NodeId, Offer, PeerId};
use rand::Rng;
use room::live::{Admitted, Permit, Permitted, no_node};
use room::placement::{NoPlace, Outlook, Wish};
use service::log::JOIN;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::app::Shared;
use crate::rooms::Member;

/// Edges that are tried, one after another, before somebody is told that there is no room.
const EDGES: usize = 3;

/// How long all that may take together: clients take 10 s without an answer for a dead connection.
const ALTOGETHER: Duration = Duration::from_secs(8);

/// How long an answer to an admission is waited for after whoever asked has given up: a peer that nobody
/// knows of would stay at its node until that notices.
const LATE: Duration = Duration::from_secs(30);

/// When those may come again whom no node takes. Spread, so that who was refused together does not come
/// together.
const NO_ROOM_MS: RangeInclusive<u64> = 2_000..=4_000;

/// A media request.
pub(crate) struct Asked {
    pub(crate) purpose: Purpose,
    pub(crate) offer: Offer,
    /// Of this connection's media requests: the last one holds.
    pub(crate) turn: u64,
    /// The key of a WHIP or WHEP session.
    pub(crate) whip: Option<String>,
}

/// A peer that somebody has got.
pub(crate) struct Got {
    pub(crate) node: NodeId,
    pub(crate) peer: PeerId,
    pub(crate) answer: Answer,
}

/// What a node has made.
struct Made {
    peer: Unclaimed,
    answer: Answer,
}

/// A peer that is nobody's yet; unless somebody claims it, it is removed.
struct Unclaimed {
    app: Shared,
    node: NodeId,
    peer: PeerId,
    is_claimed: bool,
}

impl Unclaimed {
    fn claim(mut self) {
        self.is_claimed = true;
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if !self.is_claimed {
            self.app.remove_peer(self.node.clone(), self.peer);
        }
    }
}

/// Gets a peer for a member. Dropping it at any point leaves no peer
/// that nobody knows.
pub(crate) async fn admit(app: &Shared, member: &Member, asked: Asked) -> Result<Got, ApiError> {
    let Asked { purpose, offer, turn, whip } = asked;
    check_lines(purpose, &offer)?;
    let permit = member.permit(purpose).await.map_err(come_again)?;
    let claim = Claim { session: app.session(member.who.number), whip };
    let deadline = Instant::now() + ALTOGETHER;
    let admission = Admission { app, member, permit, offer, claim, deadline };
    let made = match &admission.permit.to {
        Permitted::Speak(_, root) => admission.at(&root.origin).await,
        Permitted::Listen(_) => admission.at_an_edge().await,
    };
    let Made { peer, answer } = made.map_err(come_again)?;
    let got = Got { node: peer.node.clone(), peer: peer.peer, answer };
    member.admitted(Admitted { purpose, turn, node: got.node.clone(), peer: got.peer }).await?;
    peer.claim();
    Ok(got)
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
    claim: Claim,
    deadline: Instant,
}

impl Admission<'_> {
    async fn at_an_edge(&self) -> Result<Made, ApiError> {
        let mut tried = Vec::new();
        let mut last = no_node();
        self.wait_for_a_turn(None)?;
        while tried.len() < EDGES && Instant::now() < self.deadline {
            let edge = match self.app.nodes.place(&self.wish(&tried)) {
                Ok(edge) => edge,
                Err(NoPlace::Full) if tried.is_empty() || last.code == Code::Full => {
                    return self.wait_for_a_turn(Some(0)).and(Err(last));
                }
                Err(NoPlace::Full) => break,
                Err(NoPlace::Nobody) => break,
            };
            if edge.region != self.member.region {
                self.app.counters.spilled(&self.member.region);
            }
            match self.at(&edge.node).await {
                Ok(made) => return Ok(made),
                Err(error) => {
                    self.app.nodes.unplace(&edge.node);
                    if !is_worth_another_edge(&error) {
                        return Err(appointment(error));
                    }
                    last = error;
                    tried.push(edge.node);
                }
            }
        }
        Err(last)
    }

    fn wish<'a>(&'a self, not: &'a [NodeId]) -> Wish<'a> {
        Wish { kind: NodeKind::Edge, region: &self.member.region, spill: &self.app.config.spill, not }
    }

    /// Where every edge is full, or others wait already, somebody gets an appointment. `places` are those that
    /// there are in truth, where that is known better.
    fn wait_for_a_turn(&self, places: Option<u32>) -> Result<(), ApiError> {
        let (app, member) = (self.app, self.member);
        let outlook = app.nodes.outlook(&self.wish(&[]));
        if outlook.nodes == 0 {
            return Err(no_node());
        }
        let outlook = Outlook { places: places.unwrap_or(outlook.places), ..outlook };
        let who = (member.room.clone(), member.who.identity.clone());
        let mut waiting = app.waiting();
        let told = waiting.ask(app.elapsed_ms(), &member.region, &who, outlook, rand::random());
        app.counters.waiting(waiting.people());
        let Some(ms) = told else { return Ok(()) };
        app.counters.full(&member.region);
        let says = format!("every place is taken: come back in {} s", ms.div_ceil(1_000));
        Err(ApiError::new(Code::Full, says).retry_after_ms(ms))
    }

    async fn at(&self, node: &NodeId) -> Result<Made, ApiError> {
        let (speaker, root) = match &self.permit.to {
            Permitted::Speak(number, root) => (Some(*number), Some(root)),
            Permitted::Listen(root) => (None, root.as_ref()),
        };
        let admit = Admit {
            room: self.member.room.clone(),
            identity: self.member.who.identity.clone(),
            version: self.permit.version,
            speaker,
            root: root.cloned(),
            offer: self.offer.clone(),
            claim: Some(self.claim.clone()),
        };
        let (tell, told) = oneshot::channel();
        let (app, asked, node) = (self.app.clone(), node, node.clone());
        let shutdown = app.tasks.shutdown().clone();
        self.app.tasks.errand("admission", async move {
            tokio::select! {
                made = make(app, node, admit) => drop(tell.send(made)),
                () = shutdown.begun() => {}
            }
        });
        let deadline = self.deadline.min(Instant::now() + self.app.config.times.admit);
        let made = tokio::select! {
            told = timeout_at(deadline, told) => told.ok().and_then(Result::ok).unwrap_or_else(|| Err(no_node())),
            () = self.app.nodes.fallen_silent(asked) => Err(no_node()),
        };
        let Claim { session, .. } = &self.claim;
        match &made {
            Ok(Made { peer, .. }) => {
                tracing::debug!(target: JOIN, %session, node = %peer.node, peer = peer.peer.0, "has a peer");
            }
            Err(error) => tracing::debug!(target: JOIN, %session, node = %asked, %error, "gets no peer"),
        }
        made
    }
}

/// Whether another edge may say something else: this one is full, or does not answer. One that says when to come back is busy with others who
/// came before; as it was the emptiest, the others are as busy, and would make an appointment in vain.
fn is_worth_another_edge(error: &ApiError) -> bool {
    matches!(error.code, Code::Unavailable | Code::Full) && error.retry_after_ms.is_none()
}

/// The same as the client is told it. An edge that is merely out of places says no time.
fn appointment(error: ApiError) -> ApiError {
    let code = if error.code == Code::Unavailable { Code::Busy } else { error.code };
    ApiError { code, ..error }
}

/// Has a node make a peer.
async fn make(app: Shared, node: NodeId, admit: Admit) -> Result<Made, ApiError> {
    match ask_for(&app, &node, &Request::Admit(Box::new(admit)), LATE).await? {
        Response::Admitted { peer, answer } => {
            Ok(Made { peer: Unclaimed { app, node, peer, is_claimed: false }, answer })
        }
        Response::Refused(error) => Err(error),
        _ => Err(internal("the node gave no answer to an offer")),
    }
}

/// Asks a node and waits for its answer. Silence is `unavailable`.
pub(crate) async fn ask(app: &Shared, node: &NodeId, request: &Request) -> Result<Response, ApiError> {
    ask_for(app, node, request, app.config.times.node).await
}

async fn ask_for(
    app: &Shared,
    node: &NodeId,
    request: &Request,
    patience: Duration,
) -> Result<Response, ApiError> {
    let payload = serde_json::to_vec(request).map_err(|_| internal("a request cannot be written"))?;
    let reply = app.bus.request(&node::subject(node), payload.into(), patience).await.map_err(|error| {
        tracing::debug!(%node, %error, "a node does not answer");
        no_node()
    })?;
    serde_json::from_slice(&reply).map_err(|_| internal("a node's answer cannot be read"))
}

fn internal(says: &str) -> ApiError {
    ApiError::new(Code::Internal, says)
}

/// The same as the client is told it: with the time of their next try.
fn come_again(error: ApiError) -> ApiError {
    if is_worth_another_edge(&error) {
        return error.retry_after_ms(rand::rng().random_range(NO_ROOM_MS));
    }
    error
}
