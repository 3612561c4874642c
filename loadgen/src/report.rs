//! The report of a run: everything that was measured, in the form of `report.json`.
//!
//! ```text
//!   Options, Figures ──▶ Report ──▶ report.json      for scripts, and to draw from again
//!                           ├─────▶ html             for people
//!                           ├─────▶ table            for the terminal
//!                           └─────▶ require          for checks
//! ```
//!
//! Fields are only ever added. Nothing here measures, and no figure is invented: what was not measured
//! is `null`.

mod audio;
mod config;
mod date;
mod machine;
mod measured;
pub(crate) mod number;
mod remarks;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use audio::{Audio, ByNode, FramingShare, Group, SequenceWraps};
pub use config::Config;
pub use machine::Machine;
pub use remarks::Remark;

use crate::require::Outcome;
use crate::{Figures, Options};

/// Version of the form. It grows when a field changes its meaning, not when one is added.
pub const SCHEMA: u32 = 1;

/// Everything about one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the form: [`SCHEMA`].
    pub schema: u32,
    /// Version of the generator's program.
    pub version: String,
    /// What it was built from.
    pub commit: String,
    /// The generator's machine.
    pub machine: Machine,
    /// What the run was asked for, without secrets.
    pub config: Config,
    /// When it began, RFC 3339.
    pub started: String,
    /// Length of the whole run.
    pub wall_s: f64,
    /// Of this, the time with everybody in.
    pub steady_s: f64,
    /// How many came in.
    pub listeners: Listeners,
    /// Why joins failed: how often, by the server's code or a word of the generator.
    pub failures: BTreeMap<String, u64>,
    /// From opening the WebSocket until the listener's DTLS handshake is done.
    pub join_ms: Percentiles,
    /// From opening the WebSocket until `welcome`: the first part of `join_ms`.
    pub welcome_ms: Percentiles,
    /// From `join`, or from the first sound of any voice if that is later, to the first frame heard.
    pub first_audio_ms: Percentiles,
    /// What the listeners heard.
    pub audio: Audio,
    /// What speakers heard of speakers.
    pub stage: Audio,
    /// What the listeners heard, by the media and the signaling node that they had.
    #[serde(default)]
    pub by_node: Vec<ByNode>,
    /// The same by the region of the media node, where that is known.
    #[serde(default)]
    pub by_region: BTreeMap<String, Group>,
    /// The listeners' WebSockets that ended without our doing.
    #[serde(default)]
    pub sessions: Sessions,
    /// What the listeners saw.
    pub presence: Presence,
    /// The independent check.
    pub probes: Probes,
    /// The server's parts, where their metrics could be read.
    pub nodes: Vec<Node>,
    /// What measuring itself took.
    pub load_generator: LoadGenerator,
    /// How long it took until everybody heard again, where everybody was cut off.
    pub reconnect: Option<Reconnect>,
    /// What strangers threw at the media ports, where any did.
    pub garbage: Option<Garbage>,
    /// Second by second.
    pub timeline: Vec<Second>,
    /// The whole of what the percentiles sum up.
    pub distributions: Distributions,
    /// What the reader must know to read the figures rightly.
    pub remarks: Vec<Remark>,
    /// What `--require` asked, and whether it holds.
    pub requirements: Vec<Outcome>,
}

/// How many listeners came in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Listeners {
    /// As many as were to be in at the same time.
    pub requested: u64,
    /// Of these, who came in, with media connected.
    pub joined: u64,
    /// Of these, who did not.
    pub failed: u64,
    /// Who was in and lost their place without having asked for it.
    pub dropped: u64,
    /// Who came and went by `--churn`.
    pub churned: u64,
    /// How often somebody was told to come back later. What they waited is in their times.
    pub told_to_wait: u64,
    /// Joins per second of the ramp, as reached.
    pub joins_per_s: f64,
}

/// The usual four, in ms; none where nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half are at or below it.
    pub p50: Option<f64>,
    /// 95 in 100 are.
    pub p95: Option<f64>,
    /// 99 in 100 are.
    pub p99: Option<f64>,
    /// All are.
    pub max: Option<f64>,
}

/// Listeners' WebSockets that ended without our doing, and media sessions that took the place of others.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    /// How many WebSockets ended.
    pub lost: u64,
    /// How many came back by the resume token: everything was as before.
    pub resumed: u64,
    /// How many came back by the token, as if for the first time.
    pub anew: u64,
    /// How often a listener who was in has got another media session.
    #[serde(default)]
    pub media_renewed: u64,
    /// From the end to the next `welcome`.
    pub away_ms: Percentiles,
}

/// Presence as the listeners got it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// From a change to the message that tells of it.
    pub lag_ms: Percentiles,
    /// Presence messages to each listener per second, while everybody was in.
    pub messages_per_listener_s: f64,
    /// Bytes of all messages to each listener per second, while everybody was in.
    pub bytes_per_listener_s: f64,
    /// From asking for a promotion to the listeners' seeing it.
    pub promotion_seen_ms: Percentiles,
    /// Messages that did not follow on the one before: something was missed.
    pub gaps: u64,
    /// Promotions that came on stage.
    pub promotions: u64,
}

/// What the full peer connections among the listeners heard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// How many were asked for.
    pub requested: u64,
    /// How many are in.
    pub connected: u64,
    /// Frames they should have heard.
    pub frames_expected: u64,
    /// Frames they heard.
    pub frames_received: u64,
    /// Lost of expected; none where none was expected.
    pub loss_ratio: Option<f64>,
    /// Whether they heard what the light listeners heard; none without both.
    pub agree: Option<bool>,
}

/// One part of the server, by its metrics, while everybody was in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub node: String,
    /// What it does: origin, edge, signaling, or `up` for all in one process.
    pub role: String,
    /// Where it is; none for `up`.
    #[serde(default)]
    pub region: Option<String>,
    /// CPU it used.
    pub cpu_s: f64,
    /// The same per second: cores that it kept busy.
    pub cores: f64,
    /// Most memory it had.
    pub rss_peak_bytes: u64,
    /// CPU for each packet that it sent; none where it sent none.
    pub cpu_us_per_packet: Option<f64>,
    /// Packets that it sent.
    pub packets: u64,
}

/// What the generator itself took.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadGenerator {
    /// CPU it used in the whole run.
    pub cpu_s: f64,
    /// Cores that it kept busy while everybody was in.
    pub cores: f64,
    /// Most memory it had.
    pub rss_peak_bytes: u64,
    /// Speakers' ticks that came late by its own fault; that time is not charged to the server.
    pub late_ticks: u64,
    /// All of the speakers' ticks.
    pub ticks: u64,
    /// Packets that its own sockets dropped because it did not read in time.
    pub socket_drops: u64,
    /// Packets for listeners who had left.
    pub strays: u64,
    /// Most steps of listeners' handshakes that waited for one of its threads at once.
    pub handshake_backlog_max: u64,
    /// The longest that such a step waited. It is in the times of joining, by the generator's fault.
    pub handshake_wait_max_ms: f64,
    /// Steps that found no room to wait: datagrams lost by the generator, and repeated.
    pub handshake_drops: u64,
}

/// After everybody was cut off: ms until so many heard again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reconnect {
    /// How many were cut off.
    pub cut: u64,
    /// How many were connected again.
    pub connected: u64,
    /// How many heard again.
    pub back: u64,
    /// Until half did.
    pub p50_ms: Option<f64>,
    /// Until 99 in 100 did.
    pub p99_ms: Option<f64>,
    /// Until all did; none where some never came back.
    pub all_ms: Option<f64>,
}

/// What strangers threw at the media ports while everybody was in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Garbage {
    /// Datagrams.
    pub sent: u64,
    /// The same per second.
    pub per_s: f64,
    /// Datagrams that the server answered to strangers.
    pub answers: u64,
}

/// One second of the run. What is not known is none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// Its end, in seconds since the start.
    pub at_s: u64,
    /// Listeners who are in, at its end.
    pub listeners: u64,
    /// Joins that succeeded in it.
    pub joined: u64,
    /// Frames heard.
    pub frames_received: u64,
    /// Frames sent in it that somebody lost.
    pub frames_lost: u64,
    /// Packets that arrived.
    pub packets: u64,
    /// Their bits.
    pub bits: u64,
    /// Latency of the frames heard: the median.
    pub latency_p50_ms: Option<f64>,
    /// 99 in 100.
    pub latency_p99_ms: Option<f64>,
    /// All.
    pub latency_max_ms: Option<f64>,
    /// The longest gap that ended in it, of any listener.
    pub longest_gap_ms: Option<f64>,
    /// Cores that the server kept busy: all nodes together.
    pub server_cores: Option<f64>,
    /// The server's memory: all nodes together.
    pub server_rss_bytes: Option<u64>,
    /// Cores that the generator kept busy.
    pub generator_cores: f64,
}

/// What the percentiles sum up.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Distributions {
    /// Joins.
    pub join_ms: Distribution,
    /// First frames.
    pub first_audio_ms: Distribution,
    /// Latency of all frames.
    pub latency_ms: Distribution,
    /// Longest gap of each listener.
    pub longest_gap_ms: Distribution,
    /// Latency of what speakers heard of speakers.
    pub stage_latency_ms: Distribution,
}

/// Ascending values in ms, each with how often it was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Distribution(pub Vec<(f64, u64)>);

/// Which program measured.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// Its version.
    pub version: &'static str,
    /// What it was built from.
    pub commit: &'static str,
}

impl Report {
    /// What a run asked for and measured, with what it means.
    pub fn new(build: Build, options: &Options, figures: &Figures) -> Self {
        let mut report = measured::report(build, options, figures);
        report.conclude();
        let value = report.value();
        report.requirements = options.require.iter().map(|asked| asked.judge(&value)).collect();
        report
    }

    /// Says what the figures mean.
    fn conclude(&mut self) {
        self.probes.agree = remarks::probes_agree(&self.audio, &self.probes);
        self.remarks = remarks::of(self);
    }

    /// Whether everything that was required holds.
    pub fn holds(&self) -> bool {
        self.requirements.iter().all(|outcome| outcome.holds)
    }

    /// As JSON in memory, to look figures up by path.
    pub fn value(&self) -> Value {
        serde_json::to_value(self).expect("the keys of a report are strings")
    }

    /// The text of `report.json`.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("the keys of a report are strings")
    }

    /// Writes `report.json` and `report.html` into a directory, which is made if need be.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let fail = || format!("cannot write the report to {}", directory.display());
        std::fs::create_dir_all(directory).with_context(fail)?;
        std::fs::write(directory.join("report.json"), self.json()).with_context(fail)?;
        std::fs::write(directory.join("report.html"), crate::html::page(self)).with_context(fail)
    }
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
