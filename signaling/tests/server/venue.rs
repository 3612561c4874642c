//! A signaling node with an origin and two edges that make peers of nothing but numbers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cluster::store::{Limits as StoreLimits, MemoryStore};
use cluster::{Bus, MemoryBus, Nodes};
use futures_util::{SinkExt, StreamExt};
use protocol::node::{self, Announcement, Event, NodeKind, PeerEvent, Request, Response, Stage};
use protocol::session::{Answer, Candidate, CandidateProtocol, Fingerprint, IceText};
use protocol::token::{Claims, Keys, Role};
use protocol::{ApiError, Code, Identity, NodeId, PeerId, RoomId, VoiceId};
use serde_json::{Value, json};
use service::{Registry, Tasks, shutdown};
use signaling::{Parts, Server, SignalingConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longer than anything here takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const ROOM: &str = "hall";

pub(crate) struct Venue {
    pub(crate) address: SocketAddr,
    pub(crate) origin: Node,
    pub(crate) edges: [Node; 2],
    keys: Keys,
    registry: Registry,
    trigger: shutdown::Trigger,
    tasks: Tasks,
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
        change(&mut config);

        let (trigger, shutdown) = shutdown::channel();
        let tasks = Tasks::new(shutdown);
        let (bus, nodes) = (MemoryBus::new(), Nodes::new());
        let registry = Registry::default();
        let hears = {
            let (bus, nodes, shutdown) = (bus.clone(), nodes.clone(), tasks.shutdown().clone());
            async move {
                tokio::select! {
                    result = nodes.run(&*bus) => Ok(result?),
                    () = shutdown.begun() => Ok(()),
                }
            }
        };
        tasks.part("nodes", hears);
        let parts = Parts {
            store: MemoryStore::new(StoreLimits::default()),
            bus: bus.clone(),
            nodes: nodes.clone(),
            metrics: registry.node("signaling", "local"),
            tasks: tasks.clone(),
        };
        let server = Server::bind(config, parts).await.unwrap();
        let address = server.address().unwrap();
        tasks.part("signaling", server.run());
        let origin = Node::start(&bus, "origin-1", NodeKind::Origin).await;
        let edges = [
            Node::start(&bus, "edge-1", NodeKind::Edge).await,
            Node::start(&bus, "edge-2", NodeKind::Edge).await,
        ];
        let mut live = nodes.watch();
        timeout(PATIENCE, live.wait_for(|live| live.len() == 3)).await.unwrap().unwrap();
        Self { address, origin, edges, keys, registry, trigger, tasks }
    }

    pub(crate) fn token(&self, role: Role, identity: Option<&str>) -> String {
        self.signed(claims(role, identity))
    }

    pub(crate) fn signed(&self, claims: Claims) -> String {
        self.keys.sign(&claims).unwrap()
    }

    /// A socket on which nothing has been said.
    pub(crate) async fn connect(&self) -> Client {
        let url = format!("ws://{}/v1/join", self.address);
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        Client { socket, welcome: Value::Null, asked: 0 }
    }

    pub(crate) async fn join(&self, role: Role, identity: &str) -> Client {
        let token = self.token(role, Some(identity));
        self.join_with(json!({"type": "join", "token": token})).await
    }

    pub(crate) async fn join_with(&self, join: Value) -> Client {
        let mut client = self.connect().await;
        client.send(join).await;
        client.welcome = client.next().await;
        assert_eq!(client.welcome["type"], "welcome", "{}", client.welcome);
        client
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
        let text = self.registry.render();
        let fits = |line: &&str| line.starts_with(metric) && labels.iter().all(|label| line.contains(label));
        let values =
            text.lines().filter(fits).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }

    /// Stops the server and waits for everything in it to end.
    pub(crate) async fn close(self) {
        self.trigger.begin();
        timeout(PATIENCE, self.tasks.watch()).await.expect("everything ends").unwrap();
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
    }
}

pub(crate) fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn name(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

/// What a client's browser would say.
pub(crate) fn offer(lines: u8) -> Value {
    json!({
        "ufrag": "abcd", "pwd": "0123456789012345678901", "fingerprint": "A".repeat(43),
        "opus": 111, "lines": lines,
    })
}

pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) welcome: Value,
    asked: u64,
}

impl Client {
    pub(crate) async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send_binary(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).await.unwrap();
    }

    /// The next message; `Null` once the server has closed.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Value::Null,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message of this type; others are passed over.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            assert!(!message.is_null(), "closed before `{kind}`");
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Asks and waits for the answer; what comes in between is passed over.
    pub(crate) async fn ask(&mut self, mut message: Value) -> Value {
        self.asked += 1;
        message["id"] = self.asked.into();
        self.send(message).await;
        loop {
            let answer = self.next().await;
            assert!(!answer.is_null(), "closed before the answer");
            if answer["id"] == self.asked {
                return answer;
            }
        }
    }

    pub(crate) async fn media(&mut self, purpose: &str) -> Value {
        self.ask(json!({"type": "media", "purpose": purpose, "offer": offer(3)})).await
    }

    /// Why one was put out; the server has closed after it.
    pub(crate) async fn removed(&mut self) -> String {
        let removed = self.until("removed").await;
        assert!(self.next().await.is_null(), "the socket closes");
        removed["reason"].as_str().unwrap().to_owned()
    }

    /// Gone without a word, as in a tunnel.
    pub(crate) fn cut(self) {
        drop(self.socket);
    }

    pub(crate) fn resume(&self) -> Value {
        json!({"type": "join", "token": "", "resume": self.welcome["resume"]})
    }
}

/// A media node of which only the control side exists.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    bus: Arc<MemoryBus>,
    requests: tokio::sync::Mutex<mpsc::UnboundedReceiver<Request>>,
    refuses: Arc<AtomicBool>,
    boot: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Node {
    async fn start(bus: &Arc<MemoryBus>, name: &'static str, kind: NodeKind) -> Self {
        let (tell, requests) = mpsc::unbounded_channel();
        let refuses = Arc::new(AtomicBool::new(false));
        let mut inbox = bus.subscribe(&node::subject(&self::name(name))).await.unwrap();
        let boot = Arc::new(AtomicU64::new(1));
        let task = tokio::spawn({
            let (bus, refuses, boot) = (bus.clone(), refuses.clone(), boot.clone());
            async move {
                let mut second = tokio::time::interval(Duration::from_millis(200));
                let mut peers = 0;
                loop {
                    tokio::select! {
                        _ = second.tick() => {
                            let said = announcement(name, kind, boot.load(Ordering::Relaxed));
                            let said = serde_json::to_vec(&said).unwrap();
                            bus.publish(node::NODES, said.into()).await.unwrap();
                        }
                        Some(message) = inbox.recv() => {
                            let request: Request = serde_json::from_slice(&message.payload).unwrap();
                            let response = respond(&request, &mut peers, refuses.load(Ordering::Relaxed));
                            let _ = tell.send(request);
                            let payload = serde_json::to_vec(&response).unwrap();
                            message.respond(&*bus, payload.into()).await.unwrap();
                        }
                    }
                }
            }
        });
        Self { name, bus: bus.clone(), requests: tokio::sync::Mutex::new(requests), refuses, boot, task }
    }

    /// From now on nobody is admitted.
    pub(crate) fn refuse(&self) {
        self.refuses.store(true, Ordering::Relaxed);
    }

    /// Starts anew, with all its peers forgotten.
    pub(crate) fn restart(&self) {
        self.boot.fetch_add(1, Ordering::Relaxed);
    }

    /// Falls silent.
    pub(crate) fn kill(&self) {
        self.task.abort();
    }

    /// The next request that `wanted` makes something of.
    pub(crate) async fn asked<T>(&self, wanted: impl Fn(Request) -> Option<T>) -> T {
        let mut requests = self.requests.lock().await;
        loop {
            let request = timeout(PATIENCE, requests.recv()).await.expect("a request in time");
            if let Some(found) = wanted(request.expect("the node lives")) {
                return found;
            }
        }
    }

    /// The first stage from here on that fits.
    pub(crate) async fn stage(&self, fits: impl Fn(&Stage) -> bool) -> Stage {
        self.asked(|request| match request {
            Request::Stage(stage) if fits(&stage) => Some(stage),
            _ => None,
        })
        .await
    }

    pub(crate) async fn removed(&self) -> u64 {
        let peer = |request| if let Request::Remove { peer } = request { Some(peer.0) } else { None };
        self.asked(peer).await
    }

    /// Tells that a peer is gone.
    pub(crate) async fn lose(&self, peer: u64) {
        let event = Event {
            node: name(self.name),
            room: RoomId::new(ROOM).unwrap(),
            peer: PeerId(peer),
            what: PeerEvent::Gone,
        };
        self.bus.publish(node::EVENTS, serde_json::to_vec(&event).unwrap().into()).await.unwrap();
    }
}

fn respond(request: &Request, peers: &mut u64, refuses: bool) -> Response {
    match request {
        Request::Admit(_) if refuses => Response::Refused(ApiError::new(Code::Unavailable, "full")),
        Request::Admit(admit) => {
            *peers += 1;
            Response::Admitted { peer: PeerId(*peers), answer: answer(admit.offer.lines.value()) }
        }
        _ => Response::Done,
    }
}

fn answer(lines: u8) -> Answer {
    let candidate = Candidate { protocol: CandidateProtocol::Udp, ip: [127, 0, 0, 1].into(), port: 7100 };
    Answer {
        ufrag: IceText::new("node").unwrap(),
        pwd: IceText::new("0123456789012345678901").unwrap(),
        fingerprint: Fingerprint([3; 32]),
        candidates: vec![candidate],
        ssrcs: VoiceId::all().take(lines.into()).map(VoiceId::ssrc).collect(),
        red: false,
    }
}

fn announcement(text: &str, kind: NodeKind, boot: u64) -> Announcement {
    Announcement {
        node: name(text),
        kind,
        region: "local".into(),
        boot,
        link: "127.0.0.1:7200".parse().unwrap(),
        peers: 0,
        capacity: 1_000,
        admits: true,
    }
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
    async fn send(&self, address: SocketAddr) -> HttpAnswer {
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
