//! One RTP stream of a speaker: which of its packets came, which are missing, what to report.

//!
//! The report counts what was lost on the way before any repair: it is what switches on FEC, and must
//! not fall because repairs work.

use std::time::{Duration, Instant};

use protocol::{CLOCK_HZ, VoiceId};

use super::microphone::Unusable;
use crate::rtcp::{self, Report};
use crate::rtp;

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

/// One SSRC.
#[derive(Debug)]
pub(super) struct Stream {
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

impl Stream {
    /// A stream that begins with `packet`, which must be given to [`arrive`](Self::arrive) too.
    pub(super) fn new(now: Instant, packet: &rtp::Packet<'_>) -> Self {
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

    /// Whether a packet goes on with this stream.
    pub(super) fn goes_on_with(&self, packet: &rtp::Packet<'_>) -> bool {
        let is_near = self.extend(packet.sequence).abs_diff(self.highest) <= MAX_JUMP;
        self.ssrc == packet.ssrc && is_near
    }

    /// Whether a packet belongs to a second stream while this one is in use.
    pub(super) fn forbids(&self, now: Instant, packet: &rtp::Packet<'_>) -> bool {
        self.ssrc != packet.ssrc && now.saturating_duration_since(self.last) < REPLACEABLE
    }

    /// Counts a packet and notes which before it are missing.
    pub(super) fn arrive(&mut self, now: Instant, packet: &rtp::Packet<'_>) -> Result<(), Unusable> {
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
    pub(super) fn repaired(&mut self, count: usize) {
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

    /// Whether the Opus packet with this timestamp was here, in whichever packet it came.
    pub(super) fn has_heard(&self, timestamp: u32) -> bool {
        self.seen.contains(&Some(timestamp))
    }

    /// Remembers that it was.
    pub(super) fn note_heard(&mut self, timestamp: u32) {
        self.seen[self.next_seen] = Some(timestamp);
        self.next_seen = (self.next_seen + 1) % REMEMBERED;
    }

    /// Takes the middle of the NTP time in a sender report.
    pub(super) fn reported_by(&mut self, now: Instant, ssrc: u32, ntp: u32) {
        if ssrc == self.ssrc {
            self.sender_report = Some((ntp, now));
        }
    }

    /// Appends the RTCP that is due, if any: a report, and a request if the sender takes them (`nack`).
    pub(super) fn feedback(&mut self, now: Instant, nack: bool, out: &mut Vec<u8>) {
        let reports = self.report_due <= now;
        if reports {
            self.make_report();
            self.report_due = now + REPORT_INTERVAL;
        }
        self.missing.retain(|missing| nack && (missing.asked < MAX_ASKED || missing.due > now));
        let asks = self.missing.iter().any(|missing| missing.due <= now);
        if reports || asks {
            self.write_report(now, out);
        }
        if asks {
            self.ask(now, out);
        }
    }

    /// The extended number of a packet: the one nearest to the highest.
    fn extend(&self, sequence: u16) -> u64 {
        let ahead = sequence.wrapping_sub(self.highest as u16) as i16;
        self.highest.wrapping_add_signed(i64::from(ahead))
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
