//! Whether the ports can be had: the surest way to know is to take them, and let them go.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use super::{Finding, Part};
use crate::addresses::next;
use crate::layout::Layout;
use crate::options::{Media, Process, Web};

/// What a part listens on.
pub(super) struct Ports {
    /// HTTP of people, and of whoever runs it.
    pub(super) web: Option<SocketAddr>,
    pub(super) admin: SocketAddr,
    /// UDP of clients, and of other nodes.
    pub(super) media: Vec<SocketAddr>,
    pub(super) links: Vec<SocketAddr>,
}

impl Ports {
    pub(super) fn of(part: Part, web: &Web, process: &Process, media: &Media) -> Self {
        let layout = Layout::of_system(media);
        let (shards, links) = match part {
            Part::Up => {
                (layout.shards(), (0..layout.nodes()).map(|index| next(layout.link, index)).collect())
            }
            Part::Origin | Part::Edge => (media.shards, vec![media.link_of_part()]),
            Part::Signaling => (0, Vec::new()),
        };
        let media = (0..shards).map(|index| next(media.bind, index)).collect();
        Self { web: part.has_people().then_some(web.listen), admin: process.admin, media, links }
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        let tcp = self.web.map(|address| ("web", address)).into_iter().chain([("admin", self.admin)]);
        let tcp = tcp.map(|(what, address)| judge(what, "TCP", address, TcpListener::bind(address).err()));
        let named =
            |what, addresses: &[SocketAddr]| addresses.iter().map(move |&at| (what, at)).collect::<Vec<_>>();
        let udp = [named("media", &self.media), named("links", &self.links)].concat().into_iter();
        let udp = udp.map(|(what, address)| judge(what, "UDP", address, UdpSocket::bind(address).err()));
        tcp.chain(udp).collect()
    }
}

fn judge(what: &str, protocol: &str, address: SocketAddr, error: Option<std::io::Error>) -> Finding {
    let Some(error) = error else { return Finding::fine(format!("{protocol} {address} is free for {what}")) };
    let what_to_do = match error.kind() {
        ErrorKind::AddrInUse => "another process has it (see `ss -tulpn`): stop that, or choose another port",
        ErrorKind::PermissionDenied => {
            "ports below 1024 need root or CAP_NET_BIND_SERVICE: choose a higher one"
        }
        ErrorKind::AddrNotAvailable => "this machine does not have that address (see `ip address`)",
        _ => "choose another address",
    };
    Finding::broken(format!("{protocol} {address} cannot be had for {what} ({error}): {what_to_do}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_broken_and_says_what_to_do() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let finding = judge("web", "TCP", address, TcpListener::bind(address).err());
        assert!(finding.to_string().starts_with("broken"), "{finding}");
        assert!(finding.to_string().contains("ss -tulpn"), "{finding}");
    }
}
