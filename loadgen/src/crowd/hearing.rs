//! Hearing: from a sealed packet to frames that are known, with everything counted on the way.

use std::sync::Arc;
use std::sync::mpsc;

use media::opus;
use media::rtp;
use media::srtp::OpenError;

use super::peer::{Peer, Phase};
use super::socket::Arrival;
use super::tally::{Current, Tally};
use super::{Seconds, Why};
use crate::clock::{SECOND, now_ns};
use crate::ear::{Heard, Stay};
use crate::ledger::{Mirror, Said, hash};
use crate::reckoning::Account;

/// Who hears nothing for so long while somebody speaks has no audio; before that they may just have come.
const SILENCE_NS: u64 = 2 * SECOND;

/// What is needed to hear a packet, apart from the peers so that both can be borrowed.
pub(super) struct Ears {
    notes: mpsc::Receiver<Arc<Said>>,
    mirror: Mirror,
    /// When this millisecond's pass began.
    pub(super) tick_ns: u64,
    pub(super) seconds: Arc<Seconds>,
    /// The second that goes on.
    pub(super) current: Current,
    /// The whole run.
    pub(super) tally: Tally,
    /// The end of what is measured.
    pub(super) is_closed: bool,
}

impl Ears {
    pub(super) fn new(notes: mpsc::Receiver<Arc<Said>>, seconds: Arc<Seconds>) -> Self {
        Self {
            notes,
            mirror: Mirror::default(),
            tick_ns: now_ns(),
            seconds,
            current: Current::default(),
            tally: Tally::default(),
            is_closed: false,
        }
    }

    /// Takes note of what was said.
    pub(super) fn catch_up(&mut self) {
        while let Ok(said) = self.notes.try_recv() {
            self.mirror.note(said);
        }
    }

    /// Opens what is RTP or RTCP; what there is to hear, if anything.
    pub(super) fn open<'a>(&mut self, peer: &mut Peer, datagram: &'a mut [u8]) -> Option<&'a [u8]> {
        if self.is_closed && peer.flows() {
            return None;
        }
        let Phase::Connected(keys) = &mut peer.phase else { return None };
        if datagram.get(1).is_some_and(|kind| (192..=223).contains(kind)) {
            self.tally.undecryptable += u64::from(keys.opener.open_rtcp(datagram).is_err());
            return None;
        }
        match keys.opener.open_rtp(datagram) {
            Ok(plain) => return Some(plain),
            Err(OpenError::Replay) => self.tally.duplicates += 1,
            Err(_) => self.tally.undecryptable += 1,
        }
        None
    }

    /// Takes a packet that was opened; sealed it had this length.
    pub(super) fn take(&mut self, arrival: &Arrival, peer: &mut Peer, plain: &[u8], length: u64) {
        if self.is_closed {
            return;
        }
        self.tally.packets += 1;
        self.tally.bytes += length;
        self.current.counts.packets += 1;
        self.current.counts.bytes += length;
        let Ok(packet) = rtp::Packet::parse(plain) else {
            self.tally.unknown += 1;
            return;
        };
        if let Some(stream) = peer.streams.iter_mut().find(|stream| stream.is_of(packet.ssrc)) {
            self.seconds.count_missing(stream.count(packet.sequence));
        }
        let csrc = packet.csrcs().next().unwrap_or_default();
        let audible = if opus::is_dtx(packet.payload) { 0 } else { self.hear(arrival, peer, csrc, &packet) };
        self.tally.frames_per_packet[audible.min(6)] += 1;
    }

    /// Takes a packet that came where somebody was before: heard is what they lack.
    pub(super) fn take_echo(&mut self, arrival: &Arrival, peer: &mut Peer, plain: &[u8]) {
        let Ok(packet) = rtp::Packet::parse(plain) else { return };
        let Ok(opus) = opus::Packet::parse(packet.payload) else { return };
        let csrc = packet.csrcs().next().unwrap_or_default();
        let twice = self.tally.duplicates;
        for frame in opus.frames().iter().filter(|frame| frame.len() > 1) {
            self.hear_frame(arrival, peer, csrc, frame);
        }
        self.tally.duplicates = twice;
    }

    /// Hears the frames of a packet; how many were audible. What was joined with silence shows how long the
    /// packets are that this listener gets.
    fn hear(&mut self, arrival: &Arrival, peer: &mut Peer, csrc: u32, packet: &rtp::Packet<'_>) -> usize {
        let Ok(opus) = opus::Packet::parse(packet.payload) else {
            self.tally.unknown += 1;
            return 0;
        };
        let mut audible = 0;
        // An empty frame among others is silence too.
        for frame in opus.frames().iter().filter(|frame| frame.len() > 1) {
            audible += 1;
            self.hear_frame(arrival, peer, csrc, frame);
        }
        if audible > 0 {
            self.tally.count_length(opus.frames().len());
        }
        audible
    }

    fn hear_frame(&mut self, arrival: &Arrival, peer: &mut Peer, csrc: u32, frame: &[u8]) {
        let at_ns = if arrival.at_ns == 0 { now_ns() } else { arrival.at_ns };
        let hash = hash(frame);
        let first = !peer.ear.has_heard();
        let mut heard = self.try_hear(peer, csrc, hash, at_ns);
        if heard == Heard::Unknown {
            // It may have been said since the last look.
            self.catch_up();
            heard = self.try_hear(peer, csrc, hash, at_ns);
        }
        match heard {
            Heard::Frame { latency_ns, at_ns: sent_ns, gap_ns, owed } => {
                let latency_us = latency_ns / 1_000;
                self.tally.latency.record(latency_us);
                self.current.latency.record(latency_us);
                self.current.counts.frames += 1;
                self.current.counts.longest_gap = self.current.counts.longest_gap.max(gap_ns / 1_000);
                if owed {
                    self.tally.count_received(self.seconds.of(sent_ns) as usize);
                }
                if first {
                    self.first_audio(peer, at_ns);
                }
            }
            Heard::Late => self.tally.late += 1,
            Heard::Again => self.tally.duplicates += 1,
            Heard::Before => {}
            Heard::Unknown => self.tally.unknown += 1,
        }
    }

    fn try_hear(&mut self, peer: &mut Peer, csrc: u32, hash: u64, at_ns: u64) -> Heard {
        match self.mirror.room(peer.room) {
            Some(room) => peer.ear.hear(room, csrc, hash, at_ns),
            None => Heard::Unknown,
        }
    }

    fn first_audio(&mut self, peer: &Peer, arrived_ns: u64) {
        let from = self.mirror.room(peer.room).and_then(|room| room.sounding_from(peer.asked_ns));
        let waited_us = arrived_ns.saturating_sub(from.unwrap_or(peer.asked_ns)) / 1_000;
        match peer.why {
            Why::Joins => self.tally.first_audio.record(waited_us),
            Why::Returns => self.tally.hears_again.record(waited_us),
            Why::Moves => {}
        }
    }

    /// Closes somebody's account, while there are any.
    pub(super) fn close(&mut self, peer: &mut Peer) {
        if self.is_closed {
            return;
        }
        self.count_wraps(peer);
        let stays = peer.ear.close(self.mirror.room(peer.room), now_ns());
        if peer.ear.has_heard() {
            let longest_ns = stays.iter().map(|stay| stay.longest_gap_ns).max().unwrap_or_default();
            self.tally.longest_gap.record(longest_ns / 1_000);
        } else {
            self.tally.no_audio += u64::from(self.should_have_heard(peer.room, &stays));
        }
        self.tally.accounts.push(Account { room: peer.room, own: peer.own, stays });
    }

    /// Counts the streams of somebody who hears elsewhere from now on, or nowhere.
    pub(super) fn count_wraps(&mut self, peer: &Peer) {
        let wrapped = peer.streams.iter().filter(|stream| stream.has_wrapped()).count() as u64;
        self.tally.wrapped_streams += wrapped;
        self.tally.wrapped_listeners += wrapped.min(1);
    }

    /// Whether somebody spoke for long enough while they were in.
    fn should_have_heard(&self, room: u32, stays: &[Stay]) -> bool {
        let (Some(last), Some(first)) = (stays.first(), stays.last()) else { return false };
        let from_ns = self.mirror.room(room).and_then(|room| room.sounding_from(first.from_ns));
        from_ns.is_some_and(|from_ns| from_ns + SILENCE_NS < last.until_ns)
    }
}
