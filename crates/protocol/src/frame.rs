//! A frame of a voice, as it travels down the relay tree in a QUIC datagram.
//!
//! ```text
//!  0        1        2                 6
//! +--------+--------+-----------------+-----------------------------------------------+
//! | version| count  | channel (u32)   | count × frame, the newest last                |
//! +--------+--------+-----------------+-----------------------------------------------+
//! frame:  epoch u32 | number u32 | timestamp u32 | speaker u32 | voice u8 | level u8 | length u16 | payload
//! ```
//!
//! All integers are big-endian. `channel` stands for the room on this link, as the child chose it when
//! it subscribed. A link that loses sends frames with the one or two before them, which is why there
//! is a count. Unlike RTP, `number` has 32 bits: it never wraps within an epoch (2.7 years).

use bytes::{Buf, BufMut, Bytes};

use crate::id::{Epoch, SpeakerNumber, VoiceId};

/// What this build writes, and the only one it reads.
pub const VERSION: u8 = 1;

/// Longest payload of a frame, in bytes: 120 ms at 73 kbit/s. Three of the usual 80 fit one datagram; a
/// long one travels alone.
pub const MAX_PAYLOAD: usize = 1_100;

/// Longest datagram: what QUIC can carry on a path that takes packets of 1,200 bytes, less its own part.
pub const MAX_DATAGRAM: usize = 1_140;

/// Most frames in one datagram.
pub const MAX_FRAMES: usize = 3;

/// Bytes before the first frame.
pub const HEADER_LEN: usize = 6;

/// Bytes of a frame before its payload.
pub const FRAME_HEADER_LEN: usize = 20;

/// One Opus packet of one voice, usually 20 ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Which origin it comes from.
    pub epoch: Epoch,
    /// Position on this voice in this epoch: consecutive, in the order the origin sent.
    pub number: u32,
    /// Media time on the room's clock, in units of 1/48,000 s; wraps.
    pub timestamp: u32,
    /// Who speaks: the CSRC.
    pub speaker: SpeakerNumber,
    /// Which lane.
    pub voice: VoiceId,
    /// Loudness in −dBov, 0 (loudest) to 127 (RFC 6464).
    pub level: u8,
    /// The Opus packet, TOC first. Two bytes or fewer are DTX.
    pub payload: Bytes,
}

/// What is wrong with a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Ends before it should.
    #[error("truncated")]
    Truncated,
    /// Of a version this build does not know.
    #[error("unknown version")]
    Version,
    /// A field is outside its limits.
    #[error("field out of range")]
    Range,
    /// Bytes are left after the last frame.
    #[error("trailing bytes")]
    Trailing,
}

/// Writes a datagram for `channel` with `frames`, at most [`MAX_FRAMES`] of them, the newest last.
pub fn write(channel: u32, frames: &[Frame], out: &mut impl BufMut) {
    debug_assert!((1..=MAX_FRAMES).contains(&frames.len()));
    out.put_u8(VERSION);
    out.put_u8(frames.len() as u8);
    out.put_u32(channel);
    for frame in frames {
        out.put_u32(frame.epoch.0);
        out.put_u32(frame.number);
        out.put_u32(frame.timestamp);
        out.put_u32(frame.speaker.0);
        out.put_u8(frame.voice.index() as u8);
        out.put_u8(frame.level);
        out.put_u16(frame.payload.len() as u16);
        out.put_slice(&frame.payload);
    }
}

/// Reads a datagram: its channel and its frames. Payloads share the datagram's memory.
pub fn read(mut datagram: Bytes) -> Result<(u32, Vec<Frame>), FrameError> {
    if datagram.first().is_some_and(|&version| version != VERSION) {
        return Err(FrameError::Version);
    }
    if datagram.len() < HEADER_LEN {
        return Err(FrameError::Truncated);
    }
    datagram.advance(1);
    let count = usize::from(datagram.get_u8());
    let channel = datagram.get_u32();
    if !(1..=MAX_FRAMES).contains(&count) {
        return Err(FrameError::Range);
    }
    let frames = (0..count).map(|_| read_frame(&mut datagram)).collect::<Result<_, _>>()?;
    if datagram.has_remaining() { Err(FrameError::Trailing) } else { Ok((channel, frames)) }
}

fn read_frame(datagram: &mut Bytes) -> Result<Frame, FrameError> {
    if datagram.len() < FRAME_HEADER_LEN {
        return Err(FrameError::Truncated);
    }
    let epoch = Epoch(datagram.get_u32());
    let number = datagram.get_u32();
    let timestamp = datagram.get_u32();
    let speaker = SpeakerNumber(datagram.get_u32());
    let voice = VoiceId::new(usize::from(datagram.get_u8())).ok_or(FrameError::Range)?;
    let level = datagram.get_u8();
    let length = usize::from(datagram.get_u16());
    if level > 127 || !(1..=MAX_PAYLOAD).contains(&length) {
        return Err(FrameError::Range);
    }
    if datagram.len() < length {
        return Err(FrameError::Truncated);
    }
    Ok(Frame { epoch, number, timestamp, speaker, voice, level, payload: datagram.split_to(length) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u32) -> Frame {
        Frame {
            epoch: Epoch(7),
            number,
            timestamp: 960 * number,
            speaker: SpeakerNumber(3),
            voice: VoiceId::new(2).unwrap(),
            level: 30,
            payload: Bytes::from_static(&[0x78, 1, 2, 3]),
        }
    }

    fn written(frames: &[Frame]) -> Vec<u8> {
        let mut out = Vec::new();
        write(9, frames, &mut out);
        out
    }

    #[test]
    fn what_is_written_is_read() {
        let frames = [frame(1), frame(2), frame(3)];
        assert_eq!(read(written(&frames).into()), Ok((9, frames.to_vec())));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = written(&[frame(1), frame(2)]);
        for end in 0..whole.len() {
            assert_eq!(read(Bytes::copy_from_slice(&whole[..end])), Err(FrameError::Truncated), "{end}");
        }
    }

    #[test]
    fn a_future_version_is_not_read() {
        let mut datagram = written(&[frame(1)]);
        datagram[0] = VERSION + 1;
        assert_eq!(read(datagram.into()), Err(FrameError::Version));
    }
}
