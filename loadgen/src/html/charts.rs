//! Which plots a page has, and what each one says.

use std::fmt::{self, Display, Formatter};

use super::plot::{Bars, Line, OverTime};
use crate::report::number::{bytes, count, figure, percent, short};
use crate::report::{Distribution, Percentiles, Report, Second};

/// Most points of a line: a longer run is drawn with several seconds for each.
const POINTS: usize = 200;

/// Some plots that belong together.
pub(super) struct Section {
    title: &'static str,
    charts: Vec<Chart>,
}

/// One plot with its words.
struct Chart {
    title: &'static str,
    caption: String,
    /// Names of what it shows, with their colours.
    legend: Vec<(&'static str, &'static str)>,
    svg: String,
    /// Whether there is nothing to see: a run without listeners, say.
    empty: bool,
}

/// All plots of a report.
pub(super) fn all(report: &Report) -> [Section; 3] {
    let time = Time::new(report);
    [
        Section { title: "Getting in", charts: getting_in(report, &time) },
        Section { title: "What they heard", charts: heard(report, &time) },
        Section { title: "What it took", charts: took(report, &time) },
    ]
}

impl Display for Section {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut charts = self.charts.iter().filter(|chart| !chart.empty).peekable();
        if charts.peek().is_none() {
            return Ok(());
        }
        write!(f, "<h2>{}</h2><div class=\"plots\">", self.title)?;
        charts.try_for_each(|chart| chart.fmt(f))?;
        f.write_str("</div>")
    }
}

impl Display for Chart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<figure class=\"card\"><h3>{}</h3><div class=\"legend\">", self.title)?;
        for (name, colour) in &self.legend {
            write!(f, "<span><i class=\"{colour}\"></i>{name}</span>")?;
        }
        writeln!(f, "</div>{}<figcaption>{}</figcaption></figure>", self.svg, self.caption)
    }
}

/// The run, cut into as many points as a line can show.
struct Time<'a> {
    points: Vec<&'a [Second]>,
    at: Vec<f64>,
    marks: Vec<(f64, String)>,
}

impl<'a> Time<'a> {
    fn new(report: &'a Report) -> Self {
        let per_point = report.timeline.len().div_ceil(POINTS).max(1);
        let points: Vec<_> = report.timeline.chunks(per_point).collect();
        let at = points.iter().filter_map(|point| point.last()).map(|second| second.at_s as f64).collect();
        Self { points, at, marks: marks(report) }
    }

    /// The greatest of a point's seconds: a line that flattered by averaging would hide what went wrong.
    fn worst(&self, name: &'static str, colour: &'static str, of: impl Fn(&Second) -> Option<f64>) -> Line {
        self.line(name, colour, |point| point.iter().filter_map(&of).reduce(f64::max))
    }

    /// The mean of a point's seconds.
    fn mean(&self, name: &'static str, colour: &'static str, of: impl Fn(&Second) -> Option<f64>) -> Line {
        self.line(name, colour, |point| {
            let known: Vec<f64> = point.iter().filter_map(&of).collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        })
    }

    fn line(&self, name: &'static str, colour: &'static str, of: impl Fn(&[Second]) -> Option<f64>) -> Line {
        Line { name, colour, values: self.points.iter().map(|point| of(point)).collect() }
    }

    fn chart(&self, title: &'static str, lines: Vec<Line>, write: fn(f64) -> String, at_least: f64) -> Chart {
        let legend: Vec<_> = lines.iter().map(|line| (line.name, line.colour)).collect();
        let empty = lines.iter().all(|line| line.values.iter().flatten().all(|&value| value == 0.0));
        let plot = OverTime { at: &self.at, lines, marks: &self.marks, write, at_least };
        Chart { title, caption: String::new(), legend, svg: plot.to_string(), empty }
    }
}

impl Chart {
    /// Where there was something to lose, a line along the bottom is what one wants to see.
    fn even_if_nothing(self, of: u64) -> Self {
        Self { empty: of == 0, ..self }
    }

    /// Says what it shows, before what it leaves out.
    fn with(mut self, caption: impl AsRef<str>) -> Self {
        self.caption.insert_str(0, caption.as_ref());
        self
    }
}

/// The moments that every plot over time shows.
fn marks(report: &Report) -> Vec<(f64, String)> {
    let everybody_in = report.wall_s - report.steady_s;
    let ramped =
        (report.steady_s > 0.0 && everybody_in >= 1.0).then(|| (everybody_in, "everybody is in".to_owned()));
    let cut = report.config.reconnect_at_s.map(|at| (everybody_in + at, "everybody is cut off".to_owned()));
    ramped.into_iter().chain(cut).collect()
}

fn getting_in(report: &Report, time: &Time<'_>) -> Vec<Chart> {
    let listeners = time.worst("listeners", "one", |second| Some(second.listeners as f64));
    let joins = time.mean("joins", "two", |second| Some(second.joined as f64));
    let rate = figure(report.listeners.joins_per_s);
    let distributions = &report.distributions;
    vec![
        time.chart("Listeners", vec![listeners], whole, 5.0)
            .with(format!("In the room, with media connected. They came at {rate} per second.")),
        time.chart("Joins per second", vec![joins], whole, 5.0)
            .with("Joins that succeeded, reconnects and churn included."),
        bars("Time to join", &distributions.join_ms, &report.join_ms, "listeners")
            .with("From opening the WebSocket to the end of the DTLS handshake."),
        bars("Time to first audio", &distributions.first_audio_ms, &report.first_audio_ms, "listeners")
            .with("From joining, or from the first sound after that, to the first frame heard."),
    ]
}

fn heard(report: &Report, time: &Time<'_>) -> Vec<Chart> {
    let latency = vec![
        time.worst("slowest frame", "three", |second| second.latency_max_ms),
        time.worst("p99", "two", |second| second.latency_p99_ms),
        time.mean("p50", "one", |second| second.latency_p50_ms),
    ];
    let lost = time.line("lost", "loss", loss);
    let gap = time.worst("longest gap of any listener", "two", |second| second.longest_gap_ms);
    let (audio, stage, distributions) = (&report.audio, &report.stage, &report.distributions);
    vec![
        time.chart("Latency over time", latency, ms, 10.0)
            .with("Of each 20 ms frame, from the speaker's send to the listener's arrival."),
        bars("Latency of all frames", &distributions.latency_ms, &audio.latency_ms, "frames")
            .with("What framing holds back is in it."),
        time.chart("Loss over time", vec![lost], share, 0.001).even_if_nothing(audio.frames_expected).with(format!(
            "Frames that never came or came more than 500 ms late, of those that should have been heard: {} in all.",
            percent(audio.loss_ratio)
        )),
        time.chart("Longest gap over time", vec![gap], ms, 20.0)
            .with("The longest wait for the next frame, pauses of the speakers left out."),
        bars("Longest gap of each listener", &distributions.longest_gap_ms, &audio.longest_gap_ms, "listeners")
            .with("In the whole run."),
        bars("Latency on stage", &distributions.stage_latency_ms, &stage.latency_ms, "frames")
            .with("Speakers hearing speakers: no framing holds anything back."),
    ]
}

fn took(report: &Report, time: &Time<'_>) -> Vec<Chart> {
    let packets = time.mean("packets", "one", |second| Some(second.packets as f64));
    let traffic = time.mean("traffic", "one", |second| Some(second.bits as f64));
    let cores = vec![
        time.mean("server", "one", |second| second.server_cores),
        time.mean("load generator", "three", |second| Some(second.generator_cores)),
    ];
    let memory = time.worst("server", "one", |second| second.server_rss_bytes.map(|bytes| bytes as f64));
    let unknown =
        if report.nodes.is_empty() { " The server's is unknown: no metrics were read." } else { "" };
    vec![
        time.chart("Packets per second", vec![packets], whole, 5.0).with("As they arrived at the listeners."),
        time.chart("Traffic", vec![traffic], bits, 1e3).with("UDP payload as it arrived at the listeners."),
        time.chart("CPU", cores, figure, 0.1).with(format!("In cores.{unknown}")),
        time.chart("Server memory", vec![memory], size, 1e6).with("Resident, all nodes together."),
    ]
}

/// Lost of expected in a point's seconds.
fn loss(point: &[Second]) -> Option<f64> {
    let lost: u64 = point.iter().map(|second| second.frames_lost).sum();
    let expected = lost + point.iter().map(|second| second.frames_received).sum::<u64>();
    (expected > 0).then(|| lost as f64 / expected as f64)
}

fn bars(
    title: &'static str,
    distribution: &Distribution,
    percentiles: &Percentiles,
    of: &'static str,
) -> Chart {
    let bars = Bars { distribution, percentiles, of, colour: "one", write: ms };
    let caption = bars.beyond().map_or_else(String::new, |beyond| format!(" {beyond}."));
    let empty = distribution.0.is_empty();
    Chart { title, caption, legend: vec![(of, "one")], svg: bars.to_string(), empty }
}

fn ms(value: f64) -> String {
    match value {
        10_000.0.. => format!("{} s", trimmed(value / 1_000.0)),
        _ => format!("{} ms", trimmed(value)),
    }
}

/// Without the zeros at the end that say nothing on an axis.
fn trimmed(value: f64) -> String {
    let text = figure(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

fn whole(value: f64) -> String {
    count(value.round() as u64)
}

fn share(value: f64) -> String {
    percent(Some(value))
}

fn bits(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        1e9.. => format!("{} Gbit/s", short(value / 1e9)),
        _ => format!("{} Mbit/s", short(value / 1e6)),
    }
}

fn size(value: f64) -> String {
    bytes(value as u64)
}
