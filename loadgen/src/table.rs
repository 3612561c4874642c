//! A report for the terminal: a line while it runs, a table when it is done.

use std::fmt::{self, Display, Write};

use crate::report::number::{bytes, count, figure, measured, percent, short};
use crate::report::{Audio, Percentiles, Report};

/// Where a run is, for the line that shows progress.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Seconds since the first join.
    pub at_s: f64,
    /// Listeners who are in.
    pub connected: u64,
    /// Listeners who are to be in.
    pub wanted: u64,
    /// Joins that failed so far.
    pub failed: u64,
    /// Packets in the last second.
    pub packets_per_s: u64,
    /// Latency of the last second's frames, 99 in 100.
    pub latency_p99_us: u64,
    /// Packets missing so far, by their sequence numbers.
    pub packets_missing: u64,
    /// What is going on, in a word.
    pub phase: &'static str,
}

/// The line that shows progress, without a line break.
pub fn progress(now: &Progress) -> String {
    let mut line =
        format!("{:>5.0} s  {:<10}  {}/{} in", now.at_s, now.phase, count(now.connected), count(now.wanted));
    if now.failed > 0 {
        line += &format!(", {} failed", count(now.failed));
    }
    line += &format!("  {} packets/s", count(now.packets_per_s));
    line += &format!("  p99 {} ms", figure(now.latency_p99_us as f64 / 1_000.0));
    line + &format!("  {} missing", count(now.packets_missing))
}

/// The whole table.
pub fn table(report: &Report) -> String {
    Table(report).to_string()
}

struct Table<'a>(&'a Report);

impl Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        listeners(f, report)?;
        writeln!(f, "\n  {:<22}{:>10}{:>10}{:>10}{:>10}", "ms", "p50", "p95", "p99", "max")?;
        for (name, row) in rows(report) {
            percentiles(f, name, row)?;
        }
        f.write_char('\n')?;
        audio(f, "listeners heard", &report.audio)?;
        audio(f, "speakers heard", &report.stage)?;
        by_node(f, report)?;
        probes(f, report)?;
        sessions(f, report)?;
        reconnect(f, report)?;
        garbage(f, report)?;
        f.write_char('\n')?;
        usage(f, report)?;
        verdict(f, report)
    }
}

/// The rows of percentiles, in the order in which a listener lives through them.
pub(crate) fn rows(report: &Report) -> [(&'static str, &Percentiles); 8] {
    [
        ("join", &report.join_ms),
        ("first audio", &report.first_audio_ms),
        ("latency", &report.audio.latency_ms),
        ("longest gap", &report.audio.longest_gap_ms),
        ("stage latency", &report.stage.latency_ms),
        ("stage longest gap", &report.stage.longest_gap_ms),
        ("presence lag", &report.presence.lag_ms),
        ("promotion seen", &report.presence.promotion_seen_ms),
    ]
}

fn listeners(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let listeners = &report.listeners;
    writeln!(
        f,
        "\n  {} of {} listeners joined, {} per second; {} failed, {} dropped; {} s in all",
        count(listeners.joined),
        count(listeners.requested),
        figure(listeners.joins_per_s),
        count(listeners.failed),
        count(listeners.dropped),
        figure(report.wall_s),
    )?;
    if listeners.told_to_wait > 0 {
        writeln!(f, "    told to come back later: {} times", count(listeners.told_to_wait))?;
    }
    report.failures.iter().try_for_each(|(code, times)| writeln!(f, "    {code}: {}", count(*times)))
}

/// A row, unless there is nothing in it.
fn percentiles(f: &mut fmt::Formatter<'_>, name: &str, row: &Percentiles) -> fmt::Result {
    if row.max.is_none() {
        return Ok(());
    }
    let [p50, p95, p99, max] = [row.p50, row.p95, row.p99, row.max].map(measured);
    writeln!(f, "  {name:<22}{p50:>10}{p95:>10}{p99:>10}{max:>10}")
}

fn audio(f: &mut fmt::Formatter<'_>, who: &str, audio: &Audio) -> fmt::Result {
    if audio.frames_expected == 0 {
        return Ok(());
    }
    write!(f, "  {who:<22}{} frames, ", count(audio.frames_received))?;
    writeln!(f, "{} lost ({})", count(audio.frames_lost), percent(audio.loss_ratio))?;
    write!(f, "  {:<22}{} packets/s, ", "", figure(audio.packets_per_s))?;
    writeln!(
        f,
        "{} frames twice, {} packets undecryptable",
        count(audio.duplicates),
        count(audio.undecryptable)
    )?;
    framing(f, audio)
}

fn framing(f: &mut fmt::Formatter<'_>, audio: &Audio) -> fmt::Result {
    let share = audio.framing_share;
    if share.ms_20.is_none() {
        return Ok(());
    }
    let [ms_20, ms_60, ms_120] = [share.ms_20, share.ms_60, share.ms_120].map(percent);
    write!(f, "  {:<22}framing 20/60/120 ms: {ms_20}, {ms_60}, {ms_120} of packets", "")?;
    match audio.sequence_wraps.listeners {
        0 => writeln!(f),
        some => writeln!(f, "; {} past a wrap", count(some)),
    }
}

/// What was heard at each node, where there are several of a kind.
fn by_node(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let is_alone = |role: &str| report.by_node.iter().filter(|node| node.role == role).count() < 2;
    for node in report.by_node.iter().filter(|node| !is_alone(&node.role)) {
        let (heard, name) = (&node.heard, format!("at {}", node.node));
        let gap = measured(heard.longest_gap_ms.p99);
        write!(f, "  {name:<22}{} listeners, {} lost", count(heard.listeners), count(heard.frames_lost))?;
        writeln!(f, " ({}), longest gap p99 {gap} ms", percent(heard.loss_ratio))?;
    }
    Ok(())
}

fn sessions(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let sessions = &report.sessions;
    if sessions.lost == 0 {
        return Ok(());
    }
    let [lost, resumed, anew] = [sessions.lost, sessions.resumed, sessions.anew].map(count);
    let (p99, max) = (measured(sessions.away_ms.p99), measured(sessions.away_ms.max));
    write!(f, "  {:<22}{lost} ended; {resumed} resumed, {anew} came anew", "WebSockets")?;
    writeln!(f, "; away p99 {p99} ms, max {max}")
}

fn probes(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let probes = &report.probes;
    let verdict = match probes.agree {
        None => return Ok(()),
        Some(true) => "they agree",
        Some(false) => "THEY DO NOT AGREE",
    };
    let heard = format!("{} of {} probes", probes.connected, probes.requested);
    let (frames, loss) = (count(probes.frames_received), percent(probes.loss_ratio));
    writeln!(f, "  {heard:<22}{frames} frames, {loss} lost: {verdict}")
}

fn reconnect(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let Some(storm) = &report.reconnect else { return Ok(()) };
    let [half, most, all] = [storm.p50_ms, storm.p99_ms, storm.all_ms].map(measured);
    let (back, cut) = (count(storm.back), count(storm.cut));
    writeln!(
        f,
        "  {:<22}{back} of {cut} heard again: 50 % after {half} ms, 99 % {most}, all {all}",
        "reconnect"
    )
}

fn garbage(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let Some(garbage) = &report.garbage else { return Ok(()) };
    let (sent, per_s) = (count(garbage.sent), figure(garbage.per_s));
    writeln!(f, "  {:<22}{sent} datagrams, {per_s}/s; {} answered", "garbage", count(garbage.answers))
}

fn usage(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    for node in &report.nodes {
        let per_packet = measured(node.cpu_us_per_packet);
        let (cores, memory) = (figure(node.cores), bytes(node.rss_peak_bytes));
        writeln!(f, "  {:<22}{cores} cores, {memory}, {per_packet} µs per packet", node.node)?;
    }
    let generator = &report.load_generator;
    let late = percent(Some(generator.late_ticks as f64 / generator.ticks.max(1) as f64));
    let (cores, memory) = (figure(generator.cores), bytes(generator.rss_peak_bytes));
    writeln!(f, "  {:<22}{cores} cores, {memory}, {late} of ticks late", "load generator")
}

fn verdict(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    for outcome in &report.requirements {
        let word = if outcome.holds { "holds" } else { "FAILS" };
        let value = outcome.value.map_or_else(|| "nothing was measured".into(), short);
        writeln!(f, "  {word}  {} ({value})", outcome.expression)?;
    }
    for remark in &report.remarks {
        writeln!(f, "  {} {}", if remark.doubt { "!" } else { "·" }, remark.text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;
    use crate::report::{Garbage, Reconnect, Sessions};

    #[test]
    fn the_table_has_what_people_ask_first() {
        let table = table(&sample());
        println!("{table}");
        assert!(table.contains("10,000 of 10,000 listeners joined"));
        assert!(
            table.contains("at edge-2") && !table.contains("at url-1"),
            "one signaling node is all of it"
        );
        assert!(table.contains("first audio") && table.contains("they agree"));
        assert!(table.contains("holds  first_audio_ms.p99<1500"));
        assert!(!table.contains("promotion seen"), "a row without figures");
        assert!(table.contains("framing 20/60/120 ms: 2.0 %, 98.0 %, 0 % of packets"), "{table}");
    }

    #[test]
    fn no_line_of_figures_is_wider_than_a_terminal() {
        let table = table(&sample());
        let remarks = ["!", "·"];
        let figures = table.lines().filter(|line| !remarks.iter().any(|mark| line.trim().starts_with(mark)));
        figures.for_each(|line| assert!(line.chars().count() <= 100, "{line}"));
    }

    #[test]
    fn after_a_storm_it_says_who_is_back_and_when() {
        let mut report = sample();
        report.listeners.told_to_wait = 12_345;
        let (p50_ms, p99_ms) = (Some(4_200.0), Some(11_000.0));
        let storm = Reconnect { cut: 10_000, connected: 10_000, back: 9_999, p50_ms, p99_ms, all_ms: None };
        report.reconnect = Some(storm);
        let away_ms = Percentiles { p99: Some(850.0), max: Some(1_204.0), ..Percentiles::default() };
        report.sessions = Sessions { lost: 40, resumed: 39, anew: 1, media_renewed: 12, away_ms };
        report.garbage = Some(Garbage { sent: 3_000_000, per_s: 50_000.0, answers: 0 });
        let table = table(&report);
        assert!(table.contains("3,000,000 datagrams, 50,000/s; 0 answered"), "{table}");
        assert!(table.contains("40 ended; 39 resumed, 1 came anew; away p99 850 ms, max 1,204"), "{table}");
        assert!(table.contains("told to come back later: 12,345 times"));
        assert!(
            table.contains("9,999 of 10,000 heard again: 50 % after 4,200 ms, 99 % 11,000, all –"),
            "{table}"
        );
    }

    #[test]
    fn what_is_wrong_is_not_overlooked() {
        let mut report = sample();
        report.probes.agree = Some(false);
        report.requirements[0].holds = false;
        report.failures.insert("ice_timeout".into(), 3);
        let table = table(&report);
        assert!(
            table.contains("THEY DO NOT AGREE")
                && table.contains("FAILS")
                && table.contains("ice_timeout: 3")
        );
    }

    #[test]
    fn progress_is_one_line() {
        let now = Progress {
            at_s: 12.0,
            phase: "joining",
            connected: 3_600,
            wanted: 10_000,
            latency_p99_us: 71_300,
            ..Progress::default()
        };
        assert_eq!(
            progress(&now),
            "   12 s  joining     3,600/10,000 in  0 packets/s  p99 71.3 ms  0 missing"
        );
    }
}
