//! Plots as inline SVG: lines over time, and bars of a distribution.
//!
//! Colours come from the page's style by class, so that a plot suits light and dark. Every plot can be
//! pointed at: bands without colour carry the figures as titles, so no script is needed.

use std::fmt::{self, Display, Formatter};

use crate::report::number::count;
use crate::report::{Distribution, Percentiles};

/// Size of a plot, and what of it is left for the names of the axes.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 26.0;

/// Room for a word at a mark.
const WORD: f64 = 80.0;

/// Bars of a distribution.
const BARS: usize = 64;

/// A distribution is drawn up to this share of its values; the rest is said in words.
const DRAWN: f64 = 0.999;

/// How a figure is written on an axis.
pub(super) type Write = fn(f64) -> String;

/// One line of a plot over time.
pub(super) struct Line {
    /// What it shows.
    pub(super) name: &'static str,
    /// Its colour, as a class of the page's style.
    pub(super) colour: &'static str,
    /// For each point in time; none where nothing is known.
    pub(super) values: Vec<Option<f64>>,
}

/// Lines over the time of a run.
pub(super) struct OverTime<'a> {
    /// Points in time, in s; ascending.
    pub(super) at: &'a [f64],
    /// The lines; the area under a single one is filled.
    pub(super) lines: Vec<Line>,
    /// Moments to know of, with a word each.
    pub(super) marks: &'a [(f64, String)],
    /// How figures are written.
    pub(super) write: Write,
    /// The axis goes at least so far, so that next to nothing does not fill the plot.
    pub(super) at_least: f64,
}

/// From 0 to a round number, in a few round steps.
struct Axis {
    end: f64,
    step: f64,
}

impl Axis {
    fn new(max: f64, steps: f64) -> Self {
        let rough = if max > 0.0 { max / steps } else { 1.0 / steps };
        let power = 10_f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power);
        let step = round.into_iter().find(|&step| step >= rough * 0.999).unwrap_or(10.0 * power);
        Self { end: (max / step - 0.001).ceil().max(1.0) * step, step }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (step, ticks) = (self.step, (self.end / self.step).round() as u32);
        (0..=ticks).map(move |tick| f64::from(tick) * step)
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + value / self.end * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.end * (HEIGHT - TOP - BOTTOM)
    }
}

impl Display for OverTime<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let values = self.lines.iter().flat_map(|line| line.values.iter().flatten());
        let y = Axis::new(values.fold(self.at_least, |max, &value| max.max(value)), 5.0);
        let x = Axis { end: self.at.last().copied().unwrap_or(1.0).max(1.0), ..time_axis(self.at) };
        open(f)?;
        rules(f, &y, self.write)?;
        for tick in x.ticks().filter(|&tick| tick <= x.end) {
            foot(f, x.x(tick), &format!("{tick:.0} s"))?;
        }
        for (at, word) in self.marks {
            let left = *at > x.end * 0.8;
            Mark { x: x.x(*at), word, class: "mark", left, lower: false }.fmt(f)?;
        }
        self.lines.iter().try_for_each(|line| self.line(f, line, &x, &y))?;
        self.bands(f, &x)?;
        f.write_str("</svg>")
    }
}

fn time_axis(at: &[f64]) -> Axis {
    Axis::new(at.last().copied().unwrap_or(1.0), 6.0)
}

impl OverTime<'_> {
    /// Unbroken stretches, so that a gap in what is known is a gap in the line.
    fn stretches<'b>(&'b self, line: &'b Line) -> Vec<Vec<(f64, f64)>> {
        let mut stretches = vec![Vec::new()];
        for (&at, value) in self.at.iter().zip(&line.values) {
            match (value, stretches.last_mut()) {
                (Some(value), Some(stretch)) => stretch.push((at, *value)),
                _ => stretches.push(Vec::new()),
            }
        }
        stretches.retain(|stretch| !stretch.is_empty());
        stretches
    }

    fn line(&self, f: &mut Formatter<'_>, line: &Line, x: &Axis, y: &Axis) -> fmt::Result {
        for stretch in self.stretches(line) {
            let points: Vec<String> =
                stretch.iter().map(|&(at, value)| format!("{:.1},{:.1}", x.x(at), y.y(value))).collect();
            let points = points.join(" ");
            if self.lines.len() == 1 {
                let (first, last) = (x.x(stretch[0].0), x.x(stretch[stretch.len() - 1].0));
                let zero = y.y(0.0);
                write!(
                    f,
                    r#"<path class="area {}" d="M{first:.1},{zero} L{points} L{last:.1},{zero}Z"/>"#,
                    line.colour
                )?;
            }
            write!(f, r#"<polyline class="line {}" points="{points}"/>"#, line.colour)?;
        }
        Ok(())
    }

    fn bands(&self, f: &mut Formatter<'_>, x: &Axis) -> fmt::Result {
        for (index, &at) in self.at.iter().enumerate() {
            let before = if index == 0 { 0.0 } else { self.at[index - 1] };
            let figure = |line: &Line| {
                let value = line.values.get(index).copied().flatten();
                format!("\n{}: {}", line.name, value.map_or_else(|| "–".into(), self.write))
            };
            let figures: String = self.lines.iter().map(figure).collect();
            band(f, x.x(before), x.x(at), &format!("at {at:.0} s{figures}"))?;
        }
        Ok(())
    }
}

/// How often each time came.
pub(super) struct Bars<'a> {
    /// What came.
    pub(super) distribution: &'a Distribution,
    /// The same, summed up.
    pub(super) percentiles: &'a Percentiles,
    /// Whose values they are: "listeners", "frames".
    pub(super) of: &'static str,
    /// Their colour.
    pub(super) colour: &'static str,
    /// How times are written.
    pub(super) write: Write,
}

impl Bars<'_> {
    fn total(&self) -> u64 {
        self.distribution.0.iter().map(|&(_, times)| times).sum()
    }

    /// Up to where it is drawn.
    fn drawn(&self) -> f64 {
        let enough = (self.total() as f64 * DRAWN).ceil() as u64;
        let mut seen = 0;
        let mut values = self.distribution.0.iter();
        let reaches = |&&(_, times): &&(f64, u64)| {
            seen += times;
            seen >= enough
        };
        values.find(reaches).map_or(1.0, |&(value, _)| value)
    }

    /// What is not drawn, in words; none where everything is.
    pub(super) fn beyond(&self) -> Option<String> {
        let end = self.axis().end;
        let beyond: u64 =
            self.distribution.0.iter().filter(|(value, _)| *value > end).map(|(_, times)| times).sum();
        let max = self.percentiles.max.map(self.write)?;
        (beyond > 0).then(|| {
            format!("{} of {} {} are beyond, up to {max}", count(beyond), count(self.total()), self.of)
        })
    }

    fn axis(&self) -> Axis {
        Axis::new(self.drawn().max(self.percentiles.p99.unwrap_or(0.0)) * 1.02, 6.0)
    }

    /// Median to the left of its line and p99 to the right, as far as there is room.
    fn quantiles(&self, f: &mut Formatter<'_>, x: &Axis) -> fmt::Result {
        let (Some(p50), Some(p99)) = (self.percentiles.p50, self.percentiles.p99) else { return Ok(()) };
        let (median, tail) = (x.x(p50), x.x(p99));
        let median_left = median > LEFT + WORD;
        let tail_left = tail > WIDTH - RIGHT - WORD;
        let collide = tail - median < WORD && median_left == tail_left
            || tail - median < 2.0 * WORD && !median_left && tail_left;
        let word = |name, value| format!("{name} {}", (self.write)(value));
        Mark { x: median, word: &word("p50", p50), class: "quantile", left: median_left, lower: false }
            .fmt(f)?;
        Mark { x: tail, word: &word("p99", p99), class: "quantile", left: tail_left, lower: collide }.fmt(f)
    }

    fn heights(&self, width: f64) -> [u64; BARS] {
        let mut heights = [0; BARS];
        for &(value, times) in &self.distribution.0 {
            if let Some(height) = heights.get_mut((value / width) as usize) {
                *height += times;
            }
        }
        heights
    }
}

impl Display for Bars<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let x = self.axis();
        let width = x.end / BARS as f64;
        let heights = self.heights(width);
        let y = Axis::new(heights.iter().copied().max().unwrap_or(0).max(5) as f64, 5.0);
        open(f)?;
        rules(f, &y, |value| count(value as u64))?;
        x.ticks().try_for_each(|tick| foot(f, x.x(tick), &(self.write)(tick)))?;
        for (index, &times) in heights.iter().enumerate() {
            let (from, until) = (index as f64 * width, (index + 1) as f64 * width);
            let (left, top) = (x.x(from) + 0.5, y.y(times as f64));
            let (wide, high) = (x.x(until) - x.x(from) - 1.0, HEIGHT - BOTTOM - top);
            let colour = self.colour;
            write!(
                f,
                r#"<rect class="bar {colour}" x="{left:.1}" y="{top:.1}" width="{wide:.1}" height="{high:.1}" rx="1"/>"#
            )?;
            let span = format!("{} to {}", (self.write)(from), (self.write)(until));
            band(f, x.x(from), x.x(until), &format!("{span}\n{} {}", count(times), self.of))?;
        }
        self.quantiles(f, &x)?;
        f.write_str("</svg>")
    }
}

fn open(f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">"#)
}

/// Lines across, with figures before them.
fn rules(f: &mut Formatter<'_>, y: &Axis, write: Write) -> fmt::Result {
    for tick in y.ticks() {
        let (at, end) = (y.y(tick), WIDTH - RIGHT);
        write!(f, r#"<line class="rule" x1="{LEFT}" x2="{end}" y1="{at:.1}" y2="{at:.1}"/>"#)?;
        write!(
            f,
            r#"<text class="tick" x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 8.0,
            at + 4.0,
            write(tick)
        )?;
    }
    Ok(())
}

fn foot(f: &mut Formatter<'_>, x: f64, text: &str) -> fmt::Result {
    let y = HEIGHT - 8.0;
    write!(f, r#"<text class="tick" x="{x:.1}" y="{y}" text-anchor="middle">{text}</text>"#)
}

/// A line from top to bottom with a word at its head.
struct Mark<'a> {
    x: f64,
    word: &'a str,
    class: &'static str,
    /// On its left, not on its right.
    left: bool,
    /// A row further down, where another word is in the way.
    lower: bool,
}

impl Display for Mark<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { x, word, class, .. } = self;
        let (anchor, at) = if self.left { ("end", x - 5.0) } else { ("start", x + 5.0) };
        let (head, foot) = (TOP - 14.0, HEIGHT - BOTTOM);
        let row = if self.lower { TOP + 9.0 } else { TOP - 6.0 };
        write!(f, r#"<line class="{class}" x1="{x:.1}" x2="{x:.1}" y1="{head}" y2="{foot}"/>"#)?;
        write!(f, r#"<text class="word" x="{at:.1}" y="{row}" text-anchor="{anchor}">{word}</text>"#)
    }
}

/// What can be pointed at.
fn band(f: &mut Formatter<'_>, from: f64, until: f64, title: &str) -> fmt::Result {
    let (wide, high) = (until - from, HEIGHT - TOP - BOTTOM);
    write!(
        f,
        r#"<rect class="band" x="{from:.1}" y="{TOP}" width="{wide:.1}" height="{high}"><title>{title}</title></rect>"#
    )
}

#[cfg(test)]
mod tests;
