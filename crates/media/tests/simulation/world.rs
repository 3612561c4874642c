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
use media::PeersConfig;
use media::dtls::Certificate;
use media::listeners::{AdmitListener, Listeners, ListenersCommand, ListenersConfig};
use media::relay::{Downstream, LinkId, Output, Told, Upstream};
use media::speakers::{AdmitSpeaker, Speakers, SpeakersCommand, SpeakersConfig, SpeakersEvent};
use media::{Batch, Plane};
use protocol::link::{ChildMessage, Datagram, Heartbeat, ParentMessage};
use protocol::message::RoomState;
use protocol::node::{Stage, StageSpeaker};
use protocol::{Epoch, Frame, Identity, NodeId, PeerId, RoomId, SpeakerNumber, VOICES};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::client::{Ear, Keys, Mouth, Said, offer};
use crate::net::{Hop, Net};

const TICK: Duration = Duration::from_millis(20);

/// Two hops, with time for repairs.
const SETTLING: Duration = Duration::from_millis(400);
const HEARTBEAT: Duration = Duration::from_millis(50);

/// How bad the network is, and how long it lasts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Between mouths and the origin, and between edges and ears.
    pub(crate) access: Hop,
    /// Between nodes.
    pub(crate) link: Hop,
    pub(crate) length: Duration,
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
    Up(usize, Vec<u8>),
    /// From a parent, to the node at this place.
    FromParent(Place, FromParent),
    /// From a child, to the node at this place.
    FromChild(Place, FromChild),
    /// To a listener.
    Down(usize, Vec<u8>),
    /// A host does something.
    Host,
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

/// Somebody who hears, seen twice: where their packets leave the node, and behind the network.
struct Listener {
    place: Place,
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
    stage: Stage,
    audible: BTreeSet<SpeakerNumber>,
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
            stage,
            audible: BTreeSet::new(),
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
        for event in [Event::Heartbeats, Event::Repeats, Event::Host] {
            self.net.at(self.start, event);
        }
        self.net.at(self.start + self.weather.length / 2, Event::NewOrigin);
        while let Some(next) = self.next().filter(|&next| next < self.start + self.weather.length) {
            self.now = self.now.max(next);
            while let Some(event) = self.net.take(self.now) {
                self.happen(event);
            }
            self.timeouts();
        }
        let lost = self.check_all_was_heard();
        Outcome { digest: self.digest, lost }
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
            Event::Up(mouth, mut datagram) => {
                let mut out = Batch::default();
                let from = self.mouths[mouth].addr;
                self.origin.receive(self.now, from, &mut datagram, &mut out);
                self.after_origin(out);
            }
            Event::FromParent(place, what) => self.hear_parent(place, what),
            Event::FromChild(place, what) => self.hear_child(place, what),
            Event::Down(listener, datagram) => self.listeners[listener].home.hear(self.now, &datagram),
            Event::Host => self.host_acts(),
            Event::Heartbeats => self.heartbeats(),
            Event::Repeats => self.repeats(),
            Event::NewOrigin => self.new_origin(),
        }
    }

    // The stage.

    fn add_speaker(&mut self) {
        let index = self.mouths.len();
        let number = SpeakerNumber(index as u32 + 1);
        self.stage.speakers.push(StageSpeaker { identity: identity(number), number, muted: false });
        self.connect_speaker(index);
        self.tell_stage();
        self.net.at(self.now + TICK.mul_f64(index as f64 / 4.0), Event::Speak(index));
    }

    /// Makes the speaker's peer at the origin of this time, with new keys and a new address.
    fn connect_speaker(&mut self, index: usize) {
        let number = SpeakerNumber(index as u32 + 1);
        let addr = SocketAddr::from(([10, 0, self.epoch.0 as u8, number.0 as u8], 5_000));
        let keys = Keys::new(&mut self.net.rng);
        let mouth = Mouth::new(self.now, addr, number, &keys, &mut self.net.rng);
        let admit = AdmitSpeaker {
            peer: PeerId(u64::from(number.0)),
            room: self.room.clone(),
            identity: identity(number),
            number,
            epoch: self.epoch,
            offer: offer(3, None),
        };
        let mut out = Batch::default();
        let command = SpeakersCommand::AdmitConnected(Box::new(admit), addr, keys.session());
        self.origin.handle(self.now, command, &mut out);
        if index < self.mouths.len() {
            let old = self.mouths.remove(index);
            self.mouths.insert(index, old.reconnected(mouth));
        } else {
            self.mouths.push(mouth);
        }
        self.listen(Place::Origin, addr, 20, 3, Some(number), &keys);
        self.after_origin(out);
    }

    fn speak(&mut self, index: usize) {
        let datagram = self.mouths[index].tick(self.now, &mut self.net.rng);
        if let Some(datagram) = datagram {
            self.net.send(self.now, self.weather.access, Event::Up(index, datagram));
        }
        self.net.at(self.now + TICK, Event::Speak(index));
    }

    /// Mutes, unmutes, demotes and promotes as the seed has it.
    fn host_acts(&mut self) {
        let rng = &mut self.net.rng;
        if let Some(index) = (0..self.stage.speakers.len()).collect::<Vec<_>>().choose(rng).copied() {
            match rng.random_range(0..4) {
                0 => drop(self.stage.speakers.remove(index)),
                _ => self.stage.speakers[index].muted ^= true,
            }
        }
        let numbers = (1..=self.mouths.len() as u32).map(SpeakerNumber);
        let missing: Vec<_> =
            numbers.filter(|n| self.stage.speakers.iter().all(|speaker| speaker.number != *n)).collect();
        if let Some(&number) = missing.first().filter(|_| self.net.rng.random()) {
            self.stage.speakers.push(StageSpeaker { identity: identity(number), number, muted: false });
        }
        self.tell_stage();
        let pause = Duration::from_millis(self.net.rng.random_range(50..1_500));
        self.net.at(self.now + pause, Event::Host);
    }

    fn tell_stage(&mut self) {
        self.stage.version += 1;
        self.audible = self.stage.speakers.iter().filter(|s| !s.muted).map(|s| s.number).collect();
        let mut out = Batch::default();
        self.origin.handle(self.now, SpeakersCommand::Stage(self.stage.clone()), &mut out);
        self.after_origin(out);
    }

    /// The old origin is gone with everything it knew; the speakers come back to a new one.
    fn new_origin(&mut self) {
        self.epoch = Epoch(self.epoch.0 + 1);
        self.stage.epoch = self.epoch;
        self.last_frames = [None; VOICES];
        let rng = &mut self.net.rng;
        self.origin = Speakers::new(speakers_config(), fork(rng), fork(rng));
        self.root = Downstream::default();
        self.link_up();
        (0..self.mouths.len()).for_each(|index| self.connect_speaker(index));
        self.tell_stage();
    }

    /// Sends what the origin's plane wants sent, and holds it to its rules.
    fn after_origin(&mut self, out: Batch) {
        self.send_down(out);
        while let Some(event) = self.origin.poll() {
            if let SpeakersEvent::Frame { frame, .. } = event {
                self.check_frame(&frame);
                let mut outputs = Vec::new();
                self.root.forward(&self.room, &frame, &mut outputs);
                self.tell_children(Place::Origin, outputs);
            }
        }
    }

    fn check_frame(&mut self, frame: &Frame) {
        assert_eq!(frame.epoch, self.epoch);
        if let Some((number, timestamp)) = self.last_frames[frame.voice.index()] {
            assert_eq!(frame.number, number + 1, "numbers of a voice are consecutive");
            assert_ne!(frame.timestamp, timestamp, "a moment of a voice comes once");
        }
        self.last_frames[frame.voice.index()] = Some((frame.number, frame.timestamp));
        if frame.payload.len() > 2 {
            assert!(self.audible.contains(&frame.speaker), "{:?} may not be heard", frame.speaker);
            let count = u32::from_be_bytes(frame.payload[2..6].try_into().expect("four bytes"));
            self.said.insert((frame.speaker, count), self.now);
        }
    }

    // The tree.

    fn edge(&mut self, place: Place) -> &mut Edge {
        if place == Place::Hub { &mut self.hub } else { &mut self.leaf }
    }

    /// Links origin, hub and leaf anew, and has the room come down.
    fn link_up(&mut self) {
        let names = ["origin", "hub"].map(|name| NodeId::new(name).expect("a node id"));
        self.root.link_up(DOWN);
        self.root.set_path(&self.room, vec![names[0].clone()], self.epoch, &mut Vec::new());
        let is_first = self.epoch == Epoch(1);
        if is_first {
            self.hub.downstream.link_up(DOWN);
        } else {
            self.hub.upstream.link_lost(UP);
        }
        let (room, epoch) = (self.room.clone(), self.epoch);
        for place in [Place::Hub, Place::Leaf] {
            let mut outputs = Vec::new();
            let edge = self.edge(place);
            if place == Place::Hub || is_first {
                edge.upstream.link_up(UP);
                edge.upstream.join(&room, UP, &names[0], epoch, &mut outputs);
                edge.upstream.set_rtt(UP, Duration::from_millis(20));
            }
            self.tell_parent(place, outputs);
        }
    }

    fn hear_parent(&mut self, place: Place, what: FromParent) {
        let now = self.now;
        match what {
            FromParent::Message(message) => {
                let mut outputs = Vec::new();
                let told = self.edge(place).upstream.message(now, UP, message, &mut outputs);
                assert!(!matches!(told, Told::Loop(_) | Told::Refused(_)), "{told:?}");
                self.tell_parent(place, outputs);
                self.pass_path_on(place);
            }
            FromParent::Datagram(bytes) => match Datagram::read(bytes).expect("ours") {
                Datagram::Frames { channel, frames } => self.frames(place, channel, frames),
                Datagram::Heartbeat(heartbeat) => self.answer_heartbeat(place, heartbeat),
                Datagram::Missing(_) => unreachable!("parents do not ask"),
            },
        }
    }

    fn frames(&mut self, place: Place, channel: u32, frames: Vec<Frame>) {
        let (now, room) = (self.now, self.room.clone());
        let (mut fresh, mut up, mut down) = (Vec::new(), Vec::new(), Vec::new());
        let edge = self.edge(place);
        edge.upstream.frames(now, UP, channel, frames, &mut fresh, &mut up);
        let mut out = Batch::default();
        for frame in fresh {
            edge.downstream.forward(&room, &frame, &mut down);
            let command = ListenersCommand::Frame { room: room.clone(), frame, arrived: now };
            edge.plane.handle(now, command, &mut out);
        }
        self.tell_parent(place, up);
        self.tell_children(place, down);
        self.send_down(out);
    }

    fn pass_path_on(&mut self, place: Place) {
        let room = self.room.clone();
        let name = if place == Place::Hub { "hub" } else { "leaf" };
        let mut outputs = Vec::new();
        let edge = self.edge(place);
        let (path, epoch) = edge.upstream.path(&room);
        let mut path = path.to_vec();
        path.push(NodeId::new(name).expect("a node id"));
        edge.downstream.set_path(&room, path, epoch, &mut outputs);
        self.tell_children(place, outputs);
    }

    fn hear_child(&mut self, place: Place, what: FromChild) {
        let (now, room) = (self.now, self.room.clone());
        let downstream = if place == Place::Origin { &mut self.root } else { &mut self.hub.downstream };
        let mut outputs = Vec::new();
        match what {
            FromChild::Message(ChildMessage::Subscribe { channel, .. }) => {
                downstream.subscribe(DOWN, &room, channel, &mut outputs).expect("subscribed");
            }
            FromChild::Message(ChildMessage::Unsubscribe { channel }) => {
                downstream.unsubscribe(DOWN, channel);
            }
            FromChild::Datagram(bytes) => match Datagram::read(bytes).expect("ours") {
                Datagram::Missing(missing) => downstream.missing(DOWN, &missing, &mut outputs),
                Datagram::Heartbeat(beat) => downstream.loss(now, DOWN, beat.loss_permille),
                Datagram::Frames { .. } => unreachable!("children have no audio"),
            },
        }
        self.tell_children(place, outputs);
    }

    fn tell_children(&mut self, place: Place, outputs: Vec<Output<ParentMessage>>) {
        let child = if place == Place::Origin { Place::Hub } else { Place::Leaf };
        for output in outputs {
            match output {
                Output::Datagram(_, bytes) => {
                    let event = Event::FromParent(child, FromParent::Datagram(bytes));
                    self.net.send(self.now, self.weather.link, event);
                }
                Output::Message(_, message) => {
                    let event = Event::FromParent(child, FromParent::Message(message));
                    self.net.send(self.now, reliable(self.weather.link), event);
                }
            }
        }
    }

    fn tell_parent(&mut self, place: Place, outputs: Vec<Output<ChildMessage>>) {
        let parent = if place == Place::Hub { Place::Origin } else { Place::Hub };
        for output in outputs {
            match output {
                Output::Datagram(_, bytes) => {
                    let event = Event::FromChild(parent, FromChild::Datagram(bytes));
                    self.net.send(self.now, self.weather.link, event);
                }
                Output::Message(_, message) => {
                    let event = Event::FromChild(parent, FromChild::Message(message));
                    self.net.send(self.now, reliable(self.weather.link), event);
                }
            }
        }
    }

    fn heartbeats(&mut self) {
        self.beats += 1;
        for child in [Place::Hub, Place::Leaf] {
            let mut bytes = Vec::new();
            Heartbeat { sequence: self.beats, loss_permille: 0 }.write(&mut bytes);
            let event = Event::FromParent(child, FromParent::Datagram(bytes.into()));
            self.net.send(self.now, self.weather.link, event);
        }
        self.net.at(self.now + HEARTBEAT, Event::Heartbeats);
    }

    fn answer_heartbeat(&mut self, place: Place, heartbeat: Heartbeat) {
        let loss_permille = self.edge(place).upstream.heartbeat(UP, heartbeat);
        let mut bytes = Vec::new();
        Heartbeat { sequence: heartbeat.sequence, loss_permille }.write(&mut bytes);
        self.tell_parent(place, vec![Output::Datagram(UP, bytes.into())]);
    }

    fn repeats(&mut self) {
        let now = self.now;
        for place in [Place::Hub, Place::Leaf] {
            let mut outputs = Vec::new();
            self.edge(place).upstream.on_timeout(now, &mut outputs);
            self.tell_parent(place, outputs);
        }
        self.net.at(self.now + TICK, Event::Repeats);
    }

    // The audience.

    fn add_listener(&mut self, place: Place, framing: u8, lines: u8) {
        let index = self.listeners.len();
        let addr = SocketAddr::from(([10, 1, place as u8, index as u8], 6_000));
        let keys = Keys::new(&mut self.net.rng);
        let admit = AdmitListener {
            peer: PeerId(index as u64 + 100),
            room: self.room.clone(),
            offer: offer(lines, Some(framing)),
            framing_ms: 60,
        };
        let (now, mut out) = (self.now, Batch::default());
        let command = ListenersCommand::AdmitConnected(Box::new(admit), addr, keys.session());
        self.listen(place, addr, framing, lines, None, &keys);
        self.edge(place).plane.handle(now, command, &mut out);
        self.send_down(out);
    }

    fn listen(
        &mut self,
        place: Place,
        addr: SocketAddr,
        framing: u8,
        lines: u8,
        number: Option<SpeakerNumber>,
        keys: &Keys,
    ) {
        let [door, home] = [(); 2].map(|()| Ear::new(framing, lines, keys));
        self.by_addr.insert(addr, self.listeners.len());
        self.listeners.push(Listener { place, number, door, home, last_packet: self.now });
    }

    fn send_down(&mut self, out: Batch) {
        for (to, datagram) in out.datagrams() {
            let index = self.by_addr[&to];
            let listener = &mut self.listeners[index];
            listener.door.hear(self.now, datagram);
            if listener.number.is_none() {
                let silence = self.now - listener.last_packet;
                assert!(
                    silence < Duration::from_millis(1_300),
                    "a silence that means two things: {silence:?}"
                );
            }
            listener.last_packet = self.now;
            self.digest = datagram.iter().fold(self.digest, |digest, &byte| {
                (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
            });
            self.net.send(self.now, self.weather.access, Event::Down(index, datagram.to_vec()));
        }
    }

    /// What went down the tree has left for every listener; at home only the network's losses lack.
    /// Gives the share of the frames that did not leave for a listener at 20 ms, on the average.
    fn check_all_was_heard(&self) -> f64 {
        let ends = [self.start + self.weather.length / 2, self.start + self.weather.length];
        let starts = [self.start, ends[0]];
        let is_settled = |at: Instant| {
            // While a link is made, and when an origin dies, what is under way may be lost.
            starts.iter().all(|&start| at < start || at > start + SETTLING)
                && ends.iter().all(|&end| at > end || at + SETTLING < end)
        };
        let said: Vec<_> =
            self.said.iter().filter(|&(_, &at)| is_settled(at)).map(|(said, _)| *said).collect();
        assert!(said.len() > 50, "somebody spoke: {}", said.len());
        for listener in self.listeners.iter().filter(|l| l.number.is_none() && l.door.lines == 3) {
            let (door, home) = (share(&said, &listener.door), share(&said, &listener.home));
            let rate = self.weather.access.loss;
            // A joined packet that has left cannot take up a frame that was overtaken on its way.
            let least = if listener.door.framing_ms == 20 { 0.99 } else { 0.98 };
            assert!(
                door > least,
                "{:?} at {} ms: {door} of the frames left",
                listener.place,
                listener.door.framing_ms
            );
            assert!(home > 0.97 * (1.0 - 3.0 * rate), "{:?}: {home} of the frames came home", listener.place);
        }
        for listener in self.listeners.iter().filter(|l| l.number.is_none() && l.door.lines == 1) {
            assert!(listener.door.heard.len() * 3 > said.len(), "one line hears the loudest");
        }
        for listener in &self.listeners {
            let Some(own) = listener.number else { continue };
            assert!(
                listener.door.heard.keys().all(|(speaker, _)| *speaker != own),
                "nobody hears themselves"
            );
        }
        let of_all = |l: &&Listener| l.number.is_none() && l.door.lines == 3 && l.door.framing_ms == 20;
        let unjoined: Vec<_> = self.listeners.iter().filter(of_all).collect();
        unjoined.iter().map(|listener| 1.0 - share(&said, &listener.door)).sum::<f64>()
            / unjoined.len() as f64
    }
}

fn share(said: &[Said], ear: &Ear) -> f64 {
    said.iter().filter(|said| ear.heard.contains_key(said)).count() as f64 / said.len() as f64
}

fn reliable(hop: Hop) -> Hop {
    Hop { loss: 0.0, jitter: Duration::ZERO, ..hop }
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
    ListenersConfig { peers: peers_config(), max_rooms: 10 }
}

fn speakers_config() -> SpeakersConfig {
    SpeakersConfig { peers: peers_config(), max_rooms: 10 }
}

#[allow(clippy::disallowed_methods, reason = "a moment to start from; which one does not matter")]
fn start() -> Instant {
    Instant::now()
}
