//! Addresses: which of them lead further than the next router.

use std::net::{IpAddr, Ipv4Addr};

/// Whether only a network of its own can reach it.
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || is_shared(v4),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// 100.64.0.0/10, what providers number their customers with behind their own NAT (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && (64..128).contains(&second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known() {
        let is_private = |text: &str| is_private(text.parse().unwrap());
        for private in
            ["10.1.1.1", "192.168.0.2", "172.16.0.1", "100.64.0.1", "169.254.1.1", "fd00::1", "fe80::1"]
        {
            assert!(is_private(private), "{private}");
        }
        for public in ["203.0.113.1", "100.128.0.1", "2001:db8::1"] {
            assert!(!is_private(public), "{public}");
        }
    }
}
