use super::sample::{figures, options, sample};
use super::*;
use crate::Histogram;

const BUILD: Build = Build { version: "0.1.0", commit: "unknown" };

/// The form of `report.json` that people's scripts rely on, path by path.
const PROMISED: &str = "schema version commit machine config wall_s failures nodes \
    listeners.requested listeners.joined listeners.failed listeners.dropped listeners.joins_per_s \
    join_ms.p50 join_ms.p95 join_ms.p99 join_ms.max first_audio_ms.p50 first_audio_ms.max \
    audio.frames_expected audio.frames_received audio.frames_lost audio.loss_ratio audio.duplicates \
    audio.undecryptable audio.latency_ms.p99 audio.longest_gap_ms.p99 audio.packets_received \
    audio.packets_per_s audio.bits_per_s audio.framing_share.ms_120 audio.sequence_wraps.listeners stage.latency_ms.p99 stage.loss_ratio presence.lag_ms.p50 \
    presence.messages_per_listener_s presence.bytes_per_listener_s presence.promotion_seen_ms.max \
    probes.connected probes.frames_received probes.loss_ratio load_generator.cpu_s \
    load_generator.rss_peak_bytes load_generator.late_ticks \
    by_node by_region.eu.loss_ratio sessions.lost sessions.resumed sessions.anew sessions.media_renewed sessions.away_ms.p99 config.urls";

fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, name| value.get(name))
}

#[test]
fn the_json_has_every_field_that_was_promised() {
    let report = sample().value();
    for path in PROMISED.split_whitespace() {
        assert!(lookup(&report, path).is_some(), "{path}");
    }
    for field in ["node", "role", "cpu_s", "rss_peak_bytes", "cpu_us_per_packet", "packets"] {
        assert!(!report["nodes"][0][field].is_null(), "{field}");
    }
    for field in ["node", "role", "region", "listeners", "frames_expected", "frames_received", "frames_lost"]
    {
        assert!(!report["by_node"][0][field].is_null(), "{field}");
    }
    assert!(!report["by_node"][0]["longest_gap_ms"]["p95"].is_null());
    assert_eq!(report["schema"], 1);
}

#[test]
fn a_report_can_be_read_back() {
    let report = sample();
    let read: Report = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(
        (&read.config, &read.nodes[0].node, read.started),
        (&report.config, &report.nodes[0].node, report.started)
    );
    assert_eq!((read.listeners, read.timeline.len()), (report.listeners, report.timeline.len()));
}

#[test]
fn the_key_is_in_no_report() {
    let mut options = options();
    options.signer = "town-hall-key".into();
    assert!(!Report::new(BUILD, &options, &figures()).json().contains("town-hall-key"));
}

#[test]
fn what_was_not_measured_is_null() {
    let mut figures = figures();
    figures.first_audio = Histogram::default();
    figures.stage = Default::default();
    let report = Report::new(BUILD, &options(), &figures).value();
    assert!(lookup(&report, "first_audio_ms.p99").unwrap().is_null());
    assert!(lookup(&report, "stage.loss_ratio").unwrap().is_null());
    assert!(lookup(&report, "reconnect").unwrap().is_null());
}

#[test]
fn microseconds_become_milliseconds_and_counts_become_shares() {
    let mut figures = figures();
    figures.connected.clear();
    figures.connected.record_many(250, 4);
    (figures.audio.frames_expected, figures.audio.frames_lost) = (1_000, 5);
    figures.audio.packets_by_framing = [1, 3, 0];
    let report = Report::new(BUILD, &options(), &figures);
    assert_eq!((report.join_ms.p50, report.join_ms.max), (Some(0.25), Some(0.25)));
    assert_eq!(report.distributions.join_ms.0, [(0.25, 4)]);
    assert_eq!(report.audio.loss_ratio, Some(0.005));
    let FramingShare { ms_20, ms_60, ms_120 } = report.audio.framing_share;
    assert_eq!([ms_20, ms_60, ms_120], [Some(0.25), Some(0.75), Some(0.0)]);
}

#[test]
fn a_second_without_a_reading_and_the_leaving_at_the_end_are_not_in_the_timeline() {
    let mut figures = figures();
    figures.seconds[3].node_rss_bytes = 0;
    figures.wall_s = 10.7;
    let timeline = Report::new(BUILD, &options(), &figures).timeline;
    assert_eq!(timeline.len(), 10);
    assert_eq!((timeline[3].server_cores, timeline[3].server_rss_bytes), (None, None));
    assert!(timeline[4].server_cores.is_some());
}

#[test]
fn of_a_reconnect_those_who_never_came_back_are_the_slowest() {
    let mut hears_again = Histogram::default();
    hears_again.record_many(200, 98);
    let storm = |cut, connected| {
        Reconnect::from(&crate::figures::Reconnect { cut, connected, hears_again: hears_again.clone() })
    };
    let some_missing = storm(100, 98);
    assert_eq!((some_missing.p50_ms, some_missing.p99_ms, some_missing.all_ms), (Some(0.2), None, None));
    let some_hear_nothing = storm(100, 100);
    assert_eq!((some_hear_nothing.connected, some_hear_nothing.back), (100, 98));
    assert_eq!(some_hear_nothing.all_ms, None, "whoever is connected and hears nothing is not back");
    assert_eq!(storm(98, 98).all_ms, Some(0.2));
}

#[test]
fn garbage_is_told_where_there_was_any() {
    let mut figures = figures();
    assert_eq!(Report::new(BUILD, &options(), &figures).garbage, None);
    figures.garbage = Some(crate::figures::Garbage { sent: 3_000_000, answers: 2, seconds: 60.0 });
    let garbage = Report::new(BUILD, &options(), &figures).garbage.unwrap();
    assert_eq!((garbage.per_s, garbage.answers), (50_000.0, 2));
}

#[test]
fn the_run_fails_when_one_condition_does() {
    let mut options = options();
    assert!(Report::new(BUILD, &options, &figures()).holds());
    options.require.push("listeners.joined>10000".parse().unwrap());
    let report = Report::new(BUILD, &options, &figures());
    assert!(!report.holds());
    assert_eq!(report.requirements[2].value, Some(10_000.0));
}

#[test]
fn both_files_are_written() {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/report-sample"));
    sample().write(directory).unwrap();
    assert!(std::fs::read_to_string(directory.join("report.json")).unwrap().starts_with('{'));
    assert!(std::fs::read_to_string(directory.join("report.html")).unwrap().starts_with("<!doctype html>"));
}

#[test]
fn a_report_that_cannot_be_written_says_where() {
    let error = sample().write(Path::new("/proc/nowhere")).unwrap_err();
    assert!(format!("{error:#}").contains("/proc/nowhere"));
}
