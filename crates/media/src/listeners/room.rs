//! One room on an edge's shard: its time, its framings, its listeners.

use std::collections::HashMap;
use std::time::Instant;

use protocol::{Frame, PeerId, VoiceId};

use super::lanes::{LEVELS, Lanes, Place, level};
use super::line::Line;
use super::stats::ListenersStats;
use super::timeline::{Dropped, Timeline};
use super::valve::Shift;
use crate::Batch;
use crate::audience::Receiver;
use crate::framing::Timed;
use crate::voice::KEEP_ALIVE;

/// What a listener hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// All voices, a line for each.
    Voices,
    /// One line, with the loudest.
    Line,
}

/// How a listener is sent packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) program: Program,
    pub(super) framing_ms: u8,
    /// Nobody chose the framing: the node may change it.
    pub(super) adapts: bool,
}

#[derive(Debug)]
pub(super) struct Room {
    timeline: Timeline,
    /// Where its time begins if no frame ever came.
    base: u32,
    /// It has no origin: when silence is due in place of frames.
    silence: Option<Instant>,
    voices: Lanes,
    line: Lanes,
    loudest: Line,
    /// Where each listener is.
    spots: HashMap<PeerId, Spot>,
    /// Listeners on the way to another lane.
    moves: Vec<PeerId>,
    /// Listeners who adapt, at each of the levels.
    adapting: [usize; LEVELS.len()],
    /// Peers admitted, connected or not.
    pub(super) admitted: usize,
    /// As it stands among the plane's timers.
    pub(super) timer: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Spot {
    manner: Manner,
    place: Place,
    /// On the way to another lane, where the framing is this.
    target: Option<(usize, u8)>,
}

impl Room {
    /// A room that nobody is in. `base` is where its time begins if no frame ever comes: random.
    pub(super) fn new(now: Instant, base: u32) -> Self {
        Self {
            timeline: Timeline::default(),
            base,
            silence: None,
            voices: Lanes::new(now),
            line: Lanes::new(now),
            loudest: Line::default(),
            spots: HashMap::new(),
            moves: Vec::new(),
            adapting: Default::default(),
            admitted: 0,
            timer: None,
        }
    }

    /// Takes a frame; what leaves because of it leaves with the next flush.
    pub(super) fn frame(&mut self, frame: Frame, arrived: Instant, stats: &mut ListenersStats) {
        let timed = match self.timeline.place(frame, arrived) {
            Ok(timed) => timed,
            Err(Dropped::Epoch) => return stats.dropped_epoch += 1,
            Err(Dropped::Duplicate) => return stats.dropped_duplicate += 1,
            Err(Dropped::Late) => return stats.dropped_late += 1,
        };
        self.silence.iter_mut().for_each(|due| *due = arrived + KEEP_ALIVE);
        self.push(&timed, stats);
    }

    /// It has no origin, or has one again. Without one it makes silence as an origin would, so that whoever
    /// waits knows that the room is there.
    pub(super) fn keep_alive(&mut self, now: Instant, is_wanted: bool) {
        self.silence = is_wanted.then(|| self.silence.unwrap_or(now));
    }

    fn make_silence(&mut self, now: Instant, stats: &mut ListenersStats) {
        let is_due = self.silence_due().is_some_and(|due| due <= now);
        let Some(voice) = VoiceId::all().next().filter(|_| is_due) else { return };
        self.silence = Some(now + KEEP_ALIVE);
        stats.keep_alives += 1;
        let timed = self.timeline.fill(voice, now, self.base);
        self.push(&timed, stats);
    }

    fn silence_due(&self) -> Option<Instant> {
        self.silence.filter(|_| !self.spots.is_empty())
    }

    fn push(&mut self, timed: &Timed, stats: &mut ListenersStats) {
        stats.dropped_late_joined += self.voices.push(timed);
        if !self.line.is_empty()
            && let Some(taken) = self.loudest.take(timed)
        {
            stats.dropped_late_joined += self.line.push(&taken);
        }
    }

    /// Takes a listener in.
    pub(super) fn add(&mut self, manner: Manner, receiver: Receiver) {
        let lane = self.lanes(manner.program).lane_for(manner.framing_ms, None);
        self.put(manner, lane, receiver);
    }

    /// Takes a listener out, if they are in.
    pub(super) fn remove(&mut self, now: Instant, peer: PeerId) -> Option<Receiver> {
        let spot = self.spots.remove(&peer)?;
        if spot.target.is_some() {
            self.moves.retain(|&on_the_way| on_the_way != peer);
        }
        if spot.manner.adapts {
            self.adapting[level(spot.manner.framing_ms)] -= 1;
        }
        let lane = spot.place.0;
        let (receiver, moved) = self.lanes(spot.manner.program).remove(now, spot.place);
        for (other, place) in moved.into_iter().flatten() {
            if let Some(spot) = self.spots.get_mut(&other) {
                spot.place = (lane, place);
            }
        }
        Some(receiver)
    }

    pub(super) fn get_mut(&mut self, peer: PeerId) -> Option<&mut Receiver> {
        let spot = *self.spots.get(&peer)?;
        self.lanes(spot.manner.program).get_mut(spot.place)
    }

    /// Notes that a listener gets another framing: they change where no frame is missed or repeated.
    pub(super) fn reframe(&mut self, peer: PeerId, framing_ms: u8) {
        let Some(Spot { manner, place, .. }) = self.spots.get(&peer).copied() else { return };
        let lane = self.lanes(manner.program).lane_for(framing_ms, Some(place.0));
        let Some(spot) = self.spots.get_mut(&peer) else { return };
        if spot.target.replace((lane, framing_ms)).is_none() {
            self.moves.push(peer);
        }
    }

    /// Has a share of those who adapt change their framing.
    pub(super) fn shift(&mut self, shift: Shift) {
        let Shift { from, to, share } = shift;
        let most = (self.adapting[from] as f32 * share).ceil() as usize;
        let adapts = |peer: &PeerId| {
            self.spots.get(peer).is_some_and(|spot| spot.manner.adapts && spot.target.is_none())
        };
        let at = [&self.voices, &self.line].into_iter().flat_map(|lanes| lanes.peers(LEVELS[from]));
        let chosen: Vec<_> = at.filter(adapts).take(most).collect();
        chosen.into_iter().for_each(|peer| self.reframe(peer, LEVELS[to]));
    }

    /// How many listen at each of the levels, and how many of them adapt.
    pub(super) fn count(&self) -> ([usize; LEVELS.len()], [usize; LEVELS.len()]) {
        let (voices, line) = (self.voices.count(), self.line.count());
        (std::array::from_fn(|level| voices[level] + line[level]), self.adapting)
    }

    /// Sends what can leave by now.
    pub(super) fn flush(&mut self, now: Instant, out: &mut Batch, stats: &mut ListenersStats) {
        self.make_silence(now, stats);
        for lanes in [&mut self.voices, &mut self.line] {
            lanes.flush(now, out, stats);
        }
        for peer in std::mem::take(&mut self.moves) {
            if !self.try_move(now, peer, out, stats) {
                self.moves.push(peer);
            }
        }
    }

    /// When [`flush`](Self::flush) has something to do; in the past: at once.
    pub(super) fn due(&self) -> Option<Instant> {
        [self.voices.due(), self.line.due(), self.silence_due()].into_iter().flatten().min()
    }

    /// Takes a listener to another lane, if this is where both have a boundary.
    fn try_move(&mut self, now: Instant, peer: PeerId, out: &mut Batch, stats: &mut ListenersStats) -> bool {
        let Some(Spot { manner, place, target: Some((lane, framing_ms)) }) = self.spots.get(&peer).copied()
        else {
            return true;
        };
        let tick = self.timeline.newest_tick();
        let lanes = self.lanes(manner.program);
        if !lanes.is_boundary(place.0, tick) || !lanes.is_boundary(lane, tick) {
            return false;
        }
        lanes.finish(place.0, now, out, stats);
        lanes.finish(lane, now, out, stats);
        if let Some(receiver) = self.remove(now, peer) {
            self.put(Manner { framing_ms, ..manner }, lane, receiver);
            stats.reframed += 1;
        }
        true
    }

    fn put(&mut self, manner: Manner, lane: usize, receiver: Receiver) {
        let peer = receiver.peer;
        let place = self.lanes(manner.program).add(lane, receiver);
        if manner.adapts {
            self.adapting[level(manner.framing_ms)] += 1;
        }
        self.spots.insert(peer, Spot { manner, place, target: None });
    }

    fn lanes(&mut self, program: Program) -> &mut Lanes {
        match program {
            Program::Voices => &mut self.voices,
            Program::Line => &mut self.line,
        }
    }
}
