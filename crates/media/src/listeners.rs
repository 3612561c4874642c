//! The plane of an edge's shard: relay frames come in, sealed packets go out.
//!
//! ```text
//!   Frame ─▶ Timeline ─▶ Framing × lanes ─▶ Packets ─▶ Audience ─▶ Batch
//!            once, in    20 ms, 60 ms ×     made once  patched and
//!            this epoch  three phases                  sealed for each
//! ```
//!
//! A room without an origin has no frames: its timeline makes silence in their place.
//!
//! Frames that are there together should be handed over together: what they make ready leaves with
//! the next `on_timeout`, which is then due at once, so that all voices of one listener share a send.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use protocol::{Frame, PeerId, RoomId};
use rand::rngs::StdRng;

use crate::audience::{Negotiated, Receiver};
use crate::door::Door;
use crate::peer::Session;
use crate::{Batch, Load, PeerChange, Peers, PeersConfig, Plane, peer};

mod admission;
mod lanes;
mod line;
mod messages;
mod room;
mod stats;
mod timeline;
mod valve;

pub(crate) use admission::refusal;
pub use messages::{AdmitListener, ListenersCommand, ListenersEvent};
use room::{Manner, Program, Room};
pub use stats::{BUCKETS_US, Latency, ListenersStats};
use valve::{Counts, Valve};

/// The framing of listeners who ask for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FramingChoice {
    /// This one, in ms: 20 or 60.
    Fixed(u8),
    /// The shortest that the load allows, which changes.
    Auto,
}

/// Limits of a plane, and what its peers have in common.
#[derive(Debug, Clone)]
pub struct ListenersConfig {
    /// Of the peers.
    pub peers: PeersConfig,
    /// Most rooms at a time; listeners of one more are refused.
    pub max_rooms: usize,
    /// For listeners who ask for none.
    pub framing: FramingChoice,
}

/// The plane: all rooms and listeners of one UDP port.
pub struct Listeners {
    config: ListenersConfig,
    peers: Peers,
    rng: StdRng,
    seats: HashMap<PeerId, Seat>,
    rooms: HashMap<RoomId, Room>,
    /// When each room has something to send.
    timers: BTreeSet<(Instant, RoomId)>,
    valve: Valve,
    door: Door<Box<AdmitListener>>,
    events: VecDeque<ListenersEvent>,
    stats: ListenersStats,
}

/// What is remembered of a listener between admission and connection.
#[derive(Debug)]
struct Seat {
    room: RoomId,
    negotiated: Negotiated,
    program: Program,
    /// Asked for by the client.
    framing_ms: Option<u8>,
}

impl Listeners {
    /// A plane without anybody. All randomness comes from the two sources.
    pub fn new(config: ListenersConfig, peers_rng: StdRng, rng: StdRng) -> Self {
        Self {
            peers: Peers::new(config.peers.clone(), peers_rng),
            config,
            rng,
            seats: HashMap::new(),
            rooms: HashMap::new(),
            timers: BTreeSet::new(),
            valve: Valve::default(),
            door: Door::default(),
            events: VecDeque::new(),
            stats: ListenersStats::default(),
        }
    }

    /// What has been counted.
    pub fn stats(&self) -> &ListenersStats {
        &self.stats
    }

    /// How many listen at 20, 60 and 120 ms.
    pub fn framings(&self) -> [usize; 3] {
        self.counts().0
    }

    /// Takes note of how the thread fares, and has listeners change their framing where that helps. To be
    /// called a few times a second.
    pub fn adapt(&mut self, load: Load) {
        if self.config.framing == FramingChoice::Auto {
            let (all, adapting) = self.counts();
            let shift = self.valve.turn(load, all, adapting);
            shift.into_iter().for_each(|shift| self.rooms.values_mut().for_each(|room| room.shift(shift)));
        }
    }

    /// What has been counted of the peers.
    pub fn peer_stats(&self) -> &peer::Stats {
        self.peers.stats()
    }

    /// Listeners admitted, connected or not.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Newcomers who wait to be admitted.
    pub fn waiting(&self) -> usize {
        self.door.waiting()
    }

    /// All who are connected, and those of them who adapt.
    fn counts(&self) -> (Counts, Counts) {
        let add = |one: Counts, other: Counts| std::array::from_fn(|level| one[level] + other[level]);
        let rooms = self.rooms.values().map(Room::count);
        rooms.fold(Default::default(), |all, room| (add(all.0, room.0), add(all.1, room.1)))
    }

    fn take_changes(&mut self, now: Instant) {
        while let Some(change) = self.peers.poll() {
            match change {
                PeerChange::Connected { peer, addr, keys } => {
                    self.door.connected(now, peer);
                    let Some(seat) = self.seats.get(&peer) else { continue };
                    let Some(room) = self.rooms.get_mut(&seat.room) else { continue };
                    let receiver = Receiver::new(peer, addr, keys, seat.negotiated, &mut self.rng);
                    room.add(manner(seat, self.config.framing, &self.valve), receiver);
                    let room = seat.room.clone();
                    self.events.push_back(ListenersEvent::Connected { peer, room: room.clone() });
                    self.set_timer(room);
                }
                PeerChange::Moved { peer, addr } => {
                    if let Some(receiver) = self.receiver(peer) {
                        receiver.to = addr;
                    }
                }
                PeerChange::Gone { peer, .. } => {
                    if let Some(room) = self.forget(now, peer) {
                        self.events.push_back(ListenersEvent::Gone { peer, room });
                    }
                }
            }
        }
        self.let_in(now);
    }

    fn receiver(&mut self, peer: PeerId) -> Option<&mut Receiver> {
        let seat = self.seats.get(&peer)?;
        self.rooms.get_mut(&seat.room)?.get_mut(peer)
    }

    /// Ends what a peer has here; the room it was in.
    fn forget(&mut self, now: Instant, peer: PeerId) -> Option<RoomId> {
        let seat = self.seats.remove(&peer)?;
        self.door.gone(peer);
        if let Some(room) = self.rooms.get_mut(&seat.room) {
            room.remove(now, peer);
            room.admitted -= 1;
            if room.admitted == 0 {
                self.drop_room(&seat.room);
                self.events.push_back(ListenersEvent::Unwanted(seat.room.clone()));
            }
        }
        Some(seat.room)
    }

    fn close(&mut self, now: Instant, room: &RoomId) {
        self.door.retain(|admit| admit.room != *room);
        let members = self.seats.iter().filter(|(_, seat)| seat.room == *room);
        let mut members: Vec<_> = members.map(|(&peer, _)| peer).collect();
        members.sort_unstable();
        members.iter().for_each(|&peer| drop(self.forget(now, peer)));
        self.peers.remove_soon(now, members);
    }

    fn drop_room(&mut self, id: &RoomId) {
        if let Some(timer) = self.rooms.remove(id).and_then(|room| room.timer) {
            self.timers.remove(&(timer, id.clone()));
        }
    }

    fn frame(&mut self, id: RoomId, frame: Frame, arrived: Instant) {
        self.stats.frames += 1;
        match self.rooms.get_mut(&id) {
            Some(room) => room.frame(frame, arrived, &mut self.stats),
            None => self.stats.dropped_unwanted += 1,
        }
        self.set_timer(id);
    }

    fn flush(&mut self, now: Instant, out: &mut Batch) {
        while self.timers.first().is_some_and(|&(due, _)| due <= now) {
            let Some((_, id)) = self.timers.pop_first() else { return };
            if let Some(room) = self.rooms.get_mut(&id) {
                room.timer = None;
                room.flush(now, out, &mut self.stats);
            }
            self.set_timer(id);
        }
    }

    fn set_timer(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let due = room.due();
        if room.timer == due {
            return;
        }
        if let Some(timer) = std::mem::replace(&mut room.timer, due) {
            self.timers.remove(&(timer, id.clone()));
        }
        if let Some(due) = due {
            self.timers.insert((due, id));
        }
    }
}

impl Plane for Listeners {
    type Command = ListenersCommand;
    type Event = ListenersEvent;

    fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8], out: &mut Batch) {
        // Listeners say nothing that matters: their packets were not opened.
        let _ = self.peers.receive(now, from, datagram, out);
        self.take_changes(now);
    }

    fn handle(&mut self, now: Instant, command: ListenersCommand, out: &mut Batch) {
        match command {
            ListenersCommand::Frame { room, frame, arrived } => return self.frame(room, frame, arrived),
            ListenersCommand::Admit(admit) => self.knock(now, admit),
            ListenersCommand::AdmitConnected(admit, addr, keys) => {
                self.admit(now, &admit, Some(Session { addr, keys: &keys }));
            }
            ListenersCommand::Reframe { peer, framing_ms } => {
                let room = self.seats.get(&peer).and_then(|seat| self.rooms.get_mut(&seat.room));
                room.into_iter().for_each(|room| room.reframe(peer, framing_ms));
            }
            ListenersCommand::Remove(peer) => {
                self.peers.remove(now, peer, out);
                if self.forget(now, peer).is_none() {
                    self.door.withdraw(peer);
                }
            }
            ListenersCommand::KeepAlive(id, is_wanted) => {
                self.rooms.get_mut(&id).into_iter().for_each(|room| room.keep_alive(now, is_wanted));
                self.set_timer(id);
            }
            ListenersCommand::Close(room) => self.close(now, &room),
        }
        self.take_changes(now);
    }

    fn on_timeout(&mut self, now: Instant, out: &mut Batch) {
        self.flush(now, out);
        self.peers.on_timeout(now, out);
        self.take_changes(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers
            .first()
            .map(|&(due, _)| due)
            .into_iter()
            .chain(self.peers.poll_timeout())
            .chain(self.door.poll_timeout())
            .min()
    }

    fn poll(&mut self) -> Option<ListenersEvent> {
        self.events.pop_front()
    }
}

/// How a newcomer is sent packets.
fn manner(seat: &Seat, choice: FramingChoice, valve: &Valve) -> Manner {
    let (framing_ms, adapts) = match (seat.framing_ms, choice) {
        (Some(asked), _) => (asked, false),
        (None, FramingChoice::Fixed(fixed)) => (fixed, false),
        (None, FramingChoice::Auto) => (valve.newcomers(), true),
    };
    Manner { program: seat.program, framing_ms, adapts }
}
