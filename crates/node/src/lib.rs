//! What an origin and an edge have in common, so that each of them only says what makes it different.
//!
//! ```text
//!   bus ◀─▶ Desk       takes requests, gives answers, announces the node, publishes what happens to peers
//!   links ──▶ serve    takes children into the relay tree
//!   shards ──▶ meters  carries what is counted over to the metrics
//! ```
//!
//! It knows neither stage nor audience: those are the planes', and which plane a node has is its own.

mod answer;
pub mod desk;
pub mod meters;
pub mod serve;
pub mod shards;
mod versions;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cluster::Bus;
use media::dtls::Certificate;
use protocol::{NodeId, Region};
pub use room::placement::LISTENER_BITS;
use service::{Metrics, Tasks};
use transport::Credentials;

pub use answer::Reach;
pub use desk::{Change, Desk, Duty};
pub use serve::{Child, ids};

/// What a media node is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// What it is called.
    pub node: NodeId,
    /// Where it is.
    pub region: Region,
    /// Of its program.
    pub version: String,
    /// Its first UDP port for clients; each shard has the next one. Port 0: any, for each.
    pub media: SocketAddr,
    /// Addresses that clients are told, best first.
    pub media_ips: Vec<IpAddr>,
    /// How many shards it has.
    pub shards: usize,
    /// Its UDP port for links.
    pub link: SocketAddr,
    /// Addresses that other nodes are told for links, best first; none: those that it is bound to.
    pub link_ips: Vec<IpAddr>,
    /// Most peers.
    pub capacity: u32,
    /// Most that it sends to clients, in bits per second, headers included; none: whatever the network takes.
    pub max_egress: Option<u64>,
    /// Over how long it lets its people go.
    pub drain: Duration,
}

/// What a media node is given.
pub struct Surroundings {
    /// To signaling and the other nodes.
    pub bus: Arc<dyn Bus>,
    /// Who it is, on links.
    pub credentials: Credentials,
    /// Who it is, to clients.
    pub certificate: Arc<Certificate>,
    /// Where it counts.
    pub metrics: Metrics,
    /// What its tasks run under; their shutdown begins its drain.
    pub tasks: Tasks,
}

impl Config {
    /// Where a shard listens.
    pub fn shard_addr(&self, shard: usize) -> SocketAddr {
        let port = match self.media.port() {
            0 => 0,
            first => first + shard as u16,
        };
        SocketAddr::new(self.media.ip(), port)
    }

    /// Most peers of one shard. Newcomers are spread over the shards, but leavers are not.
    pub fn shard_capacity(&self) -> usize {
        (self.capacity as usize).div_ceil(self.shards.max(1)) * 2
    }

    /// Where other nodes find its links, given where they are bound.
    pub fn link_addrs(&self, bound: SocketAddr) -> Vec<SocketAddr> {
        let ips = match &*self.link_ips {
            [] if bound.ip().is_unspecified() => &self.media_ips,
            [] => return vec![bound],
            told => told,
        };
        ips.iter().map(|&ip| SocketAddr::new(ip, bound.port())).collect()
    }

    /// How many peers it can have: no more than its network lets hear.
    pub fn places(&self) -> u32 {
        let most = self.max_egress.map(|bits| bits / LISTENER_BITS);
        most.map_or(self.capacity, |most| self.capacity.min(most.try_into().unwrap_or(u32::MAX)))
    }
}

/// A number that grows from start to start.
pub fn boot() -> u64 {
    unix_ms()
}

/// Unix time in ms.
pub fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
