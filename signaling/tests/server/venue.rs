//! A signaling node with an origin and two edges that make peers of nothing but numbers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::nodes::Live;
use cluster::store::{Limits as StoreLimits, MemoryStore};
use cluster::{Bus, MemoryBus, Nodes, Subscription};
use protocol::node::{NodeKind, room_subject};
use protocol::token::{Claims, Keys, Role};
use protocol::{Identity, NodeId, RoomId};
use serde_json::{Value, json};
use service::{Registry, Tasks, shutdown};
use signaling::{Parts, Server, SignalingConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::Client;
use crate::node::Node;

/// Longer than anything here takes; a test that waits for it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const ROOM: &str = "hall";

/// With this one the first listener hears at `edge-1`.
const SEED: u64 = 5;

pub(crate) struct Venue {
    pub(crate) address: SocketAddr,
    pub(crate) origin: Node,
    pub(crate) edges: [Node; 2],
    keys: Keys,
    trigger: shutdown::Trigger,
    parts: Shared,
}

/// What the nodes of the system have in common.
#[derive(Clone)]
struct Shared {
    store: Arc<MemoryStore>,
    bus: Arc<MemoryBus>,
    nodes: Arc<Nodes>,
    registry: Registry,
    tasks: Tasks,
}

impl Shared {
    fn hear_nodes(&self) {
        let (bus, nodes, shutdown) = (self.bus.clone(), self.nodes.clone(), self.tasks.shutdown().clone());
        self.tasks.part("nodes", async move {
            tokio::select! {
                result = nodes.run(&*bus) => Ok(result?),
                () = shutdown.begun() => Ok(()),
            }
        });
    }

    async fn serve(&self, config: SignalingConfig) -> SocketAddr {
        let parts = Parts {
            store: self.store.clone(),
            bus: self.bus.clone(),
            nodes: self.nodes.clone(),
            metrics: self.registry.node(config.node.as_str(), "local"),
            tasks: self.tasks.clone(),
        };
        let server = Server::bind(config, parts).await.unwrap();
        let address = server.address();
        self.tasks.part("signaling", server.run());
        address
    }
}

impl Venue {
    pub(crate) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut SignalingConfig)) -> Self {
        let mut keys = Keys::default();
        keys.add("main", &[7; 32]).unwrap();
        let mut config =
            SignalingConfig::new(name("signaling"), "127.0.0.1:0".parse().unwrap(), keys.clone());
        config.times.drain = Duration::from_secs(5);
        change(&mut config);

        let (trigger, shutdown) = shutdown::channel();
        let tasks = Tasks::new(shutdown);
        let (bus, nodes) = (MemoryBus::new(), Nodes::new(SEED));
        let parts = Shared {
            store: MemoryStore::new(StoreLimits::default()),
            bus: bus.clone(),
            nodes: nodes.clone(),
            registry: Registry::default(),
            tasks,
        };
        parts.hear_nodes();
        let address = parts.serve(config).await;
        let origin = Node::start(&bus, "origin-1", NodeKind::Origin).await;
        let edges = [
            Node::start(&bus, "edge-1", NodeKind::Edge).await,
            Node::start(&bus, "edge-2", NodeKind::Edge).await,
        ];
        let venue = Self { address, origin, edges, keys, trigger, parts };
        venue.until_heard(|live| live.values().filter(|said| said.kind.has_media()).count() == 3).await;
        venue
    }

    /// Returns once signaling has heard this of the nodes.
    pub(crate) async fn until_heard(&self, holds: impl FnMut(&Live) -> bool) {
        let mut live = self.parts.nodes.watch();
        timeout(PATIENCE, live.wait_for(holds)).await.expect("it is announced").unwrap();
    }

    /// Another signaling node of the same system.
    pub(crate) async fn another(&self) -> SocketAddr {
        self.parts.serve(self.config_of_another()).await
    }

    /// The same, in a process of its own: what ends it.
    pub(crate) async fn another_that_ends(&self) -> (SocketAddr, shutdown::Trigger, Tasks) {
        self.another_that_ends_over(Duration::from_secs(5)).await
    }

    /// The same, whose people have so long to go.
    pub(crate) async fn another_that_ends_over(
        &self,
        drain: Duration,
    ) -> (SocketAddr, shutdown::Trigger, Tasks) {
        let (trigger, shutdown) = shutdown::channel();
        let tasks = Tasks::new(shutdown);
        let parts = Shared { tasks: tasks.clone(), ..self.parts.clone() };
        let mut config = self.config_of_another();
        config.times.drain = drain;
        (parts.serve(config).await, trigger, tasks)
    }

    fn config_of_another(&self) -> SignalingConfig {
        let listen = "127.0.0.1:0".parse().unwrap();
        let mut config = SignalingConfig::new(name("signaling-2"), listen, self.keys.clone());
        config.times.drain = Duration::from_secs(5);
        config
    }

    /// What nodes speak over.
    pub(crate) fn bus(&self) -> &Arc<MemoryBus> {
        &self.parts.bus
    }

    /// Hears what the signaling nodes tell each other about the room.
    pub(crate) async fn overhear(&self) -> Subscription {
        self.parts.bus.subscribe(&room_subject(&RoomId::new(ROOM).unwrap())).await.unwrap()
    }

    /// What is published on a subject from now on.
    pub(crate) async fn hears(&self, subject: &str) -> Subscription {
        self.parts.bus.subscribe(subject).await.unwrap()
    }

    /// The edge that a `media` answer names.
    pub(crate) fn edge_of(&self, media: &Value) -> &Node {
        self.edges.iter().find(|edge| media["node"] == edge.name).expect("an edge")
    }

    pub(crate) fn token(&self, role: Role, identity: Option<&str>) -> String {
        self.signed(claims(role, identity))
    }

    pub(crate) fn signed(&self, claims: Claims) -> String {
        self.keys.sign(&claims).unwrap()
    }

    /// A socket on which nothing has been said.
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    pub(crate) async fn join(&self, role: Role, identity: &str) -> Client {
        let token = self.token(role, Some(identity));
        self.join_with(json!({"type": "join", "token": token})).await
    }

    pub(crate) async fn join_with(&self, join: Value) -> Client {
        Client::join(self.address, join).await
    }

    /// The error that this `join` is answered with.
    pub(crate) async fn refused(&self, join: Value) -> Value {
        let mut client = self.connect().await;
        client.send(join).await;
        let answer = client.next().await;
        assert_eq!(answer["type"], "error", "{answer}");
        answer
    }

    pub(crate) async fn http(&self, request: Http<'_>) -> HttpAnswer {
        request.send(self.address).await
    }

    /// The sum of a counter's or gauge's series that contain all of `labels`.
    pub(crate) fn metric(&self, metric: &str, labels: &[&str]) -> f64 {
        let text = self.parts.registry.render();
        let fits = |line: &&str| line.starts_with(metric) && labels.iter().all(|label| line.contains(label));
        let values =
            text.lines().filter(fits).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    /// Returns once it has come to this.
    pub(crate) async fn metric_is(&self, metric: &str, labels: &[&str], wanted: f64) {
        let reached = async {
            while self.metric(metric, labels) != wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{metric} is not {wanted}"));
    }

    /// Stops the server and waits for everything in it to end.
    pub(crate) async fn close(self) {
        self.trigger.begin();
        timeout(PATIENCE, self.parts.tasks.watch()).await.expect("everything ends").unwrap();
    }

    pub(crate) fn begin_shutdown(&self) {
        self.trigger.begin();
    }
}

pub(crate) fn claims(role: Role, identity: Option<&str>) -> Claims {
    Claims {
        iss: "main".into(),
        sub: identity.map(|identity| Identity::new(identity).unwrap()),
        name: None,
        room: (role != Role::Admin).then(|| RoomId::new(ROOM).unwrap()),
        role,
        exp: now_s() + 600,
        nbf: None,
        iat: None,
        hidden: false,
        region: None,
    }
}

pub(crate) fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn name(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

/// An HTTP request, as simple as can be.
#[derive(Default)]
pub(crate) struct Http<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) token: Option<&'a str>,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a str,
}

#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Http<'_> {
    pub(crate) async fn send(&self, address: SocketAddr) -> HttpAnswer {
        let mut head =
            format!("{} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n", self.method, self.path);
        for (name, value) in self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(token) = self.token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", self.body.len());
        let mut stream = TcpStream::connect(address).await.unwrap();
        // A server that refuses a large body need not read it.
        let _ = stream.write_all([head.as_bytes(), self.body.as_bytes()].concat().as_slice()).await;
        let mut bytes = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("an answer in time");
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").expect("an HTTP answer");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        HttpAnswer { status, headers: head.to_owned(), body: body.to_owned() }
    }
}

impl HttpAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = self
            .headers
            .lines()
            .find(|line| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name)))?;
        line.split_once(": ").map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}
