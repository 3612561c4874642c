//! What a firewall in front of the part has to let in, as nftables writes it.

use std::net::SocketAddr;

use super::ports::Ports;

/// Nothing where only this machine is served.
pub(super) fn lines(ports: &Ports) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |protocol: &str, from: &str, addresses: &[SocketAddr], what: &str| {
        let mut open: Vec<_> =
            addresses.iter().filter(|address| !address.ip().is_loopback()).map(SocketAddr::port).collect();
        open.sort_unstable();
        let Some((first, last)) = open.first().zip(open.last()) else { return };
        let which = if first == last { first.to_string() } else { format!("{first}-{last}") };
        lines.push(format!("  {from}{protocol} dport {which} accept comment \"{what}\""));
    };
    add("tcp", "", ports.web.as_slice(), "dais: people");
    add("udp", "", &ports.media, "dais: audio");
    add("udp", "ip saddr { OTHER NODES } ", &ports.links, "dais: links");
    add("tcp", "ip saddr { PROMETHEUS } ", &[ports.admin], "dais: metrics");
    if !lines.is_empty() {
        lines.insert(0, "\nA firewall has to let in, and nothing else:\n".into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_loopback_needs_no_line_and_the_ports_of_shards_are_one() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let ports = Ports {
            web: Some(at("0.0.0.0:7000")),
            admin: at("127.0.0.1:7001"),
            media: ["0.0.0.0:7100", "0.0.0.0:7101", "0.0.0.0:7102"].map(at).to_vec(),
            links: vec![at("0.0.0.0:7200")],
        };
        let lines = lines(&ports);
        assert_eq!(
            lines[1..],
            [
                "  tcp dport 7000 accept comment \"dais: people\"",
                "  udp dport 7100-7102 accept comment \"dais: audio\"",
                "  ip saddr { OTHER NODES } udp dport 7200 accept comment \"dais: links\"",
            ]
        );
        let near = |port| vec![at(&format!("127.0.0.1:{port}"))];
        let ports = Ports { web: None, admin: ports.admin, media: near(1), links: near(2) };
        assert!(super::lines(&ports).is_empty());
    }
}
