//! The system calls of a shard: `recvmmsg`, `sendmmsg`, `ppoll` and `eventfd`, which have no safe face.
//!
//! The only `unsafe` of the server (the load generator has a socket of its own). Every pointer handed to the kernel is made just before the call,
//! from slices that outlive it. Nothing here decides anything.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::{self, MaybeUninit};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd};
use std::time::Duration;

use media::batch::Send;
use socket2::{SockAddr, Socket};

/// Most datagrams sent in one call. From 32 to 512 the cost of each is the same.
pub(super) const CALL: usize = 128;

/// Most datagrams received in one call. Clients say little, and each place costs even when it stays empty.
pub(super) const RECEIVE_CALL: usize = 32;

/// Longest datagram that is received whole; WebRTC stays below 1,500.
pub(super) const MAX_DATAGRAM: usize = 2_048;

/// Bytes of control data for one message: the segment size.
const CONTROL: usize = 24;

/// Memory for what one call receives.
pub(super) struct Inbound {
    bytes: Vec<u8>,
    names: Vec<MaybeUninit<libc::sockaddr_storage>>,
    /// Of those that came: their lengths, and whether they were cut off.
    came: Vec<(usize, bool)>,
}

impl Default for Inbound {
    fn default() -> Self {
        Self {
            bytes: vec![0; RECEIVE_CALL * MAX_DATAGRAM],
            names: vec![MaybeUninit::zeroed(); RECEIVE_CALL],
            came: Vec::with_capacity(RECEIVE_CALL),
        }
    }
}

impl Inbound {
    /// Sender, datagram, and whether it was cut off. None for the sender: of no family of ours.
    pub(super) fn datagrams(&mut self) -> impl Iterator<Item = (Option<SocketAddr>, &mut [u8], bool)> {
        let Self { bytes, names, came } = self;
        let places = bytes.chunks_exact_mut(MAX_DATAGRAM).zip(names.iter());
        places
            .zip(came.iter())
            .map(|((buffer, name), &(length, cut))| (address(name), &mut buffer[..length], cut))
    }

    /// Whether those that came were cut off.
    pub(super) fn cut(&self) -> impl Iterator<Item = bool> {
        self.came.iter().map(|&(_, cut)| cut)
    }
}

/// Takes what has arrived, at most one call's worth.
pub(super) fn receive(socket: &Socket, inbound: &mut Inbound) -> io::Result<usize> {
    inbound.came.clear();
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
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            RECEIVE_CALL as libc::c_uint,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
        )
    };
    if count < 0 {
        return Err(io::Error::last_os_error());
    }
    let cut = |message: &libc::mmsghdr| message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
    let came = messages[..count as usize].iter().map(|message| (message.msg_len as usize, cut(message)));
    inbound.came.extend(came);
    Ok(count as usize)
}

/// Sends parts of `bytes`, at most [`CALL`] of them; how many the kernel took. `name` is how it is told
/// where to.
pub(super) fn send(
    socket: &Socket,
    bytes: &[u8],
    call: &[Send],
    name: impl Fn(SocketAddr) -> SockAddr,
) -> io::Result<usize> {
    let mut names: [MaybeUninit<SockAddr>; CALL] = [const { MaybeUninit::uninit() }; CALL];
    let mut iovecs: [MaybeUninit<libc::iovec>; CALL] = [const { MaybeUninit::uninit() }; CALL];
    let mut controls: [MaybeUninit<Control>; CALL] = [const { MaybeUninit::uninit() }; CALL];
    let mut messages: [MaybeUninit<libc::mmsghdr>; CALL] = [const { MaybeUninit::uninit() }; CALL];
    let count = call.len().min(CALL);
    for (index, send) in call[..count].iter().enumerate() {
        let to = names[index].write(name(send.to));
        let part = &bytes[send.start..send.start + send.len];
        // The kernel only reads here; the type of iovec does not say so.
        let iovec = libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() };
        let iovec = iovecs[index].write(iovec);
        // SAFETY: all-zero is a valid, empty message.
        let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
        message.msg_hdr.msg_name = to.as_ptr().cast_mut().cast();
        message.msg_hdr.msg_namelen = to.len();
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
            socket.as_raw_fd(),
            messages.as_mut_ptr().cast(),
            count as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    if taken < 0 { Err(io::Error::last_os_error()) } else { Ok(taken as usize) }
}

/// A descriptor that wakes whoever polls it.
pub(super) fn eventfd() -> io::Result<File> {
    // SAFETY: no pointer goes in; what comes out is a descriptor that nobody else owns.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    Ok(unsafe { File::from_raw_fd(fd) })
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

/// Whether the kernel cuts segments.
pub(super) fn supports_gso(socket: &Socket) -> bool {
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

/// Waits for any of the descriptors; how many are ready. A signal ends the wait early.
pub(super) fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<usize> {
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

/// A descriptor to wait for.
pub(super) fn poll_fd(of: &impl AsRawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd { fd: of.as_raw_fd(), events, revents: 0 }
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

fn zeroed_array<T: Copy>() -> [T; RECEIVE_CALL] {
    // SAFETY: only used with the kernel's plain structs, of which all-zero is a valid value.
    unsafe { mem::zeroed() }
}
