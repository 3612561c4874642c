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
    /// Only this machine is served.
    pub(crate) local: bool,
    /// Most peers of a node, if somebody chose.
    capacity: Option<NonZeroU32>,
}

/// Peers of one shard where nobody chose: what a core serves at 60 ms framing and three voices, with
/// room to spare for joins.
const PEERS_PER_SHARD: u32 = 10_000;

impl Media {
    /// Reads the values; `local` says that only this machine is served.
    pub(crate) fn read(values: &mut Values, local: bool) -> Self {
        let addresses = Addresses::read(values);
        Self::at(addresses, values, local)
    }

    /// The same for a part that finds the others by a bus: where that and everything else is on loopback,
    /// only this machine is served.
    pub(crate) fn of_part(values: &mut Values, local_bus: bool) -> Self {
        let addresses = Addresses::read(values);
        let local = local_bus && addresses.are_loopback();
        Self::at(addresses, values, local)
    }

    fn at(addresses: Addresses, values: &mut Values, local: bool) -> Self {
        let Addresses { media, told, link } = addresses;
        // Bound to every address, the kernel chooses where answers come from, and a client that asked
        // 127.0.0.1 may hear from another.
        let is_alone = local && told.is_empty();
        let ip = if is_alone { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let bind = media.unwrap_or(SocketAddr::from((ip, 7100)));
        for ip in told.iter().filter(|ip| !addresses::can_serve(bind.ip(), **ip)) {
            values
                .wrong("media-ip", format_args!("{ip} cannot be reached: --media listens on {}", bind.ip()));
        }
        let guessed = told.is_empty();
        let ips = if guessed { addresses::to_tell(bind.ip(), local) } else { told };
        if ips.is_empty() {
            values.wrong("media-ip", "this host has no address that clients could be told; give one");
        }
        let shards = values.one("shards").map_or_else(cores, |n: NonZeroU8| usize::from(n.get()));
        Self { bind, ips, guessed, shards, link, local, capacity: values.one("capacity") }
    }

    /// Where the links of a part are: others reach it from elsewhere. On loopback there may be many parts,
    /// and each finds a port; the bus tells which.
    pub(crate) fn link_of_part(&self) -> SocketAddr {
        let (ip, port) = if self.local { (Ipv4Addr::LOCALHOST, 0) } else { (Ipv4Addr::UNSPECIFIED, 7200) };
        self.link.unwrap_or(SocketAddr::from((ip, port)))
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

/// What was said about addresses.
struct Addresses {
    media: Option<SocketAddr>,
    told: Vec<IpAddr>,
    link: Option<SocketAddr>,
}

impl Addresses {
    fn read(values: &mut Values) -> Self {
        Self { media: values.one("media"), told: values.many("media-ip"), link: values.one("link") }
    }

    fn are_loopback(&self) -> bool {
        let bound = [self.media, self.link].into_iter().flatten().map(|address| address.ip());
        bound.chain(self.told.iter().copied()).all(|ip| ip.is_loopback())
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
