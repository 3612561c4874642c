//! Carries what shards and links count over to the metrics. Pure crates count in plain numbers; here
//! they get their names.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use media::peer;
use protocol::node::NodeKind;
use service::Metrics;
use service::metrics::{Counter, Follower, Gauge};
use transport::link::LinkHandle;
use transport::queue;
use transport::shard::ShardHandle;

/// Input that was refused, by what it was.
pub fn bad_input(metrics: &Metrics, what: &str) -> Counter {
    metrics.counters("dais_bad_input_total", "Input that was refused.", &["what"]).of(&[what])
}

/// How often a queue was full.
pub fn queue_full(metrics: &Metrics, queue: &str) -> Counter {
    let help = "What a full queue dropped or refused.";
    metrics.counters("dais_queue_full_total", help, &["queue"]).of(&[queue])
}

/// Peers of which no signaling node says that it wants them.
pub fn orphans(metrics: &Metrics) -> Gauge {
    metrics.gauge("dais_orphaned_peers", "Peers of which no signaling node says that it wants them.")
}

/// How many of them were ended.
pub fn orphans_ended(metrics: &Metrics) -> Counter {
    metrics.counter("dais_orphaned_peers_ended_total", "Peers that were ended because nobody wanted them.")
}

/// Follows one shard's socket and queue.
pub struct ShardMeter {
    ingress_packets: Follower,
    ingress_bytes: Follower,
    egress_packets: Follower,
    egress_bytes: Follower,
    failed: Follower,
    full: Follower,
    oversized: Follower,
    commands: Follower,
    frames: Follower,
}

impl ShardMeter {
    /// For a shard of such a node.
    pub fn new(metrics: &Metrics, kind: NodeKind) -> Self {
        let counter = |what: &str, help: &str| {
            Follower::new(metrics.counter(&format!("dais_{}_{what}_total", kind.as_str()), help))
        };
        Self {
            ingress_packets: counter("ingress_packets", "Datagrams received from clients."),
            ingress_bytes: counter("ingress_bytes", "Bytes received from clients."),
            egress_packets: counter("egress_packets", "Datagrams sent to clients."),
            egress_bytes: counter("egress_bytes", "Bytes sent to clients."),
            failed: counter("egress_failed", "Datagrams that the kernel refused to send."),
            full: Follower::new(queue_full(metrics, "send_buffer")),
            oversized: Follower::new(bad_input(metrics, "oversized")),
            commands: Follower::new(queue_full(metrics, "shard_commands")),
            frames: Follower::new(queue_full(metrics, "shard_frames")),
        }
    }

    /// Looks at the counts.
    pub fn follow<C>(&mut self, shard: &ShardHandle<C>) {
        let stats = shard.stats();
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        self.ingress_packets.follow(load(&stats.ingress_packets));
        self.ingress_bytes.follow(load(&stats.ingress_bytes));
        self.egress_packets.follow(load(&stats.egress_packets));
        self.egress_bytes.follow(load(&stats.egress_bytes));
        self.failed.follow(load(&stats.egress_failed));
        self.full.follow(load(&stats.egress_full));
        self.oversized.follow(load(&stats.oversized));
        let queue::Counts { refused, dropped } = shard.queue_counts();
        self.commands.follow(refused);
        self.frames.follow(dropped);
    }
}

/// Where a total is found among the counts of a shard's peers.
type Total = fn(&peer::Stats) -> u64;

/// Bad input, by its name in `dais_bad_input_total`.
const BAD_INPUT: &[(&str, Total)] = &[
    ("garbage", |stats| stats.garbage),
    ("stun_malformed", |stats| stats.stun_malformed),
    ("stun_unknown", |stats| stats.stun_unknown + stats.checks_unknown),
    ("stun_password", |stats| stats.stun_password),
    ("dtls_stranger", |stats| stats.dtls_stranger),
    ("dtls_malformed", |stats| stats.dtls_malformed),
    ("dtls_refused", |stats| stats.dtls_refused),
    ("dtls_fingerprint", |stats| stats.handshakes_stranger),
    ("srtp_stranger", |stats| stats.srtp_stranger),
    ("srtp_unwanted", |stats| stats.srtp_unwanted),
    ("srtp_malformed", |stats| stats.srtp_malformed),
    ("srtp_auth", |stats| stats.srtp_auth),
    ("srtp_replay", |stats| stats.srtp_replay),
    ("srtp_streams", |stats| stats.srtp_streams),
];

/// How handshakes end, by `result`.
const HANDSHAKES: &[(&str, Total)] = &[
    ("done", |stats| stats.handshakes_done),
    ("failed", |stats| stats.handshakes_failed),
    ("stranger", |stats| stats.handshakes_stranger),
    ("timeout", |stats| stats.not_connected),
];

/// How peers end without having been removed, by `reason`.
const GONE: &[(&str, Total)] = &[
    ("closed", |stats| stats.closed),
    ("consent", |stats| stats.consent_expired),
    ("ssrcs", |stats| stats.streams),
];

/// Follows the peers of one shard.
pub struct PeerMeter {
    totals: Vec<(Total, Follower)>,
}

impl PeerMeter {
    /// For a shard of such a node.
    pub fn new(metrics: &Metrics, kind: NodeKind) -> Self {
        let part = kind.as_str();
        let bad = BAD_INPUT.iter().map(|&(what, total)| (total, Follower::new(bad_input(metrics, what))));
        let handshakes = metrics.counters(
            &format!("dais_{part}_handshakes_total"),
            "Handshakes, by how they ended.",
            &["result"],
        );
        let handshakes =
            HANDSHAKES.iter().map(|&(result, total)| (total, Follower::new(handshakes.of(&[result]))));
        let gone = metrics.counters(
            &format!("dais_{part}_gone_total"),
            "Peers that ended by themselves.",
            &["reason"],
        );
        let gone = GONE.iter().map(|&(reason, total)| (total, Follower::new(gone.of(&[reason]))));
        let moved = metrics.counter(&format!("dais_{part}_moved_total"), "Peers whose address changed.");
        let moved: (Total, _) = (|stats| stats.moved, Follower::new(moved));
        let dropped: (Total, _) =
            (|stats| stats.handshakes_dropped, Follower::new(queue_full(metrics, "handshakes")));
        Self { totals: bad.chain(handshakes).chain(gone).chain([moved, dropped]).collect() }
    }

    /// Looks at the counts.
    pub fn follow(&mut self, stats: &peer::Stats) {
        self.totals.iter_mut().for_each(|(total, follower)| follower.follow(total(stats)));
    }
}

/// Follows one link.
pub struct LinkMeter {
    dropped: Follower,
    oversized: Follower,
    unknown_version: Follower,
    malformed: Follower,
}

impl LinkMeter {
    /// For a new link.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            dropped: Follower::new(queue_full(metrics, "link")),
            oversized: Follower::new(queue_full(metrics, "link_mtu")),
            unknown_version: Follower::new(bad_input(metrics, "relay_version")),
            malformed: Follower::new(bad_input(metrics, "relay_malformed")),
        }
    }

    /// Looks at the counts.
    pub fn follow<Out>(&mut self, link: &LinkHandle<Out>) {
        let stats = link.stats();
        self.dropped.follow(stats.dropped.load(Relaxed));
        self.oversized.follow(stats.oversized.load(Relaxed));
        self.unknown_version.follow(stats.unknown_version.load(Relaxed));
        self.malformed.follow(stats.malformed.load(Relaxed));
    }
}
