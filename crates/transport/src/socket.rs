//! A UDP socket that takes and gives datagrams by the hundred, and what a thread needs to wait for it.

mod sys;

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use media::Batch;
use media::batch::Send;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::queue::Wake;
use sys::CALL;

/// Bytes that the kernel is asked to hold in each direction: 10,000 packets of 100 bytes, with what the
/// kernel adds to each, arrive or leave at once when a voice starts. It may grant less.
const BUFFER: usize = 8 << 20;

/// How long a full send buffer is waited for before datagrams are dropped: the shard has others to serve.
const PATIENCE: Duration = Duration::from_millis(5);

/// A bound UDP socket that never blocks.
#[derive(Debug)]
pub struct BatchSocket {
    socket: Socket,
    local: SocketAddr,
    /// Segments are cut by the kernel, until it says that it cannot.
    gso: AtomicBool,
}

/// What became of a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams that the kernel took.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Datagrams that the kernel refused, such as those without a route.
    pub failed: u64,
    /// Datagrams dropped because the send buffer stayed full.
    pub full: u64,
}

impl BatchSocket {
    /// Binds to `addr` and asks for large buffers.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(BUFFER)?;
        socket.set_send_buffer_size(BUFFER)?;
        socket.bind(&addr.into())?;
        let local = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let gso = AtomicBool::new(sys::supports_gso(&socket));
        Ok(Self { socket, local, gso })
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Lets the kernel cut segments, or not. For machines whose network card gets it wrong, and for
    /// measuring what it brings.
    pub fn set_gso(&self, on: bool) {
        self.gso.store(on, Ordering::Relaxed);
    }

    /// Takes what has arrived, at most one call's worth; false when there was nothing.
    pub fn receive(&self, inbound: &mut Inbound) -> io::Result<bool> {
        match sys::receive(&self.socket, &mut inbound.0) {
            Ok(count) => Ok(count > 0),
            Err(error) => nothing_yet(error),
        }
    }

    /// Sends all of `batch`, in order. What the kernel does not take is counted, never retried later.
    pub fn send(&self, batch: &Batch) -> Sent {
        let mut sent = Sent::default();
        let mut call: Vec<Send> = Vec::with_capacity(CALL);
        let gso = self.gso.load(Ordering::Relaxed);
        for send in batch.sends() {
            if gso || send.len <= send.segment {
                call.push(*send);
                self.send_if_full(batch.bytes(), &mut call, &mut sent);
            } else {
                for one in split(send) {
                    call.push(one);
                    self.send_if_full(batch.bytes(), &mut call, &mut sent);
                }
            }
        }
        self.send_call(batch.bytes(), &call, &mut sent);
        sent
    }

    fn send_if_full(&self, bytes: &[u8], call: &mut Vec<Send>, sent: &mut Sent) {
        if call.len() == CALL {
            self.send_call(bytes, call, sent);
            call.clear();
        }
    }

    /// Sends at most [`CALL`] sends. The kernel stops at the first it does not take, and tells why only
    /// when that is the first of the call.
    fn send_call(&self, bytes: &[u8], call: &[Send], sent: &mut Sent) {
        let mut rest = call;
        while let Some(first) = rest.first() {
            match sys::send(&self.socket, bytes, rest, |to| self.name(to)) {
                Ok(count) => {
                    rest[..count].iter().for_each(|send| sent.took(send));
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !self.wait_writable() {
                        sent.full += rest.iter().map(datagrams).sum::<u64>();
                        return;
                    }
                }
                Err(error) => {
                    rest = &rest[1..];
                    if first.len > first.segment && means_no_gso(&error) {
                        self.set_gso(false);
                        self.send_call(bytes, &split(first).collect::<Vec<_>>(), sent);
                    } else {
                        sent.failed += datagrams(first);
                    }
                }
            }
        }
    }

    /// As the kernel wants it: a socket of IPv6 reaches IPv4 by mapped addresses.
    fn name(&self, to: SocketAddr) -> SockAddr {
        match to.ip() {
            IpAddr::V4(ip) if self.local.is_ipv6() => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()).into()
            }
            _ => to.into(),
        }
    }

    fn wait_writable(&self) -> bool {
        let mut fds = [sys::poll_fd(&self.socket, libc::POLLOUT)];
        sys::poll(&mut fds, Some(PATIENCE)).is_ok_and(|ready| ready > 0)
    }
}

impl Sent {
    fn took(&mut self, send: &Send) {
        self.datagrams += datagrams(send);
        self.bytes += send.len as u64;
    }
}

/// Datagrams on their way from the kernel: memory for one call.
#[derive(Default)]
pub struct Inbound(sys::Inbound);

impl Inbound {
    /// What the last receive brought, with its senders, in order. Those too long to be whole are left out.
    pub fn datagrams(&mut self) -> impl Iterator<Item = (SocketAddr, &mut [u8])> {
        self.0
            .datagrams()
            .filter(|(_, _, cut)| !cut)
            .filter_map(|(from, datagram, _)| Some((from?, datagram)))
    }

    /// How many of the last receive were too long to be whole.
    pub fn oversized(&self) -> usize {
        self.0.cut().filter(|&cut| cut).count()
    }
}

/// Wakes a thread that waits in [`wait`].
#[derive(Debug)]
pub struct EventFd(File);

impl EventFd {
    /// A new one, not yet woken.
    pub fn new() -> io::Result<Self> {
        sys::eventfd().map(Self)
    }

    /// Forgets that it was woken.
    fn clear(&self) {
        // Nothing to read means that it was not woken: just as good.
        let _ = (&self.0).read(&mut [0; 8]);
    }
}

impl Wake for EventFd {
    fn wake(&self) {
        // It only fails when 2^64 - 2 wakes are pending, and then it is awake.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }
}

/// Waits until a datagram has arrived, which gives true, somebody called [`EventFd::wake`], or `timeout` has
/// passed.
pub fn wait(socket: &BatchSocket, waker: &EventFd, timeout: Option<Duration>) -> io::Result<bool> {
    let mut fds = [sys::poll_fd(&socket.socket, libc::POLLIN), sys::poll_fd(&waker.0, libc::POLLIN)];
    sys::poll(&mut fds, timeout)?;
    if fds[1].revents != 0 {
        waker.clear();
    }
    Ok(fds[0].revents != 0)
}

/// One send as single datagrams.
fn split(send: &Send) -> impl Iterator<Item = Send> + use<> {
    let Send { to, start, len, segment } = *send;
    (0..len).step_by(segment.max(1)).map(move |offset| {
        let len = segment.min(len - offset);
        Send { to, start: start + offset, len, segment: len }
    })
}

fn datagrams(send: &Send) -> u64 {
    send.len.div_ceil(send.segment.max(1)) as u64
}

/// The network card or a tunnel on the way cannot take segments. (Linux says EIO; EINVAL when the
/// segment does not fit the device.)
fn means_no_gso(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EOPNOTSUPP))
}

/// An empty socket is no error, and neither is a datagram of ours that somebody did not want (ICMP).
fn nothing_yet(error: io::Error) -> io::Result<bool> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused => {
            Ok(false)
        }
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests;
