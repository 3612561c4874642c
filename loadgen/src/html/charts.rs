//! Which plots a page has, and what each one says.

use std::fmt::{self, Display, Formatter};

use super::plot::{Bars, Line, OverTime};
use crate::report::number::{bytes, count, figure, percent, short};
use crate::report::{Percentiles, Report, Second};

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
    /// Names of its lines with their colours, where there are several.
    legend: Vec<(&'static str, &'static str)>,
    svg: String,
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
        write!(f, "<h2>{}</h2><div class=\"plots\">", self.title)?;
        self.charts.iter().try_for_each(|chart| chart.fmt(f))?;
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
        let plot = OverTime { at: &self.at, lines, marks: &self.marks, write, at_least };
        Chart { title, caption: String::new(), legend, svg: plot.to_string() }
    }
}

impl Chart {
    fn with(self, caption: impl Into<String>) -> Self {
        Self { caption: caption.into(), ..self }
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
    let [join, first_audio] = [&report.distributions.join_ms, &report.distributions.first_audio_ms];
    vec![
        time.chart(
            "Listeners",
            vec![time.worst("listeners", "one", |second| Some(second.listeners as f64))],
            whole,
            1.0,
        )
        .with(format!(
            "In the room, with media connected. {} joins per second.",
            figure(report.listeners.joins_per_s)
        )),
        time.chart(
            "Joins per second",
            vec![time.mean("joins", "two", |second| Some(second.joined as f64))],
            whole,
            1.0,
        )
        .with("Joins that succeeded, reconnects and churn included."),
        bars(
            "Time to join",
            "From opening the WebSocket to the end of the DTLS handshake",
            Bars {
                distribution: join,
                percentiles: &report.join_ms,
                of: "listeners",
                colour: "one",
                write: ms,
            },
        ),
        bars(
            "Time to first audio",
            "From joining, or from the first sound after that, to the first frame heard",
            Bars {
                distribution: first_audio,
                percentiles: &report.first_audio_ms,
                of: "listeners",
                colour: "one",
                write: ms,
            },
        ),
    ]
}

fn heard(report: &Report, time: &Time<'_>) -> Vec<Chart> {
    let latency = vec![
        time.worst("slowest frame", "three", |second| second.latency_max_ms),
        time.worst("p99", "two", |second| second.latency_p99_ms),
        time.mean("p50", "one", |second| second.latency_p50_ms),
    ];
    let distributions = &report.distributions;
    let frames = Bars {
        distribution: &distributions.latency_ms,
        percentiles: &report.audio.latency_ms,
        of: "frames",
        colour: "one",
        write: ms,
    };
    let gaps = Bars {
        distribution: &distributions.longest_gap_ms,
        percentiles: &report.audio.longest_gap_ms,
        of: "listeners",
        colour: "one",
        write: ms,
    };
    vec![
        time.chart("Latency over time", latency, ms, 10.0)
            .with("Of each 20 ms frame, from the speaker's send to the listener's arrival."),
        bars("Latency of all frames", "What framing holds back is in it", frames),
        time.chart("Loss over time", vec![time.line("lost", "loss", loss)], share, 0.001).with(format!(
            "Frames that never came or came later than 500 ms, of those that should have been heard: {} in all.",
            percent(report.audio.loss_ratio)
        )),
        time.chart("Longest gap over time", vec![time.worst("gap", "two", |second| second.longest_gap_ms)], ms, 20.0)
            .with("The longest time that any listener waited for the next frame, pauses of the speakers left out."),
        bars("Longest gap of each listener", "In the whole run", gaps),
    ]
}

fn took(report: &Report, time: &Time<'_>) -> Vec<Chart> {
    let cores = vec![
        time.mean("server", "one", |second| second.server_cores),
        time.mean("load generator", "three", |second| Some(second.generator_cores)),
    ];
    let memory =
        vec![time.worst("server", "one", |second| second.server_rss_bytes.map(|bytes| bytes as f64))];
    let server = if report.nodes.is_empty() { " The server's is unknown: no metrics were read." } else { "" };
    vec![
        time.chart(
            "Packets per second",
            vec![time.mean("packets", "one", |second| Some(second.packets as f64))],
            whole,
            1.0,
        )
        .with("As they arrived at the listeners."),
        time.chart(
            "Traffic",
            vec![time.mean("traffic", "one", |second| Some(second.bits as f64))],
            bits,
            1e3,
        )
        .with("UDP payload as it arrived at the listeners."),
        time.chart("CPU", cores, figure, 0.1).with(format!("In cores.{server}")),
        time.chart("Server memory", memory, size, 1e6).with(format!("Resident, all nodes together.{server}")),
    ]
}

/// Lost of expected in a point's seconds.
fn loss(point: &[Second]) -> Option<f64> {
    let lost: u64 = point.iter().map(|second| second.frames_lost).sum();
    let expected = lost + point.iter().map(|second| second.frames_received).sum::<u64>();
    (expected > 0).then(|| lost as f64 / expected as f64)
}

fn bars(title: &'static str, what: &str, bars: Bars<'_>) -> Chart {
    let beyond = bars.beyond().map_or_else(String::new, |beyond| format!(" {beyond}."));
    let caption = match bars.percentiles {
        Percentiles { max: None, .. } => "Nothing was measured.".into(),
        _ => format!("{what}.{beyond}"),
    };
    Chart { title, caption, legend: vec![(bars.of, bars.colour)], svg: bars.to_string() }
}

fn ms(value: f64) -> String {
    match value {
        0.0 => "0 ms".into(),
        10_000.0.. => format!("{} s", figure(value / 1_000.0)),
        1_000.0.. => format!("{} ms", figure(value)),
        _ => format!("{} ms", short(value)),
    }
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
