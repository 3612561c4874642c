//! An edge's plane: what it tells its node, and what its listeners hear.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use media::dtls::Certificate;
use media::listeners::{
    AdmitListener, FramingChoice, Listeners, ListenersCommand, ListenersConfig, ListenersEvent,
    ListenersStats,
};
use media::{Batch, Load, PeersConfig, Plane};
use protocol::{Epoch, FRAME_TICKS, Frame, PeerId, RoomId, SpeakerNumber, VoiceId};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::person::{Heard, Person, offer};

/// An edge's shard on a clock of its own, with listeners who are connected from the start.
pub(crate) struct Edge {
    pub(crate) now: Instant,
    pub(crate) plane: Listeners,
    out: Batch,
    people: Vec<Person>,
    /// Packets of each, since they were last looked at.
    pub(crate) heard: Vec<Vec<Heard>>,
    /// What the plane said, but for admissions.
    pub(crate) events: Vec<ListenersEvent>,
}

pub(crate) fn room() -> RoomId {
    RoomId::new("all-hands").unwrap()
}

#[allow(clippy::disallowed_methods)]
pub(crate) fn start() -> Instant {
    Instant::now()
}

/// A frame of speaker 7 with `count` for its audio.
pub(crate) fn speech(voice: usize, epoch: u32, number: u32, timestamp: u32, count: u32) -> Frame {
    Frame {
        epoch: Epoch(epoch),
        number,
        timestamp,
        speaker: SpeakerNumber(7),
        voice: VoiceId::new(voice).unwrap(),
        level: 30,
        payload: [&[0x78], &count.to_be_bytes()[..]].concat().into(),
    }
}

pub(crate) fn dtx(frame: Frame) -> Frame {
    Frame { payload: Bytes::from_static(&[0x78]), level: 127, ..frame }
}

impl Edge {
    pub(crate) fn new() -> Self {
        Self::of(3)
    }

    /// One that takes so many.
    fn of(max_peers: usize) -> Self {
        let peers = PeersConfig { certificate: Arc::new(Certificate::generate().unwrap()), max_peers };
        let config = ListenersConfig { peers, max_rooms: 1, framing: FramingChoice::Auto };
        let plane = Listeners::new(config, StdRng::seed_from_u64(1), StdRng::seed_from_u64(2));
        let (out, people, heard, events) = (Batch::default(), Vec::new(), Vec::new(), Vec::new());
        Self { now: start(), plane, out, people, heard, events }
    }

    /// Admits a listener who is connected; their index. Framing 0: whatever the node finds best.
    pub(crate) fn join(&mut self, lines: u8, framing: u8) -> usize {
        let person = Person::new(self.people.len() as u8 + 1);
        let (addr, keys) = (person.addr, person.session());
        let admit = admit(person.peer, lines, framing);
        self.people.push(person);
        self.heard.push(Vec::new());
        self.command(ListenersCommand::AdmitConnected(Box::new(admit), addr, keys));
        self.people.len() - 1
    }

    pub(crate) fn reframe(&mut self, listener: usize, framing_ms: u8) {
        let peer = self.people[listener].peer;
        self.command(ListenersCommand::Reframe { peer, framing_ms });
    }

    pub(crate) fn frame(&mut self, frame: Frame) {
        let (room, arrived) = (room(), self.now);
        self.command(ListenersCommand::Frame { room, frame, arrived });
    }

    pub(crate) fn command(&mut self, command: ListenersCommand) {
        self.plane.handle(self.now, command, &mut self.out);
        self.deliver();
    }

    /// Everybody's browser checks that the edge is there.
    pub(crate) fn consent(&mut self) {
        for index in 0..self.people.len() {
            let (addr, mut check) = (self.people[index].addr, self.people[index].check());
            self.plane.receive(self.now, addr, &mut check, &mut self.out);
        }
        self.deliver();
    }

    /// Lets time pass, doing what is due on the way.
    pub(crate) fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(due) = self.plane.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.plane.on_timeout(self.now, &mut self.out);
            self.deliver();
        }
        self.now = end;
    }

    /// What a listener heard, which is then forgotten.
    pub(crate) fn take(&mut self, listener: usize) -> Vec<Heard> {
        std::mem::take(&mut self.heard[listener])
    }

    pub(crate) fn stats(&self) -> &ListenersStats {
        self.plane.stats()
    }

    fn deliver(&mut self) {
        for (to, datagram) in self.out.datagrams() {
            let index = self.people.iter().position(|person| person.addr == to).unwrap();
            self.heard[index].extend(self.people[index].hear(datagram));
        }
        self.out.clear();
        while let Some(event) = self.plane.poll() {
            match event {
                ListenersEvent::Admitted { peer, result: Ok(credentials) } => {
                    let person = self.people.iter_mut().find(|person| person.peer == peer);
                    person.into_iter().for_each(|person| person.credentials = Some(credentials.clone()));
                }
                event => self.events.push(event),
            }
        }
    }
}

fn admit(peer: PeerId, lines: u8, framing: u8) -> AdmitListener {
    let framing = (framing > 0).then_some(framing);
    AdmitListener { peer, room: room(), offer: offer(lines, framing) }
}

/// The counts in the audio of a packet.
pub(crate) fn counts(heard: &Heard) -> Vec<u32> {
    let packet = media::opus::Packet::parse(&heard.payload).unwrap();
    let count = |frame: &&[u8]| u32::from_be_bytes((*frame).try_into().unwrap());
    packet.frames().iter().filter(|frame| !frame.is_empty()).map(count).collect()
}

#[test]
fn the_first_listener_wants_the_room_and_the_last_leaves_it() {
    let mut edge = Edge::new();
    edge.join(3, 20);
    edge.join(3, 60);
    let connected = |peer| ListenersEvent::Connected { peer: PeerId(peer), room: room() };
    assert_eq!(edge.events, [ListenersEvent::Wanted(room()), connected(1), connected(2)]);

    edge.events.clear();
    edge.command(ListenersCommand::Remove(PeerId(1)));
    assert_eq!(edge.events, []);
    edge.command(ListenersCommand::Remove(PeerId(2)));
    assert_eq!(edge.events, [ListenersEvent::Unwanted(room())]);
    edge.frame(speech(0, 1, 0, 0, 0));
    assert_eq!(edge.stats().dropped_unwanted, 1);
}

#[test]
fn who_does_not_check_is_gone_after_30_s() {
    let mut edge = Edge::new();
    edge.join(3, 20);
    edge.join(3, 20);
    edge.events.clear();
    for _ in 0..4 {
        edge.wait(10_000);
        let (addr, mut check) = (edge.people[0].addr, edge.people[0].check());
        edge.plane.receive(edge.now, addr, &mut check, &mut edge.out);
        edge.deliver();
    }
    assert_eq!(edge.events, [ListenersEvent::Gone { peer: PeerId(2), room: room() }]);
}

#[test]
fn limits_are_held_and_named() {
    let mut edge = Edge::new();
    let refused = |edge: &mut Edge, admit: AdmitListener| {
        edge.command(ListenersCommand::Admit(Box::new(admit)));
        let Some(ListenersEvent::Admitted { result: Err(error), .. }) = edge.events.pop() else { panic!() };
        error
    };
    edge.join(3, 20);
    let other_room = AdmitListener { room: RoomId::new("other").unwrap(), ..admit(PeerId(8), 3, 20) };
    assert_eq!(refused(&mut edge, other_room).code, protocol::Code::Unavailable);
    assert_eq!(refused(&mut edge, admit(PeerId(8), 0, 20)).code, protocol::Code::BadOffer);
    edge.join(3, 20);
    edge.join(3, 20);
    assert_eq!(refused(&mut edge, admit(PeerId(8), 3, 20)).code, protocol::Code::Unavailable);
    assert_eq!(edge.stats().refused_full, 2);
}

#[test]
fn everybody_hears_the_same_at_their_own_framing() {
    let mut edge = Edge::new();
    let (quick, slow) = (edge.join(3, 20), edge.join(3, 60));
    for count in 0..9 {
        edge.frame(speech(1, 1, count, count * FRAME_TICKS, count));
        edge.wait(20);
    }
    let quick = edge.take(quick);
    assert_eq!(quick.iter().flat_map(counts).collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());
    assert!(quick.iter().all(|heard| heard.ssrc == VoiceId::new(1).unwrap().ssrc()));
    assert!(quick.iter().all(|heard| (heard.speaker, heard.level) == (Some(7), Some(0x1E))));
    assert_eq!(quick.iter().filter(|heard| heard.marker).count(), 1);

    edge.wait(60);
    let slow = edge.take(slow);
    assert_eq!(slow.iter().flat_map(counts).collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());
    assert!((3..=4).contains(&slow.len()), "{}", slow.len());
    assert_eq!(slow[0].timestamp, 0);
}

#[test]
fn a_repaired_frame_is_heard_once_and_a_hopeless_one_never() {
    let mut edge = Edge::new();
    let listener = edge.join(3, 20);
    for number in [0, 1, 3, 4, 2, 2, 10, 5] {
        edge.frame(speech(0, 1, number, number * FRAME_TICKS, number));
        edge.wait(1);
    }
    let counts: Vec<_> = edge.take(listener).iter().flat_map(counts).collect();
    assert_eq!(counts, [0, 1, 3, 4, 2, 10, 5]);
    edge.frame(speech(0, 1, 6, 4 * FRAME_TICKS, 6));
    edge.wait(1);
    assert_eq!(edge.take(listener), []);
    assert_eq!((edge.stats().dropped_duplicate, edge.stats().dropped_late), (1, 1));
}

#[test]
fn a_listener_with_one_line_hears_the_loudest_and_time_never_goes_back() {
    let mut edge = Edge::new();
    let listener = edge.join(1, 20);
    for count in 0..200u32 {
        let (loud, soft) = if count < 100 { (0, 1) } else { (1, 0) };
        for (voice, level) in [(soft, 70), (loud, 20)] {
            let frame = speech(voice, 1, count, count * FRAME_TICKS, voice as u32);
            edge.frame(Frame { level, ..frame });
        }
        edge.wait(20);
    }
    let heard = edge.take(listener);
    assert!(heard.iter().all(|heard| heard.ssrc == VoiceId::new(0).unwrap().ssrc()));
    assert!(heard.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
    let voices: Vec<_> = heard.iter().flat_map(counts).collect();
    let jump = voices.iter().position(|&voice| voice == 1).unwrap();
    assert!((100..130).contains(&jump), "{jump}");
    assert!(voices[jump..].iter().all(|&voice| voice == 1));
    assert!(heard.len() >= 199);
}

#[test]
fn a_silent_room_is_heard_on_one_line_too() {
    let mut edge = Edge::new();
    let listener = edge.join(1, 60);
    for count in 0..5 {
        edge.frame(dtx(speech(0, 1, count, count * 20 * FRAME_TICKS, 0)));
        edge.wait(400);
    }
    assert_eq!(edge.take(listener).len(), 5);
}

/// Everybody talks, a voice each, one a little after the other.
fn talk(edge: &mut Edge, counts: std::ops::Range<u32>) {
    for count in counts {
        for voice in 0..3 {
            edge.frame(speech(voice, 1, count, count * FRAME_TICKS, count));
            edge.wait(3);
        }
        edge.wait(11);
    }
}

/// The thread was so busy for ten seconds, without having sent much.
fn fares(edge: &mut Edge, busy: f32) {
    for _ in 0..40 {
        let span = Duration::from_millis(250);
        edge.plane.adapt(Load { now: edge.now, span, busy, sends: 0 });
    }
}

#[test]
fn packets_grow_with_the_load_and_shrink_again_and_nobody_misses_a_frame() {
    let mut edge = Edge::new();
    let (first, asked) = (edge.join(3, 0), edge.join(3, 20));
    let mut frames = 0..0;
    let mut lengths = Vec::new();
    for busy in [0.1, 0.7, 0.95, 0.95, 0.01, 0.01, 0.01] {
        fares(&mut edge, busy);
        frames = frames.end..frames.end + 24;
        talk(&mut edge, frames.clone());
        lengths.push(edge.plane.framings());
        edge.consent();
    }
    edge.wait(200);
    let [short, middle, long] = [[2, 0, 0], [1, 1, 0], [1, 0, 1]];
    assert_eq!(lengths, [short, middle, long, long, long, middle, short]);
    assert_eq!(edge.stats().reframed, 4);
    for listener in [first, asked] {
        let heard = edge.take(listener);
        for voice in VoiceId::all() {
            let of_voice = heard.iter().filter(|heard| heard.ssrc == voice.ssrc());
            let counts: Vec<_> = of_voice.flat_map(counts).collect();
            assert_eq!(counts, (0..frames.end).collect::<Vec<_>>(), "listener {listener}");
        }
    }
}

#[test]
fn a_large_audience_is_sent_to_in_slices_and_everybody_gets_everything_once() {
    let mut edge = Edge::of(250);
    let listeners: Vec<_> = (0..250).map(|_| edge.join(3, 20)).collect();
    let gone = [3, 100, 140, 249];
    for count in 0..20 {
        edge.frame(speech(0, 1, count, count * FRAME_TICKS, count));
        edge.wait(1);
        if count == 9 {
            let served = listeners.iter().filter(|&&listener| edge.heard[listener].len() == 10).count();
            assert_eq!(served, 128);
            gone.into_iter().for_each(|listener| {
                edge.command(ListenersCommand::Remove(edge.people[listener].peer));
            });
        }
        edge.wait(19);
    }
    for listener in listeners.into_iter().filter(|listener| !gone.contains(listener)) {
        let counts: Vec<_> = edge.take(listener).iter().flat_map(counts).collect();
        assert_eq!(counts, (0..20).collect::<Vec<_>>(), "listener {listener}");
    }
}

#[test]
fn a_room_without_an_origin_is_silent_and_there_and_goes_on_unbroken_with_each_origin() {
    let mut edge = Edge::new();
    let people = [(3, 20), (3, 60), (1, 20)].map(|(lines, framing)| edge.join(lines, framing));
    edge.wait(1_000);
    assert!(people.iter().all(|&person| edge.take(person).is_empty()), "nobody said that it has none");

    let waits = |edge: &mut Edge, waits| edge.command(ListenersCommand::KeepAlive(room(), waits));
    waits(&mut edge, true);
    edge.wait(1_999);
    waits(&mut edge, true);
    assert_eq!(edge.stats().keep_alives, 5, "said twice is no more than once");
    for epoch in 1..=2 {
        // Its clock is its own, and what it says comes before the room is known to have an origin again.
        for count in 0..30 {
            let timestamp = epoch * 1_000_000_007 + count * FRAME_TICKS;
            edge.frame(speech(0, epoch, count, timestamp, count));
            edge.wait(20);
        }
        waits(&mut edge, false);
        edge.wait(2_000);
        waits(&mut edge, true);
        edge.wait(1_999);
    }
    assert_eq!(edge.stats().keep_alives, 15);
    for heard in people.map(|person| edge.take(person)) {
        assert_eq!(heard.iter().flat_map(counts).count(), 60, "all that was said");
        assert!(heard.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
        let ticks = heard.windows(2).map(|pair| pair[1].timestamp.wrapping_sub(pair[0].timestamp));
        assert!(ticks.clone().all(|ticks| ticks > 0 && ticks % FRAME_TICKS == 0));
        // As much time has passed as on the clock on the wall: 2 s, and twice 600 ms and 4 s, but for the last 400 ms.
        assert!((538..=542).contains(&(ticks.sum::<u32>() / FRAME_TICKS)));
    }
}

#[test]
fn whoever_comes_first_to_a_room_that_waits_hears_at_once_that_it_is_there() {
    let mut edge = Edge::new();
    let gone = edge.join(3, 20);
    edge.command(ListenersCommand::KeepAlive(room(), true));
    edge.wait(5_000);
    let peer = edge.people[gone].peer;
    edge.command(ListenersCommand::Remove(peer));
    let made = edge.stats().keep_alives;
    edge.wait(5_000);
    assert_eq!(edge.stats().keep_alives, made, "for nobody nothing is made");
    let next = edge.join(3, 20);
    edge.command(ListenersCommand::KeepAlive(room(), true));
    edge.wait(0);
    assert_eq!(edge.take(next).len(), 1);
}
