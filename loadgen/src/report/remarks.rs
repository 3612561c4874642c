//! What the reader of a report must know to read its figures rightly, in words.
//!
//! A report that flatters is worth nothing: whatever makes a figure doubtful is said here, first of all
//! where the generator itself is to blame.

use serde::{Deserialize, Serialize};

use super::number::{count, figure, percent};
use super::{Audio, Probes, Report};

/// Probes and light listeners agree when their shares of lost frames differ by no more than this…
const RATIO_APART: f64 = 0.001;

/// …or by no more frames than two packets at 60 ms framing: a short run has no finer measure.
const FRAMES_APART: f64 = 6.0;

/// From this share of late ticks on, the machine is too busy for the run.
const MANY_LATE: f64 = 0.01;

/// From this wait of a handshake on, in ms, the times of joining are the generator's as much as the server's.
const LONG_WAIT: f64 = 250.0;

/// One thing to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remark {
    /// Whether it puts figures in doubt.
    pub doubt: bool,
    /// What there is to know.
    pub text: String,
}

/// Whether the independent check comes to the same; none without both.
pub(super) fn probes_agree(audio: &Audio, probes: &Probes) -> Option<bool> {
    if probes.requested == 0 {
        return None;
    }
    let (light, theirs) = (audio.loss_ratio?, probes.loss_ratio.unwrap_or(1.0));
    let apart = (light - theirs).abs();
    let near = apart <= RATIO_APART || apart * probes.frames_expected as f64 <= FRAMES_APART;
    Some(near && probes.connected == probes.requested)
}

/// All there is to know about a report, doubts first.
pub(super) fn of(report: &Report) -> Vec<Remark> {
    let doubts = [
        probes_disagree(report),
        missing(report),
        failures(report),
        dropped(report),
        not_back(report),
        away(report),
        strange(report),
        presence_gaps(report),
        late(report),
        socket_drops(report),
        handshakes(report),
        (!report.machine.optimised).then(|| {
            "The generator was built without optimisation: its times and its CPU say little. Build with --release.".into()
        }),
    ];
    let notes = [
        no_probes(report),
        (report.config.is_local()).then(|| {
            "Server and generator shared this machine, its cores and its loopback: each delayed the other, \
             and no real network is in the figures."
                .into()
        }),
        (report.nodes.is_empty()).then(|| {
            "No node's metrics were read, so the server's CPU and memory are unknown. Give --metrics to see them.".into()
        }),
    ];
    let of_kind = |doubt, texts: Vec<Option<String>>| {
        texts.into_iter().flatten().map(move |text| Remark { doubt, text })
    };
    of_kind(true, doubts.into()).chain(of_kind(false, notes.into())).collect()
}

fn probes_disagree(report: &Report) -> Option<String> {
    let Probes { requested, connected, .. } = report.probes;
    (report.probes.agree == Some(false)).then(|| {
        format!(
            "The probes do not agree with the light listeners: {connected} of {requested} connected and lost {}, \
             while the light ones lost {}. Trust neither before you know why.",
            percent(report.probes.loss_ratio),
            percent(report.audio.loss_ratio),
        )
    })
}

fn no_probes(report: &Report) -> Option<String> {
    (report.probes.requested == 0)
        .then(|| "There were no probes: nothing independent confirms what the listeners heard.".into())
}

fn missing(report: &Report) -> Option<String> {
    let requested = report.listeners.requested;
    let missing = requested.saturating_sub(report.listeners.joined);
    (missing > 0).then(|| {
        format!("{missing} of {requested} listeners never came in: the load was smaller than asked for.")
    })
}

fn failures(report: &Report) -> Option<String> {
    let codes: Vec<String> = report.failures.iter().map(|(code, times)| format!("{code} {times}×")).collect();
    (!codes.is_empty()).then(|| format!("What failed in the run: {}.", codes.join(", ")))
}

fn dropped(report: &Report) -> Option<String> {
    let dropped = report.listeners.dropped;
    (dropped > 0)
        .then(|| format!("{dropped} listeners were in and lost their place without having asked for it."))
}

fn not_back(report: &Report) -> Option<String> {
    let storm = report.reconnect.as_ref()?;
    let missing = storm.cut.saturating_sub(storm.back);
    (missing > 0).then(|| format!("{missing} of {} who were cut off did not hear again.", storm.cut))
}

fn away(report: &Report) -> Option<String> {
    let sessions = &report.sessions;
    let away = sessions.lost.saturating_sub(sessions.resumed + sessions.anew);
    (sessions.lost > 0).then(|| {
        format!("{} listeners' WebSockets ended by themselves; {away} did not come back.", sessions.lost)
    })
}

fn strange(report: &Report) -> Option<String> {
    let sum = |of: fn(&Audio) -> u64| of(&report.audio) + of(&report.stage);
    let (sealed, unknown) = (sum(|audio| audio.undecryptable), sum(|audio| audio.frames_unknown));
    (sealed + unknown > 0).then(|| {
        format!("{sealed} packets could not be decrypted, and {unknown} frames were heard that nobody sent.")
    })
}

fn presence_gaps(report: &Report) -> Option<String> {
    let gaps = report.presence.gaps;
    (gaps > 0).then(|| {
        format!("{gaps} presence messages did not follow on the one before: somebody missed a change.")
    })
}

fn late(report: &Report) -> Option<String> {
    let generator = &report.load_generator;
    let share = generator.late_ticks as f64 / generator.ticks.max(1) as f64;
    (share >= MANY_LATE).then(|| {
        format!(
            "{} of the speakers' ticks came late by the generator's own fault. That is not charged to the server, \
             but the machine is too busy for this run.",
            percent(Some(share)),
        )
    })
}

fn socket_drops(report: &Report) -> Option<String> {
    let drops = report.load_generator.socket_drops;
    (drops > 0).then(|| {
        format!(
            "The generator's own sockets dropped {drops} packets that the server had sent: part of the loss is its \
             own. Raise net.core.rmem_max, or give it more cores."
        )
    })
}

fn handshakes(report: &Report) -> Option<String> {
    let generator = &report.load_generator;
    let (waited, drops) = (generator.handshake_wait_max_ms, generator.handshake_drops);
    (waited >= LONG_WAIT || drops > 0).then(|| {
        format!(
            "Handshakes waited up to {} ms for the generator's own CPU, {} of their steps at a time, and {drops} \
             were lost for that: so much of the times of joining is its own.",
            figure(waited),
            count(generator.handshake_backlog_max),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Reconnect;
    use crate::report::sample::sample;

    fn texts(report: &Report, doubt: bool) -> Vec<String> {
        of(report).into_iter().filter(|remark| remark.doubt == doubt).map(|remark| remark.text).collect()
    }

    fn probes(connected: u64, expected: u64, lost: u64) -> Probes {
        let loss_ratio = Some(lost as f64 / expected as f64);
        Probes {
            requested: 2,
            connected,
            frames_expected: expected,
            frames_received: expected - lost,
            loss_ratio,
            agree: None,
        }
    }

    fn audio(loss_ratio: f64) -> Audio {
        Audio { loss_ratio: Some(loss_ratio), ..Audio::default() }
    }

    #[test]
    fn probes_who_hear_the_same_agree() {
        assert_eq!(probes_agree(&audio(0.0), &probes(2, 6_000, 3)), Some(true));
        assert_eq!(probes_agree(&audio(0.05), &probes(2, 6_000, 303)), Some(true));
        assert_eq!(probes_agree(&audio(0.0), &probes(2, 400, 6)), Some(true));
    }

    #[test]
    fn probes_who_lose_more_or_less_or_are_missing_disagree() {
        assert_eq!(probes_agree(&audio(0.0), &probes(2, 6_000, 60)), Some(false));
        assert_eq!(probes_agree(&audio(0.05), &probes(2, 6_000, 0)), Some(false));
        assert_eq!(probes_agree(&audio(0.0), &probes(1, 6_000, 0)), Some(false));
        assert_eq!(probes_agree(&audio(0.0), &Probes::default()), None);
    }

    #[test]
    fn a_good_run_leaves_no_doubt() {
        assert_eq!(texts(&sample(), true), Vec::<String>::new());
        assert!(texts(&sample(), false).iter().any(|text| text.contains("shared this machine")));
    }

    #[test]
    fn whatever_is_doubtful_is_said() {
        let mut report = sample();
        report.probes.agree = Some(false);
        report.listeners.joined = 9_990;
        report.failures = [("ice_timeout".to_owned(), 10)].into();
        report.listeners.dropped = 1;
        report.reconnect = Some(Reconnect { cut: 10, back: 9, ..Reconnect::default() });
        report.sessions.lost = 3;
        report.audio.undecryptable = 5;
        report.presence.gaps = 1;
        report.load_generator.late_ticks = report.load_generator.ticks / 50;
        report.load_generator.socket_drops = 7;
        report.load_generator.handshake_wait_max_ms = 1_250.0;
        report.machine.optimised = false;
        let doubts = texts(&report, true);
        assert_eq!(doubts.len(), 12, "{doubts:#?}");
        assert!(doubts[0].contains("do not agree"));
        assert!(doubts[1].contains("10 of 10000") && doubts[2].contains("ice_timeout 10×"));
    }

    #[test]
    fn what_nobody_looked_at_is_said() {
        let mut report = sample();
        report.nodes.clear();
        report.probes = Probes::default();
        let notes = texts(&report, false).join(" ");
        assert!(notes.contains("--metrics") && notes.contains("no probes"));
    }
}
