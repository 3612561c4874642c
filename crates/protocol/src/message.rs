//! The WebSocket protocol of `/v1/join`: one JSON object per text message, `type` first.
//!
//! Nouns: a *room* has a *stage* of speakers and an *audience* of listeners; *hands* are listeners who
//! ask to speak. What changes on stage comes at once, on the control lane; what changes around it comes
//! merged, as *presence*. Fields that are not known are ignored in both directions.

use serde::{Deserialize, Serialize};

use crate::error::{ApiError, Code};
use crate::id::{Identity, NodeId, RoomId, SpeakerNumber};
use crate::session::{Answer, Offer};
use crate::token::Role;

/// Longest text message a client may send, in bytes.
pub const MAX_MESSAGE: usize = 16 * 1024;

/// Longest name of a participant, in characters.
pub const MAX_NAME: usize = 64;

/// Longest `id` of a request, in bytes.
pub const MAX_REQUEST_ID: usize = 64;

/// What ties an answer to its request; chosen by the client.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged, expecting = "`id` must be a whole number or a text")]
pub enum RequestId {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
}

impl RequestId {
    fn is_too_long(&self) -> bool {
        matches!(self, Self::Text(text) if text.len() > MAX_REQUEST_ID)
    }
}

/// A message from a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What is asked.
    #[serde(flatten)]
    pub body: ClientMessage,
    /// Repeated in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
}

/// Everything a client can say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are described in docs/protocol.md, the messages below")]
pub enum ClientMessage {
    /// Enter the room. The first message, within 5 s. With `resume` no token is needed.
    Join {
        #[serde(default)]
        token: String,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        resume: Option<String>,
        #[serde(default)]
        sdk: Option<String>,
    },
    /// Ask for media. A second one of the same purpose replaces the first.
    Media { purpose: Purpose, offer: Box<Offer> },
    /// Ask to speak.
    RaiseHand,
    /// No longer ask; with an identity (hosts only) lower that person's hand.
    LowerHand {
        #[serde(default)]
        identity: Option<Identity>,
    },
    /// Lower the hands of everybody (hosts only).
    LowerAllHands,
    /// Take the seat that an invitation holds.
    Accept,
    /// Do not.
    Decline,
    /// Mute oneself or, as host, somebody else.
    Mute {
        #[serde(default)]
        identity: Option<Identity>,
    },
    /// Unmute oneself.
    Unmute,
    /// Step down or, as host, take somebody off the stage.
    Demote {
        #[serde(default)]
        identity: Option<Identity>,
    },
    /// Bring somebody on stage (hosts only).
    Promote { identity: Identity },
    /// Put somebody out; they may come back (hosts only).
    Kick { identity: Identity },
    /// Put somebody out for good (hosts only).
    Ban { identity: Identity },
    /// Let a banned person in again (hosts only).
    Unban { identity: Identity },
    /// Start a backstage room (hosts only).
    GoLive,
    /// End the room (hosts only).
    End,
    /// A page of the audience list.
    Audience {
        #[serde(default)]
        cursor: Option<String>,
        #[serde(default)]
        limit: Option<u16>,
    },
    /// What this listener hears, from getStats, at most every 5 s.
    Quality(Quality),
    /// Go.
    Leave,
}

impl ClientMessage {
    /// The `type` on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Join { .. } => "join",
            Self::Media { .. } => "media",
            Self::RaiseHand => "raise_hand",
            Self::LowerHand { .. } => "lower_hand",
            Self::LowerAllHands => "lower_all_hands",
            Self::Accept => "accept",
            Self::Decline => "decline",
            Self::Mute { .. } => "mute",
            Self::Unmute => "unmute",
            Self::Demote { .. } => "demote",
            Self::Promote { .. } => "promote",
            Self::Kick { .. } => "kick",
            Self::Ban { .. } => "ban",
            Self::Unban { .. } => "unban",
            Self::GoLive => "go_live",
            Self::End => "end",
            Self::Audience { .. } => "audience",
            Self::Quality(_) => "quality",
            Self::Leave => "leave",
        }
    }
}

/// What a media session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Hear the voices, from an edge.
    Listen,
    /// Be heard, and hear the voices but one's own, from the origin.
    Speak,
}

/// What a listener hears, over the last seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Packets lost on the last hop, 0 to 1.
    pub loss: f32,
    /// Share of the samples that were concealed, 0 to 1.
    pub concealed: f32,
    /// Interarrival jitter, in ms.
    pub jitter_ms: f32,
    /// Jitter buffer delay, in ms.
    pub delay_ms: f32,
    /// Framing seen, in ms.
    pub framing_ms: f32,
}

/// A message to a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are described in docs/protocol.md, the messages below")]
pub enum ServerMessage {
    /// Answer to `join`.
    Welcome(Box<Welcome>),
    /// Answer to `media`.
    Media { purpose: Purpose, node: NodeId, answer: Answer },
    /// Answer to `audience`; no cursor on the last page.
    Audience {
        participants: Vec<Person>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// Answer to `promote`: the hand was up, that is consent.
    Seated { identity: Identity },
    /// Answer to `promote` (with `identity`): they are asked, the seat is held. To the invited (with `by`): asked.
    Invited {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<Identity>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Identity>,
        expires_ms: u64,
    },
    /// Answer to everything else that went well.
    Ok,
    /// Answer to what did not.
    Error(ApiError),

    /// The room went live or ended, or was renamed.
    Room { state: RoomState, since: u64, title: String },
    /// You are on stage; `number` is your CSRC.
    Promoted { by: Option<Identity>, number: SpeakerNumber, muted: bool },
    /// You are no longer on stage.
    Demoted { by: Option<Identity> },
    /// You were muted.
    Muted { by: Option<Identity> },
    /// To hosts: the invited person said no, or nothing.
    Declined { identity: Identity, why: DeclineReason },
    /// To hosts: these may still be heard, though they are muted or off the stage. Their origin has not said that it
    /// knows. All of them; nobody: it does.
    Pending { identities: Vec<Identity> },
    /// What changed on stage.
    Stage { version: u64, set: Vec<StageMember>, gone: Vec<Identity> },
    /// To hosts: hands in the order they went up.
    Hands { version: u64, up: Vec<Hand>, down: Vec<Identity> },
    /// What changed around the stage since version `since`; the first of what is new in `version` did so
    /// `age_ms` before that was made.
    Presence {
        version: u64,
        since: u64,
        #[serde(default)]
        age_ms: u64,
        counts: Counts,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        joined: Vec<Person>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<Identity>,
    },
    /// Ask for `media` of this purpose again: the node drains or died.
    Moved { purpose: Purpose, why: MoveReason },
    /// You are out, and the socket closes.
    Removed { reason: RemoveReason },
}

impl ServerMessage {
    /// The `type` on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Welcome(_) => "welcome",
            Self::Media { .. } => "media",
            Self::Audience { .. } => "audience",
            Self::Seated { .. } => "seated",
            Self::Invited { .. } => "invited",
            Self::Ok => "ok",
            Self::Error(_) => "error",
            Self::Room { .. } => "room",
            Self::Promoted { .. } => "promoted",
            Self::Demoted { .. } => "demoted",
            Self::Muted { .. } => "muted",
            Self::Declined { .. } => "declined",
            Self::Pending { .. } => "pending",
            Self::Stage { .. } => "stage",
            Self::Hands { .. } => "hands",
            Self::Presence { .. } => "presence",
            Self::Moved { .. } => "moved",
            Self::Removed { .. } => "removed",
        }
    }
}

/// A message to a client together with the id of the request that it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The answer.
    #[serde(flatten)]
    pub body: ServerMessage,
    /// From the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
}

/// The answer to `join`: how things stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// Who you are here.
    pub you: You,
    /// Where you are.
    pub room: RoomInfo,
    /// Version of `stage`; later `stage` messages carry higher ones.
    pub stage_version: u64,
    /// Who is on stage.
    pub stage: Vec<StageMember>,
    /// Version of `counts` and `people`.
    pub presence_version: u64,
    /// How many are here.
    pub counts: Counts,
    /// The audience, while the room is small; else a part of it.
    pub people: Vec<Person>,
    /// To hosts: the hands that are up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hands: Vec<Hand>,
    /// Opens the door again for 60 s after a cut, until its successor is shown. Each `welcome` brings a new one.
    pub resume: String,
    /// It was the resume token that opened the door: everything is as it was.
    #[serde(default)]
    pub resumed: bool,
    /// What media needs beforehand.
    pub media: MediaInfo,
    /// The server's clock, in ms of Unix time: what `since` is measured on.
    pub now: u64,
}

/// Oneself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct You {
    /// Unique in the room.
    pub identity: Identity,
    /// Shown to others.
    pub name: String,
    /// Role at this moment.
    pub role: Role,
    /// On stage: one's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<SpeakerNumber>,
    /// On stage: muted.
    #[serde(default)]
    pub muted: bool,
    /// Hand up.
    #[serde(default)]
    pub hand: bool,
    /// Asked on stage, and not answered yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<Invitation>,
}

/// A seat that is held for oneself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The host who asks; nobody where an admin does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Identity>,
    /// For how long.
    pub expires_ms: u64,
}

/// The room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoomInfo {
    /// Its id.
    pub room: RoomId,
    /// Shown to people.
    pub title: String,
    /// How far it is.
    pub state: RoomState,
    /// Since when, in ms of Unix time.
    pub since: u64,
    /// Places on stage.
    pub seats: u16,
}

/// How far a room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomState {
    /// Those on stage hear each other, listeners wait.
    Backstage,
    /// Everybody hears the stage.
    Live,
    /// Over.
    Ended,
}

/// Somebody on stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageMember {
    /// Who.
    pub identity: Identity,
    /// Shown to others.
    pub name: String,
    /// CSRC of what they say.
    pub number: SpeakerNumber,
    /// They are a host too.
    pub host: bool,
    /// They are not heard.
    pub muted: bool,
}

/// A hand that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hand {
    /// Whose.
    pub identity: Identity,
    /// Shown to the host.
    pub name: String,
    /// Since when, in ms of Unix time.
    pub since: u64,
    /// Hands stand in the order of their turns: by the number of the change with which each went up, and by its
    /// place among those that went up with it. Clocks that differ do not matter.
    #[serde(default)]
    pub turn: (u64, u32),
}

/// Somebody in the audience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who.
    pub identity: Identity,
    /// Shown to others.
    pub name: String,
}

/// How many are here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// In the audience.
    pub listeners: u32,
    /// On stage.
    pub speakers: u32,
    /// Hands up.
    pub hands: u32,
}

/// What a client must know before it makes a peer connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MediaInfo {
    /// Receive lines to negotiate.
    pub voices: u8,
    /// For `RTCPeerConnection`.
    pub ice_servers: Vec<IceServer>,
}

/// A STUN or TURN server, as `RTCPeerConnection` takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IceServer {
    /// Where.
    pub urls: Vec<String>,
    /// TURN user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Why an invited person does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    /// Said no.
    Declined,
    /// Did not answer in time.
    NoAnswer,
    /// Left the room.
    Left,
}

/// Why somebody is asked to take another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveReason {
    /// The node is about to stop.
    Drain,
    /// The node is gone.
    NodeLost,
    /// The node no longer knows this peer.
    PeerLost,
}

/// Why somebody is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoveReason {
    /// By a host; may come back.
    Kicked,
    /// By a host; may not.
    Banned,
    /// The same identity joined again.
    Replaced,
    /// The room is over.
    Ended,
    /// Asked to.
    Left,
    /// Did not read fast enough.
    TooSlow,
    /// The server stops; joining again reaches another.
    Shutdown,
}

/// A client's message that cannot be served.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    /// Of the request, where that much could be read: the error is an answer to it.
    pub id: Option<RequestId>,
    /// Names the field and what it should be.
    pub error: ApiError,
}

/// Reads one message of a client.
pub fn read(text: &str) -> Result<Request, Box<Unreadable>> {
    if text.len() > MAX_MESSAGE {
        let says = format!("a message may have {MAX_MESSAGE} bytes, this one has {}", text.len());
        return Err(unreadable(None, Code::TooLarge, says));
    }
    match serde_json::from_str::<Request>(text) {
        Ok(request) if request.id.as_ref().is_some_and(RequestId::is_too_long) => {
            Err(unreadable(None, Code::BadRequest, format!("`id` may have {MAX_REQUEST_ID} bytes")))
        }
        Ok(request) => Ok(request),
        Err(error) => Err(explain(text, &error)),
    }
}

fn unreadable(id: Option<RequestId>, code: Code, says: String) -> Box<Unreadable> {
    Box::new(Unreadable { id, error: ApiError::new(code, says) })
}

/// Every field of every message. A tagged enum does not say *where* it failed; this does, and is
/// only parsed for messages that failed.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read for the error's path alone")]
struct AnyField {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    purpose: Option<Purpose>,
    #[serde(default)]
    offer: Option<Offer>,
    #[serde(default)]
    identity: Option<Identity>,
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    resume: Option<String>,
    #[serde(default)]
    cursor: Option<String>,
    #[serde(default)]
    limit: Option<u16>,
}

fn explain(text: &str, error: &serde_json::Error) -> Box<Unreadable> {
    #[derive(Deserialize)]
    struct OnlyId {
        #[serde(default)]
        id: Option<RequestId>,
    }
    let id = serde_json::from_str::<OnlyId>(text).ok().and_then(|head| head.id);
    let id = id.filter(|id| !id.is_too_long());
    let json = &mut serde_json::Deserializer::from_str(text);
    let (code, says) = match serde_path_to_error::deserialize::<_, AnyField>(json) {
        Err(at) if at.path().iter().next().is_some() => {
            let path = at.path().to_string();
            let code = if path.starts_with("offer") { Code::BadOffer } else { Code::BadRequest };
            (code, format!("`{path}`: {}", at.inner()))
        }
        _ => (Code::BadRequest, error.to_string()),
    };
    unreadable(id, code, shortened(says))
}

/// Errors of the parser repeat what they read; what goes back is short whatever came.
fn shortened(mut says: String) -> String {
    const MOST: usize = 400;
    if let Some((end, _)) = says.char_indices().nth(MOST) {
        says.truncate(end);
        says.push('…');
    }
    says
}

/// The name as it is shown: trimmed, without control characters, within [`MAX_NAME`].
pub fn check_name(name: &str) -> Result<&str, ApiError> {
    let name = name.trim();
    if name.chars().any(char::is_control) {
        return Err(ApiError::new(Code::BadRequest, "`name` has control characters"));
    }
    if name.chars().count() > MAX_NAME {
        return Err(ApiError::new(Code::TooLarge, format!("`name` may have {MAX_NAME} characters")));
    }
    Ok(name)
}

#[cfg(test)]
mod tests;
