//! Metrics: one registry for the process, and for each node in it a [`Metrics`] that puts the labels
//! `node` and `region` on whatever it makes.
//!
//! Names are `dais_<part>_<what>_<unit>`, in base units, counters end in `_total`. Labels come from small
//! fixed sets: never a room, a person or an address. Asking for the same name twice gives the same
//! metric, so that two parts of a node may share a counter such as `dais_queue_full_total`.

mod process;

pub use process::cpu_ms;

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
pub use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};
use prometheus::{HistogramOpts, Opts, TextEncoder};

/// Buckets for times that people wait, in s: 5 ms to 20 s.
pub const PEOPLE_SECONDS: &[f64] = &[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];

/// All metrics of the process.
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

#[derive(Default)]
struct Inner {
    collectors: prometheus::Registry,
    /// What has been made, by name and node: an `IntCounterVec` or another family.
    families: Mutex<HashMap<(String, String), Box<dyn Any + Send>>>,
    /// The first help text of each name: the registry refuses a second one that differs.
    helps: Mutex<HashMap<String, String>>,
}

impl Registry {
    /// An empty registry that says which build this is.
    pub fn new(version: &str, commit: &str) -> Self {
        let registry = Self::default();
        let opts = Opts::new("dais_build_info", "Always 1; the labels say which build runs.")
            .const_label("version", version)
            .const_label("commit", commit);
        let info = IntGauge::with_opts(opts).expect("the name and labels are literals");
        info.set(1);
        registry.0.collectors.register(Box::new(info)).expect("the registry is empty");
        registry
    }

    /// The metrics of one node.
    pub fn node(&self, node: &str, region: &str) -> Metrics {
        Metrics { registry: self.clone(), node: node.into(), region: region.into() }
    }

    /// Everything in the text format of Prometheus.
    pub fn render(&self) -> String {
        let ours = TextEncoder::new().encode_to_string(&self.0.collectors.gather());
        let ours = ours.unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be written");
            String::new()
        });
        ours + &process::render()
    }
}

/// Makes the metrics of one node.
///
/// # Panics
///
/// Every method panics when a name is not a metric name, or was used before with other labels or as
/// another kind of metric: names are literals, so that is a defect which the first run shows.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    node: Arc<str>,
    region: Arc<str>,
}

impl Metrics {
    /// A counter.
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.counters(name, help, &[]).with_label_values::<&str>(&[])
    }

    /// A counter for each value of `labels`.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.family(name, help, |opts| IntCounterVec::new(opts, labels))
    }

    /// A whole number that goes up and down.
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.gauges(name, help, &[]).with_label_values::<&str>(&[])
    }

    /// The same for each value of `labels`.
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.family(name, help, |opts| IntGaugeVec::new(opts, labels))
    }

    /// A number with fractions that goes up and down, for each value of `labels`: seconds, ratios.
    pub fn levels(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.family(name, help, |opts| GaugeVec::new(opts, labels))
    }

    /// A histogram with these upper bounds.
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.histograms(name, help, buckets, &[]).with_label_values::<&str>(&[])
    }

    /// The same for each value of `labels`.
    pub fn histograms(&self, name: &str, help: &str, buckets: &[f64], labels: &[&str]) -> HistogramVec {
        self.family(name, help, |opts| {
            HistogramVec::new(HistogramOpts::from(opts).buckets(buckets.to_vec()), labels)
        })
    }

    fn family<T>(&self, name: &str, help: &str, make: impl FnOnce(Opts) -> prometheus::Result<T>) -> T
    where
        T: Collector + Clone + 'static,
    {
        let inner = &self.registry.0;
        let mut families = inner.families.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), self.node.to_string());
        if let Some(made) = families.get(&key) {
            return made.downcast_ref::<T>().expect("a metric name has one kind").clone();
        }
        let mut helps = inner.helps.lock().unwrap_or_else(PoisonError::into_inner);
        let help = helps.entry(name.into()).or_insert_with(|| help.into());
        let opts = Opts::new(name, help.as_str())
            .const_label("node", &*self.node)
            .const_label("region", &*self.region);
        let made = make(opts).expect("metric names and labels are literals");
        inner.collectors.register(Box::new(made.clone())).expect("a metric name has one set of labels");
        families.insert(key, Box::new(made.clone()));
        made
    }
}

/// Carries a plain `u64` total, such as a pure crate keeps, over to a counter.
#[derive(Debug)]
pub struct Follower {
    counter: IntCounter,
    /// The total at the last call.
    seen: u64,
}

impl Follower {
    /// Starts at 0: the first total counts as a whole.
    pub fn new(counter: IntCounter) -> Self {
        Self { counter, seen: 0 }
    }

    /// Adds what `total` has grown by since the last call.
    pub fn follow(&mut self, total: u64) {
        self.counter.inc_by(total.saturating_sub(self.seen));
        self.seen = total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_one_process_share_a_name_but_not_a_series() {
        let registry = Registry::new("0.1.0", "abc");
        for (node, listeners) in [("edge-1", 3), ("edge-2", 4)] {
            registry.node(node, "home").gauge("dais_edge_listeners", "Listeners.").set(listeners);
        }
        let text = registry.render();
        assert!(text.contains(r#"dais_build_info{commit="abc",version="0.1.0"} 1"#), "{text}");
        assert!(text.contains(r#"dais_edge_listeners{node="edge-1",region="home"} 3"#), "{text}");
        assert!(text.contains(r#"dais_edge_listeners{node="edge-2",region="home"} 4"#), "{text}");
    }

    #[test]
    fn asking_twice_gives_the_same_counter() {
        let metrics = Registry::default().node("edge-1", "home");
        let full = |help| metrics.counters("dais_queue_full_total", help, &["queue"]);
        full("Queues that were full.").with_label_values(&["inbox"]).inc();
        full("Other words.").with_label_values(&["inbox"]).inc();
        assert_eq!(full("").with_label_values(&["inbox"]).get(), 2);
    }

    #[test]
    fn a_follower_adds_only_what_is_new() {
        let counter = Registry::default().node("n", "r").counter("dais_test_total", "Test.");
        let mut follower = Follower::new(counter.clone());
        for total in [3, 3, 10] {
            follower.follow(total);
        }
        assert_eq!(counter.get(), 10);
    }
}
