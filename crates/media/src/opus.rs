//! The outside of Opus packets (RFC 6716 §3): which frames are in one, how long they last, and how
//! to join or split packets without touching the audio.
//!
//! ```text
//!   code 0: TOC frame            code 2: TOC length frame frame
//!   code 1: TOC frame frame      code 3: TOC count [padding] [lengths] frame … [padding]
//! ```

use bytes::Bytes;
use protocol::FRAME_TICKS;

/// Most frames in one packet: 120 ms of 2.5 ms each.
pub const MAX_FRAMES: usize = 48;

/// Longest packet in time, in 1/48,000 s: 120 ms.
pub const MAX_TICKS: u32 = 6 * FRAME_TICKS;

/// Longest frame in bytes.
const MAX_FRAME_LEN: usize = 1_275;

/// A payload up to this many bytes is DTX: nothing but a TOC, perhaps with an empty frame.
pub const MAX_DTX_LEN: usize = 2;

/// What is wrong with a packet: the rules R1 to R7 of RFC 6716 §3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpusError {
    /// Ends before its frames do, or has no byte at all.
    #[error("truncated")]
    Truncated,
    /// A frame longer than any may be.
    #[error("frame too long")]
    FrameLength,
    /// No frame, or more than 120 ms of them.
    #[error("number of frames out of range")]
    Count,
    /// Frames that must be equally long cannot be.
    #[error("frames of unequal length")]
    Unequal,
}

/// The first byte of a packet: how its frames are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toc(pub u8);

impl Toc {
    /// Fullband CELT, mono, 20 ms: for a voice on which nobody has spoken yet.
    pub const DEFAULT: Self = Self(0xF8);

    /// Length of each frame, in 1/48,000 s.
    pub fn frame_ticks(self) -> u32 {
        let config = u32::from(self.0 >> 3);
        match config {
            0..12 => [480, 960, 1_920, 2_880][config as usize % 4],
            12..16 => [480, 960][config as usize % 2],
            _ => 120 << (config % 4),
        }
    }

    /// Whether frames of both may share a packet: same configuration, same channels.
    pub fn joins(self, other: Self) -> bool {
        self.0 >> 2 == other.0 >> 2
    }

    /// The same coding with frames of 20 ms and one frame in a packet. As a whole packet it is DTX.
    pub fn dtx(self) -> Self {
        let twenty_ms = match self.0 >> 3 {
            config @ 0..12 => config & !3 | 1,
            config @ 12..16 => config | 1,
            config => config | 3,
        };
        Self(twenty_ms << 3 | self.0 & 0x04)
    }

    fn with_code(self, code: u8) -> u8 {
        self.0 & 0xFC | code
    }
}

/// Whether a payload holds no audio (RFC 7587 §3.1.3).
pub fn is_dtx(payload: &[u8]) -> bool {
    payload.len() <= MAX_DTX_LEN
}

/// The frames of a packet, read in place.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// How they are coded; the code bits say how they were packed.
    pub toc: Toc,
    frames: [&'a [u8]; MAX_FRAMES],
    count: usize,
}

impl<'a> Packet<'a> {
    /// Reads a packet and checks that every frame is there.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OpusError> {
        let (&toc, rest) = bytes.split_first().ok_or(OpusError::Truncated)?;
        let mut packet = Self { toc: Toc(toc), frames: [&[]; MAX_FRAMES], count: 0 };
        match toc & 3 {
            0 => packet.add(rest)?,
            1 => packet.add_equal(2, rest)?,
            2 => packet.add_with_lengths(2, rest)?,
            _ => packet.add_many(rest)?,
        }
        Ok(packet)
    }

    /// The frames, in order. An empty one stands for audio that was not sent (DTX).
    pub fn frames(&self) -> &[&'a [u8]] {
        &self.frames[..self.count]
    }

    /// Length of all frames, in 1/48,000 s.
    pub fn ticks(&self) -> u32 {
        self.count as u32 * self.toc.frame_ticks()
    }

    fn add(&mut self, frame: &'a [u8]) -> Result<(), OpusError> {
        if frame.len() > MAX_FRAME_LEN {
            return Err(OpusError::FrameLength);
        }
        *self.frames.get_mut(self.count).ok_or(OpusError::Count)? = frame;
        self.count += 1;
        if self.ticks() > MAX_TICKS { Err(OpusError::Count) } else { Ok(()) }
    }

    fn add_equal(&mut self, count: usize, rest: &'a [u8]) -> Result<(), OpusError> {
        if !rest.len().is_multiple_of(count) {
            return Err(OpusError::Unequal);
        }
        let len = rest.len() / count;
        (0..count).try_for_each(|i| self.add(&rest[i * len..(i + 1) * len]))
    }

    fn add_with_lengths(&mut self, count: usize, mut rest: &'a [u8]) -> Result<(), OpusError> {
        let mut lengths = [0; MAX_FRAMES];
        for length in &mut lengths[..count - 1] {
            (*length, rest) = split_length(rest)?;
        }
        for &length in &lengths[..count - 1] {
            let frame;
            (frame, rest) = rest.split_at_checked(length).ok_or(OpusError::Truncated)?;
            self.add(frame)?;
        }
        self.add(rest)
    }

    fn add_many(&mut self, rest: &'a [u8]) -> Result<(), OpusError> {
        let (&head, mut rest) = rest.split_first().ok_or(OpusError::Truncated)?;
        let count = usize::from(head & 0x3F);
        if count == 0 || count as u32 * self.toc.frame_ticks() > MAX_TICKS {
            return Err(OpusError::Count);
        }
        if head & 0x40 != 0 {
            rest = without_padding(rest)?;
        }
        if head & 0x80 == 0 { self.add_equal(count, rest) } else { self.add_with_lengths(count, rest) }
    }
}

fn split_length(rest: &[u8]) -> Result<(usize, &[u8]), OpusError> {
    match *rest {
        [first @ 252..=255, second, ref rest @ ..] => {
            Ok((usize::from(second) * 4 + usize::from(first), rest))
        }
        [first @ 0..=251, ref rest @ ..] => Ok((usize::from(first), rest)),
        _ => Err(OpusError::Truncated),
    }
}

fn without_padding(mut rest: &[u8]) -> Result<&[u8], OpusError> {
    let mut padding = 0;
    loop {
        let (&byte, tail) = rest.split_first().ok_or(OpusError::Truncated)?;
        rest = tail;
        padding += usize::from(if byte == 255 { 254 } else { byte });
        if byte != 255 {
            break;
        }
    }
    let len = rest.len().checked_sub(padding).ok_or(OpusError::Truncated)?;
    Ok(&rest[..len])
}

/// Appends one packet with `frames`, of which there must be 1 to [`MAX_FRAMES`] and 120 ms at most.
pub fn write<'a>(toc: Toc, frames: impl Iterator<Item = &'a [u8]> + Clone, out: &mut Vec<u8>) {
    let count = frames.clone().count();
    if count == 1 {
        out.push(toc.with_code(0));
    } else {
        out.extend([toc.with_code(3), 0x80 | count as u8]);
        for frame in frames.clone().take(count - 1) {
            write_length(frame.len(), out);
        }
    }
    frames.for_each(|frame| out.extend_from_slice(frame));
}

fn write_length(len: usize, out: &mut Vec<u8>) {
    if len < 252 {
        out.push(len as u8);
    } else {
        let first = 252 + (len & 3);
        out.extend([first as u8, ((len - first) / 4) as u8]);
    }
}

/// Cuts a packet into packets of 20 ms, or of one frame where a frame is longer, and says how long
/// each is, in 1/48,000 s. One that is short enough already comes back as it is.
pub fn split(payload: &Bytes) -> Result<Vec<(Bytes, u32)>, OpusError> {
    let packet = Packet::parse(payload)?;
    let frame_ticks = packet.toc.frame_ticks();
    let in_each = (FRAME_TICKS / frame_ticks).max(1) as usize;
    if packet.count <= in_each {
        return Ok(vec![(payload.clone(), packet.ticks())]);
    }
    let cut = |frames: &[&[u8]]| {
        let mut out = Vec::with_capacity(frames.iter().map(|frame| frame.len() + 2).sum::<usize>() + 2);
        write(packet.toc, frames.iter().copied(), &mut out);
        (Bytes::from(out), frames.len() as u32 * frame_ticks)
    };
    Ok(packet.frames().chunks(in_each).map(cut).collect())
}

#[cfg(test)]
mod tests;
