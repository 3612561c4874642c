//! From what the engine counted to the form of the report: µs become ms, counts become rates.

use super::{
    Audio, Build, ByNode, Config, Distribution, Distributions, FramingShare, Garbage, Group, Listeners,
    LoadGenerator, Machine, Node, Percentiles, Presence, Probes, Reconnect, Report, SCHEMA, Second,
    SequenceWraps, Sessions, date,
};
use crate::{Figures, Histogram, Options, figures};

/// All of it, but for what the figures mean.
pub(super) fn report(build: Build, options: &Options, figures: &Figures) -> Report {
    Report {
        schema: SCHEMA,
        version: build.version.into(),
        commit: build.commit.into(),
        machine: Machine::here(),
        config: options.into(),
        started: date::rfc3339(figures.began),
        wall_s: figures.wall_s,
        steady_s: figures.steady_s,
        listeners: figures.listeners.into(),
        failures: figures.failures.clone(),
        join_ms: (&figures.connected).into(),
        welcome_ms: (&figures.join).into(),
        first_audio_ms: (&figures.first_audio).into(),
        audio: (&figures.audio).into(),
        stage: (&figures.stage).into(),
        by_node: figures.by_node.iter().map(Into::into).collect(),
        by_region: figures.by_region.iter().map(|(name, heard)| (name.clone(), heard.into())).collect(),
        sessions: (&figures.sessions).into(),
        presence: (&figures.presence).into(),
        probes: figures.probes.map(Probes::from).unwrap_or_default(),
        nodes: figures.nodes.iter().map(Node::from).collect(),
        load_generator: load_generator(&figures.generator, figures.steady_s),
        reconnect: figures.reconnect.as_ref().map(Reconnect::from),
        garbage: figures.garbage.map(Garbage::from),
        timeline: timeline(figures),
        distributions: Distributions {
            join_ms: (&figures.connected).into(),
            first_audio_ms: (&figures.first_audio).into(),
            latency_ms: (&figures.audio.latency).into(),
            longest_gap_ms: (&figures.audio.longest_gap).into(),
            stage_latency_ms: (&figures.stage.latency).into(),
        },
        ..Report::default()
    }
}

impl From<&Options> for Config {
    fn from(options: &Options) -> Self {
        Self {
            url: options.urls.first().map(ToString::to_string).unwrap_or_default(),
            urls: options.urls.iter().map(ToString::to_string).collect(),
            from: options.home.map(|home| home.to_string()),
            rooms: options.rooms,
            listeners: options.listeners,
            speakers: options.speakers,
            talk: options.talk.to_string(),
            ramp: options.ramp,
            duration_s: options.duration.as_secs_f64(),
            churn: options.churn,
            promote: options.promote,
            hands: options.hands,
            reconnect_at_s: options.reconnect_at.map(|at| at.as_secs_f64()),
            garbage: options.garbage,
            probes: options.probes,
            framing: options.framing,
            metrics: options.metrics.clone(),
        }
    }
}

impl From<&Histogram> for Percentiles {
    fn from(seen: &Histogram) -> Self {
        let at = |share| seen.quantile(share).map(ms);
        let max = (seen.count() > 0).then(|| ms(seen.max()));
        Self { p50: at(0.5), p95: at(0.95), p99: at(0.99), max }
    }
}

impl From<&Histogram> for Distribution {
    fn from(seen: &Histogram) -> Self {
        Self(seen.values().map(|(value, count)| (ms(value), count)).collect())
    }
}

impl From<figures::Listeners> for Listeners {
    fn from(listeners: figures::Listeners) -> Self {
        let figures::Listeners { requested, joined, failed, dropped, churned, told_to_wait, joins_per_s } =
            listeners;
        Self { requested, joined, failed, dropped, churned, told_to_wait, joins_per_s }
    }
}

impl From<&figures::Heard> for Audio {
    fn from(heard: &figures::Heard) -> Self {
        Self {
            frames_expected: heard.frames_expected,
            frames_received: heard.frames_received,
            frames_lost: heard.frames_lost,
            loss_ratio: ratio(heard.frames_lost as f64, heard.frames_expected as f64),
            duplicates: heard.duplicates,
            undecryptable: heard.undecryptable,
            frames_late: heard.frames_late,
            frames_unknown: heard.unknown,
            latency_ms: (&heard.latency).into(),
            longest_gap_ms: (&heard.longest_gap).into(),
            packets_received: heard.packets,
            packets_per_s: ratio(heard.packets as f64, heard.seconds).unwrap_or(0.0),
            bits_per_s: ratio(heard.bytes as f64 * 8.0, heard.seconds).unwrap_or(0.0),
            packets_by_frames: heard.frames_per_packet.to_vec(),
            framing_share: heard.packets_by_framing.into(),
            sequence_wraps: SequenceWraps {
                listeners: heard.wrapped_listeners,
                streams: heard.wrapped_streams,
            },
        }
    }
}

impl From<&figures::ByNode> for ByNode {
    fn from(node: &figures::ByNode) -> Self {
        let figures::ByNode { name, role, region, heard } = node;
        Self { node: name.clone(), role: (*role).into(), region: region.clone(), heard: heard.into() }
    }
}

impl From<&figures::Group> for Group {
    fn from(group: &figures::Group) -> Self {
        let (expected, received) = (group.frames_expected, group.frames_received);
        Self {
            listeners: group.listeners,
            frames_expected: expected,
            frames_received: received,
            frames_lost: expected - received,
            loss_ratio: ratio((expected - received) as f64, expected as f64),
            longest_gap_ms: (&group.longest_gap).into(),
        }
    }
}

impl From<&figures::Sessions> for Sessions {
    fn from(sessions: &figures::Sessions) -> Self {
        let figures::Sessions { lost, resumed, anew, renewed, ref away } = *sessions;
        Self { lost, resumed, anew, media_renewed: renewed, away_ms: away.into() }
    }
}

impl From<[u64; 3]> for FramingShare {
    fn from(packets: [u64; 3]) -> Self {
        let all = packets.iter().sum::<u64>() as f64;
        let [ms_20, ms_60, ms_120] = packets.map(|packets| ratio(packets as f64, all));
        Self { ms_20, ms_60, ms_120 }
    }
}

impl From<&figures::Presence> for Presence {
    fn from(seen: &figures::Presence) -> Self {
        Self {
            lag_ms: (&seen.lag).into(),
            messages_per_listener_s: ratio(seen.messages as f64, seen.listener_s).unwrap_or(0.0),
            bytes_per_listener_s: ratio(seen.bytes as f64, seen.listener_s).unwrap_or(0.0),
            promotion_seen_ms: (&seen.promotion_seen).into(),
            gaps: seen.gaps,
            promotions: seen.promotions,
        }
    }
}

impl From<figures::Probes> for Probes {
    fn from(probes: figures::Probes) -> Self {
        let figures::Probes { requested, connected, frames_expected, frames_received } = probes;
        let lost = frames_expected.saturating_sub(frames_received);
        let loss_ratio = ratio(lost as f64, frames_expected as f64);
        Self { requested, connected, frames_expected, frames_received, loss_ratio, agree: None }
    }
}

impl From<&figures::Node> for Node {
    fn from(node: &figures::Node) -> Self {
        Self {
            node: node.name.clone(),
            role: node.role.clone(),
            region: node.region.clone(),
            cpu_s: node.cpu_s,
            cores: node.cores,
            rss_peak_bytes: node.rss_peak_bytes,
            cpu_us_per_packet: ratio(node.cpu_s * 1e6, node.packets as f64),
            packets: node.packets,
        }
    }
}

fn load_generator(generator: &figures::Generator, steady_s: f64) -> LoadGenerator {
    LoadGenerator {
        cpu_s: generator.cpu_s,
        cores: ratio(generator.steady_cpu_s, steady_s).unwrap_or(0.0),
        rss_peak_bytes: generator.rss_peak_bytes,
        late_ticks: generator.late_ticks,
        ticks: generator.ticks,
        socket_drops: generator.socket_drops,
        strays: generator.strays,
        handshake_backlog_max: generator.handshake_backlog_max,
        handshake_wait_max_ms: ms(generator.handshake_wait_max),
        handshake_drops: generator.handshake_drops,
    }
}

impl From<&figures::Reconnect> for Reconnect {
    /// Percentiles are of everybody who was cut: who never came back counts as the slowest.
    fn from(storm: &figures::Reconnect) -> Self {
        let back = storm.hears_again.count();
        let of_cut = |share: f64| {
            let among_back = ratio(share * storm.cut as f64, back as f64)?;
            storm.hears_again.quantile(among_back).filter(|_| among_back <= 1.0).map(ms)
        };
        let all_back = storm.cut > 0 && back >= storm.cut;
        Self {
            cut: storm.cut,
            connected: storm.connected,
            back,
            p50_ms: of_cut(0.5),
            p99_ms: of_cut(0.99),
            all_ms: all_back.then(|| ms(storm.hears_again.max())),
        }
    }
}

impl From<figures::Garbage> for Garbage {
    fn from(garbage: figures::Garbage) -> Self {
        let figures::Garbage { sent, answers, seconds } = garbage;
        Self { sent, per_s: ratio(sent as f64, seconds).unwrap_or(0.0), answers }
    }
}

/// Whole seconds only: what is counted after the end is people leaving.
fn timeline(figures: &Figures) -> Vec<Second> {
    let second = |(index, second): (usize, &figures::Second)| {
        let read = second.node_rss_bytes > 0;
        let heard = |us: u64| (second.frames > 0).then(|| ms(us));
        Second {
            at_s: index as u64 + 1,
            listeners: second.connected,
            joined: second.joins,
            frames_received: second.frames,
            frames_lost: second.lost,
            packets: second.packets,
            bits: second.bytes * 8,
            latency_p50_ms: heard(second.latency_p50),
            latency_p99_ms: heard(second.latency_p99),
            latency_max_ms: heard(second.latency_max),
            longest_gap_ms: (second.longest_gap > 0).then(|| ms(second.longest_gap)),
            server_cores: read.then_some(second.node_cores),
            server_rss_bytes: read.then_some(second.node_rss_bytes),
            generator_cores: second.generator_cores,
        }
    };
    figures.seconds.iter().take(figures.wall_s as usize).enumerate().map(second).collect()
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// None where there is no whole to be a part of.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}
