//! Where a request comes from, for the limits by address: the socket's address, or what a trusted
//! proxy says about it.
//!
//! Addresses are keys of limits and nothing else; they are never logged.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::http::{HeaderMap, Uri};
use protocol::Region;

use crate::config::SignalingConfig;

/// A range of addresses: `10.0.0.0/8`, `::1/128`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    bits: u128,
    /// Leading bits that count, of the 128 of an IPv6 or IPv4-mapped address.
    length: u8,
}

/// The text is not a range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an address or a range such as 10.0.0.0/8")]
pub struct NotCidr;

impl FromStr for Cidr {
    type Err = NotCidr;

    fn from_str(text: &str) -> Result<Self, NotCidr> {
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| NotCidr)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let length: u8 = length.map_or(Ok(width), str::parse).map_err(|_| NotCidr)?;
        if length > width {
            return Err(NotCidr);
        }
        let length = 128 - width + length;
        Ok(Self { bits: mapped(address) & mask(length), length })
    }
}

impl Cidr {
    /// Whether the address lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        mapped(address) & mask(self.length) == self.bits
    }
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// The region that whoever asks says they are in, or a trusted proxy of them.
pub(crate) fn region_of_request(
    uri: &Uri,
    socket: SocketAddr,
    headers: &HeaderMap,
    config: &SignalingConfig,
) -> Option<Region> {
    let of_query = uri.query().into_iter().flat_map(|query| query.split('&'));
    let said = of_query.filter_map(|pair| pair.strip_prefix("region=")).next();
    let header = config.region_header.as_ref().and_then(|name| headers.get(name)?.to_str().ok());
    let is_trusted = || config.trusted_proxies.iter().any(|range| range.contains(socket.ip()));
    Region::new(said.or_else(|| header.filter(|_| is_trusted()))?).ok()
}

/// The address that limits count by. Of IPv6 the first 64 bits: one customer has at least that many.
pub(crate) fn of_request(socket: SocketAddr, headers: &HeaderMap, trusted: &[Cidr]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
    let mut address = socket.ip().to_canonical();
    // Each proxy appends whom it was called by, so the list is believed from its end for as long as
    // the one who says so is trusted.
    let told = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let told: Vec<&str> = told.flat_map(|value| value.split(',')).collect();
    for hop in told.iter().rev() {
        match hop.trim().parse::<IpAddr>() {
            Ok(earlier) if is_trusted(address) => address = earlier.to_canonical(),
            _ => break,
        }
    }
    match address {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask(64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(value: &str) -> HeaderMap {
        HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), value.parse().unwrap())])
    }

    fn seen(socket: &str, header: &str, trusted: &[&str]) -> String {
        let trusted: Vec<Cidr> = trusted.iter().map(|range| range.parse().unwrap()).collect();
        of_request(socket.parse().unwrap(), &forwarded(header), &trusted).to_string()
    }

    #[test]
    fn ranges_are_read_and_hold_what_they_say() {
        let ten: Cidr = "10.1.2.3/8".parse().unwrap();
        assert!(ten.contains("10.255.0.1".parse().unwrap()) && !ten.contains("11.0.0.1".parse().unwrap()));
        let one: Cidr = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
        let all: Cidr = "0.0.0.0/0".parse().unwrap();
        assert!(
            all.contains("203.0.113.9".parse().unwrap()) && !all.contains("2001:db8::1".parse().unwrap())
        );
        for bad in ["", "10.0.0.0/33", "host", "10.0.0.0/x", "::/129"] {
            assert_eq!(bad.parse::<Cidr>(), Err(NotCidr), "{bad}");
        }
    }

    #[test]
    fn nobody_is_believed_by_default() {
        assert_eq!(seen("203.0.113.9:1", "198.51.100.1", &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9:1", "198.51.100.1", &["10.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn a_trusted_proxy_is_believed_up_to_the_first_stranger() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(seen("10.0.0.1:1", "198.51.100.1", &trusted), "198.51.100.1");
        assert_eq!(seen("10.0.0.1:1", "6.6.6.6, 198.51.100.1, 10.0.0.2", &trusted), "198.51.100.1");
        assert_eq!(seen("10.0.0.1:1", "nonsense", &trusted), "10.0.0.1");
    }

    #[test]
    fn ipv6_counts_by_customer() {
        assert_eq!(seen("[2001:db8:1:2:3:4:5:6]:1", "", &[]), "2001:db8:1:2::");
    }
}
