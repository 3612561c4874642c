//! `dais origin`, `dais edge`, `dais signaling`: one part, with the same code as in `dais up`.
//!
//! Parts in different processes do not find each other yet: bus and store are of this process. A part
//! alone says so, and is there for measuring it and for whatever drives it through its ports.

use protocol::node::NodeKind;
use service::config::Values;
use service::runtime::Threads;
use signaling::Limits;

use crate::failure::Failure;
use crate::media::{Nodes, Spot};
use crate::options::{Access, Framing, Media, Missing, Place, Process, Web};
use crate::process;
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
    let media = Media::read(&mut values, false);
    let framing = Framing::read(&mut values);
    let place = Place::read(&mut values, kind);
    let options = Process::read(&mut values);
    values.check()?;

    Ok(process::run(&options, &values, Threads { count: None, ..process::MEDIA }, async |around| {
        stands_alone(&place);
        media.warn_if_private();
        let shared = Shared::new(&Limits::default());
        let metrics = around.registry.node(place.node.as_str(), &place.region);
        shared.start(&around.tasks, &metrics, &around.readiness, vec![place.node.clone()]);
        let nodes = Nodes::new(&shared, &around.tasks, &around.registry, &media)?;
        let spot = Spot { place, media: media.bind, link: media.link_or_any(), shards: media.shards };
        match kind {
            NodeKind::Origin => nodes.origin(spot).await?,
            _ => nodes.edge(spot, framing).await?,
        }
        around.tasks.watch().await
    })?)
}

/// Runs signaling until the shutdown.
pub(crate) fn signaling(mut values: Values) -> Result<(), Failure> {
    let web = Web::read(&mut values);
    let why = "is needed: nobody could sign a token with an invented key of this process";
    let access = Access::read(&mut values, Missing::Refuse(why));
    let place = Place::read(&mut values, NodeKind::Signaling);
    let options = Process::read(&mut values);
    values.check()?;

    Ok(process::run(&options, &values, process::PEOPLE, async |around| {
        stands_alone(&place);
        let shared = Shared::new(&web.limits);
        let metrics = around.registry.node(place.node.as_str(), &place.region);
        shared.start(&around.tasks, &metrics, &around.readiness, Vec::new());
        let server = shared.signaling(&web, &access, &place, &around).await?;
        tracing::info!("signaling on {}", server.address()?);
        around.tasks.part("signaling", server.run());
        around.tasks.watch().await
    })?)
}

fn stands_alone(place: &Place) {
    tracing::warn!(
        "{} stands alone: it finds no other process, and keeps its state in memory; `dais up` is a whole system",
        place.node
    );
}
