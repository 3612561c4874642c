//! What cannot be saved: the system call, and the sealing of each packet under its listener's own key.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::network::Network;

/// Bytes of the RTP header as the edge writes it, with CSRC and audio level.
const HEADER_LEN: usize = 24;

/// Messages in one system call, as in `transport`.
const CALL: usize = 128;

/// Packets that are ready, and the system call.
pub(crate) struct Bare {
    socket: UdpSocket,
    bytes: Vec<u8>,
    len: usize,
    names: Vec<libc::sockaddr_in>,
}

impl Bare {
    pub(crate) fn new(network: &Network, len: usize) -> Self {
        let name = |address: &SocketAddr| {
            let SocketAddr::V4(v4) = address else { unreachable!("all are 127.…") };
            libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            }
        };
        Self {
            socket: UdpSocket::bind("0.0.0.0:0").unwrap(),
            bytes: vec![0x80; len * network.addresses.len()],
            len,
            names: network.addresses.iter().map(name).collect(),
        }
    }

    /// Sends one packet to each listener.
    pub(crate) fn round(&mut self) {
        for (bytes, names) in self.bytes.chunks_mut(self.len * CALL).zip(self.names.chunks_mut(CALL)) {
            send(&self.socket, bytes, self.len, names);
        }
    }
}

fn send(socket: &UdpSocket, bytes: &mut [u8], len: usize, names: &mut [libc::sockaddr_in]) {
    let mut iovecs: Vec<_> = bytes
        .chunks_mut(len)
        .map(|packet| libc::iovec { iov_base: packet.as_mut_ptr().cast(), iov_len: packet.len() })
        .collect();
    let message = |(name, iovec): (&mut libc::sockaddr_in, &mut libc::iovec)| {
        // SAFETY: all-zero is a valid, empty message.
        let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        message.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
        message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        message.msg_hdr.msg_iov = iovec;
        message.msg_hdr.msg_iovlen = 1;
        message
    };
    let mut messages: Vec<_> = names.iter_mut().zip(&mut iovecs).map(message).collect();
    // SAFETY: every message points to a name and a packet that live until the call returns.
    let sent = unsafe {
        libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), messages.len() as libc::c_uint, 0)
    };
    assert_eq!(sent as usize, messages.len());
}

/// The same, with each packet copied and sealed under a key of its own.
pub(crate) struct Sealed {
    bare: Bare,
    template: Vec<u8>,
    keys: Vec<LessSafeKey>,
    index: u64,
}

impl Sealed {
    pub(crate) fn new(network: &Network, len: usize) -> Self {
        let key = |index: usize| {
            let mut key = [7; 16];
            key[..8].copy_from_slice(&(index as u64).to_be_bytes());
            LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap())
        };
        Self {
            bare: Bare::new(network, len),
            template: vec![0x80; len - AES_128_GCM.tag_len()],
            keys: (0..network.addresses.len()).map(key).collect(),
            index: 0,
        }
    }

    /// Sends one packet to each listener.
    pub(crate) fn round(&mut self) {
        self.index += 1;
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.index.to_be_bytes());
        for (packet, key) in self.bare.bytes.chunks_mut(self.bare.len).zip(&self.keys) {
            let (plain, tag) = packet.split_at_mut(self.template.len());
            plain.copy_from_slice(&self.template);
            let (header, payload) = plain.split_at_mut(HEADER_LEN);
            let nonce = Nonce::assume_unique_for_key(nonce);
            let sealed = key.seal_in_place_separate_tag(nonce, Aad::from(header), payload).unwrap();
            tag.copy_from_slice(sealed.as_ref());
        }
        self.bare.round();
    }
}
