//! What one listener costs the edge in memory.
//!
//! Real peers, in one thread and on a clock of its own: each is admitted, checked (ICE) and shakes hands
//! (DTLS) with a client of rtc-dtls, and then all hear three voices at 60 ms framing. The clients
//! are gone before the heap is looked at, so what is left is the edge's alone.
//!
//! `cargo bench -p edge --bench memory [-- LISTENERS]`

#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nobody to tell but the shell")]

mod client;
mod counting;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::dtls::Certificate;
use media::listeners::{
    AdmitListener, FramingChoice, Listeners, ListenersCommand, ListenersConfig, ListenersEvent,
};
use media::{Batch, Credentials, PeersConfig, Plane};
use protocol::{Epoch, FRAME_TICKS, Frame, Offer, PeerId, RoomId, SpeakerNumber, VoiceId, frame};
use rand::SeedableRng;
use rand::rngs::StdRng;

use client::{Client, Identity};

#[global_allocator]
static HEAP: counting::Counting = counting::Counting;

/// A voice's frame.
const FRAME: Duration = Duration::from_millis(20);

/// Twelve seconds of them: whatever is only needed for a handshake is gone by then.
const FRAMES: u32 = 600;

/// Bytes of one frame: 32 kbit/s.
const FRAME_LEN: usize = 80;

fn main() {
    let listeners = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(2_000);
    let identity = Identity::generate();
    let mut edge = Edge::new(listeners);
    let empty = counting::held();
    for index in 0..listeners {
        edge.connect(index, &identity);
    }
    let connected = counting::held() - empty;
    edge.speak(listeners);
    let hearing = counting::held() - empty;
    println!(
        "memory: edge {} bytes per listener ({listeners} listeners, {} of them before any audio)",
        hearing / listeners,
        connected / listeners,
    );
}

/// An edge's shard without its thread and its socket.
struct Edge {
    plane: Listeners,
    out: Batch,
    now: Instant,
}

impl Edge {
    fn new(max_peers: usize) -> Self {
        let certificate = Arc::new(Certificate::generate().unwrap());
        let peers = PeersConfig { certificate, max_peers };
        let config = ListenersConfig { peers, max_rooms: 1, framing: FramingChoice::Fixed(60) };
        let plane = Listeners::new(config, StdRng::seed_from_u64(1), StdRng::seed_from_u64(2));
        Self { plane, out: Batch::default(), now: Instant::now() }
    }

    /// Admits a listener, who connects; their client ends with this call.
    fn connect(&mut self, index: usize, identity: &Identity) {
        let (peer, offer) = (PeerId(index as u64), client::offer(identity));
        let credentials = self.admit(peer, offer.clone());
        let addr = SocketAddr::from(([127, 1, (index / 250) as u8, (index % 250) as u8 + 1], 40_000));
        self.exchange(addr, vec![client::check(&offer, &credentials)]);
        let mut client = Client::new(self.now, identity);
        while !client.done {
            let answers = self.exchange(addr, client.datagrams());
            client.take(self.now, &answers);
            self.now += Duration::from_millis(1);
        }
        // The node's last flight may tell the client that it is done before the node says so itself.
        let connected = |event| matches!(event, ListenersEvent::Connected { .. });
        while !std::iter::from_fn(|| self.plane.poll()).any(connected) {
            self.exchange(addr, client.datagrams());
        }
    }

    fn admit(&mut self, peer: PeerId, offer: Offer) -> Credentials {
        let admit = AdmitListener { peer, room: room(), offer };
        self.plane.handle(self.now, ListenersCommand::Admit(Box::new(admit)), &mut self.out);
        let admitted = std::iter::from_fn(|| self.plane.poll()).find_map(|event| match event {
            ListenersEvent::Admitted { result, .. } => Some(result.unwrap()),
            _ => None,
        });
        admitted.unwrap()
    }

    /// Takes what a client says, and does what is due; what is said to the client comes back.
    fn exchange(&mut self, from: SocketAddr, datagrams: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        for mut datagram in datagrams {
            self.plane.receive(self.now, from, &mut datagram, &mut self.out);
        }
        self.work();
        let said = self.out.datagrams().filter(|(to, _)| *to == from);
        let said = said.map(|(_, datagram)| datagram.to_vec()).collect();
        self.out.clear();
        said
    }

    fn work(&mut self) {
        while self.plane.poll_timeout().is_some_and(|due| due <= self.now) {
            self.plane.on_timeout(self.now, &mut self.out);
        }
    }

    /// All voices sound, and everybody is sent every packet of them.
    fn speak(&mut self, listeners: usize) {
        let mut packets = 0;
        for number in 0..FRAMES {
            self.now += FRAME;
            for frame in frames(number) {
                let command = ListenersCommand::Frame { room: room(), frame, arrived: self.now };
                self.plane.handle(self.now, command, &mut self.out);
            }
            self.work();
            packets += self.out.datagrams().count();
            self.out.clear();
        }
        let most = listeners * VoiceId::all().count() * FRAMES as usize / 3;
        assert!(packets * 100 > most * 95, "everybody hears: {packets} of {most} packets");
    }
}

/// One frame of each voice.
fn frames(number: u32) -> Vec<Frame> {
    let frame = |voice: VoiceId| Frame {
        epoch: Epoch(1),
        number,
        timestamp: number.wrapping_mul(FRAME_TICKS),
        speaker: SpeakerNumber(voice.index() as u32 + 1),
        voice,
        level: 30,
        payload: [&[0x78][..], &[number as u8; FRAME_LEN - 1]].concat().into(),
    };
    let frames: Vec<_> = VoiceId::all().map(frame).collect();
    let mut datagram = Vec::new();
    frame::write(1, &frames, &mut datagram);
    frame::read(datagram.into()).unwrap().1
}

fn room() -> RoomId {
    RoomId::new("bench").unwrap()
}
