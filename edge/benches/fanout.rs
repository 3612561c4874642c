//! What one packet to one listener costs, against the least it could cost.
//!
//! Three ways to send the same packet to N addresses, in one run and in CPU time of this thread:
//!
//! 1. bare `sendmmsg` of bytes that are ready;
//! 2. the same, each packet copied and sealed with AES-128-GCM under its listener's key first;
//! 3. the edge's own path: relay frame → room → framing → header, number, seal → batch → kernel.
//!
//! `ratio` is the third to the second: what the edge adds to what cannot be saved. Loopback makes each
//! send pay for its receive path too, in all three alike. Blocks of the three alternate, and the
//! medians of the blocks count, so that other work on the machine disturbs all or none.
//!
//! `cargo bench -p edge --bench fanout [-- LISTENERS]`

#![allow(unsafe_code, reason = "the bare system call is what everything is compared with")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nobody to tell but the shell")]

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::dtls::Certificate;
use media::listeners::{AdmitListener, FramingChoice, Listeners, ListenersCommand, ListenersConfig};
use media::srtp::{Profile, SessionKeys};
use media::{Batch, PeersConfig, Plane};
use protocol::session::{ExtensionId, Fingerprint, FramingMs, IceText, Lines, PayloadType};
use protocol::{Epoch, FRAME_TICKS, Frame, Offer, PeerId, RoomId, SpeakerNumber, VoiceId, frame};
use rand::SeedableRng;
use rand::rngs::StdRng;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use transport::socket::BatchSocket;

/// Bytes of one 20 ms frame: 32 kbit/s.
const FRAME_LEN: usize = 80;

/// Bytes of the RTP header as the edge writes it, with CSRC and audio level.
const HEADER_LEN: usize = 24;

/// Messages in one system call, as in `transport`.
const CALL: usize = 128;

/// Sockets that the listeners' addresses share: one alone would overflow.
const READERS: usize = 50;

/// Rounds, of one packet to each listener, that are measured together.
const BLOCK: usize = 10;

/// Blocks of each way. Together they stay below the 30 s of media after which consent expires.
const BLOCKS: usize = 40;

fn main() {
    let listeners = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(1_000);
    let network = Network::new(listeners);
    println!("fanout: {listeners} listeners, ns of CPU per packet, medians of {BLOCKS} blocks");
    for framing in [20, 60] {
        let mut edge = Edge::new(&network, framing);
        let len = edge.packet_len(&network);
        let (mut bare, mut sealed) = (Bare::new(&network, len), Sealed::new(&network, len));
        let mut costs: [Vec<f64>; 3] = Default::default();
        for _ in 0..BLOCKS {
            let ways: [&mut dyn FnMut(); 3] =
                [&mut || bare.round(), &mut || sealed.round(), &mut || edge.round(&network)];
            for (way, costs) in ways.into_iter().zip(&mut costs) {
                costs.push(network.measure(way));
            }
        }
        let [bare, sealed, edge] = costs.map(median);
        println!(
            "framing_ms={framing} packet_bytes={len} sendmmsg_ns={bare:.0} sendmmsg_aes_gcm_ns={sealed:.0} \
             edge_ns={edge:.0} ratio={:.3}",
            edge / sealed
        );
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time of this thread, the kernel's part included.
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The listeners' side: an address for each, and sockets that take what comes.
struct Network {
    addresses: Vec<SocketAddr>,
    readers: Vec<UdpSocket>,
}

impl Network {
    fn new(listeners: usize) -> Self {
        let reader = |_| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let readers: Vec<_> = (0..READERS).map(reader).collect();
        let address = |index: usize| {
            let port = readers[index % READERS].local_addr().unwrap().port();
            SocketAddr::from(([127, 1, (index / 250) as u8, (index % 250) as u8 + 1], port))
        };
        Self { addresses: (0..listeners).map(address).collect(), readers }
    }

    /// CPU time of one packet over a block of rounds. What arrives is thrown away between rounds, off
    /// the clock, so that no receive buffer is full.
    fn measure(&self, round: &mut dyn FnMut()) -> f64 {
        let mut total = Duration::ZERO;
        for _ in 0..BLOCK {
            let start = cpu();
            round();
            total += cpu() - start;
            let received = self.drain();
            assert_eq!(received, self.addresses.len(), "every packet arrives");
        }
        total.as_nanos() as f64 / (BLOCK * self.addresses.len()) as f64
    }

    fn drain(&self) -> usize {
        let mut buffer = [0; 2_048];
        let mut received = 0;
        for reader in &self.readers {
            received += std::iter::from_fn(|| reader.recv(&mut buffer).ok()).count();
        }
        received
    }
}

/// Packets that are ready, and the system call.
struct Bare {
    socket: UdpSocket,
    bytes: Vec<u8>,
    len: usize,
    names: Vec<libc::sockaddr_in>,
}

impl Bare {
    fn new(network: &Network, len: usize) -> Self {
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

    fn round(&mut self) {
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
struct Sealed {
    bare: Bare,
    template: Vec<u8>,
    keys: Vec<LessSafeKey>,
    index: u64,
}

impl Sealed {
    fn new(network: &Network, len: usize) -> Self {
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

    fn round(&mut self) {
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

/// An edge's shard without its thread: everybody listens to one room in which one voice sounds.
struct Edge {
    socket: BatchSocket,
    plane: Listeners,
    batch: Batch,
    now: Instant,
    number: u32,
    /// Frames in a packet.
    frames: u32,
}

impl Edge {
    fn new(network: &Network, framing: u8) -> Self {
        let certificate = Arc::new(Certificate::generate().unwrap());
        let peers = PeersConfig { certificate, max_peers: network.addresses.len() };
        let config = ListenersConfig { peers, max_rooms: 1, framing: FramingChoice::Fixed(60) };
        let plane = Listeners::new(config, StdRng::seed_from_u64(1), StdRng::seed_from_u64(2));
        let socket = BatchSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let (batch, now, frames) = (Batch::default(), Instant::now(), u32::from(framing) / 20);
        let mut edge = Self { socket, plane, batch, now, number: 0, frames };
        for (index, &addr) in network.addresses.iter().enumerate() {
            edge.admit(index, addr, framing);
        }
        edge
    }

    fn admit(&mut self, index: usize, addr: SocketAddr, framing: u8) {
        let peer = PeerId(index as u64);
        let admit = AdmitListener { peer, room: room(), offer: offer(framing) };
        let profile = Profile::AeadAes128Gcm;
        let mut exported = vec![9; profile.exported_len()];
        exported[16..24].copy_from_slice(&(index as u64).to_be_bytes());
        let keys = SessionKeys::from_exported(profile, &exported).unwrap();
        let command = ListenersCommand::AdmitConnected(Box::new(admit), addr, keys);
        self.plane.handle(self.now, command, &mut self.batch);
        while self.plane.poll().is_some() {}
    }

    /// Bytes of its packets, as UDP payload.
    fn packet_len(&mut self, network: &Network) -> usize {
        let mut lengths = Vec::new();
        for _ in 0..2 {
            self.round_with(|batch| lengths = batch.datagrams().map(|(_, bytes)| bytes.len()).collect());
            network.drain();
        }
        lengths[0]
    }

    fn round(&mut self, _network: &Network) {
        self.round_with(|_| {});
    }

    /// As many frames as give every listener one packet.
    fn round_with(&mut self, mut look: impl FnMut(&Batch)) {
        for _ in 0..self.frames {
            self.now += Duration::from_millis(20);
            let datagram = relay_datagram(self.number);
            self.number += 1;
            let (_, frames) = frame::read(datagram.into()).unwrap();
            for frame in frames {
                let command = ListenersCommand::Frame { room: room(), frame, arrived: self.now };
                self.plane.handle(self.now, command, &mut self.batch);
            }
            self.plane.on_timeout(self.now, &mut self.batch);
            self.socket.send(&self.batch);
            look(&self.batch);
            self.batch.clear();
        }
    }
}

fn relay_datagram(number: u32) -> Vec<u8> {
    let frame = Frame {
        epoch: Epoch(1),
        number,
        timestamp: number.wrapping_mul(FRAME_TICKS),
        speaker: SpeakerNumber(1),
        voice: VoiceId::all().next().unwrap(),
        level: 30,
        payload: [&[0x78][..], &[number as u8; FRAME_LEN - 1]].concat().into(),
    };
    let mut datagram = Vec::new();
    frame::write(1, &[frame], &mut datagram);
    datagram
}

fn room() -> RoomId {
    RoomId::new("bench").unwrap()
}

fn offer(framing: u8) -> Offer {
    Offer {
        ufrag: IceText::new("abcd").unwrap(),
        pwd: IceText::new("abcdefghijklmnopqrstuv").unwrap(),
        fingerprint: Fingerprint([0; 32]),
        opus: PayloadType::new(111).unwrap(),
        red: None,
        level_ext: ExtensionId::new(1),
        nack: false,
        lines: Lines::new(3).unwrap(),
        framing: FramingMs::new(framing),
    }
}
