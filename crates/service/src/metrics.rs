//! Metrics: one registry for the process, and for each node in it a [`Metrics`] that puts the labels
//! `node` and `region` on whatever it makes.
//!
//! Names are `dais_<part>_<what>_<unit>`, in base units, counters end in `_total`. Labels come from small
//! fixed sets: never a room, a person or an address. Asking for the same name twice gives the same
//! metric, so that two parts of a node may share a counter such as `dais_queue_full_total`.

mod process;

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Metric;

pub use process::cpu_ms;

/// Buckets for times that people wait, in s: 5 ms to 20 s.
pub const PEOPLE_SECONDS: &[f64] = &[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0];

/// How [`Registry::render`] is written: OpenMetrics 1.0.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A number that only grows.
pub type Counter = prometheus_client::metrics::counter::Counter;

/// A whole number that goes up and down.
pub type Gauge = prometheus_client::metrics::gauge::Gauge;

/// A number with fractions that goes up and down.
pub type Level = prometheus_client::metrics::gauge::Gauge<f64, AtomicU64>;

/// How many observations were how large.
pub type Histogram = prometheus_client::metrics::histogram::Histogram;

/// Counters by the values of their labels.
pub type CounterBy = By<Counter>;

/// Gauges by the values of their labels.
pub type GaugeBy = By<Gauge>;

/// Levels by the values of their labels.
pub type LevelBy = By<Level>;

/// Histograms by the values of their labels.
pub type HistogramBy = By<Histogram, Buckets>;

/// The labels of one series: of the node, then its own.
type Labels = Vec<(&'static str, Arc<str>)>;

/// All metrics of the process.
#[derive(Clone)]
pub struct Registry(Arc<Mutex<Inner>>);

struct Inner {
    registered: prometheus_client::registry::Registry,
    families: HashMap<String, Made>,
}

/// What has been made under a name.
struct Made {
    labels: &'static [&'static str],
    /// A `Family` of some kind.
    family: Box<dyn Any + Send>,
}

impl Default for Registry {
    /// An empty registry, but for what the process itself takes.
    fn default() -> Self {
        let mut registered = prometheus_client::registry::Registry::default();
        registered.register_collector(Box::new(process::Usage));
        Self(Arc::new(Mutex::new(Inner { registered, families: HashMap::new() })))
    }
}

impl Registry {
    /// A registry that says which build this is.
    pub fn new(version: &str, commit: &str) -> Self {
        let registry = Self::default();
        let build = Info::new([("version", version.to_owned()), ("commit", commit.to_owned())]);
        registry.lock().registered.register("dais_build", "Always 1; the labels say which build runs", build);
        registry
    }

    /// The metrics of one node.
    pub fn node(&self, node: &str, region: &str) -> Metrics {
        Metrics { registry: self.clone(), node: node.into(), region: region.into() }
    }

    /// Everything, as [`CONTENT_TYPE`] says.
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.lock().registered).expect("a string takes all");
        text
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the metrics of one node.
///
/// # Panics
///
/// Every method panics when a name was used before with other labels or as another kind of metric: names are
/// literals, so that is a defect which the first run shows.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    node: Arc<str>,
    region: Arc<str>,
}

impl Metrics {
    /// A counter; its name ends in `_total`.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.counters(name, help, &[]).of(&[])
    }

    /// A counter for each value of `labels`.
    pub fn counters(&self, name: &str, help: &str, labels: &'static [&'static str]) -> CounterBy {
        let stem = name.strip_suffix("_total").expect("the name of a counter ends in _total");
        self.family(stem, help, labels, Counter::default)
    }

    /// A whole number that goes up and down.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.gauges(name, help, &[]).of(&[])
    }

    /// The same for each value of `labels`.
    pub fn gauges(&self, name: &str, help: &str, labels: &'static [&'static str]) -> GaugeBy {
        self.family(name, help, labels, Gauge::default)
    }

    /// A number with fractions that goes up and down: seconds, ratios.
    pub fn level(&self, name: &str, help: &str) -> Level {
        self.levels(name, help, &[]).of(&[])
    }

    /// The same for each value of `labels`.
    pub fn levels(&self, name: &str, help: &str, labels: &'static [&'static str]) -> LevelBy {
        self.family(name, help, labels, Level::default)
    }

    /// A histogram with these upper bounds.
    pub fn histogram(&self, name: &str, help: &str, buckets: &'static [f64]) -> Histogram {
        self.histograms(name, help, buckets, &[]).of(&[])
    }

    /// The same for each value of `labels`.
    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &'static [f64],
        labels: &'static [&'static str],
    ) -> HistogramBy {
        self.family(name, help, labels, Buckets(buckets))
    }

    /// The family of a name, whose first help text counts.
    fn family<M, C>(&self, name: &str, help: &str, labels: &'static [&'static str], make: C) -> By<M, C>
    where
        C: MetricConstructor<M> + Clone + Send + Sync + 'static,
        M: Clone + Send + Sync + 'static,
        Family<Labels, M, C>: Metric,
    {
        let mut inner = self.registry.lock();
        let Inner { registered, families } = &mut *inner;
        let made = match families.entry(name.to_owned()) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(none) => {
                let family = Family::<Labels, M, C>::new_with_constructor(make);
                // The library ends the sentence.
                registered.register(name, help.trim_end_matches('.'), family.clone());
                none.insert(Made { labels, family: Box::new(family) })
            }
        };
        assert_eq!(made.labels, labels, "{name} has one set of labels");
        let family = made.family.downcast_ref::<Family<Labels, M, C>>().expect("a metric name has one kind");
        By { family: family.clone(), labels, node: self.node.clone(), region: self.region.clone() }
    }
}

/// The metrics of one name and node, one for each value of the labels.
#[derive(Debug, Clone)]
pub struct By<M, C = fn() -> M> {
    family: Family<Labels, M, C>,
    labels: &'static [&'static str],
    node: Arc<str>,
    region: Arc<str>,
}

impl<M: Clone, C: MetricConstructor<M>> By<M, C> {
    /// The one for these values of the labels, in their order.
    ///
    /// # Panics
    ///
    /// When there are not as many values as labels.
    pub fn of(&self, values: &[&str]) -> M {
        self.family.get_or_create_owned(&self.labels(values))
    }

    /// Forgets the one for these values: there is nothing any more that it could tell.
    pub fn forget(&self, values: &[&str]) {
        self.family.remove(&self.labels(values));
    }

    fn labels(&self, values: &[&str]) -> Labels {
        assert_eq!(self.labels.len(), values.len(), "of {:?}", self.labels);
        let own = self.labels.iter().copied().zip(values.iter().map(|&value| value.into()));
        [("node", self.node.clone()), ("region", self.region.clone())].into_iter().chain(own).collect()
    }
}

/// Upper bounds of a histogram.
#[derive(Debug, Clone, Copy)]
pub struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// What a node announces of its places.
pub struct Places {
    capacity: Gauge,
    headroom: Gauge,
    draining: Gauge,
}

impl Places {
    /// For a node.
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            capacity: metrics
                .gauge("dais_node_capacity", "People that this node can have: peers, or connections."),
            headroom: metrics.gauge("dais_node_headroom", "People that this node takes now."),
            draining: metrics.gauge("dais_node_draining", "1 while this node lets its people go."),
        }
    }

    /// It is told as it is.
    pub fn show(&self, capacity: u32, headroom: u32, is_draining: bool) {
        self.capacity.set(capacity.into());
        self.headroom.set(if is_draining { 0 } else { headroom.into() });
        self.draining.set(is_draining.into());
    }
}

/// Carries a plain `u64` total, such as a pure crate keeps, over to a counter.
#[derive(Debug)]
pub struct Follower {
    counter: Counter,
    /// The total at the last call.
    seen: u64,
}

impl Follower {
    /// Starts at 0: the first total counts as a whole.
    pub fn new(counter: Counter) -> Self {
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
        assert!(text.contains(r#"dais_build_info{version="0.1.0",commit="abc"} 1"#), "{text}");
        assert!(text.contains(r#"dais_edge_listeners{node="edge-1",region="home"} 3"#), "{text}");
        assert!(text.contains(r#"dais_edge_listeners{node="edge-2",region="home"} 4"#), "{text}");
        assert!(
            text.contains("\n# HELP dais_edge_listeners Listeners.\n") && text.ends_with("\n# EOF\n"),
            "{text}"
        );
    }

    #[test]
    fn asking_twice_gives_the_same_counter() {
        let metrics = Registry::default().node("edge-1", "home");
        let full = |help| metrics.counters("dais_queue_full_total", help, &["queue"]);
        full("Queues that were full.").of(&["inbox"]).inc();
        full("Other words.").of(&["inbox"]).inc();
        assert_eq!(full("").of(&["inbox"]).get(), 2);
    }

    #[test]
    fn every_kind_is_written_as_prometheus_reads_it() {
        let registry = Registry::default();
        let metrics = registry.node("e", "r");
        metrics.counters("dais_a_total", "A.", &["why"]).of(&["so"]).inc();
        metrics.levels("dais_b_ratio", "B.", &[]).of(&[]).set(0.5);
        metrics.histograms("dais_c_seconds", "C.", &[0.1, 1.0], &["of"]).of(&["it"]).observe(0.5);
        let text = registry.render();
        for line in [
            r#"dais_a_total{node="e",region="r",why="so"} 1"#,
            r#"dais_b_ratio{node="e",region="r"} 0.5"#,
            r#"dais_c_seconds_bucket{le="0.1",node="e",region="r",of="it"} 0"#,
            r#"dais_c_seconds_bucket{le="+Inf",node="e",region="r",of="it"} 1"#,
            r#"dais_c_seconds_sum{node="e",region="r",of="it"} 0.5"#,
        ] {
            assert!(text.lines().any(|written| written == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    #[should_panic(expected = "has one set of labels")]
    fn a_name_has_one_set_of_labels() {
        let metrics = Registry::default().node("e", "r");
        metrics.counters("dais_a_total", "A.", &["why"]);
        metrics.counters("dais_a_total", "A.", &["how"]);
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
