//! A report as one page for people: `report.html`.
//!
//! It stands alone: style and plots are inside, nothing is loaded and no script runs, so it can be
//! attached to a mail and opened in ten years. What puts figures in doubt comes before the figures.

mod charts;
mod plot;
mod sections;

use std::fmt::{self, Display, Formatter};

use crate::report::Report;
use sections::{Facts, Figures, Head, Tiles};

const STYLE: &str = include_str!("html/style.css");

/// The whole page.
pub fn page(report: &Report) -> String {
    Page(report).to_string()
}

struct Page<'a>(&'a Report);

impl Display for Page<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let report = self.0;
        f.write_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")?;
        f.write_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        write!(f, "<title>{} · dais load</title>", escape(&sections::title(report)))?;
        write!(f, "<style>{STYLE}</style></head>\n<body><main>")?;
        write!(f, "{}{}", Head(report), Tiles(report))?;
        charts::all(report).iter().try_for_each(|section| section.fmt(f))?;
        write!(f, "{}{}", Figures(report), Facts(report))?;
        f.write_str("</main></body></html>\n")
    }
}

/// Text from outside, such as the name of a node.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::report::sample::sample;

    #[test]
    fn the_page_loads_nothing_and_runs_nothing() {
        let page = page(&sample());
        for foreign in ["http-equiv", "<script", "<link", "src=", "url(", "@import", "href="] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn every_plot_is_there() {
        let page = page(&sample());
        assert!(page.matches("<svg").count() >= 10, "{}", page.matches("<svg").count());
        assert!(!page.contains("NaN") && !page.contains("inf"));
    }

    #[test]
    fn a_run_without_listeners_has_no_plots_of_them() {
        let mut report = sample();
        report.distributions.latency_ms = Default::default();
        report.audio = Default::default();
        report.timeline.clear();
        let page = page(&report);
        assert!(page.contains("Latency on stage") && !page.contains("Latency of all frames"));
        assert!(!page.contains("Loss over time") && !page.contains("What it took"));
    }

    #[test]
    fn a_run_without_loss_shows_that_nothing_was_lost() {
        let mut report = sample();
        report.timeline.iter_mut().for_each(|second| second.frames_lost = 0);
        assert!(page(&report).contains("Loss over time"));
    }

    #[test]
    fn a_run_of_twenty_minutes_makes_no_huge_page() {
        let mut report = sample();
        let second = report.timeline[50].clone();
        report.timeline = (1..=1_300).map(|at_s| crate::report::Second { at_s, ..second.clone() }).collect();
        assert!(page(&report).len() < 1_000_000, "{}", page(&report).len());
    }

    #[test]
    fn a_run_that_measured_nothing_is_still_a_page() {
        let page = page(&Report::default());
        assert!(page.ends_with("</html>\n") && !page.contains("NaN"));
    }

    #[test]
    fn names_from_outside_are_only_text() {
        let mut report = sample();
        report.nodes[0].node = "<script>alert(1)</script>".into();
        report.failures.insert("<b>".into(), 1);
        report.config.urls = vec!["http://<i>".into()];
        report.by_node[0].node = "<script>".into();
        let page = page(&report);
        assert!(!page.contains("<script>") && !page.contains("<b>&") && !page.contains("http://<i>"));
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn doubts_come_before_figures() {
        let mut report = sample();
        report.remarks.push(crate::report::Remark { doubt: true, text: "Trust nothing.".into() });
        let page = page(&report);
        assert!(page.find("Trust nothing.").unwrap() < page.find("class=\"tiles\"").unwrap());
    }
}
