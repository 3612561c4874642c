//! What a run has measured: plain numbers, filled by the engine, read by the report.
//!
//! All times are microseconds, in histograms or not, unless the name says otherwise. Nothing here knows
//! how it is shown.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::Histogram;

/// Everything that a run has measured.
#[derive(Clone)]
pub struct Figures {
    /// When the run began.
    pub began: SystemTime,
    /// How long it took, in s, from the first join to the end.
    pub wall_s: f64,
    /// How long it was from the moment when everybody was in, in s.
    pub steady_s: f64,
    /// How the joins went.
    pub listeners: Listeners,
    /// Why joins failed or listeners were dropped: the server's code, or ours (`connect`, `ice_timeout`,
    /// `dtls`, `no_audio`, `closed`, `silent`).
    pub failures: BTreeMap<String, u64>,
    /// From opening the WebSocket to `welcome`.
    pub join: Histogram,
    /// From opening the WebSocket to the end of the DTLS handshake.
    pub connected: Histogram,
    /// From `join`, or from when a voice first sounds if that is later, to the first frame.
    pub first_audio: Histogram,
    /// What listeners heard.
    pub audio: Heard,
    /// What speakers heard of speakers.
    pub stage: Heard,
    /// What listeners heard, by where they were: media nodes first, then signaling nodes.
    pub by_node: Vec<ByNode>,
    /// The same by the region of the media node, where that is known.
    pub by_region: BTreeMap<String, Group>,
    /// WebSockets that ended without our doing.
    pub sessions: Sessions,
    /// What everybody was told about the room.
    pub presence: Presence,
    /// The second opinion, where there is one.
    pub probes: Option<Probes>,
    /// What the nodes said about themselves, in the order of `--metrics`.
    pub nodes: Vec<Node>,
    /// What the generator itself did.
    pub generator: Generator,
    /// The storm of `--reconnect-at`.
    pub reconnect: Option<Reconnect>,
    /// What strangers threw, where any did.
    pub garbage: Option<Garbage>,
    /// Second by second, from the first join on.
    pub seconds: Vec<Second>,
}

/// How the joins went.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Listeners {
    /// Asked for, in all rooms, churn left out.
    pub requested: u64,
    /// Of those: joined, with media connected.
    pub joined: u64,
    /// Of those: never got that far.
    pub failed: u64,
    /// Joined, and then lost without our doing.
    pub dropped: u64,
    /// Those who came and went by `--churn`.
    pub churned: u64,
    /// How often somebody was told to come back later.
    pub told_to_wait: u64,
    /// Joins per second that were reached, from the first to the last.
    pub joins_per_s: f64,
}

/// What a group of people heard.
#[derive(Clone, Default)]
pub struct Heard {
    /// Audible 20 ms frames that were on a voice while the one who should hear them was in.
    pub frames_expected: u64,
    /// Of those: heard in time.
    pub frames_received: u64,
    /// Of those: never heard, or too late.
    pub frames_lost: u64,
    /// Of the lost: heard more than 500 ms after they were sent.
    pub frames_late: u64,
    /// Heard twice.
    pub duplicates: u64,
    /// Packets whose tag did not fit.
    pub undecryptable: u64,
    /// Frames that no speaker sent.
    pub unknown: u64,
    /// From a frame's sending to its arrival, for each frame.
    pub latency: Histogram,
    /// The longest gap of each person, pauses of the speakers left out.
    pub longest_gap: Histogram,
    /// RTP packets.
    pub packets: u64,
    /// Their bytes, from the UDP payload on.
    pub bytes: u64,
    /// Packets with this many audible frames, index 0 for those with none (silence).
    pub frames_per_packet: [u64; 7],
    /// Audible packets as long as one frame, up to three, and more: framing of 20, 60 and 120 ms.
    pub packets_by_framing: [u64; 3],
    /// Listeners with a stream whose sequence numbers began anew.
    pub wrapped_listeners: u64,
    /// Such streams.
    pub wrapped_streams: u64,
    /// How long these were counted, in s.
    pub seconds: f64,
}

/// What those listeners heard who were at one node, while they were.
#[derive(Clone)]
pub struct ByNode {
    /// Its name: of a media node as `media` told it, of a signaling node `url-1` and so on.
    pub name: String,
    /// `edge` or `signaling`.
    pub role: &'static str,
    /// Where it is, if metrics say so.
    pub region: Option<String>,
    /// What they heard.
    pub heard: Group,
}

/// What a part of the listeners heard.
#[derive(Clone, Default)]
pub struct Group {
    /// How many were there, some of them maybe for a part of the time.
    pub listeners: u64,
    /// Frames that they should have heard meanwhile.
    pub frames_expected: u64,
    /// Of those: heard in time.
    pub frames_received: u64,
    /// The longest gap of each that began there.
    pub longest_gap: Histogram,
}

/// Listeners' WebSockets that ended without our doing, and peers that took the place of others.
#[derive(Clone, Default)]
pub struct Sessions {
    /// How many WebSockets ended.
    pub lost: u64,
    /// How many came back by the resume token.
    pub resumed: u64,
    /// How many came back by the token.
    pub anew: u64,
    /// How often a listener who was in has got another peer.
    pub renewed: u64,
    /// From the end to the next `welcome`.
    pub away: Histogram,
}

/// What everybody was told about the room.
#[derive(Clone, Default)]
pub struct Presence {
    /// From somebody's join or leave to its being counted at the others. Sampled: see `presence.rs`.
    pub lag: Histogram,
    /// Presence messages over the steady part of the run.
    pub messages: u64,
    /// Bytes of all WebSocket messages to listeners over the steady part.
    pub bytes: u64,
    /// Sum of the time that each listener was in over the steady part, in s.
    pub listener_s: f64,
    /// Versions that did not follow on the one before.
    pub gaps: u64,
    /// From `promote` to the moment when a participant sees the new speaker on stage.
    pub promotion_seen: Histogram,
    /// Promotions that came on stage.
    pub promotions: u64,
}

/// The second opinion.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Probes {
    /// Asked for.
    pub requested: u64,
    /// Connected.
    pub connected: u64,
    /// Audible frames on a voice while they were in.
    pub frames_expected: u64,
    /// Of those: heard.
    pub frames_received: u64,
}

/// What a node said about itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// Its name: the label `node`, or the URL.
    pub name: String,
    /// `origin`, `edge`, `signaling`, or `up` for all in one.
    pub role: String,
    /// Where it is: the label `region`.
    pub region: Option<String>,
    /// CPU over the steady part of the run, in s.
    pub cpu_s: f64,
    /// The same in cores: s of CPU per s.
    pub cores: f64,
    /// Most memory, in bytes.
    pub rss_peak_bytes: u64,
    /// Packets it sent over the steady part of the run.
    pub packets: u64,
}

/// What the generator itself did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Generator {
    /// CPU of the whole run, in s.
    pub cpu_s: f64,
    /// CPU over the steady part, in s.
    pub steady_cpu_s: f64,
    /// Most memory, in bytes.
    pub rss_peak_bytes: u64,
    /// Speakers' ticks that came more than 10 ms late.
    pub late_ticks: u64,
    /// All of the speakers' ticks.
    pub ticks: u64,
    /// Packets that the kernel dropped because we did not read fast enough: ours, not the server's.
    pub socket_drops: u64,
    /// Packets to addresses where nobody is any more.
    pub strays: u64,
    /// Steps of listeners' handshakes that waited at once in one thread, at most.
    pub handshake_backlog_max: u64,
    /// The longest that one of these waited.
    pub handshake_wait_max: u64,
    /// Those that found no room to wait.
    pub handshake_drops: u64,
}

/// Everybody cut, and back at once.
#[derive(Clone, Default)]
pub struct Reconnect {
    /// How many were cut.
    pub cut: u64,
    /// How many were connected again.
    pub connected: u64,
    /// From the cut to the first frame after it.
    pub hears_again: Histogram,
}

/// What strangers threw at the media ports.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Garbage {
    /// Datagrams that were sent.
    pub sent: u64,
    /// Datagrams that came back.
    pub answers: u64,
    /// For how long, in s.
    pub seconds: f64,
}

/// One second of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Second {
    /// Listeners with media connected, at its end.
    pub connected: u64,
    /// Who became connected in it.
    pub joins: u64,
    /// Frames heard.
    pub frames: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Of the frames heard in it.
    pub latency_p50: u64,
    /// The same.
    pub latency_p99: u64,
    /// The same.
    pub latency_max: u64,
    /// The longest gap that ended in it.
    pub longest_gap: u64,
    /// Frames that were lost to somebody, by the second when they were sent.
    pub lost: u64,
    /// CPU of all nodes with metrics in it, in cores; NaN-free: 0 where there is none.
    pub node_cores: f64,
    /// Memory of all nodes with metrics, in bytes.
    pub node_rss_bytes: u64,
    /// CPU of the generator, in cores.
    pub generator_cores: f64,
}
