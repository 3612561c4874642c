//! Starts origins and edges: the same for a part and for a whole system.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use media::dtls::Certificate;
use node::{Config, Surroundings};
use protocol::node::NodeKind;
use service::{Registry, Tasks};
use transport::Credentials;

use crate::options::{Bits, Framing, Media, Place};
use crate::process::program;
use crate::shared::Shared;

/// What all media nodes of a process have in common.
pub(crate) struct Nodes<'a> {
    shared: &'a Shared,
    tasks: &'a Tasks,
    registry: &'a Registry,
    media: &'a Media,
    /// Of all nodes: clients compare its fingerprint, nothing else.
    certificate: Arc<Certificate>,
}

/// Where one node is.
pub(crate) struct Spot {
    /// Its name and region.
    pub(crate) place: Place,
    /// Who it is, on links.
    pub(crate) credentials: Credentials,
    /// First media address.
    pub(crate) media: SocketAddr,
    /// Of its links.
    pub(crate) link: SocketAddr,
    /// Threads.
    pub(crate) shards: usize,
}

impl<'a> Nodes<'a> {
    pub(crate) fn new(
        shared: &'a Shared,
        tasks: &'a Tasks,
        registry: &'a Registry,
        media: &'a Media,
    ) -> anyhow::Result<Self> {
        let certificate = Arc::new(Certificate::generate().context("the certificate of the media")?);
        Ok(Self { shared, tasks, registry, media, certificate })
    }

    pub(crate) async fn origin(&self, spot: Spot) -> anyhow::Result<()> {
        let (config, surroundings) = self.node(spot, NodeKind::Origin)?;
        let name = config.node.clone();
        let origin = self.tasks.settle(origin::start(config, surroundings)).await?;
        tracing::info!("{name}: media on {}, links on {}", list(&origin.media), origin.link);
        Ok(())
    }

    pub(crate) async fn edge(&self, spot: Spot, framing: Framing) -> anyhow::Result<()> {
        let (config, surroundings) = self.node(spot, NodeKind::Edge)?;
        let name = config.node.clone();
        let live = self.shared.nodes.watch();
        let edge = self.tasks.settle(edge::start(config, surroundings, live, framing.choice())).await?;
        tracing::info!("{name}: media on {}, links on {}", list(&edge.media), edge.link);
        Ok(())
    }

    fn node(&self, spot: Spot, kind: NodeKind) -> anyhow::Result<(Config, Surroundings)> {
        let Spot { place, credentials, media, link, shards } = spot;
        let surroundings = Surroundings {
            bus: self.shared.bus.clone(),
            credentials,
            certificate: self.certificate.clone(),
            metrics: self.registry.node(place.node.as_str(), place.region.as_str()),
            tasks: self.tasks.clone(),
        };
        let capacity = self.media.capacity_of(shards);
        let (media_ips, link_ips) = (self.media.ips.clone(), self.media.link_ips.clone());
        // What an origin sends goes to edges, a few times for all listeners.
        let max_egress = self.media.max_egress.filter(|_| kind == NodeKind::Edge).map(Bits::per_second);
        let (Place { node, region }, version) = (place, program());
        let drain = self.media.drain;
        let config = Config {
            node,
            region,
            version,
            media,
            media_ips,
            shards,
            link,
            link_ips,
            capacity,
            max_egress,
            drain,
        };
        Ok((config, surroundings))
    }
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
