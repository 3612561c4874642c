//! The plane of an origin's shard: speakers come in, the room's voices go out.
//!
//! ```text
//!   datagram ─▶ Peers ─▶ Microphone ─▶ Room: Stage, Voices ─┬─▶ Frame event, down the tree
//!              SRTP open  each frame    who, when            └─▶ the other speakers, at 20 ms
//! ```
//!
//! Who may be heard is told by [`SpeakersCommand::Stage`] alone, and held here, whatever clients do.
//! Nobody hears themselves. What is late for the stage is late for everybody: nothing is settled
//! further down.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use protocol::node::Stage;
use protocol::{ApiError, Code, Epoch, MAX_SEATS, PeerId, RoomId};
use rand::Rng;
use rand::rngs::StdRng;

use crate::audience::{Packets, Receiver};
use crate::listeners::refusal;
use crate::peer::{AdmitError, Session};
use crate::srtp::SendKeys;
use crate::{Batch, Credentials, PeerChange, Peers, PeersConfig, Plane, Received, peer, rtcp};

mod messages;
mod microphone;
mod room;
mod seat;
mod stats;
mod stream;

pub use messages::{AdmitSpeaker, SpeakersCommand, SpeakersEvent};
use microphone::{Said, Unusable};
use room::Room;
use seat::{Seat, Sink};
pub use stats::SpeakersStats;

/// Most peers of one room: one for each seat, and one that is being replaced.
const MAX_PEERS: usize = 2 * MAX_SEATS as usize;

/// How often rooms look for what is due.
const TICK: Duration = Duration::from_millis(20);

/// Limits of a plane, and what its peers have in common.
#[derive(Debug, Clone)]
pub struct SpeakersConfig {
    /// Of the peers.
    pub peers: PeersConfig,
    /// Most rooms at a time; speakers of one more are refused.
    pub max_rooms: usize,
}

/// The plane: all rooms and speakers of one UDP port.
pub struct Speakers {
    config: SpeakersConfig,
    peers: Peers,
    rng: StdRng,
    /// In order, so that a run can be repeated.
    rooms: BTreeMap<RoomId, Room>,
    room_of: HashMap<PeerId, RoomId>,
    next_tick: Option<Instant>,
    events: VecDeque<SpeakersEvent>,
    stats: SpeakersStats,
    /// Memory for one packet at a time.
    packets: Packets,
    said: Vec<Said>,
}

impl Speakers {
    /// A plane without anybody. All randomness comes from the two sources.
    pub fn new(config: SpeakersConfig, peers_rng: StdRng, rng: StdRng) -> Self {
        Self {
            peers: Peers::new(config.peers.clone(), peers_rng),
            config,
            rng,
            rooms: BTreeMap::new(),
            room_of: HashMap::new(),
            next_tick: None,
            events: VecDeque::new(),
            stats: SpeakersStats::default(),
            packets: Packets::default(),
            said: Vec::new(),
        }
    }

    /// What has been counted.
    pub fn stats(&self) -> &SpeakersStats {
        &self.stats
    }

    /// What has been counted of the peers.
    pub fn peer_stats(&self) -> &peer::Stats {
        self.peers.stats()
    }

    /// Speakers admitted, connected or not.
    pub fn len(&self) -> usize {
        self.room_of.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.room_of.is_empty()
    }

    fn admit(&mut self, now: Instant, admit: AdmitSpeaker, session: Option<Session<'_>>) {
        let peer = admit.peer;
        let result = self.try_admit(now, admit, session);
        self.stats.refused += u64::from(result.is_err());
        self.events.push_back(SpeakersEvent::Admitted { peer, result });
    }

    fn try_admit(
        &mut self,
        now: Instant,
        admit: AdmitSpeaker,
        session: Option<Session<'_>>,
    ) -> Result<Credentials, ApiError> {
        if admit.offer.lines.value() == 1 {
            return Err(ApiError::new(
                Code::BadOffer,
                "lines: a speaker needs a line for each voice, or none",
            ));
        }
        let room = self.room(now, &admit.room, admit.epoch).ok_or_else(|| unavailable("rooms"))?;
        if room.seats.len() >= MAX_PEERS {
            return Err(unavailable("speakers of this room"));
        }
        let credentials = match session {
            None => self.peers.admit(now, admit.peer, &admit.offer, true),
            Some(session) => self.peers.admit_with_keys(now, admit.peer, &admit.offer, true, session),
        };
        let credentials = credentials.map_err(|error| match error {
            AdmitError::Full => unavailable("speakers"),
            AdmitError::Taken => refusal(error),
        })?;
        self.room_of.insert(admit.peer, admit.room.clone());
        if let Some(room) = self.rooms.get_mut(&admit.room) {
            room.raise_epoch(admit.epoch);
            room.seats.push(Seat::new(now, admit));
        }
        Ok(credentials)
    }

    /// The room, made if it is new; none if there are too many.
    fn room(&mut self, now: Instant, id: &RoomId, epoch: Epoch) -> Option<&mut Room> {
        if !self.rooms.contains_key(id) {
            if self.rooms.len() >= self.config.max_rooms {
                return None;
            }
            let clock = self.rng.random();
            self.rooms.insert(id.clone(), Room::new(now, id.clone(), epoch, clock));
            self.next_tick.get_or_insert(now);
        }
        self.rooms.get_mut(id)
    }

    /// Calls `act` with a room and with where its output goes.
    fn in_room(&mut self, id: &RoomId, out: &mut Batch, act: impl FnOnce(&mut Room, &mut Sink<'_>)) {
        if let Some(room) = self.rooms.get_mut(id) {
            let Self { events, stats, packets, .. } = self;
            act(room, &mut Sink { out, events, stats, packets });
        }
    }

    fn take_changes(&mut self, now: Instant, out: &mut Batch) {
        while let Some(change) = self.peers.poll() {
            match change {
                PeerChange::Connected { peer, addr, keys } => self.connect(now, peer, addr, keys, out),
                PeerChange::Moved { peer, addr } => {
                    let seat = self.room_of.get(&peer).and_then(|id| self.rooms.get_mut(id)?.seat_mut(peer));
                    seat.and_then(|seat| seat.receiver.as_mut())
                        .into_iter()
                        .for_each(|receiver| receiver.to = addr);
                }
                PeerChange::Gone { peer, .. } => self.tell_gone(now, peer, out),
            }
        }
    }

    fn connect(&mut self, now: Instant, peer: PeerId, addr: SocketAddr, keys: SendKeys, out: &mut Batch) {
        let Some(id) = self.room_of.get(&peer).cloned() else { return };
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let Some(seat) = room.seat_mut(peer) else { return };
        seat.connect(now, Receiver::new(peer, addr, keys, seat.negotiated, &mut self.rng));
        let replaced = room.others_of(peer);
        self.events.push_back(SpeakersEvent::Connected { peer, room: id });
        for older in replaced {
            self.peers.remove(now, older, out);
            self.tell_gone(now, older, out);
        }
    }

    fn tell_gone(&mut self, now: Instant, peer: PeerId, out: &mut Batch) {
        if let Some(room) = self.forget(now, peer, out) {
            self.events.push_back(SpeakersEvent::Gone { peer, room });
        }
    }

    /// Ends what a peer has here; the room it was in.
    fn forget(&mut self, now: Instant, peer: PeerId, out: &mut Batch) -> Option<RoomId> {
        let id = self.room_of.remove(&peer)?;
        self.in_room(&id, out, |room, sink| room.leave(now, peer, sink));
        Some(id)
    }

    fn close(&mut self, now: Instant, id: &RoomId, out: &mut Batch) {
        let Some(room) = self.rooms.remove(id) else { return };
        for seat in &room.seats {
            self.room_of.remove(&seat.peer);
            self.peers.remove(now, seat.peer, out);
        }
    }

    fn set_stage(&mut self, now: Instant, stage: Stage, out: &mut Batch) {
        let id = stage.room.clone();
        if self.room(now, &id, stage.epoch).is_none() {
            self.stats.refused += 1;
        }
        self.in_room(&id, out, |room, sink| room.set_stage(now, stage, sink));
    }

    fn hear(&mut self, now: Instant, peer: PeerId, said: Result<(), Unusable>, out: &mut Batch) {
        self.stats.ingress_packets += 1;
        match said {
            Ok(()) => {}
            Err(Unusable::Rtp) => self.stats.bad_rtp += 1,
            Err(Unusable::Red) => self.stats.bad_red += 1,
            Err(Unusable::Opus) => self.stats.bad_opus += 1,
            Err(Unusable::Stream) => self.stats.bad_stream += 1,
            Err(Unusable::Old) => self.stats.dropped_late += 1,
        }
        let Some(id) = self.room_of.get(&peer).cloned() else { return self.said.clear() };
        let mut said = std::mem::take(&mut self.said);
        self.in_room(&id, out, |room, sink| room.hear(now, peer, said.drain(..), sink));
        said.clear();
        self.said = said;
    }
}

impl Plane for Speakers {
    type Command = SpeakersCommand;
    type Event = SpeakersEvent;

    fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8], out: &mut Batch) {
        match self.peers.receive(now, from, datagram, out) {
            Some(Received::Rtp { peer, packet }) => {
                if let Some(seat) = seat_mut(&self.room_of, &mut self.rooms, peer) {
                    let said = seat.microphone.receive(now, packet, &mut self.said);
                    self.hear(now, peer, said, out);
                }
            }
            Some(Received::Rtcp { peer, packet }) => match rtcp::parse(packet) {
                Ok(heard) => {
                    let seat = seat_mut(&self.room_of, &mut self.rooms, peer);
                    seat.into_iter().for_each(|seat| seat.microphone.hear(now, heard));
                }
                Err(_) => self.stats.bad_rtcp += 1,
            },
            None => {}
        }
        self.take_changes(now, out);
    }

    fn handle(&mut self, now: Instant, command: SpeakersCommand, out: &mut Batch) {
        match command {
            SpeakersCommand::Admit(admit) => self.admit(now, *admit, None),
            SpeakersCommand::AdmitConnected(admit, addr, keys) => {
                self.admit(now, *admit, Some(Session { addr, keys: &keys }));
            }
            SpeakersCommand::Remove(peer) => {
                self.peers.remove(now, peer, out);
                self.forget(now, peer, out);
            }
            SpeakersCommand::Stage(stage) => self.set_stage(now, stage, out),
            SpeakersCommand::Close(room) => self.close(now, &room, out),
        }
        self.take_changes(now, out);
    }

    fn on_timeout(&mut self, now: Instant, out: &mut Batch) {
        self.peers.on_timeout(now, out);
        self.take_changes(now, out);
        if self.next_tick.is_some_and(|due| due <= now) {
            let Self { rooms, events, stats, packets, .. } = self;
            let mut sink = Sink { out, events, stats, packets };
            rooms.values_mut().for_each(|room| room.tick(now, &mut sink));
            self.next_tick = (!self.rooms.is_empty()).then_some(now + TICK);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_tick.into_iter().chain(self.peers.poll_timeout()).min()
    }

    fn poll(&mut self) -> Option<SpeakersEvent> {
        self.events.pop_front()
    }
}

fn seat_mut<'r>(
    room_of: &HashMap<PeerId, RoomId>,
    rooms: &'r mut BTreeMap<RoomId, Room>,
    peer: PeerId,
) -> Option<&'r mut Seat> {
    rooms.get_mut(room_of.get(&peer)?)?.seat_mut(peer)
}

fn unavailable(what: &str) -> ApiError {
    ApiError::new(Code::Unavailable, format!("this node has all the {what} it can take"))
        .retry_after_ms(1_000)
}
