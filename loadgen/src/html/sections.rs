//! The parts of a page that are words and tables.

use std::fmt::{self, Display, Formatter};

use super::escape;
use crate::report::number::{bytes, count, figure, measured, percent, short};
use crate::report::{Audio, Node, Report};
use crate::table;

/// What a run was, in a line.
pub(super) fn title(report: &Report) -> String {
    let config = &report.config;
    let (listeners, speakers) = (count(config.listeners.into()), count(config.speakers.into()));
    let rooms =
        if config.rooms > 1 { format!("{} rooms of ", count(config.rooms.into())) } else { String::new() };
    let talk = match config.talk.as_str() {
        "conversation" => "in conversation",
        "monologue" => "in a monologue",
        "turns" => "taking turns",
        "all" => "all at once",
        _ => "",
    };
    format!("{rooms}{listeners} listeners, {speakers} speakers {talk}")
}

/// Title, conditions, doubts.
pub(super) struct Head<'a>(pub(super) &'a Report);

impl Display for Head<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(f, "<h1>{}</h1>", escape(&title(report)))?;
        write!(
            f,
            "<p class=\"soft\">{} · {} s, {} s of them with everybody in · Dais {} ({})</p>",
            escape(&report.started),
            short(report.wall_s.round()),
            short(report.steady_s.round()),
            escape(&report.version),
            escape(&report.commit)
        )?;
        self.verdicts(f)?;
        self.doubts(f)
    }
}

impl Head<'_> {
    fn verdicts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<div class=\"verdicts\">")?;
        for outcome in &self.0.requirements {
            let (class, sign) = if outcome.holds { ("holds", "✓") } else { ("fails", "✗") };
            let value = outcome.value.map_or_else(|| "nothing measured".into(), short);
            let expression = escape(&outcome.expression);
            write!(
                f,
                "<span class=\"verdict {class}\"><b>{sign}</b> {expression} <span class=\"soft\">{value}</span></span>"
            )?;
        }
        f.write_str("</div>")
    }

    fn doubts(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut doubts = self.0.remarks.iter().filter(|remark| remark.doubt).peekable();
        if doubts.peek().is_none() {
            return Ok(());
        }
        f.write_str("<ul class=\"doubts\">")?;
        doubts.try_for_each(|doubt| write!(f, "<li>{}</li>", escape(&doubt.text)))?;
        f.write_str("</ul>")
    }
}

/// What people ask first, in large figures.
pub(super) struct Tiles<'a>(pub(super) &'a Report);

impl Display for Tiles<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let (listeners, audio) = (&report.listeners, &report.audio);
        f.write_str("<div class=\"tiles\">")?;
        let missing = listeners.joined < listeners.requested;
        let of = format!("of {}, {} per second", count(listeners.requested), figure(listeners.joins_per_s));
        tile(f, "Joined", &count(listeners.joined), &of, missing)?;
        let lost = format!("{} of {} frames", count(audio.frames_lost), count(audio.frames_expected));
        tile(
            f,
            "Lost",
            &percent(audio.loss_ratio),
            &lost,
            audio.loss_ratio.is_some_and(|ratio| ratio > 0.001),
        )?;
        let latency = format!("p99 {} ms", measured(audio.latency_ms.p99));
        tile(f, "Latency", &with_unit(audio.latency_ms.p50, "ms"), &latency, false)?;
        let first = format!("p99 {} ms", measured(report.first_audio_ms.p99));
        tile(f, "First audio", &with_unit(report.first_audio_ms.p50, "ms"), &first, false)?;
        let traffic = format!("packets per second, {} Mbit/s", figure(audio.bits_per_s / 1e6));
        tile(f, "Traffic", &count(audio.packets_per_s.round() as u64), &traffic, false)?;
        self.server(f)?;
        self.reconnect(f)?;
        self.garbage(f)?;
        f.write_str("</div>")
    }
}

impl Tiles<'_> {
    fn server(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let nodes = &self.0.nodes;
        if nodes.is_empty() {
            return Ok(());
        }
        let cores: f64 = nodes.iter().map(|node| node.cores).sum();
        let memory: u64 = nodes.iter().map(|node| node.rss_peak_bytes).sum();
        tile(f, "Server", &figure(cores), &format!("cores; {} at most", bytes(memory)), false)
    }

    fn garbage(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(garbage) = &self.0.garbage else { return Ok(()) };
        let text = format!("datagrams per second from strangers, {} answered", count(garbage.answers));
        tile(f, "Garbage", &count(garbage.per_s.round() as u64), &text, garbage.answers > 0)
    }

    fn reconnect(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(storm) = &self.0.reconnect else { return Ok(()) };
        let [p50, p99, all] = [storm.p50_ms, storm.p99_ms, storm.all_ms].map(measured);
        let text = format!("of {} cut off; half in {p50} ms, 99 % in {p99}, all in {all}", count(storm.cut));
        tile(f, "Back again", &count(storm.back), &text, storm.back < storm.cut)
    }
}

fn tile(f: &mut Formatter<'_>, name: &str, value: &str, more: &str, bad: bool) -> fmt::Result {
    let class = if bad { " class=\"bad\"" } else { "" };
    write!(
        f,
        "<div class=\"card tile\"><span class=\"name\">{name}</span><b{class}>{value}</b><span>{more}</span></div>"
    )
}

fn with_unit(value: Option<f64>, unit: &str) -> String {
    format!("{} {unit}", measured(value))
}

/// All figures, as tables.
pub(super) struct Figures<'a>(pub(super) &'a Report);

impl Display for Figures<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<h2>All figures</h2><div class=\"stack\">")?;
        self.percentiles(f)?;
        self.audio(f)?;
        self.by_node(f)?;
        self.usage(f)?;
        self.failures(f)?;
        f.write_str("</div>")
    }
}

impl Figures<'_> {
    fn percentiles(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows = table::rows(self.0).into_iter().filter(|(_, row)| row.max.is_some());
        let cells = rows.map(|(name, row)| {
            let figures = [row.p50, row.p95, row.p99, row.max].map(measured);
            [vec![name.to_owned()], figures.into()].concat()
        });
        grid(f, &["Times in ms", "p50", "p95", "p99", "max"], cells)
    }

    fn audio(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let head = [
            "Audio",
            "frames expected",
            "lost",
            "too late",
            "twice",
            "undecryptable",
            "packets",
            "per packet",
        ];
        let heard = [("listeners", &self.0.audio), ("speakers of speakers", &self.0.stage)];
        let rows = heard
            .into_iter()
            .filter(|(_, audio)| audio.frames_expected > 0)
            .map(|(who, audio)| heard_by(who, audio));
        let probes = &self.0.probes;
        let verdict = match probes.agree {
            Some(true) => "agree",
            Some(false) => "do not agree",
            None => "nothing to compare",
        };
        let probes = (probes.requested > 0).then(|| {
            let who = format!("{} of {} probes: {verdict}", probes.connected, probes.requested);
            let (expected, lost) = (count(probes.frames_expected), percent(probes.loss_ratio));
            [vec![who, expected, lost], vec!["–".to_owned(); 5]].concat()
        });
        grid(f, &head, rows.chain(probes))
    }

    fn by_node(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.by_node.is_empty() {
            return Ok(());
        }
        let nodes = self.0.by_node.iter().map(|node| {
            let (heard, gaps) = (&node.heard, &node.heard.longest_gap_ms);
            let name = [Some(node.node.as_str()), node.region.as_deref()];
            let mut row = vec![
                escape(&name.into_iter().flatten().collect::<Vec<_>>().join(", ")),
                count(heard.listeners),
                count(heard.frames_expected),
                format!("{} ({})", count(heard.frames_lost), percent(heard.loss_ratio)),
            ];
            row.extend([gaps.p50, gaps.p95, gaps.p99, gaps.max].map(measured));
            row
        });
        let head =
            ["Listeners at", "listeners", "frames expected", "lost", "longest gap p50", "p95", "p99", "max"];
        grid(f, &head, nodes)
    }

    fn usage(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let generator = &self.0.load_generator;
        let nodes = self.0.nodes.iter().map(|node| {
            vec![
                escape(&name(node)),
                figure(node.cpu_s),
                figure(node.cores),
                bytes(node.rss_peak_bytes),
                count(node.packets),
                measured(node.cpu_us_per_packet),
            ]
        });
        let own = vec![
            format!(
                "load generator, {} of {} ticks late",
                count(generator.late_ticks),
                count(generator.ticks)
            ),
            figure(generator.cpu_s),
            figure(generator.cores),
            bytes(generator.rss_peak_bytes),
            "–".into(),
            "–".into(),
        ];
        let head = ["Process", "CPU s", "cores", "memory at most", "packets sent", "CPU µs per packet"];
        grid(f, &head, nodes.chain([own]))
    }

    fn failures(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0.failures.is_empty() {
            return Ok(());
        }
        let rows = self.0.failures.iter().map(|(code, times)| vec![escape(code), count(*times)]);
        grid(f, &["Failures", "times"], rows)
    }
}

/// Its name, and what it is where the name does not tell.
fn name(node: &Node) -> String {
    if node.node.contains(&node.role) { node.node.clone() } else { format!("{} ({})", node.node, node.role) }
}

fn heard_by(who: &str, audio: &Audio) -> Vec<String> {
    let packets = audio.packets_by_frames.iter().zip(0_u64..);
    let (with_audio, frames) = packets.skip(1).fold((0, 0), |(with_audio, frames), (packets, each)| {
        (with_audio + packets, frames + packets * each)
    });
    vec![
        who.into(),
        count(audio.frames_expected),
        format!("{} ({})", count(audio.frames_lost), percent(audio.loss_ratio)),
        count(audio.frames_late),
        count(audio.duplicates),
        count(audio.undecryptable),
        count(audio.packets_received),
        if with_audio > 0 {
            format!("{:.2} frames", frames as f64 / with_audio as f64)
        } else {
            "–".into()
        },
    ]
}

fn grid(f: &mut Formatter<'_>, head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> fmt::Result {
    f.write_str("<div class=\"card wide\"><table><thead><tr>")?;
    head.iter().try_for_each(|name| write!(f, "<th>{name}</th>"))?;
    f.write_str("</tr></thead><tbody>")?;
    for row in rows {
        f.write_str("<tr>")?;
        row.iter().try_for_each(|cell| write!(f, "<td>{cell}</td>"))?;
        f.write_str("</tr>")?;
    }
    f.write_str("</tbody></table></div>")
}

/// How it was measured, on what, and how to do it again.
pub(super) struct Facts<'a>(pub(super) &'a Report);

impl Display for Facts<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (report, machine) = (self.0, &self.0.machine);
        f.write_str("<h2>How it was measured</h2><div class=\"stack\"><div class=\"card\"><ul>")?;
        for note in report.remarks.iter().filter(|remark| !remark.doubt) {
            write!(f, "<li>{}</li>", escape(&note.text))?;
        }
        f.write_str(METHOD)?;
        f.write_str("</ul></div><div class=\"card\"><dl>")?;
        let model = format!("{}, {} cores", machine.model, machine.cores);
        for (name, value) in [
            ("Processor", model),
            ("Memory", bytes(machine.memory_bytes)),
            ("Kernel", machine.kernel.clone()),
        ] {
            write!(f, "<dt>{name}</dt><dd>{}</dd>", escape(&value))?;
        }
        write!(f, "</dl></div><code>{}</code></div>", escape(&report.config.to_string()))
    }
}

/// What the words on the page mean.
const METHOD: &str = "\
    <li>A frame is 20 ms of one voice at one listener. It counts as expected when it was sent while that \
    listener was in and its speaker was on a voice, and as lost when it never came or came more than 500 ms \
    after it was sent.</li>\
    <li>Latency is from the speaker's send to the kernel's time of arrival at the listener. It is measured \
    in both cases on the generator's clock.</li>\
    <li>Percentiles are of all values, not of a sample, and right to 0.4 %; greatest values are exact. \
    Where a point of a plot stands for several seconds, it shows the worst of them, or for medians and \
    rates the mean.</li>";
