//! One room on an edge's shard: its time, its framings, its listeners.

use std::collections::HashMap;
use std::time::Instant;

use protocol::{Frame, PeerId};

use super::lanes::{Lanes, Place};
use super::line::Line;
use super::stats::ListenersStats;
use super::timeline::{Dropped, Timeline};
use crate::Batch;
use crate::audience::Receiver;

/// What a listener hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// All voices, a line for each.
    Voices,
    /// One line, with the loudest.
    Line,
}

#[derive(Debug)]
pub(super) struct Room {
    timeline: Timeline,
    voices: Lanes,
    line: Lanes,
    loudest: Line,
    /// Where each listener is.
    spots: HashMap<PeerId, Spot>,
    /// Listeners on the way to another lane.
    moves: Vec<(PeerId, usize)>,
    /// Peers admitted, connected or not.
    pub(super) admitted: usize,
    /// As it stands among the plane's timers.
    pub(super) timer: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Spot {
    program: Program,
    place: Place,
}

impl Room {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            timeline: Timeline::default(),
            voices: Lanes::new(now),
            line: Lanes::new(now),
            loudest: Line::default(),
            spots: HashMap::new(),
            moves: Vec::new(),
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
        stats.dropped_late_joined += self.voices.push(&timed);
        if !self.line.is_empty()
            && let Some(taken) = self.loudest.take(&timed)
        {
            stats.dropped_late_joined += self.line.push(&taken);
        }
    }

    /// Takes a listener in.
    pub(super) fn add(&mut self, program: Program, framing_ms: u8, receiver: Receiver) {
        let lane = self.lanes(program).lane_for(framing_ms);
        self.put(program, lane, receiver);
    }

    /// Takes a listener out, if they are in.
    pub(super) fn remove(&mut self, now: Instant, peer: PeerId) -> Option<Receiver> {
        self.moves.retain(|&(on_the_way, _)| on_the_way != peer);
        let spot = self.spots.remove(&peer)?;
        let (receiver, moved) = self.lanes(spot.program).remove(now, spot.place);
        if let Some(moved) = moved {
            self.spots.insert(moved, spot);
        }
        Some(receiver)
    }

    pub(super) fn get_mut(&mut self, peer: PeerId) -> Option<&mut Receiver> {
        let spot = *self.spots.get(&peer)?;
        self.lanes(spot.program).get_mut(spot.place)
    }

    /// Notes that a listener wants another framing: they change where no frame is missed or repeated.
    pub(super) fn reframe(&mut self, peer: PeerId, framing_ms: u8) {
        let Some(spot) = self.spots.get(&peer).copied() else { return };
        let lane = self.lanes(spot.program).lane_for(framing_ms);
        self.moves.retain(|&(on_the_way, _)| on_the_way != peer);
        self.moves.push((peer, lane));
    }

    /// Sends what can leave by now.
    pub(super) fn flush(&mut self, now: Instant, out: &mut Batch, stats: &mut ListenersStats) {
        for lanes in [&mut self.voices, &mut self.line] {
            lanes.flush(now, out, stats);
        }
        while let Some(ready) = self.moves.iter().position(|&(peer, lane)| self.can_move(peer, lane)) {
            let (peer, lane) = self.moves.swap_remove(ready);
            let program = self.spots.get(&peer).map(|spot| spot.program);
            if let Some((program, receiver)) = program.zip(self.remove(now, peer)) {
                self.put(program, lane, receiver);
            }
        }
    }

    /// When [`flush`](Self::flush) has something to do; in the past: at once.
    pub(super) fn due(&self) -> Option<Instant> {
        self.voices.due().into_iter().chain(self.line.due()).min()
    }

    fn can_move(&self, peer: PeerId, lane: usize) -> bool {
        let tick = self.timeline.newest_tick();
        self.spots.get(&peer).is_none_or(|spot| {
            let lanes = if spot.program == Program::Voices { &self.voices } else { &self.line };
            lanes.is_boundary(spot.place.0, tick) && lanes.is_boundary(lane, tick)
        })
    }

    fn put(&mut self, program: Program, lane: usize, receiver: Receiver) {
        let peer = receiver.peer;
        let place = self.lanes(program).add(lane, receiver);
        self.spots.insert(peer, Spot { program, place });
    }

    fn lanes(&mut self, program: Program) -> &mut Lanes {
        match program {
            Program::Voices => &mut self.voices,
            Program::Line => &mut self.line,
        }
    }
}
