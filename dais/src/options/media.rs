//! Where media and links are, and which addresses clients are told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU32};
use std::str::FromStr;
use std::time::Duration;

use edge::FramingChoice;
use node::LISTENER_BITS;
use protocol::address::is_private;
use service::config::Values;

use super::token::Ttl;
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
    /// What other nodes are told for links, best first.
    pub(crate) link_ips: Vec<IpAddr>,
    /// Only this machine is served.
    pub(crate) local: bool,
    /// Most that an edge sends to listeners, if somebody chose.
    pub(crate) max_egress: Option<Bits>,
    /// Over how long a node lets its people go.
    pub(crate) drain: Duration,
    /// Most peers of a node, if somebody chose.
    capacity: Option<NonZeroU32>,
}

/// Peers of one shard where nobody chose: what a core serves at 60 ms framing and three voices, with
/// room to spare for joins.
const PEERS_PER_SHARD: u32 = 10_000;

/// How long nodes that stop together go on, whose people have nowhere to go.
const DRAIN_OF_ALL: Duration = Duration::from_secs(10);

impl Media {
    /// Reads the values; `local` says that only this machine is served.
    pub(crate) fn read(values: &mut Values, local: bool) -> Self {
        let addresses = Addresses::read(values);
        Self::at(addresses, values, local, DRAIN_OF_ALL)
    }

    /// The same for a part that finds the others by a bus: where that and everything else is on loopback,
    /// only this machine is served.
    pub(crate) fn of_part(values: &mut Values, local_bus: bool) -> Self {
        let addresses = Addresses::read(values);
        let local = local_bus && addresses.are_loopback();
        let drain = Duration::from_secs(values.or("drain", Ttl(30)).0);
        Self::at(addresses, values, local, drain)
    }

    fn at(addresses: Addresses, values: &mut Values, local: bool, drain: Duration) -> Self {
        let Addresses { media, told, link, link_ips } = addresses;
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
        let (max_egress, capacity) = (values.one("max-egress"), values.one("capacity"));
        Self { bind, ips, guessed, shards, link, link_ips, local, max_egress, drain, capacity }
    }

    /// Where the links of a part are: others reach it from elsewhere. On loopback there may be many parts,
    /// and each finds a port; the bus tells which.
    pub(crate) fn link_of_part(&self) -> SocketAddr {
        let (ip, port) = if self.local { (Ipv4Addr::LOCALHOST, 0) } else { (Ipv4Addr::UNSPECIFIED, 7200) };
        self.link.unwrap_or(SocketAddr::from((ip, port)))
    }

    /// Says that nobody on the Internet reaches an address that was found and not chosen.
    pub(crate) fn warn_if_private(&self) {
        for ip in self.ips.iter().filter(|&&ip| self.guessed && is_private(ip)) {
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
    link_ips: Vec<IpAddr>,
}

impl Addresses {
    fn read(values: &mut Values) -> Self {
        Self {
            media: values.one("media"),
            told: values.many("media-ip"),
            link: values.one("link"),
            link_ips: values.many("link-ip"),
        }
    }

    fn are_loopback(&self) -> bool {
        let bound = [self.media, self.link].into_iter().flatten().map(|address| address.ip());
        bound.chain(self.told.iter().chain(&self.link_ips).copied()).all(|ip| ip.is_loopback())
    }
}

/// Bits per second, as networks are sold: `900M`, `2.5G`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bits(u64);

impl Bits {
    /// As a number.
    pub(crate) fn per_second(self) -> u64 {
        self.0
    }
}

impl FromStr for Bits {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be bits per second, such as 900M or 2.5G";
        let (number, unit) = match text.char_indices().last().ok_or(wrong)? {
            (at, 'k') => (&text[..at], 1e3),
            (at, 'M') => (&text[..at], 1e6),
            (at, 'G') => (&text[..at], 1e9),
            _ => (text, 1.0),
        };
        let bits = number.parse::<f64>().map_err(|_| wrong)? * unit;
        let takes_one = bits >= LISTENER_BITS as f64 && bits <= 1e15;
        if takes_one {
            Ok(Self(bits as u64))
        } else {
            Err("must be enough for a listener, 120k, and no more than 1e15")
        }
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
