//! Ids are types: a room is not a node, and a speaker's number is not a count.
//!
//! Text ids are shared (`Arc<str>`), so that passing one on costs no allocation.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Room and node names: what is allowed is in the message.
    #[error("must be 1 to 64 characters of a-z A-Z 0-9 . _ -, and neither . nor ..")]
    Name,
    /// Identities are freer, they come from other people's user databases.
    #[error("must be 1 to 128 bytes without control characters")]
    Identity,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $check:ident, $error:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses the id; the error says what is allowed.
            pub fn new(text: &str) -> Result<Self, IdError> {
                if $check(text) { Ok(Self(text.into())) } else { Err($error) }
            }

            /// The id as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

/// In a path `.` and `..` mean something else: such a room could be made and never shown or left.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && !matches!(text, "." | "..")
}

fn is_identity(text: &str) -> bool {
    (1..=128).contains(&text.len()) && !text.chars().any(char::is_control)
}

text_id! {
    /// An event: 1 to 64 characters of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`.
    RoomId, is_name, IdError::Name
}
text_id! {
    /// An origin, edge or signaling process: written as a [`RoomId`] is.
    NodeId, is_name, IdError::Name
}
text_id! {
    /// A place of nodes that are near each other: written as a [`RoomId`] is.
    Region, is_name, IdError::Name
}
text_id! {
    /// A participant, unique in the room: the `sub` of their token, 1 to 128 bytes without control
    /// characters.
    Identity, is_identity, IdError::Identity
}

/// One WebRTC association, unique within its node for as long as the node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PeerId(pub u64);

/// A speaker's room-local number: the CSRC of what they say. Never given twice in one room; 0 is
/// nobody (silence).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpeakerNumber(pub u32);

impl SpeakerNumber {
    /// Who speaks when nobody does.
    pub const NOBODY: Self = Self(0);
}

/// Which origin of a room a frame comes from: a newer one has a higher epoch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);

/// One life of a signaling node: from its start to its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// Its name.
    pub node: NodeId,
    /// Of the life.
    pub boot: u64,
}

/// One socket (or WHIP, WHEP session) of a signaling node: who answers for a participant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Session {
    /// The signaling node.
    pub node: NodeId,
    /// Of the node: differs after each of its starts, and only grows.
    pub boot: u64,
    /// Which of its sockets; never given twice while the node runs.
    pub number: u64,
}

/// Of the session of whoever is not known to be at any node.
const NOBODY: u64 = u64::MAX;

impl Session {
    /// That of somebody who is not known to be at any node.
    pub fn nobody(owner: &Owner) -> Self {
        Self { node: owner.node.clone(), boot: owner.boot, number: NOBODY }
    }

    /// Whether it is no session.
    pub fn is_nobody(&self) -> bool {
        self.number == NOBODY
    }

    /// Whose it is.
    pub fn owner(&self) -> Owner {
        Owner { node: self.node.clone(), boot: self.boot }
    }
}

/// As logs have it: the same on every node.
impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.node, self.boot, self.number)
    }
}

/// One of the audio lanes of a room, below [`VOICES`](crate::VOICES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VoiceId(u8);

impl VoiceId {
    /// The voice with this index, if there is one.
    pub fn new(index: usize) -> Option<Self> {
        (index < crate::VOICES).then_some(Self(index as u8))
    }

    /// All voices in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..crate::VOICES as u8).map(Self)
    }

    /// Position in arrays of [`VOICES`](crate::VOICES).
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The SSRC on which every peer receives this voice, for good. It is the same for everybody:
    /// each peer has keys of their own, so nothing is shared but the number.
    pub fn ssrc(self) -> u32 {
        0x0DA1_5000 + u32::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_limited_to_what_a_url_can_carry() {
        for good in ["all-hands_2026.q4", ".a", "a..b", "...", "a."] {
            assert!(RoomId::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "a>b", "ä", &"x".repeat(65)] {
            assert_eq!(RoomId::new(bad), Err(IdError::Name), "{bad}");
        }
        assert!(serde_json::from_str::<RoomId>("\"a b\"").is_err());
    }

    #[test]
    fn identities_may_be_anything_printable() {
        assert!(Identity::new("anna@example.org").is_ok());
        assert!(Identity::new("Zoë 7").is_ok());
        assert_eq!(Identity::new("a\nb"), Err(IdError::Identity));
    }
}
