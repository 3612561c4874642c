//! Where simulated people live: each has an address of their own, of a network that is this machine's.
//!
//! Towards a server on loopback that is 127.0.0.0/8. Towards others it is one that was made this machine's by
//! `ip route add local 10.64.0.0/16 dev lo`, and to which the others have a route; without one everybody has the
//! machine's own address, and a socket of their own.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// Most crowds that have addresses on loopback.
pub(crate) const MAX_CROWDS: usize = 15;

/// Addresses of one crowd on loopback: a sixteenth.
const ON_LOOPBACK: u32 = 1 << 20;

/// The first 65,536 addresses of each crowd stay free there: servers are in those of the first.
const SERVERS: u32 = 1 << 16;

/// The same for another network: nobody takes its own address for a person's.
const FREE: u32 = 1 << 8;

/// A network of this machine's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    first: u32,
    /// Of its mask.
    bits: u32,
}

/// The addresses of one crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    first: u32,
    /// How many they are.
    pub(crate) count: u32,
}

impl Home {
    /// The part of one of so many crowds.
    pub(crate) fn part(self, number: usize, crowds: usize) -> Part {
        let each = (1 << (32 - self.bits)) / crowds as u32;
        Part { first: self.first + number as u32 * each + FREE, count: each - FREE }
    }
}

impl Part {
    /// On loopback; `number` is less than [`MAX_CROWDS`].
    pub(crate) const fn on_loopback(number: usize) -> Self {
        Self { first: (127 << 24) + number as u32 * ON_LOOPBACK + SERVERS, count: ON_LOOPBACK - SERVERS }
    }

    /// Its first half: for those who are in no crowd.
    pub(crate) const fn half(self) -> std::ops::Range<u32> {
        self.first..self.first + self.count / 2
    }

    /// The address of this number.
    pub(crate) fn address(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first + number)
    }

    /// The number of an address; whatever is not in here has one that nobody has.
    pub(crate) fn number(self, address: Ipv4Addr) -> u32 {
        u32::from(address).wrapping_sub(self.first)
    }
}

impl FromStr for Home {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be an IPv4 network of 8 to 20 bits, such as 10.64.0.0/16";
        let (address, bits) = text.split_once('/').ok_or(wrong)?;
        let first = u32::from(address.parse::<Ipv4Addr>().map_err(|_| wrong)?);
        let bits = bits.parse().ok().filter(|bits| (8..=20).contains(bits)).ok_or(wrong)?;
        if first << bits != 0 {
            Err("begins in the middle of a network of its size")
        } else {
            Ok(Self { first, bits })
        }
    }
}

impl fmt::Display for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_shared_out_and_nobody_has_an_address_twice() {
        let home: Home = "10.64.0.0/16".parse().unwrap();
        assert_eq!(home.to_string(), "10.64.0.0/16");
        let [first, last] = [0, 2].map(|number| home.part(number, 3));
        assert_eq!(first.address(0), Ipv4Addr::new(10, 64, 1, 0));
        assert!(first.address(first.count - 1) < home.part(1, 3).address(0));
        let end = last.address(last.count - 1);
        assert!(end <= Ipv4Addr::new(10, 64, 255, 255), "{end}");
        assert_eq!(last.number(last.address(7)), 7);
        assert!(last.number(Ipv4Addr::new(10, 64, 1, 0)) >= last.count);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["10.64.0.0", "10.64.0.0/24", "10.64.0.0/4", "10.64.1.0/16", "::/16", "x/16"] {
            assert!(bad.parse::<Home>().is_err(), "{bad}");
        }
        assert!("10.64.1.0/16".parse::<Home>().unwrap_err().contains("middle"));
    }
}
