//! Where the server is: signaling's addresses out of `--url`, and requests to its HTTP API.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use protocol::token::{Claims, Role};
use protocol::{ApiError, Identity, RoomId};
use serde_json::json;

use crate::Options;

/// An address of nobody (RFC 5737): the way there is the way to the world.
const WORLD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 9);

/// How long a node may take to answer before the next is asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two tries where there are too many requests, and how many of them.
const BREATH: Duration = Duration::from_secs(1);
const TRIES: u32 = 10;

/// How long a token is valid beyond the run.
const SPARE_S: u64 = 3_600;

/// Most signaling nodes of a run.
pub const MAX_URLS: usize = 64;

/// Where a signaling node is: `http://127.0.0.1:7000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
}

/// Why a text is no address of a signaling node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Another scheme, or none.
    #[error("{0}: must begin with http:// (this version measures without TLS)")]
    Scheme(String),
    /// No host, a port that is none.
    #[error("{0}: is not an address")]
    Address(String),
    /// More than an address.
    #[error("{0}: must be an address without a path")]
    Path(String),
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if !text.starts_with("http://") {
            return Err(UrlError::Scheme(text.into()));
        }
        let url = reqwest::Url::parse(text).map_err(|_| UrlError::Address(text.into()))?;
        let more = url.query().or(url.fragment()).or(url.password());
        if url.path() != "/" || more.is_some() || !url.username().is_empty() {
            return Err(UrlError::Path(text.into()));
        }
        let host = url.host_str().ok_or_else(|| UrlError::Address(text.into()))?.to_owned();
        Ok(Self { host, port: url.port_or_known_default().unwrap_or(80) })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", self.host, self.port)
    }
}

/// One signaling node.
pub(crate) struct Node {
    url: Url,
    /// Where that is.
    pub(crate) address: SocketAddr,
}

impl Node {
    async fn find(url: &Url) -> anyhow::Result<Self> {
        let host = url.host.trim_matches(['[', ']']);
        let found =
            tokio::net::lookup_host((host, url.port)).await.with_context(|| format!("--url {url}"))?;
        // Media is over IPv4 too.
        let address =
            found.min_by_key(SocketAddr::is_ipv6).with_context(|| format!("--url {url}: has no address"))?;
        Ok(Self { url: url.clone(), address })
    }

    /// `127.0.0.1:7000`, for the WebSocket's Host.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.url.host, self.url.port)
    }

    /// Whether everybody can have an address of their own for the WebSocket too.
    pub(crate) fn is_on_loopback(&self) -> bool {
        matches!(self.address.ip(), IpAddr::V4(ip) if ip.is_loopback())
    }
}

/// The signaling nodes, in the order of `--url`. Where one does not answer the next is asked.
pub(crate) struct Target {
    pub(crate) nodes: Vec<Node>,
    http: reqwest::Client,
}

impl Target {
    /// Finds out where they are.
    pub(crate) async fn find(urls: &[Url]) -> anyhow::Result<Self> {
        let mut nodes = Vec::new();
        for url in urls {
            nodes.push(Node::find(url).await?);
        }
        ensure!(!nodes.is_empty(), "--url: is needed");
        Ok(Self { nodes, http: reqwest::Client::builder().timeout(PATIENCE).build()? })
    }

    /// Whether everybody can have an address of their own for the WebSocket too, wherever they are.
    pub(crate) fn is_on_loopback(&self) -> bool {
        self.nodes.iter().all(Node::is_on_loopback)
    }

    /// Addresses of this machine from which the server may be reached: towards signaling, and towards the
    /// world, in case its media nodes are elsewhere.
    pub(crate) fn local_addresses(&self) -> Vec<IpAddr> {
        let remote = self.nodes.iter().map(|node| node.address).chain([WORLD]);
        let local: BTreeSet<IpAddr> = remote.filter_map(local_towards).collect();
        local.into_iter().collect()
    }

    /// Makes a room with this many seats.
    pub(crate) async fn make_room(&self, options: &Options, room: &RoomId, seats: u32) -> anyhow::Result<()> {
        let body = json!({ "room": room, "title": "Load test", "seats": seats, "live": true }).to_string();
        let request = |url: &Url| {
            let request = self.http.post(format!("{url}/v1/rooms"));
            request.header("content-type", "application/json").body(body.clone())
        };
        self.ask(options, request).await.with_context(|| format!("cannot make the room {room}"))
    }

    /// Ends a room.
    pub(crate) async fn end_room(&self, options: &Options, room: &RoomId) -> anyhow::Result<()> {
        let asked = self.ask(options, |url| self.http.delete(format!("{url}/v1/rooms/{room}"))).await;
        asked.with_context(|| format!("cannot end the room {room}"))
    }

    /// Asks as an admin, and again while there are too many requests.
    async fn ask(
        &self,
        options: &Options,
        request: impl Fn(&Url) -> reqwest::RequestBuilder,
    ) -> anyhow::Result<()> {
        let token = sign(options, None, None, Role::Admin)?;
        for _ in 0..TRIES {
            let answer = self.first_answer(0, |url| request(url).bearer_auth(&token)).await;
            let answer = answer.context("nobody answers: is `dais up` running there?")?;
            let status = answer.status();
            if status.is_success() {
                return Ok(());
            }
            let says = answer.text().await.unwrap_or_default();
            ensure!(status == reqwest::StatusCode::TOO_MANY_REQUESTS, "{status} {says}");
            tokio::time::sleep(BREATH).await;
        }
        bail!("there are too many requests for {TRIES} s now")
    }

    /// Asks the node of this number, or the next that answers.
    async fn first_answer(
        &self,
        number: usize,
        request: impl Fn(&Url) -> reqwest::RequestBuilder,
    ) -> reqwest::Result<reqwest::Response> {
        let count = self.nodes.len();
        let mut answer = request(&self.nodes[number % count].url).send().await;
        for next in 1..count {
            if answer.is_ok() {
                break;
            }
            answer = request(&self.nodes[(number + next) % count].url).send().await;
        }
        answer
    }

    /// Brings an SDP offer to `/whep`, and again when it is told to come back later; the answer. `number` says
    /// which node is asked first.
    pub(crate) async fn whep(
        &self,
        number: usize,
        room: &RoomId,
        token: &str,
        offer: String,
    ) -> anyhow::Result<String> {
        for _ in 0..TRIES {
            let request = |url: &Url| {
                let request = self.http.post(format!("{url}/whep/{room}")).bearer_auth(token);
                request.header("content-type", "application/sdp").body(offer.clone())
            };
            let answer = self.first_answer(number, request).await?;
            let status = answer.status();
            let text = answer.text().await?;
            if status == reqwest::StatusCode::CREATED {
                return Ok(text);
            }
            let error: Option<ApiError> = serde_json::from_str(&text).ok();
            let Some(pause_ms) = error.and_then(|error| error.retry_after_ms) else {
                bail!("{status} {text}")
            };
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        }
        bail!("told to come back later {TRIES} times")
    }

    /// Reads `/metrics`.
    pub(crate) async fn read(&self, url: &str) -> anyhow::Result<String> {
        let answer = self.http.get(url).send().await?.error_for_status()?;
        Ok(answer.text().await?)
    }
}

/// The address that packets to `remote` leave from. Connecting a UDP socket sends none.
fn local_towards(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// A token for one room, or an admin's for all.
pub(crate) fn sign(
    options: &Options,
    room: Option<&RoomId>,
    identity: Option<&Identity>,
    role: Role,
) -> anyhow::Result<String> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = Claims {
        iss: options.signer.clone(),
        sub: identity.cloned(),
        name: None,
        room: room.cloned(),
        role,
        exp: now_s + options.duration.as_secs() + SPARE_S,
        nbf: None,
        iat: Some(now_s),
        hidden: false,
        region: None,
    };
    Ok(options.keys.sign(&claims)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_however_it_is_written() {
        let read = |text: &str| text.parse::<Url>().map(|url| url.to_string());
        for same in ["http://127.0.0.1:7000", "http://127.0.0.1:7000/", "http://127.1:7000"] {
            assert_eq!(read(same).as_deref(), Ok("http://127.0.0.1:7000"), "{same}");
        }
        assert_eq!(read("http://Halls.example.org").as_deref(), Ok("http://halls.example.org:80"));
        assert_eq!(read("http://[::1]:7000").as_deref(), Ok("http://[::1]:7000"));
    }

    #[test]
    fn what_is_no_address_says_why() {
        let mistake = |text: &str| text.parse::<Url>().unwrap_err().to_string();
        for other in ["https://a", "ws://a", "127.0.0.1:7000", ""] {
            assert!(mistake(other).contains("http://"), "{other}");
        }
        for more in ["http://a/b", "http://a?b", "http://a#b", "http://b@a"] {
            assert!(mistake(more).contains("without a path"), "{more}");
        }
        for none in ["http://", "http://a:b", "http://a:70000", "http://:7000"] {
            assert!(mistake(none).contains("not an address"), "{none}");
        }
    }
}
