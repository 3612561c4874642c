//! `dais origin`, `dais edge`, `dais signaling`: one part, with the same code as in `dais up`. It finds the
//! others over NATS.
//!
//! A part starts whether or not the bus is there, and is ready once that was reached. The bus goes on until
//! the part has drained.

use std::sync::Arc;
use std::time::Duration;

use cluster::bus::nats::Driver;
use cluster::bus::sealed::Herald;
use cluster::{NatsBus, RedisStore, Sealed};
use protocol::NodeId;
use protocol::node::NodeKind;
use service::config::Values;
use service::runtime::Threads;
use service::{Metrics, Shutdown};
use transport::Remote;

use crate::failure::Failure;
use crate::followed::Followed;
use crate::media::{Nodes, Spot};
use crate::options::{Access, Cluster, Framing, Media, Missing, Place, Process, Store, Trust, Web, key_in};
use crate::process::{self, Surroundings};
use crate::shared::{self, Shared};

/// Runs an origin until the shutdown.
pub(crate) fn origin(values: Values) -> Result<(), Failure> {
    media_node(values, NodeKind::Origin)
}

/// Runs an edge until the shutdown.
pub(crate) fn edge(values: Values) -> Result<(), Failure> {
    media_node(values, NodeKind::Edge)
}

fn media_node(mut values: Values, kind: NodeKind) -> Result<(), Failure> {
    let cluster = Cluster::read(&mut values);
    let media = Media::of_part(&mut values, cluster.is_local());
    cluster.check(&mut values, media.local);
    let framing = Framing::read(&mut values);
    let place = Place::read(&mut values, kind);
    let trust = Trust::read(&mut values, &cluster, Remote { node: place.node.clone(), kind }, media.local);
    let options = Process::read(&mut values);
    values.check()?;
    let trust = trust.expect("without it the check has failed");

    Ok(process::run(&options, &values, Threads { count: None, ..process::MEDIA }, async |around| {
        media.warn_if_private();
        let metrics = around.registry.node(place.node.as_str(), place.region.as_str());
        let (bus, drivers) = join(cluster, &place.node, &metrics, &around);
        let shared = Shared::new(bus.clone());
        shared.start(&around.tasks, &metrics, &around.readiness, vec![place.node.clone()]);
        shared::count_refused(bus, &around.tasks, &metrics);
        let serve = async {
            let credentials = trust.start(&around.tasks, &metrics);
            let nodes = Nodes::new(&shared, &around.tasks, &around.registry, &media)?;
            let (bind, link, shards) = (media.bind, media.link_of_part(), media.shards);
            let spot = Spot { place, credentials, media: bind, link, shards };
            match kind {
                NodeKind::Origin => nodes.origin(spot).await?,
                _ => nodes.edge(spot, framing).await?,
            }
            around.tasks.watch().await
        };
        beside(drivers, serve).await
    })?)
}

/// Runs signaling until the shutdown.
pub(crate) fn signaling(mut values: Values) -> Result<(), Failure> {
    let web = Web::read(&mut values);
    let why = "is needed: nobody could sign a token with an invented key of this process";
    let access = Access::read(&mut values, Missing::Refuse(why));
    let cluster = Cluster::read(&mut values);
    let store = Store::read(&mut values);
    cluster.check(&mut values, cluster.is_local() && store.as_ref().is_none_or(Store::is_local));
    let place = Place::read(&mut values, NodeKind::Signaling);
    let options = Process::read(&mut values);
    values.check()?;
    let store = store.expect("without one the check has failed");

    Ok(process::run(&options, &values, process::PEOPLE, async |around| {
        let store = RedisStore::new(store.url, &store.prefix, web.store_limits())?;
        reach(&store, &around);
        let metrics = around.registry.node(place.node.as_str(), place.region.as_str());
        let (bus, drivers) = join(cluster, &place.node, &metrics, &around);
        let shared = Shared::new(bus.clone());
        shared.start(&around.tasks, &metrics, &around.readiness, Vec::new());
        shared::count_refused(bus, &around.tasks, &metrics);
        let serve = async {
            let server = shared.signaling(store, &web, &access, &place, &around).await?;
            tracing::info!("signaling on {}", server.address());
            around.tasks.part("signaling", server.run());
            around.tasks.watch().await
        };
        beside(drivers, serve).await
    })?)
}

/// What has to run for the bus to be up, and for this process to be heard on it.
struct Drivers {
    nats: Driver,
    herald: Herald,
}

/// The bus between the parts. The process is not ready before it was reached once; later outages are
/// everybody's, and taking all parts out of service would help nobody.
fn join(cluster: Cluster, node: &NodeId, metrics: &Metrics, around: &Surroundings) -> (Arc<Sealed>, Drivers) {
    let keys = cluster.keys();
    let (bus, driver) = NatsBus::new(cluster.nats);
    let (readiness, shutdown, reached) =
        (around.readiness.clone(), around.tasks.shutdown().clone(), bus.clone());
    readiness.set("bus", false);
    around.tasks.errand("first contact with the bus", async move {
        tokio::select! {
            () = reached.reached() => readiness.set("bus", true),
            () = shutdown.begun() => {}
        }
    });
    let (bus, herald) = Sealed::new(bus, node.clone(), node::boot(), keys);
    if let Some(file) = cluster.key_file {
        let following = follow_key(file, bus.clone(), metrics.clone(), around.tasks.shutdown().clone());
        around.tasks.part("cluster key", following);
    }
    (bus, Drivers { nats: driver, herald })
}

/// Takes what is new in the file of the cluster's key, until the shutdown.
async fn follow_key(
    mut file: Followed<1>,
    bus: Arc<Sealed>,
    metrics: Metrics,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let help = "New keys of the cluster that could not be used.";
    let refused = metrics.counter("dais_cluster_key_refused_total", help);
    loop {
        tokio::select! {
            changed = file.changed() => changed?,
            () = shutdown.begun() => return Ok(()),
        }
        match key_in(&file) {
            Ok(key) => {
                tracing::info!("the key of the cluster is new");
                bus.renew(key.keys());
            }
            Err(error) => {
                refused.inc();
                tracing::warn!(%error, "a new key of the cluster cannot be used, the old one is kept");
            }
        }
    }
}

/// The process is not ready before the rooms' store was reached once.
fn reach(store: &Arc<RedisStore>, around: &Surroundings) {
    let (store, readiness, shutdown) =
        (store.clone(), around.readiness.clone(), around.tasks.shutdown().clone());
    readiness.set("store", false);
    around.tasks.errand("first contact with the store", async move {
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        let mut says = Some("no Redis server yet");
        while let Err(error) = store.ping().await {
            if let Some(says) = says.take() {
                tracing::warn!(%error, "{says}: rooms wait for it");
            }
            tokio::select! { _ = tick.tick() => {}, () = shutdown.begun() => return }
        }
        readiness.set("store", true);
    });
}

/// Keeps the bus connected while the part is served, drain included.
async fn beside(drivers: Drivers, serve: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::select! {
        result = serve => result,
        result = drivers.herald.run() => Ok(result?),
        never = drivers.nats.run() => match never {},
    }
}
