//! The errors the outside sees: `{code, message, retry_after_ms?}`, the same over WebSocket and HTTP.

use serde::{Deserialize, Serialize};

/// What went wrong, for programs. Clients must treat codes they do not know as `internal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The message or body is not what it should be; the text names the field.
    BadRequest,
    /// The session description cannot be served; the text names the field.
    BadOffer,
    /// The token is not valid: expired, unsigned, of another key.
    Unauthorized,
    /// The token is valid, but not for this.
    Forbidden,
    /// The identity is banned from the room.
    Banned,
    /// The resume token is that of somebody whom a host removed meanwhile.
    Kicked,
    /// The resume token is that of a device that another one has replaced.
    Replaced,
    /// No such room, participant or session.
    NotFound,
    /// The room has ended.
    Ended,
    /// It does not fit the state things are in, such as promoting somebody who is on stage.
    Conflict,
    /// Every seat is taken.
    StageFull,
    /// As many hands are up as may be.
    HandsFull,
    /// The room has as many participants as it may.
    RoomFull,
    /// The message or body is larger than allowed.
    TooLarge,
    /// Too many of these in too short a time.
    RateLimited,
    /// No node has room, or the one asked did not answer.
    Unavailable,
    /// Many come at the same moment: it is one's turn after `retry_after_ms`, not earlier.
    Busy,
    /// Every place to listen is taken: it is one's turn after `retry_after_ms`, when one is expected to be free.
    Full,
    /// The resume token is spent, too old or not known.
    ResumeInvalid,
    /// The client did not read fast enough.
    TooSlow,
    /// `join` did not come in time.
    JoinTimeout,
    /// A defect of ours.
    Internal,
}

impl Code {
    /// The HTTP status that says the same.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::BadOffer => 400,
            Self::Unauthorized | Self::ResumeInvalid => 401,
            Self::Forbidden | Self::Banned | Self::Kicked => 403,
            Self::NotFound => 404,
            Self::JoinTimeout => 408,
            Self::Conflict | Self::StageFull | Self::HandsFull | Self::Replaced => 409,
            Self::Ended => 410,
            Self::TooLarge => 413,
            Self::RateLimited | Self::TooSlow => 429,
            Self::RoomFull | Self::Unavailable | Self::Busy | Self::Full => 503,
            Self::Internal => 500,
        }
    }
}

/// An error as it is written to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// For programs.
    pub code: Code,
    /// For people: what is wrong and what to do about it.
    pub message: String,
    /// When to try again, where waiting helps; in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ApiError {
    /// An error that waiting does not cure.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None }
    }

    /// The same, with the time after which another try may work.
    pub fn retry_after_ms(mut self, milliseconds: u64) -> Self {
        self.retry_after_ms = Some(milliseconds);
        self
    }
}
