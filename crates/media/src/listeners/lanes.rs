//! The framings of one set of voices, and who listens in each: 20 ms, and 60 ms in three phases.

use std::time::Instant;

use crate::Batch;
use crate::audience::{Audience, Packets, Receiver, Sent};
use crate::framing::{Framing, Timed, TooLate};

use super::stats::ListenersStats;

/// Frames per packet and phase of each lane.
const LANES: [(usize, usize); 4] = [(1, 0), (3, 0), (3, 1), (3, 2)];

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
    /// What leaves with the next flush.
    packets: Packets,
}

impl Lanes {
    pub(super) fn new(now: Instant) -> Self {
        let lane = |(frames, phase)| Lane {
            framing: Framing::new(now, frames, phase),
            audience: Audience::default(),
            packets: Packets::default(),
        };
        Self { lanes: LANES.map(lane) }
    }

    /// The lane for a listener with this framing: of several, the emptiest.
    pub(super) fn lane_for(&self, framing_ms: u8) -> usize {
        let frames = usize::from(framing_ms / 20);
        let fitting = (0..LANES.len()).filter(|&lane| LANES[lane].0 == frames);
        fitting.min_by_key(|&lane| self.lanes[lane].audience.len()).unwrap_or(0)
    }

    /// Takes a listener into a lane; their place.
    pub(super) fn add(&mut self, lane: usize, receiver: Receiver) -> Place {
        (lane, self.lanes[lane].audience.add(receiver))
    }

    /// Takes a listener out, and says whose place is theirs now.
    pub(super) fn remove(&mut self, now: Instant, place: Place) -> (Receiver, Option<protocol::PeerId>) {
        let lane = &mut self.lanes[place.0];
        let removed = lane.audience.remove(place.1);
        if lane.audience.is_empty() {
            let (frames, phase) = LANES[place.0];
            lane.framing = Framing::new(now, frames, phase);
            lane.packets.clear();
        }
        removed
    }

    pub(super) fn get_mut(&mut self, place: Place) -> Option<&mut Receiver> {
        self.lanes[place.0].audience.get_mut(place.1)
    }

    /// Whether somebody who changes lanes after `tick` neither misses nor repeats a frame.
    pub(super) fn is_boundary(&self, lane: usize, tick: i64) -> bool {
        self.lanes[lane].framing.is_boundary(tick)
    }

    /// Takes a frame; in how many lanes it was too late.
    pub(super) fn push(&mut self, timed: &Timed) -> u64 {
        let used = self.lanes.iter_mut().filter(|lane| !lane.audience.is_empty());
        let late = used.filter_map(|lane| lane.framing.push(timed.clone(), &mut lane.packets).err());
        late.map(|TooLate| 1).sum()
    }

    /// Sends what can leave by now.
    pub(super) fn flush(&mut self, now: Instant, out: &mut Batch, stats: &mut ListenersStats) {
        let mut sent = Sent::default();
        for lane in &mut self.lanes {
            lane.framing.on_timeout(now, &mut lane.packets);
            lane.packets.arrange();
            sent += lane.audience.send(&lane.packets, out);
            let listeners = lane.audience.len() as u64;
            let ago = |due| now.saturating_duration_since(due);
            lane.packets.due().for_each(|due| stats.forward.record(ago(due), listeners));
            lane.packets.held().for_each(|held| stats.framing.record(held, 1));
            lane.packets.clear();
        }
        stats.egress_packets += sent.packets;
        stats.egress_bytes += sent.bytes;
    }

    /// When [`flush`](Self::flush) has something to do; in the past: at once.
    pub(super) fn due(&self) -> Option<Instant> {
        let due = |lane: &Lane| lane.packets.due().chain(lane.framing.deadline()).min();
        self.lanes.iter().filter_map(due).min()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.audience.is_empty())
    }
}
