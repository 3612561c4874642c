//! Three nodes on a virtual clock: origin → hub → leaf, over links that lose, delay and reorder.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use protocol::link::{ChildMessage, Datagram, Heartbeat, ParentMessage};
use protocol::{Epoch, NodeId, RoomId, SpeakerNumber, VoiceId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const LINK: LinkId = LinkId(1);

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn room() -> RoomId {
    RoomId::new("all-hands").unwrap()
}

fn frame(epoch: u32, voice: usize, number: u32) -> Frame {
    Frame {
        epoch: Epoch(epoch),
        number,
        timestamp: number.wrapping_mul(960),
        speaker: SpeakerNumber(1),
        voice: VoiceId::new(voice).unwrap(),
        level: 30,
        payload: vec![number as u8; 80].into(),
    }
}

/// Datagrams on their way, by when they arrive.
struct Wire {
    rng: StdRng,
    loss: f64,
    flying: BTreeMap<(u64, u64), Bytes>,
    sent: u64,
}

impl Wire {
    fn new(seed: u64, loss: f64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), loss, flying: BTreeMap::new(), sent: 0 }
    }

    fn send(&mut self, ms: u64, datagram: Bytes) {
        self.sent += 1;
        if !self.rng.random_bool(self.loss) {
            let delay = self.rng.random_range(5..=12);
            self.flying.insert((ms + delay, self.sent), datagram);
        }
    }

    fn arrived(&mut self, ms: u64) -> Vec<Bytes> {
        let later = self.flying.split_off(&(ms + 1, 0));
        std::mem::replace(&mut self.flying, later).into_values().collect()
    }
}

/// One hop: the parent's side above, the child's side below, and the wires between.
struct Hop {
    downstream: Downstream,
    upstream: Upstream,
    down: Wire,
    up: Wire,
    beats: u32,
}

impl Hop {
    fn new(seed: u64, loss: f64, child: &str) -> Self {
        let mut hop = Self {
            downstream: Downstream::default(),
            upstream: Upstream::new(node(child)),
            down: Wire::new(seed, loss),
            up: Wire::new(seed + 1, loss),
            beats: 0,
        };
        let mut out = Vec::new();
        hop.upstream.link_up(LINK);
        hop.downstream.link_up(LINK);
        hop.upstream.join(&room(), LINK, &node("origin"), Epoch(1), &mut out);
        let Some(Output::Message(_, ChildMessage::Subscribe { room, channel, .. })) = out.pop() else {
            panic!()
        };
        hop.downstream.subscribe(LINK, &room, channel, &mut Vec::new()).unwrap();
        hop
    }

    fn forward(&mut self, ms: u64, frame: &Frame) {
        let mut out = Vec::new();
        self.downstream.forward(&room(), frame, &mut out);
        self.send_down(ms, out);
    }

    /// What a millisecond brings: the frames that came out below.
    fn step(&mut self, start: Instant, ms: u64) -> Vec<Frame> {
        let now = start + Duration::from_millis(ms);
        let (mut fresh, mut up) = (Vec::new(), Vec::new());
        for bytes in self.down.arrived(ms) {
            match Datagram::read(bytes).unwrap() {
                Datagram::Frames { channel, frames } => {
                    self.upstream.frames(now, LINK, channel, frames, &mut fresh, &mut up);
                }
                Datagram::Heartbeat(beat) => {
                    let loss_permille = self.upstream.heartbeat(LINK, beat);
                    let mut datagram = Vec::new();
                    Heartbeat { sequence: beat.sequence, loss_permille }.write(&mut datagram);
                    self.up.send(ms, datagram.into());
                }
                Datagram::Missing(_) => panic!("parents ask for nothing"),
            }
        }
        if ms.is_multiple_of(20) {
            self.upstream.on_timeout(now, &mut up);
        }
        for output in up {
            if let Output::Datagram(_, datagram) = output {
                self.up.send(ms, datagram);
            }
        }
        let mut out = Vec::new();
        for bytes in self.up.arrived(ms) {
            match Datagram::read(bytes).unwrap() {
                Datagram::Missing(missing) => self.downstream.missing(LINK, &missing, &mut out),
                Datagram::Heartbeat(beat) => self.downstream.loss(now, LINK, beat.loss_permille),
                Datagram::Frames { .. } => panic!("children send no audio"),
            }
        }
        if ms.is_multiple_of(50) {
            self.beats += 1;
            let mut datagram = Vec::new();
            Heartbeat { sequence: self.beats, loss_permille: 0 }.write(&mut datagram);
            self.down.send(ms, datagram.into());
        }
        self.send_down(ms, out);
        fresh
    }

    fn send_down(&mut self, ms: u64, out: Vec<Output<ParentMessage>>) {
        for output in out {
            if let Output::Datagram(_, datagram) = output {
                self.down.send(ms, datagram);
            }
        }
    }
}

/// When each frame came out at the leaf, in ms after it was sent; and the two hops for their counts.
fn run(seed: u64, loss: f64, frames: u32) -> (HashMap<(usize, u32), u64>, [Hop; 2]) {
    let start = crate::testing::start();
    let mut hops = [Hop::new(seed, loss, "hub"), Hop::new(seed + 10, loss, "leaf")];
    let mut came = HashMap::new();
    for ms in 0..u64::from(frames) * 20 + 1_000 {
        let number = (ms / 20) as u32;
        if ms.is_multiple_of(20) && number < frames {
            (0..2).for_each(|voice| hops[0].forward(ms, &frame(1, voice, number)));
        }
        for frame in hops[0].step(start, ms) {
            hops[1].forward(ms, &frame);
        }
        for frame in hops[1].step(start, ms) {
            assert_eq!(frame, self::frame(1, frame.voice.index(), frame.number));
            let after = ms - u64::from(frame.number) * 20;
            let again = came.insert((frame.voice.index(), frame.number), after);
            assert_eq!(again, None, "seed {seed}: frame {} came twice", frame.number);
        }
    }
    (came, hops)
}

#[test]
fn a_link_without_loss_carries_each_frame_once_and_nothing_else() {
    let (came, [_, leaf]) = run(1, 0.0, 500);
    assert_eq!(came.len(), 1_000);
    assert!(came.values().all(|&ms| ms <= 24));
    assert_eq!(leaf.upstream.stats(), ReceiverStats { fresh: 1_000, ..ReceiverStats::default() });
    let heartbeats = u64::from(leaf.beats);
    assert_eq!(leaf.down.sent, 1_000 + heartbeats);
}

#[test]
fn two_lossy_hops_lose_next_to_nothing() {
    for seed in 0..20 {
        let (came, hops) = run(seed * 100, 0.05, 1_000);
        let lost = 2_000 - came.len();
        assert!(lost <= 4, "seed {seed}: {lost} of 2,000 lost");
        let late = came.values().filter(|&&ms| ms > 100).count();
        assert!(late <= 10, "seed {seed}: {late} of 2,000 more than 100 ms late");
        assert!(hops[1].upstream.stats().repaired > 0);
    }
}

#[test]
fn half_of_everything_lost_stays_bounded_and_true() {
    let (came, hops) = run(7, 0.5, 1_000);
    assert!(came.len() > 1_200, "{}", came.len());
    let heard = hops[1].upstream.stats();
    assert_eq!(heard.fresh as usize, came.len());
}

#[test]
fn a_room_changes_its_parent_without_a_hole_and_without_hearing_anything_twice() {
    let now = crate::testing::start();
    let (old, new) = (LinkId(1), LinkId(2));
    let mut upstream = Upstream::new(node("leaf"));
    let (mut out, mut fresh) = (Vec::new(), Vec::new());
    upstream.link_up(old);
    upstream.link_up(new);
    upstream.join(&room(), old, &node("origin"), Epoch(1), &mut out);
    upstream.frames(now, old, 0, vec![frame(1, 0, 1), frame(1, 0, 2)], &mut fresh, &mut out);
    upstream.join(&room(), new, &node("origin"), Epoch(1), &mut out);
    assert_eq!(upstream.parent(&room()), Some(new));
    upstream.frames(now, new, 1, vec![frame(1, 0, 2), frame(1, 0, 3)], &mut fresh, &mut out);
    upstream.frames(now, old, 0, vec![frame(1, 0, 3), frame(1, 0, 4)], &mut fresh, &mut out);
    let numbers: Vec<_> = fresh.iter().map(|frame| frame.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);

    out.clear();
    let path = |nodes| ParentMessage::Path { channel: 1, nodes, epoch: Epoch(1) };
    assert_eq!(upstream.message(now, new, path(vec![]), &mut out), Told::Path(room()));
    assert_eq!(out, [], "a parent without a way to the root takes nothing over");
    let way = vec![node("origin"), node("hub")];
    assert_eq!(upstream.message(now, new, path(way.clone()), &mut out), Told::Path(room()));
    assert_eq!(out, [Output::Message(old, ChildMessage::Unsubscribe { channel: 0 })]);
    assert_eq!(upstream.path(&room()), (&way[..], Epoch(1)));
    assert!(!upstream.uses(old));
}

#[test]
fn who_finds_itself_on_a_path_is_told_to_leave() {
    let now = crate::testing::start();
    let mut upstream = Upstream::new(node("leaf"));
    let mut out = Vec::new();
    upstream.link_up(LINK);
    upstream.join(&room(), LINK, &node("origin"), Epoch(1), &mut out);
    let path = |nodes| ParentMessage::Path { channel: 0, nodes, epoch: Epoch(1) };
    let through_me = vec![node("origin"), node("leaf"), node("hub")];
    assert_eq!(upstream.message(now, LINK, path(through_me), &mut out), Told::Loop(room()));
    let far: Vec<_> = (0..protocol::link::MAX_HOPS).map(|n| node(&format!("edge-{n}"))).collect();
    assert_eq!(upstream.message(now, LINK, path(far), &mut out), Told::Loop(room()));
    out.clear();
    upstream.leave_parent(&room(), LINK, &mut out);
    assert_eq!(out, [Output::Message(LINK, ChildMessage::Unsubscribe { channel: 0 })]);
    assert_eq!(upstream.parent(&room()), None);
}

#[test]
fn a_lost_link_orphans_its_rooms_unless_the_next_parent_is_there_already() {
    let (old, new) = (LinkId(1), LinkId(2));
    let mut upstream = Upstream::new(node("leaf"));
    let mut out = Vec::new();
    upstream.link_up(old);
    upstream.link_up(new);
    upstream.join(&room(), old, &node("origin"), Epoch(1), &mut out);
    upstream.join(&room(), new, &node("origin"), Epoch(1), &mut out);
    assert_eq!(upstream.link_lost(old), [room()]);
    assert_eq!(upstream.parent(&room()), Some(new));
    assert_eq!(upstream.link_lost(new), [room()]);
    assert_eq!(upstream.parent(&room()), None);
}

#[test]
fn children_are_told_the_path_and_every_change_of_it() {
    let mut downstream = Downstream::default();
    let mut out = Vec::new();
    downstream.link_up(LINK);
    downstream.subscribe(LINK, &room(), 5, &mut out).unwrap();
    downstream.set_path(&room(), vec![node("origin")], Epoch(3), &mut out);
    downstream.set_path(&room(), vec![node("origin")], Epoch(3), &mut out);
    downstream.close(&room(), &mut out);
    let path = |nodes, epoch| Output::Message(LINK, ParentMessage::Path { channel: 5, nodes, epoch });
    assert_eq!(out[..2], [path(vec![], Epoch(0)), path(vec![node("origin")], Epoch(3))]);
    assert!(matches!(&out[2..], [Output::Message(LINK, ParentMessage::Refused { channel: 5, .. })]));
    assert_eq!(downstream.unsubscribe(LINK, 5), None);
}

#[test]
fn a_channel_stands_for_one_room_and_a_room_for_one_channel() {
    let mut downstream = Downstream::default();
    let mut out = Vec::new();
    let other = RoomId::new("other").unwrap();
    assert_eq!(downstream.subscribe(LINK, &room(), 5, &mut out), Err(SubscribeError::Link));
    downstream.link_up(LINK);
    downstream.subscribe(LINK, &room(), 5, &mut out).unwrap();
    assert_eq!(downstream.subscribe(LINK, &other, 5, &mut out), Err(SubscribeError::Channel));
    downstream.subscribe(LINK, &room(), 6, &mut out).unwrap();
    out.clear();
    downstream.forward(&room(), &frame(1, 0, 1), &mut out);
    assert_eq!(out.len(), 1, "one copy for each link");
    assert_eq!(downstream.unsubscribe(LINK, 5), None);
    assert_eq!(downstream.unsubscribe(LINK, 6), Some(room()));
    assert!(!downstream.has_children(&room()));
}

#[test]
fn a_long_frame_travels_alone_and_repairs_are_packed() {
    let mut downstream = Downstream::default();
    let mut out = Vec::new();
    downstream.link_up(LINK);
    downstream.subscribe(LINK, &room(), 0, &mut out).unwrap();
    downstream.loss(crate::testing::start(), LINK, 100);
    out.clear();
    let long = |number| Frame { payload: vec![1; 600].into(), ..frame(1, 0, number) };
    downstream.forward(&room(), &frame(1, 0, 1), &mut out);
    downstream.forward(&room(), &frame(1, 0, 2), &mut out);
    downstream.forward(&room(), &long(3), &mut out);
    downstream.forward(&room(), &long(4), &mut out);
    let voice = VoiceId::new(0).unwrap();
    let numbers = vec![1, 2, 3, 4, 9];
    downstream.missing(
        LINK,
        &protocol::link::Missing { channel: 0, epoch: Epoch(1), voice, numbers },
        &mut out,
    );
    let shapes: Vec<Vec<u32>> = out
        .into_iter()
        .map(|output| match output {
            Output::Datagram(_, bytes) => {
                assert!(bytes.len() <= frame::MAX_DATAGRAM);
                let (_, frames) = frame::read(bytes).unwrap();
                frames.iter().map(|frame| frame.number).collect()
            }
            Output::Message(..) => panic!(),
        })
        .collect();
    assert_eq!(shapes, [vec![1], vec![1, 2], vec![1, 2, 3], vec![4], vec![1, 2, 3], vec![4]]);
}
