//! The edge's way, as its shard drives it, without the thread.

use std::net::SocketAddr;
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
use transport::socket::BatchSocket;

use crate::Setting;
use crate::network::Network;

/// Bytes of one 20 ms frame: 32 kbit/s.
const FRAME_LEN: usize = 80;

/// Between two frames of a voice.
const FRAME: Duration = Duration::from_millis(20);

/// An edge's shard: everybody listens to one room.
pub(crate) struct Edge {
    socket: BatchSocket,
    plane: Listeners,
    batch: Batch,
    now: Instant,
    number: u32,
    setting: Setting,
}

impl Edge {
    pub(crate) fn new(network: &Network, setting: Setting) -> Self {
        let certificate = Arc::new(Certificate::generate().unwrap());
        let peers = PeersConfig { certificate, max_peers: network.addresses.len() };
        let framing = FramingChoice::Fixed(setting.framing_ms);
        let config = ListenersConfig { peers, max_rooms: 1, framing };
        let plane = Listeners::new(config, StdRng::seed_from_u64(1), StdRng::seed_from_u64(2));
        let socket = BatchSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let mut edge =
            Self { socket, plane, batch: Batch::default(), now: Instant::now(), number: 0, setting };
        for (index, &addr) in network.addresses.iter().enumerate() {
            edge.admit(index, addr);
        }
        edge
    }

    /// The same, where each packet is a send of its own.
    pub(crate) fn without_gso(network: &Network, setting: Setting) -> Self {
        let edge = Self::new(network, setting);
        edge.socket.set_gso(false);
        edge
    }

    fn admit(&mut self, index: usize, addr: SocketAddr) {
        let peer = PeerId(index as u64);
        let admit = AdmitListener { peer, room: room(), offer: offer(self.setting.framing_ms) };
        let profile = Profile::AeadAes128Gcm;
        let mut exported = vec![9; profile.exported_len()];
        exported[16..24].copy_from_slice(&(index as u64).to_be_bytes());
        let keys = SessionKeys::from_exported(profile, &exported).unwrap();
        let command = ListenersCommand::AdmitConnected(Box::new(admit), addr, keys);
        self.plane.handle(self.now, command, &mut self.batch);
        while self.plane.poll().is_some() {}
    }

    /// Bytes of its packets, as UDP payload, in the end: the first rounds fill what holds packets.
    pub(crate) fn packet_len(&mut self, network: &Network) -> usize {
        let mut len = 0;
        for _ in 0..2 {
            self.round_with(|batch| {
                len = batch.datagrams().map(|(_, bytes)| bytes.len()).max().unwrap_or(len)
            });
            network.drain();
        }
        len
    }

    /// As many frames as give every listener one packet of each voice.
    pub(crate) fn round(&mut self) {
        self.round_with(|_| {});
    }

    fn round_with(&mut self, mut look: impl FnMut(&Batch)) {
        for _ in 0..self.setting.framing_ms / 20 {
            let end = self.now + FRAME;
            let (_, frames) = frame::read(relay_datagram(self.number, self.setting.voices).into()).unwrap();
            self.number += 1;
            for frame in frames {
                let command = ListenersCommand::Frame { room: room(), frame, arrived: self.now };
                self.plane.handle(self.now, command, &mut self.batch);
            }
            self.leave_until(end, &mut look);
        }
    }

    /// Sends what leaves before the next frames come: large audiences are sent to in slices.
    fn leave_until(&mut self, end: Instant, look: &mut impl FnMut(&Batch)) {
        while let Some(due) = self.plane.poll_timeout().filter(|&due| due < end) {
            self.now = self.now.max(due);
            self.plane.on_timeout(self.now, &mut self.batch);
            self.socket.send(&self.batch);
            look(&self.batch);
            self.batch.clear();
        }
        self.now = end;
    }
}

/// A frame of each voice that sounds.
fn relay_datagram(number: u32, voices: usize) -> Vec<u8> {
    let frame = |voice: VoiceId| Frame {
        epoch: Epoch(1),
        number,
        timestamp: number.wrapping_mul(FRAME_TICKS),
        speaker: SpeakerNumber(voice.index() as u32 + 1),
        voice,
        level: 30,
        payload: [&[0x78][..], &[number as u8; FRAME_LEN - 1]].concat().into(),
    };
    let frames: Vec<_> = VoiceId::all().take(voices).map(frame).collect();
    let mut datagram = Vec::new();
    frame::write(1, &frames, &mut datagram);
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
