//! Whether the ports can be had: the surest way to know is to take them, and let them go.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use super::Finding;
use crate::addresses::next;
use crate::layout::Layout;
use crate::options::{Media, Process, Web};

pub(super) fn check(web: &Web, process: &Process, media: &Media) -> Vec<Finding> {
    let layout = Layout::of_system(media);
    let tcp = [("web", web.listen), ("admin", process.admin)];
    let udp = (0..layout.shards()).map(|index| ("media", next(media.bind, index)));
    let links = (0..layout.nodes()).map(|index| ("links", next(layout.link, index)));
    let tcp =
        tcp.into_iter().map(|(what, address)| judge(what, "TCP", address, TcpListener::bind(address).err()));
    let udp =
        udp.chain(links).map(|(what, address)| judge(what, "UDP", address, UdpSocket::bind(address).err()));
    tcp.chain(udp).collect()
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
