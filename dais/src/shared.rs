//! What the parts of one process share: bus, and who is alive. The bus may be shared with other processes.

use std::sync::Arc;
use std::time::Duration;

use cluster::{Bus, Nodes, Sealed, SharedStore};
use protocol::NodeId;
use protocol::node::NodeKind;
use service::metrics::{CounterBy, Follower, Gauge};
use service::{Metrics, Readiness, Shutdown, Tasks};
use signaling::{Parts, Server, SignalingConfig, Times};

use crate::options::{Access, Place, Web};
use crate::process::{Surroundings, program};

/// How often counters of the bus are carried over to metrics.
const COUNT: Duration = Duration::from_secs(1);

/// Between the parts.
#[derive(Clone)]
pub(crate) struct Shared {
    /// What the parts tell each other.
    pub(crate) bus: Arc<dyn Bus>,
    /// Who is alive.
    pub(crate) nodes: Arc<Nodes>,
}

impl Shared {
    pub(crate) fn new(bus: Arc<dyn Bus>) -> Self {
        Self { bus, nodes: Nodes::new(rand::random()) }
    }

    /// Listens to the nodes, counts, and keeps up to date which of the `expected` ones admit newcomers.
    pub(crate) fn start(
        &self,
        tasks: &Tasks,
        metrics: &Metrics,
        readiness: &Readiness,
        expected: Vec<NodeId>,
    ) {
        expected.iter().for_each(|node| readiness.set(node.as_str(), false));
        let Self { bus, nodes, .. } = self.clone();
        let shutdown = tasks.shutdown().clone();
        tasks.part("nodes", async move {
            tokio::select! {
                result = nodes.run(&*bus) => Ok(result?),
                () = shutdown.begun() => Ok(()),
            }
        });
        tasks.part("bus counters", count(self.clone(), tasks.shutdown().clone(), Counters::new(metrics)));
        tasks.part(
            "readiness",
            keep_ready(self.clone(), tasks.shutdown().clone(), readiness.clone(), expected),
        );
    }

    /// Signaling, its socket bound.
    pub(crate) async fn signaling(
        &self,
        store: SharedStore,
        web: &Web,
        access: &Access,
        place: &Place,
        around: &Surroundings,
    ) -> anyhow::Result<Server> {
        let config = SignalingConfig {
            region: place.region.clone(),
            version: program(),
            spill: web.spill.clone(),
            region_header: web.region_header.clone(),
            tls: web.tls.clone(),
            public_url: web.public_url.as_ref().map(|url| url.as_str().into()),
            allow_origins: web.allow_origins.clone(),
            trusted_proxies: web.trusted_proxies.clone(),
            limits: web.limits.clone(),
            times: Times { drain: web.drain, ..Times::default() },
            ..SignalingConfig::new(place.node.clone(), web.listen, access.keys.clone())
        };
        let parts = Parts {
            store,
            bus: self.bus.clone(),
            nodes: self.nodes.clone(),
            metrics: around.registry.node(place.node.as_str(), place.region.as_str()),
            tasks: around.tasks.clone(),
        };
        Server::bind(config, parts).await
    }
}

/// Counts what a bus between processes refuses.
pub(crate) fn count_refused(bus: Arc<Sealed>, tasks: &Tasks, metrics: &Metrics) {
    let bad = bad_input(metrics);
    let mut followers: Vec<_> = bus.refused().map(|(what, _)| Follower::new(bad.of(&[what]))).collect();
    let shutdown = tasks.shutdown().clone();
    tasks.part("refused on the bus", async move {
        let mut tick = tokio::time::interval(COUNT);
        while !shutdown.has_begun() {
            tokio::select! { _ = tick.tick() => {}, () = shutdown.begun() => {} }
            followers.iter_mut().zip(bus.refused()).for_each(|(follower, (_, total))| follower.follow(total));
        }
        Ok(())
    });
}

fn bad_input(metrics: &Metrics) -> CounterBy {
    metrics.counters("dais_bad_input_total", "What came from outside and could not be used.", &["what"])
}

async fn count(shared: Shared, shutdown: Shutdown, mut counters: Counters) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(COUNT);
    while !shutdown.has_begun() {
        tokio::select! { _ = tick.tick() => {}, () = shutdown.begun() => {} }
        counters.full.follow(shared.bus.stats().dropped);
        counters.bad.follow(shared.nodes.bad());
        counters.up.set(i64::from(shared.bus.is_up()));
        let live = shared.nodes.live();
        for (kind, known) in &counters.known {
            known.set(live.values().filter(|said| said.kind == *kind).count() as i64);
        }
    }
    Ok(())
}

async fn keep_ready(
    shared: Shared,
    shutdown: Shutdown,
    readiness: Readiness,
    expected: Vec<NodeId>,
) -> anyhow::Result<()> {
    let mut watch = shared.nodes.watch();
    loop {
        let live = watch.borrow_and_update().clone();
        for node in &expected {
            readiness.set(node.as_str(), live.get(node).is_some_and(|said| said.admits));
        }
        tokio::select! {
            changed = watch.changed() => changed?,
            () = shutdown.begun() => return Ok(()),
        }
    }
}

struct Counters {
    full: Follower,
    bad: Follower,
    up: Gauge,
    known: [(NodeKind, Gauge); 3],
}

impl Counters {
    fn new(metrics: &Metrics) -> Self {
        let full = metrics.counters("dais_queue_full_total", "Bounded queues that were full.", &["queue"]);
        let bad = bad_input(metrics);
        let known = metrics.gauges("dais_known_nodes", "Nodes that this process hears of.", &["kind"]);
        Self {
            known: NodeKind::ALL.map(|kind| (kind, known.of(&[kind.as_str()]))),
            full: Follower::new(full.of(&["bus"])),
            bad: Follower::new(bad.of(&["announcement"])),
            up: metrics.gauge("dais_bus_up", "Whether this process can speak to the others now."),
        }
    }
}
