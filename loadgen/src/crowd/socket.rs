//! One UDP socket for a whole crowd: everybody in it has an address of their own in 127.0.0.0/8.
//!
//! ```text
//!   recvmmsg ─▶ to whom (IP_PKTINFO), from where, when (SO_TIMESTAMPNS), in which segments (UDP_GRO)
//!   sendmsg  ◀─ from whom (IP_PKTINFO), to where
//! ```
//!
//! It is read on a tick and never waited for, so the server is not charged with waking us.

mod sys;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};

pub(crate) use sys::{CALL, Inbound};

/// Bytes that the kernel is asked to hold: 40,000 packets, with the 700 bytes that it adds to each. That
/// is a quarter of a second for which a busy machine may leave us waiting at 20 ms framing. With less, the
/// figures would blame the server for our own slowness.
pub(super) const BUFFER: usize = 32 << 20;

/// The same for a socket that only one listener has: a second of all voices.
pub(super) const OWN_BUFFER: usize = 256 << 10;

/// A bound socket.
#[derive(Debug)]
pub(crate) struct CrowdSocket {
    socket: Socket,
    /// What the kernel granted of the buffer asked for.
    granted: usize,
    /// Datagrams that the kernel has dropped so far because this socket was full.
    dropped: u32,
}

/// A datagram that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// To whom.
    pub(crate) to: Ipv4Addr,
    /// From where.
    pub(crate) from: SocketAddrV4,
    /// When, in ns of realtime; 0 where the kernel did not say.
    pub(crate) at_ns: u64,
    /// Bytes of each segment but maybe the last.
    pub(crate) segment: usize,
}

/// A datagram that is to go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Letter<'a> {
    /// From which address of this machine; from any where it is 0.0.0.0.
    pub(crate) from: Ipv4Addr,
    /// Where to.
    pub(crate) to: SocketAddrV4,
    /// What it says.
    pub(crate) bytes: &'a [u8],
}

impl CrowdSocket {
    /// Binds to a free port on all addresses.
    pub(crate) fn bind(buffer: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        sys::prepare(&socket, buffer)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
        // Linux doubles what it grants, for its own bookkeeping.
        let granted = socket.recv_buffer_size()? / 2;
        Ok(Self { socket, granted, dropped: 0 })
    }

    /// The port of everybody here.
    #[cfg(test)]
    pub(crate) fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().as_socket().unwrap().port()
    }

    /// How many bytes may wait to be read.
    pub(crate) fn granted(&self) -> usize {
        self.granted
    }

    /// Datagrams that the kernel has dropped so far because this socket was full.
    pub(crate) fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Takes what has arrived, at most one call's worth and no more than `most`; how many.
    pub(crate) fn receive(&mut self, inbound: &mut Inbound, most: usize) -> io::Result<usize> {
        match sys::receive(&self.socket, inbound, most) {
            Ok((count, dropped)) => {
                self.dropped = dropped.unwrap_or(self.dropped);
                Ok(count)
            }
            Err(error) if is_nothing(&error) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Sends many; how many of them the kernel took.
    pub(crate) fn send_many(&self, letters: &[Letter<'_>]) -> usize {
        letters.chunks(CALL).map(|letters| sys::send_many(&self.socket, letters).unwrap_or(0)).sum()
    }

    /// Sends one datagram, from any address of this machine where `from` is 0.0.0.0; false if the kernel did not take it.
    pub(crate) fn send(&self, from: Ipv4Addr, to: SocketAddrV4, datagram: &[u8]) -> bool {
        sys::send_many(&self.socket, &[Letter { from, to, bytes: datagram }]).is_ok()
    }
}

impl AsRawFd for CrowdSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// An empty socket, or somebody who did not want a datagram of ours (ICMP).
fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests;
