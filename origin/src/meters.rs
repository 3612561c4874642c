//! What an origin's shards count, under the names of the metrics.

use media::speakers::{Speakers, SpeakersCommand, SpeakersStats};
use node::meters::{PeerMeter, ShardMeter, bad_input, queue_full};
use service::Metrics;
use service::metrics::{Counter, Follower};
use transport::ShardHandle;

use crate::KIND;

/// Where a total is found among the counts of a plane.
type Total = fn(&SpeakersStats) -> u64;

const BAD_INPUT: &[(&str, Total)] = &[
    ("rtp", |stats| stats.bad_rtp),
    ("rtcp", |stats| stats.bad_rtcp),
    ("red", |stats| stats.bad_red),
    ("opus", |stats| stats.bad_opus),
    ("rtp_stream", |stats| stats.bad_stream),
];

const DROPPED: &[(&str, Total)] = &[
    ("muted", |stats| stats.dropped_muted),
    ("unheard", |stats| stats.dropped_unheard),
    ("silence", |stats| stats.dropped_silence),
    ("late", |stats| stats.dropped_late),
    ("early", |stats| stats.dropped_early),
];

const LEVELS: &[(&str, Total)] =
    &[("heard", |stats| stats.levels_heard), ("assumed", |stats| stats.levels_assumed)];

/// Follows one shard and its plane.
pub(crate) struct Meters {
    handle: ShardHandle<SpeakersCommand>,
    shard: ShardMeter,
    peers: PeerMeter,
    totals: Vec<(Total, Follower)>,
    changes: Counter,
}

impl Meters {
    pub(crate) fn new(metrics: &Metrics, handle: ShardHandle<SpeakersCommand>) -> Self {
        let bad = BAD_INPUT.iter().map(|&(what, total)| (total, bad_input(metrics, what)));
        let dropped = metrics.counters(
            "dais_origin_dropped_frames_total",
            "Frames of speakers that nobody was to hear, or that came too late.",
            &["reason"],
        );
        let dropped = DROPPED.iter().map(|&(reason, total)| (total, dropped.of(&[reason])));
        let levels = metrics.counters(
            "dais_origin_levels_total",
            "Frames that came without their audio level: decoded to know it, or assumed to be like the last.",
            &["how"],
        );
        let levels = LEVELS.iter().map(|&(how, total)| (total, levels.of(&[how])));
        let frames = metrics.counter("dais_origin_frames_total", "Frames sent down the trees.");
        let frames: (Total, _) = (|stats| stats.frames, frames);
        let totals = bad.chain(dropped).chain(levels).chain([frames]);
        Self {
            handle,
            shard: ShardMeter::new(metrics, KIND),
            peers: PeerMeter::new(metrics, KIND),
            totals: totals.map(|(total, counter)| (total, Follower::new(counter))).collect(),
            changes: queue_full(metrics, "changes"),
        }
    }

    pub(crate) fn follow(&mut self, plane: &Speakers) {
        self.shard.follow(&self.handle);
        self.peers.follow(plane.peer_stats());
        self.totals.iter_mut().for_each(|(total, follower)| follower.follow(total(plane.stats())));
    }

    pub(crate) fn change_lost(&self) {
        self.changes.inc();
    }
}
