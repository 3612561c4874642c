//! A WHIP or WHEP session by its name, and its end: a balancer sends that to any node.
//!
//! ```text
//!   DELETE ──▶ any node ── whip.<node>, Hang ──▶ the session's node ──▶ its room
//! ```
//!
//! The name says at which node it is, so that one is asked, and no other: whoever sends a `DELETE` needs no
//! token.

use std::fmt;

use cluster::{BusError, Message};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use protocol::node::{Response, whip_subject};
use protocol::{ApiError, Code, NodeId, RoomId};
use rand::Rng;
use rand::distr::Alphanumeric;
use room::live::no_session;
use serde::{Deserialize, Serialize};

use crate::app::Shared;

/// Characters of a session's key: 190 bits.
const KEY_CHARACTERS: usize = 32;

/// Sessions that are ended at a time for other nodes. Their rooms wait for the store.
const AT_ONCE: usize = 64;

/// As in a session's address: `<node>.<key>`.
pub(crate) struct SessionName {
    node: NodeId,
    /// Nobody can guess it; whoever has it may end the session.
    key: String,
}

impl SessionName {
    /// Of a new session at this node.
    pub(super) fn new(node: &NodeId) -> Self {
        let key = rand::rng().sample_iter(Alphanumeric).take(KEY_CHARACTERS).map(char::from).collect();
        Self { node: node.clone(), key }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (node, key) = text.rsplit_once('.')?;
        let is_key = key.len() == KEY_CHARACTERS && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_key.then_some(Self { node: NodeId::new(node).ok()?, key: key.into() })
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node, self.key)
    }
}

/// The session of this key ends: what one signaling node asks of another.
#[derive(Serialize, Deserialize)]
struct Hang {
    room: RoomId,
    key: String,
}

/// Ends a session at its node, which may be this one.
pub(super) async fn end(app: &Shared, room: RoomId, name: SessionName) -> Result<(), ApiError> {
    let SessionName { node, key } = name;
    let hang = Hang { room, key };
    if node == app.config.node {
        return end_here(app, hang).await;
    }
    let payload = serde_json::to_vec(&hang)
        .map_err(|_| ApiError::new(Code::Internal, "the end of a session cannot be written"))?;
    match app.bus.request(&whip_subject(&node), payload.into(), app.config.times.node).await {
        Ok(answer) => match serde_json::from_slice(&answer) {
            Ok(Response::Done) => Ok(()),
            Ok(Response::Refused(error)) => Err(error),
            _ => Err(ApiError::new(Code::Internal, "another signaling node's answer cannot be read")),
        },
        Err(BusError::NoResponder(_)) => Err(no_session()),
        Err(error) => {
            tracing::warn!(%node, %error, "the end of a session cannot be told");
            let says = "the signaling node of this session does not answer";
            Err(ApiError::new(Code::Unavailable, says).retry_after_ms(2_000))
        }
    }
}

/// Ends sessions of this node for others.
pub(crate) async fn end_for_others(app: &Shared) -> anyhow::Result<()> {
    let mut requests = app.bus.subscribe(&whip_subject(&app.config.node)).await?;
    let mut ending = FuturesUnordered::new();
    loop {
        tokio::select! {
            request = requests.recv(), if ending.len() < AT_ONCE => match request {
                Some(request) => ending.push(answer(app, request)),
                None => anyhow::bail!("the bus is gone"),
            },
            Some(()) = ending.next() => {}
        }
    }
}

async fn answer(app: &Shared, request: Message) {
    let response = match serde_json::from_slice(&request.payload) {
        Ok(hang) => end_here(app, hang).await.map_or_else(Response::Refused, |()| Response::Done),
        Err(error) => {
            app.counters.bad("bus_whip");
            Response::Refused(ApiError::new(Code::BadRequest, error.to_string()))
        }
    };
    let payload = serde_json::to_vec(&response).unwrap_or_default();
    if let Err(error) = request.respond(&*app.bus, payload.into()).await {
        tracing::warn!(%error, "nobody hears what became of a session");
    }
}

async fn end_here(app: &Shared, Hang { room, key }: Hang) -> Result<(), ApiError> {
    // A room that is not live here, or ends just now, has no session.
    app.rooms.hang(&room, key).await.unwrap_or_else(|| Err(no_session()))
}
