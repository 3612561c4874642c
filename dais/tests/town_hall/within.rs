//! What `dais up` runs, put together in the test's own process, so that the test holds the authority of the
//! links: signaling, one origin and two edges over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Bus, Limits, MemoryBus, MemoryStore, Nodes};
use media::dtls::Certificate;
use node::{Config, Surroundings};
use protocol::node::NodeKind;
use protocol::{NodeId, Region};
use service::http::Listener;
use service::shutdown::Trigger;
use service::{Readiness, Registry, Tasks, admin, shutdown};
use signaling::{Parts, Server, SignalingConfig};
use transport::{Authority, LinkIdentity};

use crate::town::{Town, free_ports, keys};

/// The parts that a test may need.
pub(crate) struct Within {
    authority: Authority,
    /// Where the origin takes links.
    pub(crate) origin_link: SocketAddr,
    _shutdown: Trigger,
}

impl Within {
    /// Starts everything.
    pub(crate) async fn start() -> (Town, Self) {
        let (trigger, shutdown) = shutdown::channel();
        let tasks = Tasks::new(shutdown.clone());
        let registry = Registry::new("test", "test");
        let authority = Authority::ephemeral().expect("an authority");
        let certificate = Arc::new(Certificate::generate().expect("a certificate"));
        let (bus, nodes) = (MemoryBus::new(), Nodes::new(1));
        tasks.part("nodes", {
            let (bus, nodes) = (bus.clone(), nodes.clone());
            async move { Ok(nodes.run(&*bus).await?) }
        });

        let [media, ..] = free_ports();
        let surroundings = |config: &Config, kind| Surroundings {
            bus: bus.clone() as Arc<dyn Bus>,
            credentials: authority.issue(&config.node, kind).expect("a certificate").into(),
            certificate: certificate.clone(),
            metrics: registry.node(config.node.as_str(), config.region.as_str()),
            tasks: tasks.clone(),
        };
        let config = config("origin-1", media);
        let origin =
            origin::start(config.clone(), surroundings(&config, NodeKind::Origin)).await.expect("an origin");
        for (name, port) in [("edge-1", media + 1), ("edge-2", media + 2)] {
            let config = self::config(name, port);
            let around = surroundings(&config, NodeKind::Edge);
            edge::start(config, around, nodes.watch(), edge::FramingChoice::Fixed(60))
                .await
                .expect("an edge");
        }

        let people = SignalingConfig::new(id("signaling-1"), local(0), keys());
        let metrics = registry.node("signaling-1", "local");
        let store = MemoryStore::new(Limits { rooms: 10, participants: 100 });
        let readiness = Readiness::new(shutdown);
        readiness.set("nodes", false);
        tasks.part("readiness", all_there(nodes.clone(), readiness.clone()));
        let parts = Parts { store, bus, nodes, metrics, tasks: tasks.clone() };
        let server = Server::bind(people, parts).await.expect("a free port");
        let http = server.address();
        tasks.part("signaling", server.run());

        let listener = Listener::bind(local(0), None).await.expect("a free port");
        let admin = listener.address().expect("it is bound");
        tasks.part("admin", admin::serve(listener, registry, readiness));
        let within = Self { authority, origin_link: origin.link, _shutdown: trigger };
        (Town::at(None, http, admin, media).await, within)
    }

    /// A certificate with which one more edge can link.
    pub(crate) fn another_edge(&self) -> LinkIdentity {
        self.authority.issue(&id("edge-9"), NodeKind::Edge).expect("a certificate")
    }
}

async fn all_there(nodes: Arc<Nodes>, readiness: Readiness) -> anyhow::Result<()> {
    let mut watch = nodes.watch();
    while watch.borrow_and_update().len() < 3 {
        watch.changed().await?;
    }
    readiness.set("nodes", true);
    std::future::pending().await
}

fn config(node: &str, media: u16) -> Config {
    Config {
        node: id(node),
        region: Region::new("local").expect("a name"),
        version: String::new(),
        link_ips: Vec::new(),
        max_egress: None,
        drain: Duration::from_secs(10),
        media: local(media),
        media_ips: vec![local(0).ip()],
        shards: 1,
        link: local(0),
        capacity: 100,
    }
}

fn id(node: &str) -> NodeId {
    NodeId::new(node).expect("a name")
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
