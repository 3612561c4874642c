//! The framings of one set of voices, and who listens in each: 20 ms, 60 ms in three phases, 120 ms in six.
//!
//! ```text
//!   Timed ─▶ Framing ─▶ ready ─▶ leaving ─▶ a slice of the audience every 2 ms ─▶ Batch
//! ```
//!
//! Five thousand packets in one burst would fill every queue on their way. So a large audience is sent
//! to in slices; each listener keeps their slice, so that nobody hears the difference.

use std::time::{Duration, Instant};

use crate::Batch;
use crate::audience::{Audience, Moved, Packets, Receiver};
use crate::framing::{Framing, Timed, TooLate};

use super::stats::ListenersStats;

/// Framings, the shortest first, in ms.
pub(super) const LEVELS: [u8; 3] = [20, 60, 120];

/// Frames per packet and phase of each lane.
const LANES: [(usize, usize); 10] =
    [(1, 0), (3, 0), (3, 1), (3, 2), (6, 0), (6, 1), (6, 2), (6, 3), (6, 4), (6, 5)];

/// A large audience is sent to in so many slices.
const SLICES: usize = 8;

/// Between two of them: all have left before the next 20 ms are there.
const SLICE_GAP: Duration = Duration::from_millis(2);

/// A smaller slice than one system call saves nothing.
const MIN_SLICE: usize = 128;

/// Where a listener is: lane, and place in its audience.
pub(super) type Place = (usize, usize);

#[derive(Debug)]
pub(super) struct Lanes {
    lanes: [Lane; LANES.len()],
}

#[derive(Debug)]
struct Lane {
    framing: Framing,
    audience: Audience,
    /// What leaves next.
    ready: Packets,
    /// What is on its way to one slice after the other.
    leaving: Packets,
    /// When the next slice is due. Counts while something is leaving.
    slice_due: Instant,
}

impl Lanes {
    pub(super) fn new(now: Instant) -> Self {
        let lane = |(frames, phase)| Lane {
            framing: Framing::new(now, frames, phase),
            audience: Audience::default(),
            ready: Packets::default(),
            leaving: Packets::default(),
            slice_due: now,
        };
        Self { lanes: LANES.map(lane) }
    }

    /// The lane for a listener with this framing: of several, the emptiest. For one who is in a lane, only
    /// those whose blocks ever end together with its own.
    pub(super) fn lane_for(&self, framing_ms: u8, from: Option<usize>) -> usize {
        let frames = usize::from(framing_ms / 20);
        let fits = |lane: &usize| LANES[*lane].0 == frames && from.is_none_or(|from| meet(from, *lane));
        let fitting = (0..LANES.len()).filter(fits);
        fitting.min_by_key(|&lane| self.lanes[lane].audience.len()).unwrap_or(0)
    }

    /// Takes a listener into a lane; their place.
    pub(super) fn add(&mut self, lane: usize, receiver: Receiver) -> Place {
        (lane, self.lanes[lane].audience.add(receiver))
    }

    /// Takes a listener out, and says whose places are others now.
    pub(super) fn remove(&mut self, now: Instant, place: Place) -> (Receiver, Moved) {
        let lane = &mut self.lanes[place.0];
        let removed = lane.audience.remove(place.1);
        if lane.audience.is_empty() {
            let (frames, phase) = LANES[place.0];
            lane.framing = Framing::new(now, frames, phase);
            lane.ready.clear();
            lane.leaving.clear();
        }
        removed
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Receiver> {
        self.lanes[place.0].audience.get_mut(place.1)
    }

    /// Whether somebody who changes lanes after `tick` neither misses nor repeats a frame, once everything
    /// has [left](Self::finish).
    pub(super) fn is_boundary(&self, lane: usize, tick: i64) -> bool {
        let lane = &self.lanes[lane];
        lane.ready.is_empty() && lane.framing.is_boundary(tick)
    }

    /// Takes a frame; in how many lanes it was too late.
    pub(super) fn push(&mut self, timed: &Timed) -> u64 {
        let used = self.lanes.iter_mut().filter(|lane| !lane.audience.is_empty());
        let late = used.filter_map(|lane| lane.framing.push(timed.clone(), &mut lane.ready).err());
        late.map(|TooLate| 1).sum()
    }

    /// Sends what can leave by now.
    pub(super) fn flush(&mut self, now: Instant, out: &mut Batch, stats: &mut ListenersStats) {
        self.lanes.iter_mut().for_each(|lane| lane.flush(now, out, stats));
    }

    /// Sends what is leaving to all who have not got it yet.
    pub(super) fn finish(&mut self, lane: usize, now: Instant, out: &mut Batch, stats: &mut ListenersStats) {
        self.lanes[lane].serve(usize::MAX, now, out, stats);
    }

    /// When [`flush`](Self::flush) has something to do; in the past: at once.
    pub(super) fn due(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(Lane::due).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.audience.is_empty())
    }

    /// Those who listen at a framing, the newest of each lane first.
    pub(super) fn peers(&self, framing_ms: u8) -> impl Iterator<Item = protocol::PeerId> {
        let of_it = move |lane: &usize| LANES[*lane].0 == usize::from(framing_ms / 20);
        (0..LANES.len()).filter(of_it).flat_map(|lane| self.lanes[lane].audience.peers())
    }

    /// How many listen at each of the [`LEVELS`].
    pub(super) fn count(&self) -> [usize; LEVELS.len()] {
        let mut counts = [0; LEVELS.len()];
        for (lane, (frames, _)) in self.lanes.iter().zip(LANES) {
            counts[level(20 * frames as u8)] += lane.audience.len();
        }
        counts
    }
}

impl Lane {
    fn flush(&mut self, now: Instant, out: &mut Batch, stats: &mut ListenersStats) {
        self.framing.on_timeout(now, &mut self.ready);
        if !self.ready.is_empty() {
            // Nothing overtakes what is leaving.
            self.serve(usize::MAX, now, out, stats);
            std::mem::swap(&mut self.ready, &mut self.leaving);
            self.leaving.arrange();
            self.leaving.held().for_each(|held| stats.framing.record(held, 1));
            self.audience.begin();
            self.slice_due = now;
        }
        if !self.leaving.is_empty() && self.slice_due <= now {
            self.serve(MIN_SLICE.max(self.audience.len().div_ceil(SLICES)), now, out, stats);
            self.slice_due += SLICE_GAP;
        }
    }

    fn serve(&mut self, most: usize, now: Instant, out: &mut Batch, stats: &mut ListenersStats) {
        let sent = self.audience.serve(most, &self.leaving, out);
        stats.egress_packets += sent.packets;
        stats.egress_bytes += sent.bytes;
        self.leaving.due().for_each(|due| stats.forward.record(now.saturating_duration_since(due), 1));
        if self.audience.is_served() {
            self.leaving.clear();
        }
    }

    fn due(&self) -> Option<Instant> {
        let slice = (!self.leaving.is_empty()).then_some(self.slice_due);
        self.ready.due().chain(slice).chain(self.framing.deadline()).min()
    }
}

/// Which of the [`LEVELS`] a framing is.
pub(super) fn level(framing_ms: u8) -> usize {
    LEVELS.iter().position(|&ms| ms == framing_ms).unwrap_or_default()
}

/// Whether blocks of two lanes ever end together: the lengths are 1, 3 and 6, each a multiple of the last.
fn meet(one: usize, other: usize) -> bool {
    let ((frames, phase), (others, other_phase)) = (LANES[one], LANES[other]);
    let shorter = frames.min(others);
    phase % shorter == other_phase % shorter
}
