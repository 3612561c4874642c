//! What one speaker sends: finds the Opus in it, each frame once, and asks for what was lost.
//!
//! ```text
//!   RTP ─▶ which stream ─▶ RED? blocks, oldest first ─▶ seen before? ─▶ cut to 20 ms ─▶ Said
//!             └─▶ what is missing ─▶ NACK at once and again; receiver report every second
//! ```

use std::time::Instant;

use bytes::Bytes;
use protocol::Offer;
use protocol::frame::MAX_PAYLOAD;
use protocol::session::{ExtensionId, PayloadType};

use super::stream::Stream;
use crate::audience::NO_LEVEL;
use crate::rtcp::Heard;
use crate::{opus, red, rtp};

/// One Opus packet of 20 ms, or of one frame where that is longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// When, on the speaker's clock.
    pub(super) source: u32,
    /// How long, in 1/48,000 s.
    pub(super) ticks: u32,
    /// How loud, in −dBov; none where nobody said.
    pub(super) level: Option<u8>,
    /// The Opus packet.
    pub(super) payload: Bytes,
    /// First of a new stream: the clock is another one.
    pub(super) starts: bool,
}

/// Why a packet cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// Not RTP, or of a payload type that was not agreed.
    Rtp,
    /// Not redundant audio, though it says so.
    Red,
    /// Not Opus, though it says so.
    Opus,
    /// A second stream beside the first.
    Stream,
    /// Older than what can be placed.
    Old,
}

#[derive(Debug)]
pub(super) struct Microphone {
    opus: u8,
    red: Option<u8>,
    level_ext: Option<u8>,
    nack: bool,
    stream: Option<Stream>,
}

impl Microphone {
    pub(super) fn new(offer: &Offer) -> Self {
        Self {
            opus: offer.opus.value(),
            red: offer.red.map(PayloadType::value),
            level_ext: offer.level_ext.map(ExtensionId::value),
            nack: offer.nack,
            stream: None,
        }
    }

    /// Takes an RTP packet and appends what is new in it to `said`, in order.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        packet: &[u8],
        said: &mut Vec<Said>,
    ) -> Result<(), Unusable> {
        let packet = rtp::Packet::parse(packet).map_err(|_| Unusable::Rtp)?;
        let is_red = Some(packet.payload_type) == self.red;
        if packet.payload_type != self.opus && !is_red {
            return Err(Unusable::Rtp);
        }
        let blocks = if is_red {
            red::Blocks::parse(packet.payload).map_err(|_| Unusable::Red)?
        } else {
            plain(&packet)
        };
        let level = self.level_ext.and_then(|id| packet.level(id));
        let (stream, starts) = stream_for(&mut self.stream, now, &packet)?;
        stream.arrive(now, &packet)?;
        let before = said.len();
        for block in
            blocks.iter().filter(|block| block.payload_type == self.opus && !block.payload.is_empty())
        {
            let source = packet.timestamp.wrapping_sub(block.age);
            if !stream.has_heard(source) {
                cut(source, block.payload, level, said)?;
                stream.note_heard(source);
            }
        }
        if let Some(first) = said.get_mut(before) {
            first.starts = starts;
        }
        stream.repaired((said.len() - before).saturating_sub(1));
        Ok(())
    }

    /// Takes what an RTCP packet says.
    pub(super) fn hear(&mut self, now: Instant, heard: Heard) {
        if let (Some(stream), Some((ssrc, ntp))) = (&mut self.stream, heard.sender_report) {
            stream.reported_by(now, ssrc, ntp);
        }
    }

    /// Appends the RTCP that is due, if any.
    pub(super) fn feedback(&mut self, now: Instant, out: &mut Vec<u8>) {
        let nack = self.nack;
        self.stream.iter_mut().for_each(|stream| stream.feedback(now, nack, out));
    }
}

/// A packet without redundancy, as one block.
fn plain<'a>(packet: &rtp::Packet<'a>) -> red::Blocks<'a> {
    red::Blocks::single(red::Block { payload_type: packet.payload_type, age: 0, payload: packet.payload })
}

/// The stream that a packet belongs to, and whether it begins with it.
fn stream_for<'s>(
    current: &'s mut Option<Stream>,
    now: Instant,
    packet: &rtp::Packet<'_>,
) -> Result<(&'s mut Stream, bool), Unusable> {
    if current.as_ref().is_some_and(|stream| stream.forbids(now, packet)) {
        return Err(Unusable::Stream);
    }
    let goes_on = current.as_ref().is_some_and(|stream| stream.goes_on_with(packet));
    if !goes_on {
        *current = None;
    }
    Ok((current.get_or_insert_with(|| Stream::new(now, packet)), !goes_on))
}

/// Appends the pieces of one Opus packet.
fn cut(source: u32, payload: &[u8], level: Option<u8>, said: &mut Vec<Said>) -> Result<(), Unusable> {
    let pieces = opus::split(&Bytes::copy_from_slice(payload)).map_err(|_| Unusable::Opus)?;
    if pieces.iter().any(|(payload, _)| payload.len() > MAX_PAYLOAD) {
        return Err(Unusable::Opus);
    }
    let mut source = source;
    for (payload, ticks) in pieces {
        let level = if opus::is_dtx(&payload) { Some(NO_LEVEL) } else { level };
        said.push(Said { source, ticks, level, payload, starts: false });
        source = source.wrapping_add(ticks);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
