//! A made-up run for the tests of all forms of the report: ten thousand listeners on a good day.

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use protocol::token::Keys;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Build, Machine, Report};
use crate::talk::Pattern;
use crate::{Figures, Histogram, Options, figures};

/// Seconds of the ramp and of the time after it.
const RAMP: u64 = 34;
const STEADY: u64 = 60;

/// Frames that each second of a conversation has.
const SPOKEN: u64 = 44;

static FIGURES: LazyLock<Figures> = LazyLock::new(make_up);

/// The report of the made-up run.
pub(crate) fn sample() -> Report {
    let build = Build { version: "0.1.0", commit: "0123456789ab" };
    let mut report = Report::new(build, &options(), &figures());
    report.machine = Machine {
        cores: 2,
        model: "AMD EPYC 7B13".into(),
        kernel: "linux 6.18.0".into(),
        memory_bytes: 8_343_875_584,
        optimised: true,
    };
    report.conclude();
    report
}

/// What it was asked for.
pub(crate) fn options() -> Options {
    let requirements = ["first_audio_ms.p99<1500", "audio.loss_ratio<=0.0005"];
    Options {
        urls: vec!["http://127.0.0.1:7000".parse().unwrap()],
        home: None,
        signer: "dais".into(),
        keys: Keys::default(),
        rooms: 1,
        listeners: 10_000,
        speakers: 4,
        talk: Pattern::Conversation,
        ramp: 300.0,
        duration: Duration::from_secs(STEADY),
        churn: 0.0,
        promote: 0.0,
        hands: 0,
        reconnect_at: None,
        garbage: 0,
        probes: 2,
        framing: None,
        metrics: vec!["http://127.0.0.1:7001/metrics".into()],
        threads: 0,
        require: requirements.map(|text| text.parse().unwrap()).into(),
        report: None,
        json: false,
    }
}

/// What was measured in it.
pub(crate) fn figures() -> Figures {
    FIGURES.clone()
}

fn make_up() -> Figures {
    let rng = &mut StdRng::seed_from_u64(1);
    let mut talk = 0.0;
    let seconds: Vec<_> = (0..RAMP + STEADY).map(|at| second(at, &mut talk, rng)).collect();
    let packets = seconds.iter().map(|second| second.packets).sum();
    let frames: u64 = seconds.iter().map(|second| second.frames).sum();
    let lost: u64 = seconds.iter().map(|second| second.lost).sum();
    Figures {
        began: UNIX_EPOCH + Duration::from_secs(1_790_000_000),
        wall_s: (RAMP + STEADY) as f64,
        steady_s: STEADY as f64,
        listeners: figures::Listeners {
            requested: 10_000,
            joined: 10_000,
            joins_per_s: 299.4,
            ..Default::default()
        },
        failures: Default::default(),
        join: spread(10_000, 21_000.0, 0.5, rng),
        connected: spread(10_000, 64_000.0, 0.45, rng),
        first_audio: spread(10_000, 178_000.0, 0.5, rng),
        audio: figures::Heard {
            frames_expected: frames + lost,
            frames_received: frames,
            frames_lost: lost,
            latency: spread(50_000, 52_000.0, 0.22, rng),
            longest_gap: spread(10_000, 96_000.0, 0.12, rng),
            packets,
            bytes: packets * 281,
            frames_per_packet: [packets / 9, packets / 50, packets / 60, packets / 10 * 8, 0, 0, 0],
            packets_by_framing: [packets / 60, packets / 10 * 8, 0],
            seconds: STEADY as f64,
            ..Default::default()
        },
        stage: figures::Heard {
            frames_expected: 7_920,
            frames_received: 7_920,
            latency: spread(7_920, 1_900.0, 0.5, rng),
            longest_gap: spread(4, 24_000.0, 0.1, rng),
            packets: 9_100,
            bytes: 9_100 * 130,
            seconds: STEADY as f64,
            ..Default::default()
        },
        by_node: vec![
            by_node("edge-1", "edge", 5_000, frames / 2, rng),
            by_node("edge-2", "edge", 5_000, frames / 2, rng),
            by_node("url-1", "signaling", 10_000, frames, rng),
        ],
        by_region: [("eu".to_owned(), by_node("", "edge", 10_000, frames, rng).heard)].into(),
        sessions: Default::default(),
        presence: figures::Presence {
            lag: spread(2_000, 480_000.0, 0.5, rng),
            messages: 610_000,
            bytes: 103_700_000,
            listener_s: 770_000.0,
            ..Default::default()
        },
        probes: Some(figures::Probes {
            requested: 2,
            connected: 2,
            frames_expected: 5_280,
            frames_received: 5_280,
        }),
        nodes: vec![figures::Node {
            name: "up".into(),
            role: "up".into(),
            region: None,
            cpu_s: 52.3,
            cores: 0.87,
            rss_peak_bytes: 412_000_000,
            packets,
        }],
        generator: figures::Generator {
            cpu_s: 78.0,
            steady_cpu_s: 41.0,
            rss_peak_bytes: 388_000_000,
            late_ticks: 12,
            ticks: 18_800,
            ..Default::default()
        },
        reconnect: None,
        garbage: None,
        seconds,
    }
}

fn by_node(name: &str, role: &'static str, listeners: u64, frames: u64, rng: &mut StdRng) -> figures::ByNode {
    let longest_gap = spread(listeners, 96_000.0, 0.12, rng);
    let heard =
        figures::Group { listeners, frames_expected: frames + 100, frames_received: frames, longest_gap };
    let region = (role == "edge").then(|| "eu".to_owned());
    figures::ByNode { name: name.into(), role, region, heard }
}

fn second(at: u64, talk: &mut f64, rng: &mut StdRng) -> figures::Second {
    let ramping = at < RAMP;
    let connected = (300 * (at + 1)).min(10_000);
    *talk = (*talk + rng.random_range(-0.2..0.2_f64)).clamp(-0.3, 0.3);
    let frames = connected * (SPOKEN as f64 * (1.0 + *talk * 0.2)) as u64;
    let hiccup = if at == 21 || at == 70 { 2.2 } else { 1.0 };
    let median = 50_000.0 + connected as f64 * 0.4 + rng.random_range(0.0..2_000.0);
    figures::Second {
        connected,
        joins: if ramping { connected.saturating_sub(300 * at) } else { 0 },
        frames,
        packets: frames * 10 / 27,
        bytes: frames * 10 / 27 * 281,
        latency_p50: median as u64,
        latency_p99: (median * 1.5 * hiccup) as u64,
        latency_max: (median * 1.8 * hiccup * rng.random_range(1.0..1.4)) as u64,
        longest_gap: (80_000.0 * hiccup * rng.random_range(1.0..1.3)) as u64,
        lost: if hiccup > 1.0 { connected / 30 } else { 0 },
        node_cores: if ramping { 0.35 } else { 0.0 } + connected as f64 * 0.000_081 + *talk * 0.1,
        node_rss_bytes: 60_000_000 + connected * 35_000,
        generator_cores: if ramping { 0.5 } else { 0.0 } + connected as f64 * 0.000_07,
    }
}

/// Values around `middle` with a tail to the right, as times have.
fn spread(count: u64, middle: f64, width: f64, rng: &mut StdRng) -> Histogram {
    let mut seen = Histogram::default();
    for _ in 0..count {
        // The sum of twelve is near enough to a normal distribution.
        let normal: f64 = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        seen.record((middle * (normal * width).exp()) as u64);
    }
    seen
}
