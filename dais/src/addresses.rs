//! Addresses of this host: which ones clients can be told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Whether packets for `ip` arrive at a socket bound to `bind`, as far as one can tell: behind a NAT the
/// told address is not the bound one, but its family is.
pub(crate) fn can_serve(bind: IpAddr, ip: IpAddr) -> bool {
    match bind {
        IpAddr::V6(v6) if v6.is_unspecified() => true,
        _ => bind.is_ipv4() == ip.is_ipv4(),
    }
}

/// The addresses to tell clients where nobody chose any, best first.
pub(crate) fn to_tell(bind: IpAddr, local: bool) -> Vec<IpAddr> {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let candidates = match bind {
        bind if !bind.is_unspecified() => vec![bind],
        _ if local => loopback.into_iter().take(1).collect(),
        _ => own(),
    };
    candidates.into_iter().filter(|&ip| can_serve(bind, ip)).collect()
}

/// The host's own addresses towards the Internet: what the kernel would send from.
pub(crate) fn own() -> Vec<IpAddr> {
    // Nothing is sent: connecting a UDP socket only asks the routing table. The targets are of the ranges
    // for documentation (RFC 5737, RFC 3849).
    let routes: [(SocketAddr, SocketAddr); 2] = [
        (SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), SocketAddr::from((Ipv4Addr::new(198, 51, 100, 1), 9))),
        (
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9)),
        ),
    ];
    let from = |(bind, target): (SocketAddr, SocketAddr)| {
        let socket = UdpSocket::bind(bind).ok()?;
        socket.connect(target).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    routes.into_iter().filter_map(from).filter(|ip| !ip.is_loopback() && !ip.is_unspecified()).collect()
}

/// `first`, or the address `index` ports further; port 0 stays 0, so that each finds its own.
pub(crate) fn next(first: SocketAddr, index: usize) -> SocketAddr {
    let step = u16::try_from(index).unwrap_or(u16::MAX);
    let port = if first.port() == 0 { 0 } else { first.port().saturating_add(step) };
    SocketAddr::new(first.ip(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn on_loopback_clients_are_told_loopback() {
        assert_eq!(to_tell(ip("0.0.0.0"), true), [ip("127.0.0.1")]);
        assert_eq!(to_tell(ip("10.0.0.9"), false), [ip("10.0.0.9")]);
    }

    #[test]
    fn a_socket_of_one_family_does_not_serve_the_other() {
        assert!(!can_serve(ip("0.0.0.0"), ip("::1")) && !can_serve(ip("::1"), ip("127.0.0.1")));
        assert!(can_serve(ip("::"), ip("127.0.0.1")) && can_serve(ip("0.0.0.0"), ip("203.0.113.1")));
    }

    #[test]
    fn ports_count_up_from_the_first_unless_it_is_0() {
        assert_eq!(next("127.0.0.1:7100".parse().unwrap(), 2).port(), 7102);
        assert_eq!(next("127.0.0.1:0".parse().unwrap(), 2).port(), 0);
    }
}
