//! Conditions on a report: `first_audio_ms.p99<1000`.
//!
//! A path through `report.json`, a comparison and a number. A path that no report has is a mistake at the
//! start and not after ten minutes of load. A figure that was not measured meets no condition.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::{ByNode, Garbage, Group, Node, Reconnect, Report};

/// In the pattern of paths: any name will do here.
const ANY: &str = "*";

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Requirement {
    path: String,
    comparison: Comparison,
    bound: f64,
}

/// What a condition came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The condition as it was written, but for spaces.
    pub expression: String,
    /// What was measured; none where nothing was.
    pub value: Option<f64>,
    /// Whether it holds.
    pub holds: bool,
}

/// Why an expression is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequireError {
    /// Nothing to compare by.
    #[error("`{0}` has no comparison: write it like first_audio_ms.p99<1000, with <, <=, >, >= or =")]
    Comparison(String),
    /// No number to compare with.
    #[error("`{0}` is not a number: units stand in the names, so write 1000, not 1s")]
    Number(String),
    /// Nothing of this name in a report.
    #[error("there is no `{name}` in {place}: it has {known}")]
    Path {
        /// The part that is wrong.
        name: String,
        /// What it was looked for in.
        place: String,
        /// What is there.
        known: String,
    },
    /// Several figures, or a text.
    #[error("`{path}` is not one number{known}")]
    NotANumber {
        /// The whole path.
        path: String,
        /// What can come after it.
        known: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

/// In the order in which they are looked for: those of two characters first.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::More),
    ("=", Comparison::Equal),
];

impl Comparison {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Less => value < bound,
            Self::AtMost => value <= bound,
            Self::More => value > bound,
            Self::AtLeast => value >= bound,
            Self::Equal => value == bound,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let symbol = COMPARISONS.iter().find(|(_, comparison)| comparison == self).map(|&(symbol, _)| symbol);
        f.write_str(symbol.expect("every comparison is in the table"))
    }
}

impl FromStr for Requirement {
    type Err = RequireError;

    fn from_str(text: &str) -> Result<Self, RequireError> {
        let (at, symbol, comparison) =
            first_comparison(text).ok_or_else(|| RequireError::Comparison(text.into()))?;
        let (path, bound) = (text[..at].trim(), text[at + symbol.len()..].trim());
        let bound = number(bound).ok_or_else(|| RequireError::Number(bound.into()))?;
        check(path)?;
        Ok(Self { path: path.into(), comparison, bound })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.path, self.comparison, self.bound)
    }
}

impl Requirement {
    /// Whether it holds for a report, given as [`Report::value`].
    pub fn judge(&self, report: &Value) -> Outcome {
        let found = self.path.split('.').try_fold(report, step);
        let value = match found {
            // A code that never came is one that came no time at all.
            None if self.path.starts_with("failures.") => Some(0.0),
            found => found.and_then(figure),
        };
        let holds = value.is_some_and(|value| self.comparison.holds(value, self.bound));
        Outcome { expression: self.to_string(), value, holds }
    }
}

fn first_comparison(text: &str) -> Option<(usize, &'static str, Comparison)> {
    let at = text.find(['<', '>', '='])?;
    let found = COMPARISONS.into_iter().find(|(symbol, _)| text[at..].starts_with(symbol));
    found.map(|(symbol, comparison)| (at, symbol, comparison))
}

fn number(text: &str) -> Option<f64> {
    match text {
        "true" => Some(1.0),
        "false" => Some(0.0),
        text => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}

fn figure(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_bool().map(|is| f64::from(u8::from(is))))
}

/// One step down: into an object by name, into a list by index or by the name of the node.
fn step<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => object.get(name),
        Value::Array(list) => {
            let by_name = || list.iter().find(|entry| entry.get("node").is_some_and(|node| node == name));
            name.parse().ok().and_then(|index: usize| list.get(index)).or_else(by_name)
        }
        _ => None,
    }
}

/// Checks a path against a report that has everything.
fn check(path: &str) -> Result<(), RequireError> {
    let whole = Report {
        failures: [(ANY.to_owned(), 0)].into(),
        nodes: vec![Node { node: ANY.into(), ..Node::default() }],
        by_node: vec![ByNode { node: ANY.into(), ..ByNode::default() }],
        by_region: [(ANY.to_owned(), Group::default())].into(),
        reconnect: Some(Reconnect::default()),
        garbage: Some(Garbage::default()),
        ..Report::default()
    };
    let whole = whole.value();
    let (mut place, mut here) = ("a report".to_owned(), &whole);
    for name in path.split('.') {
        here = step(here, name).or_else(|| step(here, ANY)).ok_or_else(|| unknown(name, &place, here))?;
        place = format!("`{name}`");
    }
    match here {
        Value::Null | Value::Number(_) | Value::Bool(_) => Ok(()),
        _ => Err(RequireError::NotANumber { path: path.into(), known: after(here) }),
    }
}

fn unknown(name: &str, place: &str, here: &Value) -> RequireError {
    let known = names(here).map_or_else(|| "nothing further".into(), |names| names.join(", "));
    RequireError::Path { name: name.into(), place: place.into(), known }
}

fn after(here: &Value) -> String {
    names(here).map_or_else(String::new, |names| format!(": add one of {}", names.join(", ")))
}

fn names(value: &Value) -> Option<Vec<&str>> {
    Some(value.as_object()?.keys().map(String::as_str).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    fn judge(expression: &str) -> Outcome {
        expression.parse::<Requirement>().unwrap().judge(&sample().value())
    }

    fn mistake(expression: &str) -> String {
        expression.parse::<Requirement>().unwrap_err().to_string()
    }

    #[test]
    fn a_condition_holds_or_does_not() {
        let p99 = sample().first_audio_ms.p99.unwrap();
        assert!(judge(&format!("first_audio_ms.p99<={p99}")).holds);
        assert!(!judge(&format!("first_audio_ms.p99<{p99}")).holds);
        assert!(judge("listeners.joined=10000").holds && judge("listeners.joined == 10000").holds);
        assert!(judge("audio.frames_received > 1e6").holds && !judge("wall_s>=86400").holds);
    }

    #[test]
    fn it_tells_what_was_measured() {
        let outcome = judge(" listeners.joined >= 9999 ");
        assert_eq!((outcome.expression.as_str(), outcome.value), ("listeners.joined>=9999", Some(10_000.0)));
    }

    #[test]
    fn nodes_are_found_by_name_and_by_index() {
        assert!(judge("nodes.0.cpu_s>0").holds && judge("nodes.up.cpu_s>0").holds);
        assert_eq!(judge("nodes.nobody.cpu_s>0").value, None);
    }

    #[test]
    fn what_was_heard_at_a_node_or_in_a_region_can_be_required() {
        assert!(judge("by_node.edge-1.longest_gap_ms.p99<2000").holds);
        assert!(judge("by_node.url-1.listeners=10000").holds && judge("by_region.eu.frames_lost>0").holds);
        assert_eq!(judge("by_node.edge-9.longest_gap_ms.p99<2000").value, None);
        assert!(mistake("by_node.edge-1.longest_gap<1").contains("longest_gap_ms"));
    }

    #[test]
    fn a_code_that_never_came_came_no_time() {
        assert!(judge("failures.ice_timeout=0").holds);
    }

    #[test]
    fn what_was_not_measured_meets_no_condition() {
        for expression in ["reconnect.p99_ms<1e9", "stage.loss_ratio<1", "presence.promotion_seen_ms.p99<1e9"]
        {
            let outcome = expression.parse::<Requirement>().unwrap().judge(&Report::default().value());
            assert!(!outcome.holds && outcome.value.is_none(), "{expression}");
        }
    }

    #[test]
    fn agreement_can_be_required() {
        assert!(judge("probes.agree=true").holds);
    }

    #[test]
    fn mistakes_say_what_to_write_instead() {
        assert!(mistake("audio.loss_ratio").contains("<="));
        assert!(mistake("audio.loss_ratio<0.1%").contains("`0.1%` is not a number"));
        assert!(mistake("audio.los_ratio<1").contains("loss_ratio"));
        assert!(mistake("first_audio<1").contains("first_audio_ms"));
        assert!(mistake("first_audio_ms<1").contains("add one of max, p50, p95, p99"));
        assert!(mistake("wall_s.p99<1").contains("nothing further"));
        assert!(mistake("audio.latency_ms.p99 < NaN").contains("not a number"));
        assert!(mistake("version=1").contains("not one number"));
    }
}
