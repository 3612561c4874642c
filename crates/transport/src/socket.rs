//! A UDP socket that takes and gives datagrams by the hundred, and what a thread needs to wait for it.
//!
//! The only `unsafe` of the project: `recvmmsg`, `sendmmsg`, `ppoll` and `eventfd` have no safe face.
//! Every pointer handed to the kernel is made just before the call, from slices that outlive it.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use media::Batch;
use media::batch::Send;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::queue::Wake;

/// Most datagrams sent in one call. From 32 to 512 the cost of each is the same.
const CALL: usize = 128;

/// Most datagrams received in one call. Clients say little, and each place costs even when it stays empty.
const RECEIVE_CALL: usize = 32;

/// Longest datagram that is received whole; WebRTC stays below 1,500.
const MAX_DATAGRAM: usize = 2_048;

/// Bytes that the kernel is asked to hold in each direction: 10,000 packets of 100 bytes, with what the
/// kernel adds to each, arrive or leave at once when a voice starts. It may grant less.
const BUFFER: usize = 8 << 20;

/// How long a full send buffer is waited for before datagrams are dropped: the shard has others to serve.
const PATIENCE: Duration = Duration::from_millis(5);

/// Bytes of control data for one message: the segment size.
const CONTROL: usize = 24;

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
        let gso = AtomicBool::new(supports_gso(&socket));
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
        inbound.count = 0;
        let mut iovecs: [libc::iovec; RECEIVE_CALL] = zeroed_array();
        let mut messages: [libc::mmsghdr; RECEIVE_CALL] = zeroed_array();
        let buffers = inbound.bytes.chunks_exact_mut(MAX_DATAGRAM);
        for (((message, iovec), buffer), name) in
            messages.iter_mut().zip(&mut iovecs).zip(buffers).zip(&mut inbound.names)
        {
            *iovec = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            message.msg_hdr.msg_iov = iovec;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_name = name.as_mut_ptr().cast();
            message.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        }
        // SAFETY: every message points to an iovec, a buffer and a name that live until the call returns.
        let count = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                messages.as_mut_ptr(),
                RECEIVE_CALL as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if count < 0 {
            return nothing_yet(io::Error::last_os_error());
        }
        for (index, message) in messages[..count as usize].iter().enumerate() {
            inbound.lengths[index] = message.msg_len as usize;
            inbound.truncated[index] = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        }
        inbound.count = count as usize;
        Ok(count > 0)
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
            match self.sendmmsg(bytes, rest) {
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

    fn sendmmsg(&self, bytes: &[u8], call: &[Send]) -> io::Result<usize> {
        let mut names: [MaybeUninit<SockAddr>; CALL] = [const { MaybeUninit::uninit() }; CALL];
        let mut iovecs: [MaybeUninit<libc::iovec>; CALL] = [const { MaybeUninit::uninit() }; CALL];
        let mut controls: [MaybeUninit<Control>; CALL] = [const { MaybeUninit::uninit() }; CALL];
        let mut messages: [MaybeUninit<libc::mmsghdr>; CALL] = [const { MaybeUninit::uninit() }; CALL];
        let count = call.len().min(CALL);
        for (index, send) in call[..count].iter().enumerate() {
            let name = names[index].write(self.name(send.to));
            let part = &bytes[send.start..send.start + send.len];
            // The kernel only reads here; the type of iovec does not say so.
            let iovec = libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() };
            let iovec = iovecs[index].write(iovec);
            // SAFETY: all-zero is a valid, empty message.
            let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
            message.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
            message.msg_hdr.msg_namelen = name.len();
            message.msg_hdr.msg_iov = iovec;
            message.msg_hdr.msg_iovlen = 1;
            if send.len > send.segment {
                let control = controls[index].write(Control::segment(send.segment));
                message.msg_hdr.msg_control = std::ptr::from_mut(control).cast();
                message.msg_hdr.msg_controllen = CONTROL;
            }
            messages[index].write(message);
        }
        // SAFETY: the first `count` messages are written, and what they point to lives until here.
        let taken = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                messages.as_mut_ptr().cast(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        if taken < 0 { Err(io::Error::last_os_error()) } else { Ok(taken as usize) }
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
        let mut fds = [poll_fd(self.socket.as_raw_fd(), libc::POLLOUT)];
        poll(&mut fds, Some(PATIENCE)).is_ok_and(|ready| ready > 0)
    }
}

impl Sent {
    fn took(&mut self, send: &Send) {
        self.datagrams += datagrams(send);
        self.bytes += send.len as u64;
    }
}

/// Datagrams on their way from the kernel: memory for one call.
pub struct Inbound {
    bytes: Vec<u8>,
    names: Vec<MaybeUninit<libc::sockaddr_storage>>,
    lengths: [usize; RECEIVE_CALL],
    truncated: [bool; RECEIVE_CALL],
    count: usize,
}

impl Default for Inbound {
    fn default() -> Self {
        Self {
            bytes: vec![0; RECEIVE_CALL * MAX_DATAGRAM],
            names: vec![MaybeUninit::zeroed(); RECEIVE_CALL],
            lengths: [0; RECEIVE_CALL],
            truncated: [false; RECEIVE_CALL],
            count: 0,
        }
    }
}

impl Inbound {
    /// What the last receive brought, with its senders, in order. Those too long to be whole are left out.
    pub fn datagrams(&mut self) -> impl Iterator<Item = (SocketAddr, &mut [u8])> {
        let Self { bytes, names, lengths, truncated, count } = self;
        bytes
            .chunks_exact_mut(MAX_DATAGRAM)
            .zip(names.iter())
            .zip(lengths.iter().zip(truncated.iter()))
            .take(*count)
            .filter(|(_, (_, truncated))| !**truncated)
            .filter_map(|((buffer, name), (&length, _))| Some((address(name)?, &mut buffer[..length])))
    }

    /// How many of the last receive were too long to be whole.
    pub fn oversized(&self) -> usize {
        self.truncated[..self.count].iter().filter(|&&truncated| truncated).count()
    }
}

/// Wakes a thread that waits in [`wait`].
#[derive(Debug)]
pub struct EventFd(File);

impl EventFd {
    /// A new one, not yet woken.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no pointer goes in; what comes out is a descriptor that nobody else owns.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: as above.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
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
    let mut fds =
        [poll_fd(socket.socket.as_raw_fd(), libc::POLLIN), poll_fd(waker.0.as_raw_fd(), libc::POLLIN)];
    poll(&mut fds, timeout)?;
    if fds[1].revents != 0 {
        waker.clear();
    }
    Ok(fds[0].revents != 0)
}

/// The control data that carries a segment size, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control {
    header: libc::cmsghdr,
    segment: u16,
}

const _: () = assert!(mem::size_of::<Control>() == CONTROL && mem::offset_of!(Control, segment) == 16);

impl Control {
    fn segment(size: usize) -> Self {
        let header = libc::cmsghdr {
            cmsg_len: mem::offset_of!(Self, segment) + mem::size_of::<u16>(),
            cmsg_level: libc::SOL_UDP,
            cmsg_type: libc::UDP_SEGMENT,
        };
        Self { header, segment: size as u16 }
    }
}

fn supports_gso(socket: &Socket) -> bool {
    let size: libc::c_int = 0;
    // SAFETY: the kernel reads `size`, which lives until the call returns. 0 leaves segmenting off.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            std::ptr::from_ref(&size).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    result == 0
}

fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<usize> {
    let timeout = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the descriptors and the timeout live until the call returns.
    let ready =
        unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout, std::ptr::null()) };
    match ready {
        0.. => Ok(ready as usize),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        },
    }
}

fn poll_fd(fd: libc::c_int, events: libc::c_short) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}

/// The sender of a datagram; mapped addresses are shown as the IPv4 they stand for.
fn address(name: &MaybeUninit<libc::sockaddr_storage>) -> Option<SocketAddr> {
    // SAFETY: zeroed at first, and since then only written by the kernel; any bytes are a valid value.
    let storage = unsafe { name.assume_init() };
    let length = match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => mem::size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => mem::size_of::<libc::sockaddr_in6>(),
        _ => return None,
    };
    let mut known = MaybeUninit::<socket2::SockAddrStorage>::zeroed();
    // SAFETY: both are the system's sockaddr_storage; the source is initialized in full.
    let known = unsafe {
        std::ptr::copy_nonoverlapping(
            std::ptr::from_ref(&storage).cast::<u8>(),
            known.as_mut_ptr().cast::<u8>(),
            mem::size_of::<libc::sockaddr_storage>(),
        );
        SockAddr::new(known.assume_init(), length as libc::socklen_t)
    };
    let address = known.as_socket()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
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

fn zeroed_array<T: Copy>() -> [T; RECEIVE_CALL] {
    // SAFETY: only used with the kernel's plain structs, of which all-zero is a valid value.
    unsafe { mem::zeroed() }
}

#[cfg(test)]
mod tests;
