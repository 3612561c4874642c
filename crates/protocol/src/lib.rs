//! What crosses a process boundary, and nothing else: client messages, token claims, relay frames,
//! the session description, the commands between nodes, and the envelope that these travel in.
//!
//! Pure: no socket, no clock, no randomness. Every parser here takes bytes from outside, returns a
//! typed value with its limits already checked, and never panics.

pub mod address;
pub mod envelope;
pub mod error;
pub mod frame;
pub mod id;
pub mod link;
pub mod message;
pub mod node;
pub mod sdp;
pub mod session;
pub mod token;

pub use error::{ApiError, Code};
pub use frame::Frame;
pub use id::{Epoch, Identity, NodeId, Owner, PeerId, Region, RoomId, Session, SpeakerNumber, VoiceId};
pub use session::{Answer, Offer};

/// Voices of a room: how many audio lanes it has, and so how many speakers can be heard at once.
pub const VOICES: usize = 3;

/// Most seats of a stage: every change of it goes to everybody, and each of those who have one has a peer at the
/// origin that may have the next voice.
pub const MAX_SEATS: u16 = 64;

/// RTP clock of Opus, in Hz (RFC 7587 §4.1).
pub const CLOCK_HZ: u32 = 48_000;

/// Length of one frame of a voice, in units of [`CLOCK_HZ`]: 20 ms.
pub const FRAME_TICKS: u32 = CLOCK_HZ / 50;
