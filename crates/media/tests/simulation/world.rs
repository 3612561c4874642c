//! A whole system in one thread: mouths, an origin, a hub, a leaf, ears, and the network between them.
//!
//! ```text
//!   mouths ─▶ origin (Speakers, Downstream) ─▶ hub (Upstream, Listeners, Downstream) ─▶ leaf (…) ─▶ ears
//! ```
//!
//! Everything between mouths and ears is what runs in production. The clock is [`World::now`], and
//! whatever is random comes from the seed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::dtls::Certificate;
use media::listeners::{
    AdmitListener, FramingChoice, Listeners, ListenersCommand, ListenersConfig, ListenersEvent,
};
use media::relay::{Downstream, LinkId, Output, Told, Upstream};
use media::speakers::{AdmitSpeaker, Speakers, SpeakersCommand, SpeakersConfig, SpeakersEvent};
use media::{Batch, Credentials, PeersConfig, Plane};
use protocol::link::{ChildMessage, Datagram, Heartbeat, ParentMessage};
use protocol::message::RoomState;
use protocol::node::{Stage, StageSpeaker};
use protocol::{ApiError, Epoch, Frame, Identity, NodeId, PeerId, RoomId, SpeakerNumber, VOICES};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::client::{Ear, Keys, Mouth, Said, Uttered, consent, offer};
use crate::net::{Hop, Net};
use hearing::Hearing;

mod audience;
mod hearing;
mod stage;
mod tree;

const TICK: Duration = Duration::from_millis(20);

/// Two hops, with time for repairs.
const SETTLING: Duration = Duration::from_millis(400);
const HEARTBEAT: Duration = Duration::from_millis(50);

/// Between two checks of a client's consent, and between two peers of somebody whose UDP is blocked.
const CONSENT: Duration = Duration::from_secs(5);
const ASKS_AGAIN: Duration = Duration::from_secs(4);

/// The speaker who has lines to hear nobody on, and those who sit on stage without a word: one behind a
/// WHIP encoder of that kind, one whose media never comes through.
const DEAF: SpeakerNumber = SpeakerNumber(4);
const MUTE: SpeakerNumber = SpeakerNumber(8);
const BLOCKED: SpeakerNumber = SpeakerNumber(9);

/// How bad the network is, and how long it lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Between mouths and the origin, and between edges and ears.
    pub(crate) access: Hop,
    /// Between nodes.
    pub(crate) link: Hop,
    /// How long people talk before they all fall silent, how long that lasts, and how long they talk then.
    pub(crate) talk: Duration,
    pub(crate) silence: Duration,
}

/// A node, by its place on the way down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Origin,
    Hub,
    Leaf,
}

/// What is under way.
enum Event {
    /// A mouth's next 20 ms.
    Speak(usize),
    /// From a mouth, to the origin of its time.
    Up(usize, Uttered),
    /// From a parent, to the node at this place.
    FromParent(Place, FromParent),
    /// From a child, to the node at this place.
    FromChild(Place, FromChild),
    /// To a listener.
    Down(usize, Vec<u8>),
    /// A host does something.
    Host,
    /// Nobody says anything for a while.
    Silence,
    /// Everybody's ICE checks.
    Consent,
    /// Somebody whose media never comes through asks for it again.
    Blocked,
    /// Heartbeats of all links.
    Heartbeats,
    /// Repeats of requests.
    Repeats,
    /// Another origin takes the room.
    NewOrigin,
}

enum FromParent {
    Datagram(Bytes),
    Message(ParentMessage),
}

enum FromChild {
    Datagram(Bytes),
    Message(ChildMessage),
}

struct Edge {
    upstream: Upstream,
    downstream: Downstream,
    plane: Listeners,
}

/// Somebody with a peer at a node.
#[derive(Clone, Copy)]
struct Client {
    place: Place,
    peer: PeerId,
    addr: SocketAddr,
}

/// Somebody who hears, seen twice: where their packets leave the node, and behind the network.
struct Listener {
    client: Client,
    number: Option<SpeakerNumber>,
    door: Ear,
    home: Ear,
    last_packet: Instant,
}

/// How an event went.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Of all that was sent to listeners.
    digest: u64,
    /// Share of the frames that the tree did not bring in time for an unjoined packet.
    pub(crate) lost: f64,
}

pub(crate) struct World {
    now: Instant,
    start: Instant,
    weather: Weather,
    net: Net<Event>,
    room: RoomId,
    origin: Speakers,
    epoch: Epoch,
    root: Downstream,
    hub: Edge,
    leaf: Edge,
    mouths: Vec<Mouth>,
    listeners: Vec<Listener>,
    by_addr: HashMap<SocketAddr, usize>,
    /// How everybody shows their node that they are still there.
    credentials: HashMap<PeerId, Credentials>,
    peers: u64,
    stage: Stage,
    audible: BTreeSet<SpeakerNumber>,
    hearing: Hearing,
    /// Of each voice, the frame sent last.
    last_frames: [Option<(u32, u32)>; VOICES],
    /// What went down the tree.
    said: BTreeMap<Said, Instant>,
    beats: u32,
    digest: u64,
}

const ROOM: &str = "hall";
const DOWN: LinkId = LinkId(1);
const UP: LinkId = LinkId(0);

impl World {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let start = start();
        let epoch = Epoch(1);
        let room = RoomId::new(ROOM).expect("a room id");
        let names = ["hub", "leaf"].map(|name| NodeId::new(name).expect("a node id"));
        let [hub, leaf] = names.map(|name| Edge {
            upstream: Upstream::new(name),
            downstream: Downstream::default(),
            plane: Listeners::new(listeners_config(), fork(&mut rng), fork(&mut rng)),
        });
        let stage = Stage { room: room.clone(), epoch, version: 0, state: RoomState::Live, speakers: vec![] };
        Self {
            now: start,
            start,
            weather,
            origin: Speakers::new(speakers_config(), fork(&mut rng), fork(&mut rng)),
            net: Net::new(rng),
            room,
            epoch,
            root: Downstream::default(),
            hub,
            leaf,
            mouths: vec![],
            listeners: vec![],
            by_addr: HashMap::new(),
            credentials: HashMap::new(),
            peers: 1_000,
            stage,
            audible: BTreeSet::new(),
            hearing: Hearing::default(),
            last_frames: [None; VOICES],
            said: BTreeMap::new(),
            beats: 0,
            digest: 0,
        }
    }

    /// Runs to the end; every rule is asserted on the way.
    pub(crate) fn run(mut self) -> Outcome {
        self.link_up();
        (0..4).for_each(|_| self.add_speaker());
        for (framing, lines) in [(20, 3), (60, 3), (60, 3), (60, 3), (20, 1)] {
            self.add_listener(Place::Hub, framing, lines);
            self.add_listener(Place::Leaf, framing, lines);
        }
        self.add_silent_speakers();
        for event in [Event::Heartbeats, Event::Repeats, Event::Host, Event::Consent, Event::Blocked] {
            self.net.at(self.start, event);
        }
        self.net.at(self.new_origin_at(), Event::NewOrigin);
        self.net.at(self.start + self.weather.talk, Event::Silence);
        let end = self.end();
        while let Some(next) = self.next().filter(|&next| next < end) {
            self.now = self.now.max(next);
            while let Some(event) = self.net.take(self.now) {
                self.happen(event);
            }
            self.timeouts();
        }
        let lost = self.check_all_was_heard();
        Outcome { digest: self.digest, lost }
    }

    fn new_origin_at(&self) -> Instant {
        self.start + self.weather.talk / 2
    }

    fn end(&self) -> Instant {
        self.start + self.weather.talk * 2 + self.weather.silence
    }

    fn next(&self) -> Option<Instant> {
        let timeouts =
            [self.origin.poll_timeout(), self.hub.plane.poll_timeout(), self.leaf.plane.poll_timeout()];
        timeouts.into_iter().flatten().chain(self.net.next()).min()
    }

    fn timeouts(&mut self) {
        let mut out = Batch::default();
        if self.origin.poll_timeout().is_some_and(|at| at <= self.now) {
            self.origin.on_timeout(self.now, &mut out);
            self.after_origin(out);
        }
        for place in [Place::Hub, Place::Leaf] {
            let mut out = Batch::default();
            let now = self.now;
            let plane = &mut self.edge(place).plane;
            if plane.poll_timeout().is_some_and(|at| at <= now) {
                plane.on_timeout(now, &mut out);
                self.send_down(out);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Speak(mouth) => self.speak(mouth),
            Event::Up(mouth, Uttered { mut datagram, audible }) => {
                let mut out = Batch::default();
                let Mouth { addr, number, .. } = self.mouths[mouth];
                if audible && self.audible.contains(&number) {
                    self.hearing.speaks(self.now, number);
                }
                self.origin.receive(self.now, addr, &mut datagram, &mut out);
                self.after_origin(out);
                self.hearing.check(self.now);
            }
            Event::FromParent(place, what) => self.hear_parent(place, what),
            Event::FromChild(place, what) => self.hear_child(place, what),
            Event::Down(listener, datagram) => self.listeners[listener].home.hear(self.now, &datagram),
            Event::Host => self.host_acts(),
            Event::Silence => self.fall_silent(),
            Event::Consent => self.check_consent(),
            Event::Blocked => self.ask_again(),
            Event::Heartbeats => self.heartbeats(),
            Event::Repeats => self.repeats(),
            Event::NewOrigin => self.new_origin(),
        }
    }
}

fn identity(number: SpeakerNumber) -> Identity {
    Identity::new(&format!("speaker-{}", number.0)).expect("an identity")
}

fn fork(rng: &mut StdRng) -> StdRng {
    StdRng::from_rng(rng)
}

fn peers_config() -> PeersConfig {
    // Never shown: everybody is connected already.
    let certificate = Arc::new(Certificate::generate().expect("a certificate"));
    PeersConfig { certificate, max_peers: 100 }
}

fn listeners_config() -> ListenersConfig {
    ListenersConfig { peers: peers_config(), max_rooms: 10, framing: FramingChoice::Fixed(60) }
}

fn speakers_config() -> SpeakersConfig {
    SpeakersConfig { peers: peers_config(), max_rooms: 10 }
}

#[allow(clippy::disallowed_methods, reason = "a moment to start from; which one does not matter")]
fn start() -> Instant {
    Instant::now()
}
