//! The system calls of a crowd's socket. The other `unsafe` of the project beside `transport`'s: no safe
//! face carries addresses, times and segments in one `recvmmsg`.
//!
//! Every pointer handed to the kernel is made just before the call from memory that outlives it.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use socket2::Socket;

use super::{Arrival, Letter};

/// Most messages of one call.
pub(crate) const CALL: usize = 64;

/// With UDP_GRO one message may hold 64 datagrams, up to what an IP packet holds.
const MESSAGE: usize = 65_536;

/// Bytes of control data: address, time, segment size and drops need 112.
const CONTROL: usize = 256;

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Memory for what one call receives.
pub(crate) struct Inbound {
    bytes: Vec<u8>,
    controls: Vec<Control>,
    names: Vec<libc::sockaddr_in>,
    came: Vec<(Option<Arrival>, usize)>,
}

impl Default for Inbound {
    fn default() -> Self {
        Self {
            bytes: vec![0; CALL * MESSAGE],
            controls: vec![Control([0; CONTROL]); CALL],
            // SAFETY: all-zero is a valid address of no family.
            names: vec![unsafe { mem::zeroed() }; CALL],
            came: Vec::with_capacity(CALL),
        }
    }
}

impl Inbound {
    /// To whom the last call's messages are.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.came.iter().filter_map(|(arrival, _)| Some((*arrival)?.to))
    }

    /// What the last call brought, each message with all its segments.
    pub(crate) fn messages(&mut self) -> impl Iterator<Item = (Arrival, &mut [u8])> {
        let places = self.bytes.chunks_exact_mut(MESSAGE).zip(&self.came);
        places.filter_map(|(bytes, &(arrival, length))| Some((arrival?, &mut bytes[..length])))
    }
}

/// Asks for everything that a crowd wants to know.
pub(super) fn prepare(socket: &Socket, buffer: usize) -> io::Result<()> {
    set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
    set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)?;
    set(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
    // Old kernels lack it and then give each datagram by itself.
    let _ = set(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
    let size = buffer as libc::c_int;
    // Beyond the system's limit only for those who may.
    set(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, size)
        .or_else(|_| set(socket, libc::SOL_SOCKET, libc::SO_RCVBUF, size))?;
    set(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, size)
        .or_else(|_| set(socket, libc::SOL_SOCKET, libc::SO_SNDBUF, size))
}

fn set(socket: &Socket, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the value lives until the call returns, and its size is told.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            mem::size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes what has arrived, at most `most`; how many, and how many the kernel has dropped so far, where it
/// says so.
pub(super) fn receive(
    socket: &Socket,
    inbound: &mut Inbound,
    most: usize,
) -> io::Result<(usize, Option<u32>)> {
    let most = most.min(CALL);
    inbound.came.clear();
    // SAFETY: all-zero is a valid value of both plain structs.
    let (mut iovecs, mut messages): ([libc::iovec; CALL], [libc::mmsghdr; CALL]) = unsafe { mem::zeroed() };
    for (index, buffer) in inbound.bytes.chunks_exact_mut(MESSAGE).enumerate().take(most) {
        iovecs[index] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: MESSAGE };
        let header = &mut messages[index].msg_hdr;
        header.msg_iov = &raw mut iovecs[index];
        header.msg_iovlen = 1;
        header.msg_name = (&raw mut inbound.names[index]).cast();
        header.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
        header.msg_control = (&raw mut inbound.controls[index]).cast();
        header.msg_controllen = CONTROL;
    }
    // SAFETY: every message points to memory of `inbound` and `iovecs`, which outlives the call.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            most as libc::c_uint,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
        )
    };
    if count < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut dropped = None;
    for (message, name) in messages[..count as usize].iter().zip(&inbound.names) {
        let length = message.msg_len as usize;
        let (arrival, told) = read_control(&message.msg_hdr, address(name), length);
        dropped = told.or(dropped);
        inbound.came.push((arrival, length));
    }
    Ok((count as usize, dropped))
}

fn address(name: &libc::sockaddr_in) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr)), u16::from_be(name.sin_port))
}

/// None for whom it is for where the kernel did not tell, which it always does.
fn read_control(header: &libc::msghdr, from: SocketAddrV4, length: usize) -> (Option<Arrival>, Option<u32>) {
    let (mut to, mut dropped) = (None, None);
    let mut arrival = Arrival { to: Ipv4Addr::UNSPECIFIED, from, at_ns: 0, segment: length };
    // SAFETY: the kernel has filled in the control data of this message, and CMSG_NXTHDR stays within it.
    // What is read from each element has the type that its level and kind stand for.
    unsafe {
        let mut element = libc::CMSG_FIRSTHDR(header);
        while !element.is_null() {
            let data = libc::CMSG_DATA(element);
            match ((*element).cmsg_level, (*element).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    to = Some(Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)));
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                    let time = data.cast::<libc::timespec>().read_unaligned();
                    arrival.at_ns = time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64;
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let segment = data.cast::<libc::c_int>().read_unaligned();
                    arrival.segment = (segment as usize).clamp(1, length.max(1));
                }
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    dropped = Some(data.cast::<u32>().read_unaligned());
                }
                _ => {}
            }
            element = libc::CMSG_NXTHDR(header, element);
        }
    }
    (to.map(|to| Arrival { to, ..arrival }), dropped)
}

/// Bytes of control data that carry a source address.
const INFO: usize = mem::size_of::<libc::cmsghdr>() + mem::size_of::<libc::in_pktinfo>().next_multiple_of(8);

#[repr(C, align(8))]
struct Source {
    header: libc::cmsghdr,
    info: libc::in_pktinfo,
}

const _: () = assert!(
    mem::size_of::<Source>() == INFO && mem::offset_of!(Source, info) == mem::size_of::<libc::cmsghdr>()
);

/// What one message is made of.
struct Envelope {
    name: libc::sockaddr_in,
    source: Source,
    iovec: libc::iovec,
}

impl Envelope {
    fn of(letter: &Letter<'_>) -> Self {
        // SAFETY: all-zero is a valid value of these plain structs.
        let (mut name, mut source): (libc::sockaddr_in, Source) = unsafe { mem::zeroed() };
        name.sin_family = libc::AF_INET as libc::sa_family_t;
        name.sin_port = letter.to.port().to_be();
        name.sin_addr.s_addr = u32::from(*letter.to.ip()).to_be();
        source.header.cmsg_len = mem::size_of::<libc::cmsghdr>() + mem::size_of::<libc::in_pktinfo>();
        source.header.cmsg_level = libc::IPPROTO_IP;
        source.header.cmsg_type = libc::IP_PKTINFO;
        source.info.ipi_spec_dst.s_addr = u32::from(letter.from).to_be();
        // The kernel only reads here; the type of iovec does not say so.
        let (iov_base, iov_len) = (letter.bytes.as_ptr().cast_mut().cast(), letter.bytes.len());
        Self { name, source, iovec: libc::iovec { iov_base, iov_len } }
    }

    fn header(&mut self) -> libc::mmsghdr {
        // SAFETY: all-zero is a valid value of this plain struct.
        let mut message: libc::mmsghdr = unsafe { mem::zeroed() };
        let header = &mut message.msg_hdr;
        header.msg_name = (&raw mut self.name).cast();
        header.msg_namelen = mem::size_of::<libc::sockaddr_in>() as libc::socklen_t;
        header.msg_iov = &raw mut self.iovec;
        header.msg_iovlen = 1;
        header.msg_control = (&raw mut self.source).cast();
        header.msg_controllen = INFO;
        message
    }
}

/// Sends some datagrams from addresses of this machine; how many of them the kernel took.
pub(super) fn send_many(socket: &Socket, letters: &[Letter<'_>]) -> io::Result<usize> {
    let mut envelopes: Vec<Envelope> = letters.iter().map(Envelope::of).collect();
    let mut messages: Vec<libc::mmsghdr> = envelopes.iter_mut().map(Envelope::header).collect();
    // SAFETY: every message points to its envelope, and that to its letter; both outlive the call.
    let sent = unsafe {
        libc::sendmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            messages.len() as libc::c_uint,
            libc::MSG_DONTWAIT,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}
