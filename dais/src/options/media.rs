//! Where media and links are, and which addresses clients are told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU32};
use std::str::FromStr;

use edge::FramingChoice;
use service::config::Values;

use crate::addresses;

/// UDP of a process.
#[derive(Debug)]
pub(crate) struct Media {
    /// First address; each further shard has the next port. Port 0: each finds one.
    pub(crate) bind: SocketAddr,
    /// What clients are told, best first.
    pub(crate) ips: Vec<IpAddr>,
    /// Nobody chose them.
    pub(crate) guessed: bool,
    /// Threads, one UDP port each.
    pub(crate) shards: usize,
    /// First address of the links.
    pub(crate) link: Option<SocketAddr>,
    /// Most peers of a node, if somebody chose.
    capacity: Option<NonZeroU32>,
}

/// Peers of one shard where nobody chose: what a core serves at 60 ms framing and three voices, with
/// room to spare for joins.
const PEERS_PER_SHARD: u32 = 10_000;

impl Media {
    /// Reads the values; `local` says that only this machine is served.
    pub(crate) fn read(values: &mut Values, local: bool) -> Self {
        let given = values.many::<IpAddr>("media-ip");
        // Bound to every address, the kernel chooses where answers come from, and a client that asked
        // 127.0.0.1 may hear from another.
        let is_alone = local && given.is_empty();
        let ip = if is_alone { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let bind = values.or("media", SocketAddr::from((ip, 7100)));
        for ip in given.iter().filter(|ip| !addresses::can_serve(bind.ip(), **ip)) {
            values
                .wrong("media-ip", format_args!("{ip} cannot be reached: --media listens on {}", bind.ip()));
        }
        let guessed = given.is_empty();
        let ips = if guessed { addresses::to_tell(bind.ip(), local) } else { given };
        if ips.is_empty() {
            values.wrong("media-ip", "this host has no address that clients could be told; give one");
        }
        let shards = values.one("shards").map_or_else(cores, |n: NonZeroU8| usize::from(n.get()));
        Self { bind, ips, guessed, shards, link: values.one("link"), capacity: values.one("capacity") }
    }

    /// Where the links of a node alone are: others reach it from elsewhere.
    pub(crate) fn link_or_any(&self) -> SocketAddr {
        self.link.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7200)))
    }

    /// Says that nobody on the Internet reaches an address that was found and not chosen.
    pub(crate) fn warn_if_private(&self) {
        for ip in self.ips.iter().filter(|&&ip| self.guessed && addresses::is_private(ip)) {
            tracing::warn!(
                "audio goes to {ip}, which the Internet cannot reach: give the public address as --media-ip"
            );
        }
    }

    /// Most peers of a node with so many shards.
    pub(crate) fn capacity_of(&self, shards: usize) -> u32 {
        self.capacity.map_or(PEERS_PER_SHARD.saturating_mul(shards as u32), NonZeroU32::get)
    }
}

/// How many ms of audio are in one packet to a listener who asks for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Always 20.
    Short,
    /// Always 60.
    Long,
    /// The shortest that a node's load allows.
    Auto,
}

impl Framing {
    pub(crate) fn read(values: &mut Values) -> Self {
        values.or("framing", Self::Auto)
    }

    pub(crate) fn choice(self) -> FramingChoice {
        match self {
            Self::Short => FramingChoice::Fixed(20),
            Self::Long => FramingChoice::Fixed(60),
            Self::Auto => FramingChoice::Auto,
        }
    }
}

impl FromStr for Framing {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "20" => Ok(Self::Short),
            "60" => Ok(Self::Long),
            "auto" => Ok(Self::Auto),
            _ => Err("must be 20, 60 or auto"),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
