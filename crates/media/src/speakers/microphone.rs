//! What one speaker sends: finds the Opus in it, each frame once, and asks for what was lost.
//!
//! ```text
//!   RTP ─▶ which stream ─▶ RED? blocks, oldest first ─▶ seen before? ─▶ cut to 20 ms ─▶ Said
//!             └─▶ what is missing ─▶ NACK at once and again; receiver report every second
//! ```
//!
//! The report counts what was lost on the way before any repair: it is what switches on FEC, and
//! must not fall because repairs work.

use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::frame::MAX_PAYLOAD;
use protocol::session::{ExtensionId, PayloadType};
use protocol::{CLOCK_HZ, Offer, VoiceId};

use crate::audience::NO_LEVEL;
use crate::rtcp::{self, Heard, Report};
use crate::{opus, red, rtp};

/// A stream may be replaced by one of another SSRC when it has been quiet for this long.
const REPLACEABLE: Duration = Duration::from_millis(60);

/// A jump in sequence numbers this large is a new beginning (RFC 3550 A.1, MAX_DROPOUT).
const MAX_JUMP: u64 = 3_000;

/// Frames remembered so that none is heard twice: 640 ms.
const REMEMBERED: usize = 32;

/// Most packets asked for at a time.
const MAX_MISSING: usize = 32;

/// Time between two requests for the same packet. Shorter asks again before an answer can have come
/// from far away, longer leaves fewer tries while the frame is still of use.
const ASK_AGAIN: Duration = Duration::from_millis(40);

/// Requests for one packet.
const MAX_ASKED: u8 = 3;

/// Time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// One Opus packet of 20 ms, or of one frame where that is longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// When, on the speaker's clock.
    pub(super) source: u32,
    /// How long, in 1/48,000 s.
    pub(super) ticks: u32,
    /// How loud, in −dBov.
    pub(super) level: u8,
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

/// One SSRC.
#[derive(Debug)]
struct Stream {
    ssrc: u32,
    /// Extended sequence numbers: the first, and the highest.
    first: u64,
    highest: u64,
    /// Packets that came without being asked for again.
    received: u64,
    began: Instant,
    last: Instant,
    missing: Vec<Missing>,
    /// Timestamps of the last frames, a ring.
    seen: [Option<u32>; REMEMBERED],
    next_seen: usize,
    /// Middle of the NTP time in the last sender report, and when it came.
    sender_report: Option<(u32, Instant)>,
    transit: u32,
    jitter: f32,
    report: Report,
    /// Expected and received when the last report was made.
    reported: (u64, u64),
    report_due: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Missing {
    sequence: u64,
    asked: u8,
    due: Instant,
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
            stream.hear(packet.timestamp.wrapping_sub(block.age), block.payload, level, said)?;
        }
        if let Some(first) = said.get_mut(before) {
            first.starts = starts;
        }
        stream.repaired((said.len() - before).saturating_sub(1));
        Ok(())
    }

    /// Takes what an RTCP packet says.
    pub(super) fn hear(&mut self, now: Instant, heard: Heard) {
        let Some(stream) = &mut self.stream else { return };
        if let Some((_, ntp)) = heard.sender_report.filter(|&(ssrc, _)| ssrc == stream.ssrc) {
            stream.sender_report = Some((ntp, now));
        }
    }

    /// Appends the RTCP that is due, if any.
    pub(super) fn feedback(&mut self, now: Instant, out: &mut Vec<u8>) {
        let (nack, Some(stream)) = (self.nack, &mut self.stream) else { return };
        let reports = stream.report_due <= now;
        if reports {
            stream.make_report();
            stream.report_due = now + REPORT_INTERVAL;
        }
        stream.missing.retain(|missing| nack && (missing.asked < MAX_ASKED || missing.due > now));
        let asks = stream.missing.iter().any(|missing| missing.due <= now);
        if reports || asks {
            stream.write_report(now, out);
        }
        if asks {
            stream.ask(now, out);
        }
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
    let goes_on = current.as_ref().is_some_and(|s| s.ssrc == packet.ssrc && s.is_near(packet.sequence));
    let is_second = current
        .as_ref()
        .is_some_and(|s| s.ssrc != packet.ssrc && now.saturating_duration_since(s.last) < REPLACEABLE);
    if is_second {
        return Err(Unusable::Stream);
    }
    if !goes_on {
        *current = None;
    }
    Ok((current.get_or_insert_with(|| Stream::new(now, packet)), !goes_on))
}

impl Stream {
    fn new(now: Instant, packet: &rtp::Packet<'_>) -> Self {
        // One cycle up, so that packets from before the first have numbers too.
        let first = 1 << 16 | u64::from(packet.sequence);
        Self {
            ssrc: packet.ssrc,
            first,
            highest: first - 1,
            received: 0,
            began: now,
            last: now,
            missing: Vec::with_capacity(MAX_MISSING),
            seen: [None; REMEMBERED],
            next_seen: 0,
            sender_report: None,
            transit: 0,
            jitter: 0.0,
            report: Report::default(),
            reported: (0, 0),
            report_due: now + REPORT_INTERVAL,
        }
    }

    /// The extended number of a packet: the one nearest to the highest.
    fn extend(&self, sequence: u16) -> u64 {
        let ahead = sequence.wrapping_sub(self.highest as u16) as i16;
        self.highest.wrapping_add_signed(i64::from(ahead))
    }

    fn is_near(&self, sequence: u16) -> bool {
        self.extend(sequence).abs_diff(self.highest) <= MAX_JUMP
    }

    /// Counts a packet and notes which before it are missing.
    fn arrive(&mut self, now: Instant, packet: &rtp::Packet<'_>) -> Result<(), Unusable> {
        let sequence = self.extend(packet.sequence);
        if sequence < self.first {
            return Err(Unusable::Old);
        }
        self.last = now;
        match self.missing.iter().position(|missing| missing.sequence == sequence) {
            Some(asked) => {
                let was_asked = self.missing.swap_remove(asked).asked > 0;
                self.received += u64::from(!was_asked);
            }
            None => self.received += 1,
        }
        if sequence > self.highest {
            let newest_missing = sequence.saturating_sub(MAX_MISSING as u64).max(self.highest + 1)..sequence;
            for sequence in newest_missing {
                self.note_missing(Missing { sequence, asked: 0, due: now });
            }
            self.note_jitter(now, packet.timestamp);
            self.highest = sequence;
        }
        Ok(())
    }

    fn note_missing(&mut self, missing: Missing) {
        if self.missing.len() == MAX_MISSING {
            self.missing.remove(0);
        }
        self.missing.push(missing);
    }

    /// RED brought `count` frames that had not come: nobody needs to send those packets again.
    fn repaired(&mut self, count: usize) {
        let keep = self.missing.len().saturating_sub(count);
        self.missing.truncate(keep);
    }

    fn note_jitter(&mut self, now: Instant, timestamp: u32) {
        let arrival = (now.saturating_duration_since(self.began).as_micros() as u64 * u64::from(CLOCK_HZ)
            / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if self.received > 1 {
            let change = transit.wrapping_sub(self.transit) as i32;
            self.jitter += (change.unsigned_abs() as f32 - self.jitter) / 16.0;
        }
        self.transit = transit;
    }

    /// Appends the frames of one Opus packet, unless they were here before.
    fn hear(
        &mut self,
        source: u32,
        payload: &[u8],
        level: Option<u8>,
        said: &mut Vec<Said>,
    ) -> Result<(), Unusable> {
        if self.seen.contains(&Some(source)) {
            return Ok(());
        }
        let cut = opus::split(&Bytes::copy_from_slice(payload)).map_err(|_| Unusable::Opus)?;
        self.seen[self.next_seen] = Some(source);
        self.next_seen = (self.next_seen + 1) % REMEMBERED;
        let mut source = source;
        for (payload, ticks) in cut {
            if payload.len() > MAX_PAYLOAD {
                return Err(Unusable::Opus);
            }
            let level = if opus::is_dtx(&payload) {
                NO_LEVEL
            } else {
                level.unwrap_or_else(|| level_of_size(payload.len()))
            };
            said.push(Said { source, ticks, level, payload, starts: false });
            source = source.wrapping_add(ticks);
        }
        Ok(())
    }

    fn make_report(&mut self) {
        let expected = self.highest + 1 - self.first;
        let expected_now = expected - self.reported.0;
        let lost_now = expected_now.saturating_sub(self.received - self.reported.1);
        self.reported = (expected, self.received);
        self.report = Report {
            ssrc: self.ssrc,
            fraction_lost: (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8,
            lost: expected.saturating_sub(self.received).min(0x007F_FFFF) as u32,
            highest: (self.highest - (1 << 16)) as u32,
            jitter: self.jitter as u32,
            ..Report::default()
        };
    }

    fn write_report(&self, now: Instant, out: &mut Vec<u8>) {
        let (last_sender_report, delay) = self.sender_report.map_or((0, 0), |(ntp, came)| {
            (ntp, (now.saturating_duration_since(came).as_millis() as u64 * 65_536 / 1_000) as u32)
        });
        let report = Report { ssrc: self.ssrc, last_sender_report, delay, ..self.report };
        rtcp::write_report(reporter(), &report, out);
    }

    fn ask(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.missing.sort_unstable_by_key(|missing| missing.sequence);
        let due = self.missing.iter_mut().filter(|missing| missing.due <= now);
        let asked = due.map(|missing| {
            (missing.asked, missing.due) = (missing.asked + 1, now + ASK_AGAIN);
            missing.sequence as u16
        });
        rtcp::write_nack(reporter(), self.ssrc, asked, out);
    }
}

/// Who reports: all streams to a peer are ours, so any of their SSRCs will do.
fn reporter() -> u32 {
    VoiceId::all().next().map_or(0, VoiceId::ssrc)
}

/// A guess at the level for clients that send none: speech takes more bytes than noise, silence
/// almost none (Firefox sends three for each frame of a disabled track).
fn level_of_size(bytes: usize) -> u8 {
    if bytes <= 3 { NO_LEVEL } else { 110u8.saturating_sub(bytes.min(80) as u8) }
}

#[cfg(test)]
mod tests;
