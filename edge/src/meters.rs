//! What an edge counts, under the names of the metrics.

use media::Load;
use media::listeners::{BUCKETS_US, Latency, Listeners, ListenersCommand, ListenersStats};
use media::relay::{LinkId, ReceiverStats};
use node::meters::{LinkMeter, PeerMeter, ShardMeter, bad_input, queue_full};
use service::Metrics;
use service::metrics::{Counter, CounterBy, Follower, Gauge, Histogram, Level, LevelBy};
use std::collections::HashMap;
use transport::ShardHandle;
use transport::link::{LinkError, LinkHandle};
use transport::queue;

use crate::KIND;
use crate::rooms::Rooms;

/// Lengths of packets to listeners, in ms, as the metrics name them.
const FRAMINGS: [&str; 3] = ["20", "60", "120"];

const BUSY: &str = "Shards at work: each counts by the share of its time in which it had something to do.";

/// Where a total is found among the counts of a plane.
type Total = fn(&ListenersStats) -> u64;

const DROPPED: &[(&str, Total)] = &[
    ("epoch", |stats| stats.dropped_epoch),
    ("duplicate", |stats| stats.dropped_duplicate),
    ("late", |stats| stats.dropped_late),
    ("late_joined", |stats| stats.dropped_late_joined),
    ("unwanted", |stats| stats.dropped_unwanted),
];

/// Why newcomers were not admitted: many came at once, and they were told when to come back; or there
/// is no room.
const REFUSED: &[(&str, Total)] = &[("busy", |stats| stats.put_off), ("full", |stats| stats.refused_full)];

/// The same among the counts of what comes from parents.
type Received = fn(&ReceiverStats) -> u64;

const RECEIVED: &[(&str, Received)] = &[
    ("relay_epoch", |stats| stats.stale),
    ("relay_duplicate", |stats| stats.duplicates),
    ("relay_late", |stats| stats.late),
];

/// Why rooms change their parent: shown from the start, so that none is no gap in a graph.
const CHANGES: [&str; 7] = ["link_lost", "loop", "no_path", "origin", "refused", "renewed", "tree"];

fn dropped(metrics: &Metrics) -> CounterBy {
    let help = "Frames that came and were not sent on.";
    metrics.counters("dais_edge_dropped_frames_total", help, &["reason"])
}

/// Follows one shard and its plane.
pub(crate) struct ShardMeters {
    handle: ShardHandle<ListenersCommand>,
    shard: ShardMeter,
    peers: PeerMeter,
    totals: Vec<(Total, Follower)>,
    forward: LatencyMeter,
    framing: LatencyMeter,
    listeners: [Part; 3],
    reframed: Follower,
    busy: Part,
    waiting: Part,
    changes: Counter,
}

impl ShardMeters {
    pub(crate) fn new(metrics: &Metrics, handle: ShardHandle<ListenersCommand>) -> Self {
        let reasons = dropped(metrics);
        let totals = DROPPED.iter().map(|&(reason, total)| (total, reasons.of(&[reason])));
        let help = "Newcomers who were not admitted.";
        let reasons = metrics.counters("dais_edge_refused_total", help, &["reason"]);
        let refused = REFUSED.iter().map(|&(reason, total)| (total, reasons.of(&[reason])));
        let help = "Frames of silence that were made for rooms without an origin.";
        let keep_alives: (Total, _) =
            (|stats| stats.keep_alives, metrics.counter("dais_edge_keep_alives_total", help));
        let totals = totals.chain(refused).chain([keep_alives]);
        let help = "Listeners by the length of their packets in ms.";
        let framings = metrics.levels("dais_edge_framing_listeners", help, &["framing"]);
        Self {
            handle,
            shard: ShardMeter::new(metrics, KIND),
            peers: PeerMeter::new(metrics, KIND),
            totals: totals.map(|(total, counter)| (total, Follower::new(counter))).collect(),
            forward: LatencyMeter::new(
                metrics,
                "dais_edge_forward_seconds",
                "From a frame's arrival at the node until it leaves for a slice of its listeners, without what framing holds back.",
            ),
            framing: LatencyMeter::new(
                metrics,
                "dais_edge_framing_seconds",
                "For how long framing held back the first frame of a packet.",
            ),
            listeners: FRAMINGS.map(|ms| Part::new(framings.of(&[ms]))),
            reframed: Follower::new(metrics.counter(
                "dais_edge_framing_changes_total",
                "Listeners who were given longer or shorter packets.",
            )),
            busy: Part::new(metrics.level("dais_edge_busy_shards", BUSY)),
            waiting: Part::new(
                metrics.level("dais_edge_waiting_newcomers", "Newcomers who wait to be admitted."),
            ),
            changes: queue_full(metrics, "changes"),
        }
    }

    pub(crate) fn follow(&mut self, plane: &Listeners, load: Load) {
        self.forward.follow(&plane.stats().forward);
        self.framing.follow(&plane.stats().framing);
        self.listeners.iter_mut().zip(plane.framings()).for_each(|(level, now)| level.follow(now as f64));
        self.reframed.follow(plane.stats().reframed);
        self.busy.follow(load.busy.into());
        self.waiting.follow(plane.waiting() as f64);
        self.shard.follow(&self.handle);
        self.peers.follow(plane.peer_stats());
        self.totals.iter_mut().for_each(|(total, follower)| follower.follow(total(plane.stats())));
    }

    pub(crate) fn change_lost(&self) {
        self.changes.inc();
    }
}

/// A shard's part in a level that all shards of the node make up together.
struct Part {
    level: Level,
    part: f64,
}

impl Part {
    fn new(level: Level) -> Self {
        Self { level, part: 0.0 }
    }

    fn follow(&mut self, part: f64) {
        self.level.inc_by(part - std::mem::replace(&mut self.part, part));
    }
}

/// The bounds of a plane's buckets, in s.
const BOUNDS_S: [f64; BUCKETS_US.len()] = {
    let mut bounds = [0.0; BUCKETS_US.len()];
    let mut bucket = 0;
    while bucket < bounds.len() {
        bounds[bucket] = BUCKETS_US[bucket] as f64 / 1e6;
        bucket += 1;
    }
    bounds
};

/// Carries a plane's histogram over to one of the metrics.
struct LatencyMeter {
    histogram: Histogram,
    seen: Latency,
}

impl LatencyMeter {
    fn new(metrics: &Metrics, name: &str, help: &str) -> Self {
        Self { histogram: metrics.histogram(name, help, &BOUNDS_S), seen: Latency::default() }
    }

    /// Each bucket gets what it has grown by. The sum is an estimate from above: the bounds stand for what
    /// is below them.
    fn follow(&mut self, latency: &Latency) {
        let grown = latency.buckets.iter().zip(&self.seen.buckets).map(|(now, seen)| now - seen);
        let bounds = BUCKETS_US.iter().copied().chain([2 * BUCKETS_US[BUCKETS_US.len() - 1]]);
        for (grown, bound) in grown.zip(bounds) {
            (0..grown).for_each(|_| self.histogram.observe(bound as f64 / 1e6));
        }
        self.seen = latency.clone();
    }
}

/// Follows the relay.
pub(crate) struct RelayMeters {
    metrics: Metrics,
    links: HashMap<LinkId, LinkMeter>,
    rtt: LevelBy,
    frames: Follower,
    lost: Follower,
    repaired: Follower,
    received: Vec<(Received, Follower)>,
    resent: Follower,
    unknown_channel: Follower,
    refused: Follower,
    dropped: Follower,
    changes: CounterBy,
    failed: CounterBy,
    children: Gauge,
    rooms: Gauge,
}

impl RelayMeters {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let counter = |name: &str, help: &str| Follower::new(metrics.counter(name, help));
        let changes = metrics.counters(
            "dais_link_parent_changes_total",
            "Rooms that changed their parent.",
            &["reason"],
        );
        for reason in CHANGES {
            changes.of(&[reason]);
        }
        let reasons = dropped(&metrics);
        let received = RECEIVED.iter().map(|&(reason, total)| (total, reasons.of(&[reason])));
        Self {
            links: HashMap::new(),
            rtt: metrics.levels("dais_link_rtt_seconds", "Round trip time to each parent.", &["parent"]),
            frames: counter("dais_link_frames_total", "Frames that came from parents, each once."),
            lost: counter("dais_link_lost_frames_total", "Frames that never came, or too late."),
            repaired: counter("dais_link_repaired_frames_total", "Frames that were missing and then came."),
            received: received.map(|(total, counter)| (total, Follower::new(counter))).collect(),
            resent: counter("dais_link_resent_frames_total", "Frames sent again to a child."),
            unknown_channel: Follower::new(bad_input(&metrics, "relay_channel")),
            refused: Follower::new(queue_full(&metrics, "relay_commands")),
            dropped: Follower::new(queue_full(&metrics, "relay_frames")),
            changes,
            failed: metrics.counters(
                "dais_link_failed_total",
                "Parents that were dialled in vain.",
                &["reason"],
            ),
            children: metrics.gauge("dais_link_children", "Nodes that take rooms from this one."),
            rooms: metrics.gauge("dais_edge_rooms", "Rooms that this edge takes."),
            metrics,
        }
    }

    pub(crate) fn follow(&mut self, rooms: &Rooms, queue: queue::Counts) {
        let received = rooms.upstream().stats();
        self.frames.follow(received.fresh);
        self.lost.follow(received.lost);
        self.repaired.follow(received.repaired);
        self.received.iter_mut().for_each(|(total, follower)| follower.follow(total(&received)));
        let sent = rooms.downstream().stats();
        self.resent.follow(sent.resent);
        self.unknown_channel.follow(sent.unknown_channel);
        self.refused.follow(queue.refused);
        self.dropped.follow(queue.dropped);
        self.children.set(rooms.downstream().links() as i64);
        self.rooms.set(rooms.len() as i64);
    }

    pub(crate) fn follow_link<Out>(&mut self, id: LinkId, link: &LinkHandle<Out>) {
        self.links.entry(id).or_insert_with(|| LinkMeter::new(&self.metrics)).follow(link);
    }

    pub(crate) fn follow_parent<Out>(&mut self, id: LinkId, link: &LinkHandle<Out>) {
        self.follow_link(id, link);
        self.rtt.of(&[link.remote().node.as_str()]).set(link.rtt().as_secs_f64());
    }

    /// A link is gone; a parent's round trip time with it.
    pub(crate) fn forget(&mut self, id: LinkId, parent: Option<&str>) {
        self.links.remove(&id);
        // There is none where the link did not live until the first look.
        if let Some(parent) = parent {
            self.rtt.forget(&[parent]);
        }
    }

    pub(crate) fn changed(&self, why: &str) {
        self.changes.of(&[why]).inc();
    }

    pub(crate) fn failed(&self, error: &LinkError) {
        self.failed.of(&[error.reason()]).inc();
    }

    pub(crate) fn upwards(&self) {
        bad_input(&self.metrics, "relay_upwards").inc();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use service::Registry;

    use super::*;

    #[test]
    fn a_planes_histogram_keeps_its_buckets() {
        let registry = Registry::default();
        let mut meter = LatencyMeter::new(&registry.node("edge-1", "home"), "dais_test_seconds", "Test.");
        let mut latency = Latency::default();
        latency.record(Duration::from_millis(40), 2);
        meter.follow(&latency);
        latency.record(Duration::from_millis(20), 1);
        latency.record(Duration::from_secs(3), 1);
        meter.follow(&latency);
        let text = registry.render();
        for (le, count) in [("0.01", 0), ("0.02", 1), ("0.05", 3), ("0.5", 3), ("+Inf", 4)] {
            let line =
                format!("dais_test_seconds_bucket{{le=\"{le}\",node=\"edge-1\",region=\"home\"}} {count}");
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}
