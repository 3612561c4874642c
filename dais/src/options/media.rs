//! Where media and links are, and which addresses clients are told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU8;

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
}

impl Media {
    /// Reads the values; `local` says that only this machine is served.
    pub(crate) fn read(values: &mut Values, local: bool) -> Self {
        let bind = values.or("media", SocketAddr::from((Ipv4Addr::UNSPECIFIED, 7100)));
        let given = values.many::<IpAddr>("media-ip");
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
        Self { bind, ips, guessed, shards, link: values.one("link") }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
