//! What signaling can be told: where it listens, whom it believes, and every limit it keeps.
//!
//! Limits are named as the configuration file names them, so that an error can say which one it was.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::HeaderName;
use protocol::message::{IceServer, MAX_MESSAGE};
use protocol::token::Keys;
use protocol::{NodeId, Region};
use room::placement::Spill;
use serde::Deserialize;

use crate::address::Cidr;
use crate::origin::Origins;

/// How a signaling node runs.
#[derive(Debug, Clone)]
pub struct SignalingConfig {
    /// What it is called.
    pub node: NodeId,
    /// Where it is, and so whoever does not say where they are.
    pub region: Region,
    /// Of its program.
    pub version: String,
    /// Where people go whose region is full.
    pub spill: Spill,
    /// Where trusted proxies say which region a request comes from.
    pub region_header: Option<HeaderName>,
    /// HTTP and WebSocket.
    pub listen: SocketAddr,
    /// Certificate and key, for HTTPS and WSS.
    pub tls: Option<service::http::Tls>,
    /// What people type, for WHIP's `Location`; without it a relative one is written.
    pub public_url: Option<String>,
    /// Checks tokens.
    pub keys: Keys,
    /// Whose pages may use the API, open the WebSocket and embed the stage page.
    pub allow_origins: Origins,
    /// Whose X-Forwarded-For is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Handed to clients for `RTCPeerConnection`.
    pub ice_servers: Vec<IceServer>,
    /// What is bounded.
    pub limits: Limits,
    /// What is timed.
    pub times: Times,
}

impl SignalingConfig {
    /// Everything but these as it is by default.
    pub fn new(node: NodeId, listen: SocketAddr, keys: Keys) -> Self {
        Self {
            node,
            region: Region::new("local").expect("a literal"),
            version: String::new(),
            spill: Spill::default(),
            region_header: None,
            listen,
            tls: None,
            public_url: None,
            keys,
            allow_origins: Origins::default(),
            trusted_proxies: Vec::new(),
            ice_servers: Vec::new(),
            limits: Limits::default(),
            times: Times::default(),
        }
    }
}

/// Bounds, each with the size of a large town hall in mind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest WebSocket message, in bytes.
    pub message_bytes: usize,
    /// Longest HTTP body, in bytes: an SDP offer of a browser has 5,000.
    pub body_bytes: usize,
    /// Rooms that are not over.
    pub rooms: usize,
    /// Participants of one room on this node, those whose connection is cut for the moment included.
    pub room_participants: usize,
    /// WebSockets of this node.
    pub connections: usize,
    /// WHIP and WHEP sessions of this node.
    pub whip_sessions: usize,
    /// Seats that a room may be made with.
    pub seats: u16,
    /// Messages that may wait for one connection on the control lane.
    pub control_lane: usize,
    /// Failed joins per minute and address, in a burst too.
    pub failed_joins_per_minute: u32,
    /// Valid joins per second and address: an office of five thousand shares one.
    pub joins_per_second: u32,
    /// HTTP API requests per second and address.
    pub requests_per_second: u32,
    /// Messages per second of one connection; four times as many in a burst.
    pub messages_per_second: u32,
    /// Times a minute that one person may raise their hand.
    pub hands_per_minute: u32,
    /// Times a minute that one connection may ask for media: each costs a node a handshake.
    pub media_per_minute: u32,
    /// Addresses and people whose recent use is remembered at the same time.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: MAX_MESSAGE,
            body_bytes: 64 * 1024,
            rooms: 1_000,
            room_participants: 20_000,
            connections: 30_000,
            whip_sessions: 1_000,
            seats: room::limits::MAX_SEATS,
            control_lane: 512,
            failed_joins_per_minute: 30,
            joins_per_second: 2_000,
            requests_per_second: 200,
            messages_per_second: 20,
            hands_per_minute: 10,
            media_per_minute: 30,
            remembered: 100_000,
        }
    }
}

/// How long things may take here; what outlives a process is timed by `room::limits`. Tests shorten
/// these, nobody else needs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// From the opened WebSocket to its `join`.
    pub join: Duration,
    /// Between two pings. After two without an answer the connection counts as cut.
    pub ping: Duration,
    /// How long one write to a client may take.
    pub write: Duration,
    /// How long a node may take to answer.
    pub node: Duration,
    /// How long one may take to make a peer: whoever comes with many others waits there up to 4 s.
    pub admit: Duration,
    /// How long a peer that was replaced goes on while its successor is not up: a handshake on a slow
    /// network, and a little.
    pub replaced: Duration,
    /// How long it goes on once the successor is up. The SDK closes it by itself when it has switched,
    /// 260 ms after the first packet; where the edge must first link to one across an ocean, that comes
    /// after 0.8 s. Less would be heard as a gap, more is egress for nothing when a whole audience comes
    /// back.
    pub switched: Duration,
    /// Over how long it lets its people go when it is to stop.
    pub drain: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            join: Duration::from_secs(5),
            ping: Duration::from_secs(15),
            write: Duration::from_secs(10),
            node: Duration::from_secs(2),
            admit: Duration::from_secs(5),
            replaced: Duration::from_secs(6),
            switched: Duration::from_millis(1_500),
            drain: Duration::from_secs(30),
        }
    }
}
