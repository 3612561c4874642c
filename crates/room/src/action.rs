//! What people do to a room, what comes of it, and why not.
//!
//! ```text
//!   Actor + Action ──▶ hall::Operation::Act ──▶ Outcome { version, answer, changes } │ Refusal
//! ```
//!
//! A [`Change`] is what signaling turns into messages: it names who it is about, never who is told.

use protocol::error::{ApiError, Code};
use protocol::id::{Epoch, Identity, NodeId, SpeakerNumber};
use protocol::message::{DeclineReason, RemoveReason, RoomState, StageMember};
use protocol::token::Role;
use serde::{Deserialize, Serialize};

use crate::Party;
use crate::limits::{HANDS_FULL_RETRY_MS, ROOM_FULL_RETRY_MS};

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Whoever shows an `admin` token over HTTP: may do what hosts may, to hosts too.
    Admin,
    /// Whoever shows this room's `host` token over HTTP, in the room or not.
    Bearer(Identity),
    /// A participant; the room knows what they may.
    Participant(Identity),
}

impl Actor {
    /// Who it is, where that is a person of the room: the `by` of what people are told.
    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Admin => None,
            Self::Bearer(identity) | Self::Participant(identity) => Some(identity),
        }
    }
}

/// What people do. An `identity` that is absent means oneself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields say who or what it is done to")]
pub enum Action {
    /// Ask to speak. This is consent: a promotion seats at once.
    RaiseHand,
    /// No longer ask; with an identity (hosts) somebody else's.
    LowerHand { identity: Option<Identity> },
    /// Have every hand down (hosts).
    LowerAllHands,
    /// Take the seat that an invitation holds.
    Accept,
    /// Give it back.
    Decline,
    /// Mute oneself or (hosts) somebody else on stage.
    Mute { identity: Option<Identity> },
    /// Unmute oneself, whoever muted.
    Unmute,
    /// Step down or (hosts) take somebody off the stage, or their invitation back.
    Demote { identity: Option<Identity> },
    /// Seat somebody whose hand is up, invite anybody else (hosts).
    Promote { identity: Identity },
    /// Put somebody out; they may come back to listen (hosts).
    Kick { identity: Identity },
    /// Put somebody out, or keep them out, until the room ends (hosts).
    Ban { identity: Identity },
    /// Undo a ban (hosts).
    Unban { identity: Identity },
    /// Let the audience hear the stage (hosts).
    GoLive,
    /// End the room (hosts).
    End,
    /// Change the title or the number of seats (hosts).
    Configure { title: Option<String>, seats: Option<u16>, live: Option<bool> },
}

impl Action {
    /// Whom it is done to, where that is somebody else.
    pub fn target(&self) -> Option<&Identity> {
        match self {
            Self::LowerHand { identity } | Self::Mute { identity } | Self::Demote { identity } => {
                identity.as_ref()
            }
            Self::Promote { identity } | Self::Kick { identity } => Some(identity),
            Self::Ban { identity } | Self::Unban { identity } => Some(identity),
            Self::RaiseHand | Self::Accept | Self::Decline | Self::Unmute => None,
            Self::LowerAllHands | Self::GoLive | Self::End | Self::Configure { .. } => None,
        }
    }
}

/// Somebody at the door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// Who: the token's `sub`, or what the server chose for a guest.
    pub identity: Identity,
    /// Shown to others.
    pub name: String,
    /// What their token says.
    pub role: Role,
    /// Counted by nobody, shown to nobody.
    pub hidden: bool,
    /// They are a guest: of this party. Nobody vouches for whom guests say they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<Party>,
}

/// What came of something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Version of the room on which the changes build.
    pub before: u64,
    /// Version of the room after: a later one, or the same where nothing changed.
    pub version: u64,
    /// For whoever did it.
    pub answer: Answer,
    /// For everybody else, in this order.
    pub changes: Vec<Change>,
}

/// What whoever did it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Answer {
    /// It is done, or was so already.
    Done,
    /// They are on stage.
    Seated {
        /// CSRC of what they say.
        number: SpeakerNumber,
    },
    /// They are asked, and a seat is held for them.
    Invited {
        /// For so long, in ms from now.
        expires_ms: u64,
    },
    /// They would have had a seat on entry, but none is free: they listen.
    StageFull,
}

/// Something that others must learn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the fields are those of the messages in protocol::message")]
pub enum Change {
    /// To everybody: what changed on stage. At the end of a room the stage empties without one.
    Stage { set: Vec<StageMember>, gone: Vec<Identity> },
    /// To hosts: which hands went up or down.
    Hands { up: Vec<Identity>, down: Vec<Identity> },
    /// To `identity`: on stage now.
    Promoted { identity: Identity, by: Option<Identity>, number: SpeakerNumber, muted: bool },
    /// To `identity`: no longer on stage, or no longer invited.
    Demoted { identity: Identity, by: Option<Identity> },
    /// To `identity`: muted by somebody else.
    Muted { identity: Identity, by: Option<Identity> },
    /// To `identity`: asked to come on stage, for so long from now.
    Invited { identity: Identity, by: Option<Identity>, expires_ms: u64 },
    /// To hosts: an invitation came to nothing.
    Declined { identity: Identity, why: DeclineReason },
    /// To everybody: the room went live or ended, or was renamed. Ended, everybody is out.
    Room { state: RoomState, since: u64 },
    /// To `identity`, wherever they are: out. Their resume ticket is dead.
    Removed { identity: Identity, reason: RemoveReason },
    /// To signaling: the room's audio has a new source.
    Origin { node: NodeId, epoch: Epoch },
}

/// Why something is not done. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Only hosts and admins do this.
    #[error("only a host may do this")]
    NotHost,
    /// Hosts are equal.
    #[error("a host cannot put out another host; an admin can")]
    TargetIsHost,
    /// Banned until the room ends or a host unbans.
    #[error("banned from this room")]
    Banned,
    /// The room is over.
    #[error("the room has ended")]
    Ended,
    /// Not in the room, or not to be seen there.
    #[error("{0} is not in the room")]
    NotHere(Identity),
    /// It does not fit how things stand.
    #[error("{0}")]
    Conflict(&'static str),
    /// Every seat is taken or held for an invitation.
    #[error("all {seats} seats are taken")]
    StageFull {
        /// How many there are.
        seats: u16,
        /// When the first held one may be free again, if one is held; in ms from now.
        retry_after_ms: Option<u64>,
    },
    /// As many hands are up as may be, and nobody's gives way.
    #[error("{0} hands are up, as many as may be: try again later")]
    HandsFull(usize),
    /// The room has as many participants as it may.
    #[error("the room is full: it takes {0} participants")]
    RoomFull(usize),
    /// It still has places, but for others.
    #[error("the room is nearly full, and the places that are left are for others than guests from here")]
    PartyFull,
    /// A field is outside its limits.
    #[error("{0}")]
    Invalid(String),
    /// One of the room's maps is full.
    #[error("the room has reached its limit of {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many it takes.
        limit: usize,
    },
}

impl Refusal {
    /// What programs are told.
    pub fn code(&self) -> Code {
        match self {
            Self::NotHost | Self::TargetIsHost => Code::Forbidden,
            Self::Banned => Code::Banned,
            Self::Ended => Code::Ended,
            Self::NotHere(_) => Code::NotFound,
            Self::Conflict(_) => Code::Conflict,
            Self::StageFull { .. } => Code::StageFull,
            Self::HandsFull(_) => Code::HandsFull,
            Self::RoomFull(_) | Self::PartyFull => Code::RoomFull,
            Self::Invalid(_) => Code::BadRequest,
            Self::Limit { .. } => Code::Conflict,
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let error = Self::new(refusal.code(), refusal.to_string());
        match refusal {
            Refusal::StageFull { retry_after_ms: Some(wait), .. } => error.retry_after_ms(wait),
            Refusal::HandsFull(_) => error.retry_after_ms(HANDS_FULL_RETRY_MS),
            Refusal::RoomFull(_) | Refusal::PartyFull => error.retry_after_ms(ROOM_FULL_RETRY_MS),
            _ => error,
        }
    }
}
