//! The control stream of a link: messages between a child and its parent in the relay tree.
//!
//! Audio goes beside it, in datagrams ([`frame`](crate::frame)), and so do heartbeats and requests to
//! send a frame again: a lost one is worth less than a late one. Subscribe and publish run against
//! intuition here: the child dials, and the child chooses the channel number, because only it must
//! tell its rooms apart on this link.
//!
//! ```text
//! heartbeat: kind u8 | sequence u32 | loss u16                            7 bytes, every 50 ms, both ways
//! missing:   kind u8 | channel u32 | epoch u32 | voice u8 | count u8 | count × number u32      child to parent
//! ```
//!
//! The first byte tells datagrams apart: below [`HEARTBEAT`] it is the version of a frame.

use bytes::{Buf, BufMut, Bytes};
use serde::{Deserialize, Serialize};

use crate::frame::{self, Frame, FrameError};
use crate::id::{Epoch, NodeId, RoomId, VoiceId};

/// First byte of a heartbeat.
pub const HEARTBEAT: u8 = 0x81;

/// First byte of a request to send frames again.
pub const MISSING: u8 = 0x82;

/// Most frames that one datagram asks for. A gap wider than this (0.64 s) is not worth repairing.
pub const MAX_MISSING: usize = 32;

/// Longest message, in bytes of JSON. On the stream each message has its length before it, as a big-endian u16.
pub const MAX_MESSAGE: usize = 8 * 1024;

/// Most hops a tree may have: a path longer than this is refused.
pub const MAX_HOPS: usize = 8;

/// From the child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChildMessage {
    /// Send me this room's voices, on this channel.
    Subscribe {
        /// The room.
        room: RoomId,
        /// Chosen by the child, not in use on this link.
        channel: u32,
        /// Where the room's audio comes from, for a parent that has not met the room yet.
        origin: NodeId,
        /// The newest epoch of the room that the child knows.
        epoch: Epoch,
    },
    /// No longer.
    Unsubscribe {
        /// As subscribed.
        channel: u32,
    },
}

/// From the parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ParentMessage {
    /// The nodes from the root down to this parent, and again whenever it changes. A child that finds
    /// itself on it must leave: it would hear itself.
    Path {
        /// As subscribed.
        channel: u32,
        /// Root first. Empty: the parent has no way to the root now.
        nodes: Vec<NodeId>,
        /// Of the root.
        epoch: Epoch,
    },
    /// The subscription is over or was not taken.
    Refused {
        /// As subscribed.
        channel: u32,
        /// For the log.
        why: String,
    },
}

/// What a datagram on a link can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datagram {
    /// Audio, downwards.
    Frames {
        /// Stands for the room.
        channel: u32,
        /// The newest last.
        frames: Vec<Frame>,
    },
    /// Both ways.
    Heartbeat(Heartbeat),
    /// Upwards.
    Missing(Missing),
}

/// Says that the sender lives, and how well it hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// One more than the last one's; wraps.
    pub sequence: u32,
    /// Of the datagrams sent to the sender of this, how many of 1,000 were lost lately, before any repair.
    pub loss_permille: u16,
}

/// Frames that the child lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// As subscribed.
    pub channel: u32,
    /// Of the room.
    pub epoch: Epoch,
    /// On this voice.
    pub voice: VoiceId,
    /// Their numbers, at most [`MAX_MISSING`].
    pub numbers: Vec<u32>,
}

impl Heartbeat {
    /// Writes the datagram.
    pub fn write(&self, out: &mut impl BufMut) {
        out.put_u8(HEARTBEAT);
        out.put_u32(self.sequence);
        out.put_u16(self.loss_permille);
    }

    fn read(mut rest: Bytes) -> Result<Self, FrameError> {
        if rest.len() < 6 {
            return Err(FrameError::Truncated);
        }
        let heartbeat = Self { sequence: rest.get_u32(), loss_permille: rest.get_u16() };
        match () {
            () if rest.has_remaining() => Err(FrameError::Trailing),
            () if heartbeat.loss_permille > 1_000 => Err(FrameError::Range),
            () => Ok(heartbeat),
        }
    }
}

impl Missing {
    /// Writes the datagram.
    pub fn write(&self, out: &mut impl BufMut) {
        debug_assert!((1..=MAX_MISSING).contains(&self.numbers.len()));
        out.put_u8(MISSING);
        out.put_u32(self.channel);
        out.put_u32(self.epoch.0);
        out.put_u8(self.voice.index() as u8);
        out.put_u8(self.numbers.len() as u8);
        self.numbers.iter().for_each(|&number| out.put_u32(number));
    }

    fn read(mut rest: Bytes) -> Result<Self, FrameError> {
        if rest.len() < 10 {
            return Err(FrameError::Truncated);
        }
        let channel = rest.get_u32();
        let epoch = Epoch(rest.get_u32());
        let voice = VoiceId::new(usize::from(rest.get_u8())).ok_or(FrameError::Range)?;
        let count = usize::from(rest.get_u8());
        match rest.len().cmp(&(4 * count)) {
            _ if !(1..=MAX_MISSING).contains(&count) => Err(FrameError::Range),
            std::cmp::Ordering::Less => Err(FrameError::Truncated),
            std::cmp::Ordering::Greater => Err(FrameError::Trailing),
            std::cmp::Ordering::Equal => {
                let numbers = (0..count).map(|_| rest.get_u32()).collect();
                Ok(Self { channel, epoch, voice, numbers })
            }
        }
    }
}

impl Datagram {
    /// Reads any datagram of a link. One of an unknown kind, or of a future version, is
    /// [`FrameError::Version`].
    pub fn read(mut datagram: Bytes) -> Result<Self, FrameError> {
        match datagram.first() {
            None => Err(FrameError::Truncated),
            Some(&HEARTBEAT) => Heartbeat::read(datagram.split_off(1)).map(Self::Heartbeat),
            Some(&MISSING) => Missing::read(datagram.split_off(1)).map(Self::Missing),
            Some(_) => frame::read(datagram).map(|(channel, frames)| Self::Frames { channel, frames }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn what_is_written_is_read_and_every_truncation_is_an_error() {
        let heartbeat = Heartbeat { sequence: 7, loss_permille: 50 };
        let voice = VoiceId::new(1).unwrap();
        let missing = Missing { channel: 3, epoch: Epoch(2), voice, numbers: vec![5, 6, 9] };
        let cases = [
            (written(|out| heartbeat.write(out)), Datagram::Heartbeat(heartbeat)),
            (written(|out| missing.write(out)), Datagram::Missing(missing)),
        ];
        for (bytes, datagram) in cases {
            assert_eq!(Datagram::read(bytes.clone().into()), Ok(datagram));
            for end in 0..bytes.len() {
                assert_eq!(
                    Datagram::read(Bytes::copy_from_slice(&bytes[..end])),
                    Err(FrameError::Truncated),
                    "{end}"
                );
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(Datagram::read(longer.into()), Err(FrameError::Trailing));
        }
    }

    #[test]
    fn unknown_kinds_and_versions_are_told_from_nonsense() {
        for kind in [0, frame::VERSION + 1, 0x7f, 0x83, 0xff] {
            assert_eq!(Datagram::read(vec![kind; 40].into()), Err(FrameError::Version), "{kind}");
        }
        assert_eq!(Datagram::read(vec![HEARTBEAT, 0, 0, 0, 0, 0xff, 0xff].into()), Err(FrameError::Range));
    }
}
