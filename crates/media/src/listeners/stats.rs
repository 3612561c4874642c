//! What an edge's plane counts.

use std::time::Duration;

/// Counted since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenersStats {
    /// Frames that came from upstream.
    pub frames: u64,
    /// Frames of silence made here, for rooms without an origin.
    pub keep_alives: u64,
    /// Packets sent to listeners.
    pub egress_packets: u64,
    /// Bytes of them, as UDP payload.
    pub egress_bytes: u64,
    /// Frames of a lower epoch.
    pub dropped_epoch: u64,
    /// Frames that were here before.
    pub dropped_duplicate: u64,
    /// Frames too late for everybody.
    pub dropped_late: u64,
    /// Frames too late for one of the joined framings.
    pub dropped_late_joined: u64,
    /// Frames of a room that nobody here listens to.
    pub dropped_unwanted: u64,
    /// Listeners refused because a limit was reached.
    pub refused_full: u64,
    /// Listeners told to come back, each at a time of their own.
    pub put_off: u64,
    /// Listeners who were given another framing.
    pub reframed: u64,
    /// From the moment a packet could leave, without what framing holds back, until it did; once for each
    /// slice of those who got it.
    pub forward: Latency,
    /// For how long framing held back the first frame of each packet; once for all who got it.
    pub framing: Latency,
}

/// Upper bounds of the buckets, in µs.
pub const BUCKETS_US: [u64; 12] =
    [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000];

/// A histogram.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latency {
    /// How many fell below each of [`BUCKETS_US`] and not below the one before; the last counts the rest.
    pub buckets: [u64; BUCKETS_US.len() + 1],
    /// Sum, in µs.
    pub sum_us: u64,
}

impl Latency {
    /// Counts `times` packets that took so long.
    pub fn record(&mut self, latency: Duration, times: u64) {
        let us = latency.as_micros() as u64;
        let bucket = BUCKETS_US.iter().position(|&bound| us <= bound).unwrap_or(BUCKETS_US.len());
        self.buckets[bucket] += times;
        self.sum_us += us * times;
    }
}
