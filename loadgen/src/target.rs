//! Where the server is: signaling's address out of `--url`, and requests to its HTTP API.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use protocol::token::{Claims, Role};
use protocol::{ApiError, Identity, RoomId};
use serde_json::json;

use crate::Options;

/// An address of nobody (RFC 5737): the way there is the way to the world.
const WORLD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 9);

/// Between two tries where there are too many requests, and how many of them.
const BREATH: Duration = Duration::from_secs(1);
const TRIES: u32 = 10;

/// How long a token is valid beyond the run.
const SPARE_S: u64 = 3_600;

/// The signaling node that is asked.
pub(crate) struct Target {
    /// `127.0.0.1:7000`, for the WebSocket's Host.
    pub(crate) authority: String,
    /// Where that is.
    pub(crate) address: SocketAddr,
    http: reqwest::Client,
}

impl Target {
    /// Finds out where `--url` is.
    pub(crate) async fn find(url: &str) -> anyhow::Result<Self> {
        let Some(rest) = url.strip_prefix("http://") else {
            bail!("--url {url}: must begin with http:// (this version measures without TLS)");
        };
        let authority = rest.trim_end_matches('/').to_owned();
        ensure!(!authority.contains('/'), "--url {url}: must be an address without a path");
        let with_port = if authority.contains(':') { authority.clone() } else { format!("{authority}:80") };
        let mut found = tokio::net::lookup_host(&with_port).await.with_context(|| format!("--url {url}"))?;
        let address = found.next().with_context(|| format!("--url {url}: has no address"))?;
        Ok(Self { authority, address, http: reqwest::Client::new() })
    }

    /// Whether everybody can have an address of their own for the WebSocket too.
    pub(crate) fn is_on_loopback(&self) -> bool {
        matches!(self.address.ip(), IpAddr::V4(ip) if ip.is_loopback())
    }

    /// Addresses of this machine from which the server may be reached: towards signaling, and towards the
    /// world, in case its media nodes are elsewhere.
    pub(crate) fn local_addresses(&self) -> Vec<IpAddr> {
        let mut local: Vec<IpAddr> = [self.address, WORLD].into_iter().filter_map(local_towards).collect();
        local.dedup();
        local
    }

    /// Makes a room with this many seats.
    pub(crate) async fn make_room(&self, options: &Options, room: &RoomId, seats: u32) -> anyhow::Result<()> {
        let body = json!({ "room": room, "title": "Load test", "seats": seats, "live": true }).to_string();
        let url = format!("http://{}/v1/rooms", self.authority);
        let request = || self.http.post(&url).header("content-type", "application/json").body(body.clone());
        self.ask(options, request).await.with_context(|| format!("cannot make the room {room}"))
    }

    /// Ends a room.
    pub(crate) async fn end_room(&self, options: &Options, room: &RoomId) -> anyhow::Result<()> {
        let url = format!("http://{}/v1/rooms/{room}", self.authority);
        let asked = self.ask(options, || self.http.delete(&url)).await;
        asked.with_context(|| format!("cannot end the room {room}"))
    }

    /// Asks as an admin, and again while there are too many requests.
    async fn ask(
        &self,
        options: &Options,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> anyhow::Result<()> {
        let token = sign(options, None, None, Role::Admin)?;
        for _ in 0..TRIES {
            let answer = request().bearer_auth(&token).send().await;
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

    /// Brings an SDP offer to `/whep`, and again when it is told to come back later; the answer.
    pub(crate) async fn whep(&self, room: &RoomId, token: &str, offer: String) -> anyhow::Result<String> {
        let url = format!("http://{}/whep/{room}", self.authority);
        for _ in 0..TRIES {
            let request = self.http.post(&url).bearer_auth(token).header("content-type", "application/sdp");
            let answer = request.body(offer.clone()).send().await?;
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
    };
    Ok(options.keys.sign(&claims)?)
}
