//! A speaker's place in a room: their microphone, and what they are sent.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::{Identity, PeerId, SpeakerNumber};

use super::microphone::{Microphone, Said};
use super::{AdmitSpeaker, SpeakersEvent, SpeakersStats};
use crate::Batch;
use crate::audience::{Negotiated, Packets, Receiver};
use crate::loudness::{Level, Loudness};
use crate::stage;
use crate::voice::KEEP_ALIVE;

/// Silence is passed on for so long, then its sender's voice says nothing until it sounds again.
const SILENCE: Duration = Duration::from_millis(200);

/// Where everything that happens in a room goes.
pub(super) struct Sink<'a> {
    pub(super) out: &'a mut Batch,
    pub(super) events: &'a mut VecDeque<SpeakersEvent>,
    pub(super) stats: &'a mut SpeakersStats,
    pub(super) packets: &'a mut Packets,
}

/// A speaker's peer.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) peer: PeerId,
    pub(super) negotiated: Negotiated,
    pub(super) identity: Identity,
    pub(super) number: SpeakerNumber,
    /// Has lines to hear the others on.
    hears: bool,
    pub(super) microphone: Microphone,
    /// Once connected.
    pub(super) receiver: Option<Receiver>,
    /// When they were last sent something.
    heard_at: Instant,
    /// Since when they say nothing.
    silent_since: Option<Instant>,
    /// Made when they first say something without its level.
    loudness: Option<Box<Loudness>>,
}

impl Seat {
    pub(super) fn new(now: Instant, admit: AdmitSpeaker) -> Self {
        Self {
            peer: admit.peer,
            negotiated: Negotiated::from(&admit.offer),
            hears: admit.offer.lines.value() > 0,
            microphone: Microphone::new(&admit.offer),
            identity: admit.identity,
            number: admit.number,
            receiver: None,
            heard_at: now,
            silent_since: None,
            loudness: None,
        }
    }

    /// Keys are agreed: they can be sent something, and it is due at once, because whoever moves here
    /// from an edge waits for the first packet.
    pub(super) fn connect(&mut self, now: Instant, receiver: Receiver) {
        self.receiver = Some(receiver.without(self.number));
        self.heard_at = now.checked_sub(KEEP_ALIVE).unwrap_or(now);
    }

    /// Whether they have gone without a packet for too long. Never so for whoever can be sent none: they
    /// would be due for good.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let can_hear = self.hears && self.receiver.is_some();
        can_hear && now.saturating_duration_since(self.heard_at) >= KEEP_ALIVE
    }

    /// How loud they are with this, in −dBov. Only for who may be heard: it may have to be decoded.
    pub(super) fn level(&mut self, now: Instant, said: &Said, stats: &mut SpeakersStats) -> u8 {
        if let Some(level) = said.level {
            return level;
        }
        let loudness = self.loudness.get_or_insert_with(|| Box::new(Loudness::new(now)));
        match loudness.hear(now, &said.payload, said.ticks) {
            Level::Heard(level) => {
                stats.levels_heard += 1;
                level
            }
            Level::Assumed(level) => {
                stats.levels_assumed += 1;
                level
            }
        }
    }

    /// Whether silence of theirs has gone on for long enough to stop sending it.
    pub(super) fn is_passed_over(&mut self, now: Instant, level: u8) -> bool {
        if level < stage::SILENT {
            self.silent_since = None;
            return false;
        }
        now.saturating_duration_since(*self.silent_since.get_or_insert(now)) >= SILENCE
    }

    /// Sends what is in the sink's packets, unless they said it themselves.
    pub(super) fn send(&mut self, now: Instant, speaker: SpeakerNumber, sink: &mut Sink<'_>) {
        let is_own = speaker == self.number && speaker != SpeakerNumber::NOBODY;
        let Some(receiver) = self.receiver.as_mut().filter(|_| self.hears && !is_own) else { return };
        let sent = receiver.send(sink.packets, sink.out);
        sink.stats.egress_packets += sent.packets;
        sink.stats.egress_bytes += sent.bytes;
        self.heard_at = now;
    }

    /// Sends the reports and requests that are due.
    pub(super) fn feedback(&mut self, now: Instant, sink: &mut Sink<'_>) {
        let Some(receiver) = &mut self.receiver else { return };
        let mut compound = Vec::new();
        self.microphone.feedback(now, &mut compound);
        if !compound.is_empty() {
            receiver.send_rtcp(&compound, sink.out);
            sink.stats.feedback += 1;
        }
    }
}
