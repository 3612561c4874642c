//! A `dais up` of one's own: on free ports, with keys that the test knows, ended with the test.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::token::{Claims, Keys, Role};
use protocol::{Identity, RoomId};
use reqwest::{Client, RequestBuilder, Response};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// The room of all tests.
pub(crate) const ROOM: &str = "hall";

/// How long anything may take, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

const KEY: &str = "test";
const SECRET: &str = "a secret for tests alone, of 32 bytes or more";

/// The running program, or the same parts in the test's own process.
pub(crate) struct Town {
    process: Option<Child>,
    http: SocketAddr,
    admin: SocketAddr,
    media: u16,
    keys: Keys,
    client: Client,
}

impl Town {
    /// Starts it and waits until it admits people.
    pub(crate) async fn start() -> Self {
        let [http, admin, media, link] = free_ports();
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let arguments =
            ["--listen", "--admin", "--media", "--link"].into_iter().zip([http, admin, media, link]);
        let process = Command::new(env!("CARGO_BIN_EXE_dais"))
            .arg("up")
            .args(arguments.flat_map(|(name, port)| [name.into(), local(port).to_string()]))
            .args(["--shards", "3", "--log", "warn", "--api-key", KEY, "--api-secret", SECRET])
            .stdout(Stdio::null())
            .spawn()
            .expect("the program starts");
        Self::at(Some(process), local(http), local(admin), media).await
    }

    /// One that runs already: HTTP, admin server and first media port are there.
    pub(crate) async fn at(process: Option<Child>, http: SocketAddr, admin: SocketAddr, media: u16) -> Self {
        let mut town = Self { process, http, admin, media, keys: keys(), client: Client::new() };
        eventually("the program is ready", async || town.is_ready().await).await;
        town
    }

    async fn is_ready(&mut self) -> bool {
        let ended = self.process.as_mut().and_then(|process| process.try_wait().expect("it can be asked"));
        assert_eq!(ended, None, "the program ended");
        let answer = self.client.get(format!("http://{}/ready", self.admin)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Asks the program to end.
    pub(crate) fn terminate(&self) {
        let process = self.process.as_ref().expect("it is a program");
        kill_process(Pid::from_child(process), Signal::TERM).expect("it runs");
    }

    /// Its exit status, once it has ended.
    pub(crate) async fn ended(mut self) -> Option<i32> {
        let mut process = self.process.take().expect("it is a program");
        let mut status = None;
        eventually("the program ends", async || {
            status = process.try_wait().expect("it can be asked");
            status.is_some()
        })
        .await;
        status.and_then(|status| status.code())
    }

    /// Claims for the room, valid for an hour.
    pub(crate) fn claims(&self, role: Role, identity: Option<&str>) -> Claims {
        let identity = identity.map(|identity| Identity::new(identity).expect("an identity"));
        let room = Some(RoomId::new(ROOM).expect("a room"));
        let exp = now_s() + 3_600;
        Claims {
            iss: KEY.into(),
            sub: identity,
            name: None,
            room,
            role,
            exp,
            nbf: None,
            iat: None,
            hidden: false,
            region: None,
        }
    }

    /// A token with them.
    pub(crate) fn token(&self, role: Role, identity: Option<&str>) -> String {
        self.sign(&self.claims(role, identity))
    }

    /// A token with any claims.
    pub(crate) fn sign(&self, claims: &Claims) -> String {
        self.keys.sign(claims).expect("the key is there")
    }

    /// Where the WebSocket is.
    pub(crate) fn socket_url(&self) -> String {
        format!("ws://{}/v1/join", self.http)
    }

    /// A request with a Bearer token; `path` may be a whole address, as `Location` is.
    pub(crate) fn request(&self, method: reqwest::Method, path: &str, token: &str) -> RequestBuilder {
        let url = if path.starts_with('/') { format!("http://{}{path}", self.http) } else { path.into() };
        self.client.request(method, url).bearer_auth(token)
    }

    /// Brings an SDP offer to `/whip` or `/whep`.
    pub(crate) async fn offer(&self, endpoint: &str, token: &str, sdp: String) -> Response {
        let request = self.request(reqwest::Method::POST, &format!("/{endpoint}/{ROOM}"), token);
        let request = request.header("content-type", "application/sdp").body(sdp);
        request.send().await.expect("the program answers")
    }

    /// UDP addresses of its nodes: the origin's, then the edges'.
    pub(crate) fn media(&self) -> [SocketAddr; 3] {
        [0, 1, 2].map(|node| SocketAddr::from(([127, 0, 0, 1], self.media + node)))
    }

    /// The sum of a metric over its labels, or over those that contain `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let answer = self.client.get(format!("http://{}/metrics", self.admin)).send().await;
        let text = answer.expect("metrics are there").text().await.expect("and are text");
        let ours = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        ours.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        // It may have ended by itself; either way it must not outlive the test.
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Asks until it is so.
pub(crate) async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !ask().await {
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The wall clock, in s.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// What signs and checks tokens.
pub(crate) fn keys() -> Keys {
    let mut keys = Keys::default();
    keys.add(KEY, SECRET.as_bytes()).expect("a valid key");
    keys
}

/// Four blocks of eight ports that nobody has, below those that the system hands out by itself.
pub(crate) fn free_ports() -> [u16; 4] {
    let mut found = Vec::new();
    let is_free =
        |port| TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok();
    while found.len() < 4 {
        let first = 20_000 + 8 * (rand::random::<u16>() % 1_500);
        if !found.contains(&first) && (first..first + 8).all(is_free) {
            found.push(first);
        }
    }
    [found[0], found[1], found[2], found[3]]
}
