//! `dais origin`, `dais edge`, `dais signaling`: one part, with the same code as in `dais up`. It finds the
//! others over NATS.
//!
//! A part starts whether or not the bus is there, and is ready once that was reached. The bus goes on until
//! the part has drained.

use std::sync::Arc;

use cluster::NatsBus;
use cluster::bus::nats::Driver;
use protocol::node::NodeKind;
use service::config::Values;
use service::runtime::Threads;
use signaling::Limits;

use crate::failure::Failure;
use crate::media::{Nodes, Spot};
use crate::options::{Access, Cluster, Framing, Media, Missing, Place, Process, Web};
use crate::process::{self, Surroundings};
use crate::shared::Shared;

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
    let options = Process::read(&mut values);
    values.check()?;

    Ok(process::run(&options, &values, Threads { count: None, ..process::MEDIA }, async |around| {
        media.warn_if_private();
        let authority = cluster.authority()?;
        let (bus, driver) = join(cluster, &around);
        let shared = Shared::new(bus, &Limits::default());
        let metrics = around.registry.node(place.node.as_str(), &place.region);
        shared.start(&around.tasks, &metrics, &around.readiness, vec![place.node.clone()]);
        let serve = async {
            let nodes = Nodes::new(&shared, &around.tasks, &around.registry, &media, authority)?;
            let spot = Spot { place, media: media.bind, link: media.link_of_part(), shards: media.shards };
            match kind {
                NodeKind::Origin => nodes.origin(spot).await?,
                _ => nodes.edge(spot, framing).await?,
            }
            around.tasks.watch().await
        };
        beside(driver, serve).await
    })?)
}

/// Runs signaling until the shutdown.
pub(crate) fn signaling(mut values: Values) -> Result<(), Failure> {
    let web = Web::read(&mut values);
    let why = "is needed: nobody could sign a token with an invented key of this process";
    let access = Access::read(&mut values, Missing::Refuse(why));
    let cluster = Cluster::read(&mut values);
    cluster.check(&mut values, cluster.is_local());
    let place = Place::read(&mut values, NodeKind::Signaling);
    let options = Process::read(&mut values);
    values.check()?;

    Ok(process::run(&options, &values, process::PEOPLE, async |around| {
        tracing::warn!("rooms are kept in the memory of this process: it must be the only signaling node");
        let (bus, driver) = join(cluster, &around);
        let shared = Shared::new(bus, &web.limits);
        let metrics = around.registry.node(place.node.as_str(), &place.region);
        shared.start(&around.tasks, &metrics, &around.readiness, Vec::new());
        let serve = async {
            let server = shared.signaling(&web, &access, &place, &around).await?;
            tracing::info!("signaling on {}", server.address()?);
            around.tasks.part("signaling", server.run());
            around.tasks.watch().await
        };
        beside(driver, serve).await
    })?)
}

/// The bus between the parts. The process is not ready before it was reached once; later outages are
/// everybody's, and taking all parts out of service would help nobody.
fn join(cluster: Cluster, around: &Surroundings) -> (Arc<NatsBus>, Driver) {
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
    (bus, driver)
}

/// Keeps the bus connected while the part is served, drain included.
async fn beside(driver: Driver, serve: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::select! {
        result = serve => result,
        never = driver.run() => match never {},
    }
}
