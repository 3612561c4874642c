//! The desk of a node: takes requests from the bus, has peers made, and says what becomes of them.
//!
//! ```text
//!   node.<id> ──▶ Request ──▶ Duty ──▶ shard
//!   origins   ──▶ Origins ──▶ Duty             where rooms come from
//!   known     ◀── Known   ◀── Duty, Change     what is known otherwise
//!   node.<id> ◀── Response ◀── Change ◀── shard        an admission waits for its shard's answer
//!   events    ◀── Event    ◀── Change
//!   node.<id> ──▶ Want, Claim ──▶ Books        who answers for each peer
//!   nodes     ◀── Announcement, every second
//! ```
//!
//! When the shutdown begins it admits nobody more, says so at once, and goes on serving those who are
//! here until they have left or the drain has taken too long.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Bus, BusError, Message, Subscription};
use media::Credentials;
use protocol::message::Purpose;
use protocol::node::{
    self, Admit, Announcement, Claim, Event, Known, MAX_ORIGINS, NodeKind, NodeLoad, Origins, PeerEvent,
    Request, Response, RoomOrigin, Stage,
};
use protocol::{ApiError, Code, Identity, NodeId, Offer, Owner, PeerId, RoomId};
use room::limits::LAST_TO_GO_MS;
use room::load::{Meter, Totals};
use room::peers::{BadClaim, Books, Compared};
use room::stages::Heard;
use serde::Serialize;
use service::log::JOIN;
use service::metrics::{Counter, Gauge, Places};
use service::{Metrics, Shutdown, shutdown};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::versions::Versions;
use crate::{Config, LISTENER_BITS, Reach, meters};

/// Between two announcements.
const ANNOUNCE: Duration = Duration::from_secs(1);

/// Most changes that wait for the desk: everybody of a full node at once.
pub const MAX_CHANGES: usize = 65_536;

/// What a shard says about one of its peers.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The answer to an admission.
    Admitted {
        /// As it was named.
        peer: PeerId,
        /// Its credentials, or why it was not made.
        result: Result<Credentials, ApiError>,
    },
    /// Media flows.
    Connected {
        /// Whose.
        peer: PeerId,
    },
    /// It is no more.
    Gone {
        /// Who.
        peer: PeerId,
    },
    /// Of no peer: where rooms come from, for all that is known, of which the node was told otherwise.
    Otherwise(Vec<RoomOrigin>),
}

/// What a kind of node does about requests. Nothing here may block.
pub trait Duty: Send + 'static {
    /// What it is.
    const KIND: NodeKind;

    /// Has a peer made; says by which shard, given how many peers each has. Its [`Change::Admitted`]
    /// follows.
    fn admit(&mut self, peer: PeerId, admit: Admit, loads: &[u32]) -> Result<usize, ApiError>;

    /// Has a peer ended. No change follows.
    fn remove(&mut self, shard: usize, peer: PeerId);

    /// Takes the state of a stage.
    fn stage(&mut self, stage: Stage) -> Result<(), ApiError>;

    /// A room comes from this origin now. Where it was ours until then, it is to be closed.
    fn origin(&mut self, room: RoomOrigin) -> Heard;

    /// Forgets a room and its peers. No changes follow. After an error it has to be asked again.
    fn close(&mut self, room: &RoomId) -> Result<(), ApiError>;
}

/// What a desk is opened with.
pub struct Opening<D> {
    /// What is done about requests.
    pub duty: D,
    /// Of the node.
    pub config: Config,
    /// How clients reach its shards.
    pub reach: Reach,
    /// Where requests come from.
    pub bus: Arc<dyn Bus>,
    /// What shards say about their peers.
    pub changes: mpsc::Receiver<Change>,
    /// Where other nodes are told to link, best first.
    pub links: Vec<SocketAddr>,
    /// Datagrams sent to clients so far, and the bytes in them.
    pub sent: Box<dyn Fn() -> (u64, u64) + Send + Sync>,
    /// Where it counts.
    pub metrics: Metrics,
    /// Shows how many peers are connected.
    pub connected: Gauge,
    /// The origins to which it has links.
    pub hears: watch::Receiver<Vec<NodeId>>,
}

/// The desk of one node.
pub struct Desk<D> {
    duty: D,
    config: Config,
    reach: Reach,
    bus: Arc<dyn Bus>,
    requests: Subscription,
    origins: Subscription,
    hears: watch::Receiver<Vec<NodeId>>,
    changes: mpsc::Receiver<Change>,
    links: Vec<SocketAddr>,
    sent: Box<dyn Fn() -> (u64, u64) + Send + Sync>,
    meter: Meter,
    load: NodeLoad,
    /// Peers that have gone.
    gone: u64,
    boot: u64,
    next_peer: u64,
    peers: HashMap<PeerId, Seat>,
    versions: Versions,
    books: Books,
    start: Instant,
    /// When it last looked whether all is well.
    looked_at: Instant,
    /// Peers of each shard.
    loads: Vec<u32>,
    /// Its process is to stop.
    ends: bool,
    /// Since when it lets its people go.
    draining: Option<Instant>,
    connected: Gauge,
    places: Places,
    orphans: Gauge,
    orphans_ended: Counter,
    bad_requests: Counter,
    bad_origins: Counter,
}

/// One peer.
struct Seat {
    shard: usize,
    room: RoomId,
    connected: bool,
    waiting: Option<Box<Waiting>>,
}

/// A request that still waits for its answer.
struct Waiting {
    message: Message,
    offer: Offer,
    identity: Identity,
    purpose: Purpose,
    claim: Option<Claim>,
}

impl<D: Duty> Desk<D> {
    /// Opens the desk: from now on requests wait for [`run`](Self::run).
    pub async fn open(opening: Opening<D>) -> anyhow::Result<Self> {
        let Opening { duty, config, reach, bus, changes, links, sent, metrics, connected, hears } = opening;
        let origins = bus.subscribe(node::ORIGINS).await?;
        let requests = bus.subscribe(&node::subject(&config.node)).await?;
        let boot = crate::boot();
        let loads = vec![0; reach.shards.len()];
        Ok(Self {
            duty,
            config,
            reach,
            bus,
            requests,
            origins,
            hears,
            changes,
            links,
            sent,
            meter: Meter::default(),
            load: NodeLoad::default(),
            gone: 0,
            boot,
            // A peer of before a restart is not mistaken for one of after it.
            next_peer: (boot / 1_000) << 32,
            peers: HashMap::new(),
            versions: Versions::default(),
            books: Books::default(),
            start: Instant::now(),
            looked_at: Instant::now(),
            loads,
            ends: false,
            draining: None,
            connected,
            places: Places::new(&metrics),
            orphans: meters::orphans(&metrics),
            orphans_ended: meters::orphans_ended(&metrics),
            bad_requests: meters::bad_input(&metrics, "node_request"),
            bad_origins: meters::bad_input(&metrics, "origins"),
        })
    }

    /// Serves until the drain is over, then triggers `done`.
    pub async fn run(mut self, shutdown: Shutdown, done: shutdown::Trigger) -> anyhow::Result<()> {
        let mut announce = tokio::time::interval(ANNOUNCE);
        announce.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !(self.ends && self.is_drained()) {
            tokio::select! {
                message = self.requests.recv() => match message {
                    Some(message) => self.request(message).await,
                    None => anyhow::bail!("the bus is gone"),
                },
                Some(message) = self.origins.recv() => self.rooms_come_from(&message.payload).await,
                Ok(()) = self.hears.changed() => self.announce().await,
                Some(change) = self.changes.recv() => self.change(change).await,
                _ = announce.tick() => {
                    self.look_after_orphans().await;
                    self.measure();
                    self.announce().await;
                }
                () = shutdown.begun(), if !self.ends => {
                    self.ends = true;
                    self.drain(true).await;
                }
            }
        }
        done.begin();
        Ok(())
    }

    /// Whether everybody has gone, or had the time for it.
    fn is_drained(&self) -> bool {
        self.draining.is_some_and(|since| self.peers.is_empty() || since.elapsed() >= self.config.drain)
    }

    /// Lets everybody go, or takes people again.
    async fn drain(&mut self, on: bool) {
        self.draining = on.then(|| self.draining.unwrap_or_else(Instant::now));
        self.announce().await;
        if on {
            self.turn_away().await;
        }
    }

    async fn request(&mut self, message: Message) {
        let response = match serde_json::from_slice(&message.payload) {
            Ok(Request::Admit(admit)) => match self.admit(*admit, &message) {
                Ok(()) => return,
                Err(error) => Response::Refused(error),
            },
            Ok(Request::Ping) => Response::Done,
            Ok(Request::Remove { peer, by }) => self.remove(peer, by.as_ref()),
            Ok(Request::Want { owner, digests }) => {
                self.books.compare(self.now(), &owner, &digests).map_or_else(bad_claim, compared)
            }
            Ok(Request::Claim { owner, bucket, peers }) => {
                let lacks = self.books.claim(self.now(), &owner, bucket, &peers);
                lacks.map_or_else(bad_claim, |peers| Response::Lacks { peers })
            }
            Ok(Request::Hang { peer, key }) => self.hang(peer, &key).await,
            Ok(Request::Adopt { peer, claim }) => {
                self.books.adopt(self.now(), peer, claim).map_or_else(bad_claim, |()| Response::Done)
            }
            Ok(Request::Disown { peers }) => self.disown(&peers).await,
            Ok(Request::Stage(stage)) => {
                self.stage(stage).map_or_else(Response::Refused, |()| Response::Done)
            }
            Ok(Request::Close { room, version, .. }) => self.close(&room, version).await,
            Ok(Request::Drain { on: false }) if self.ends => {
                Response::Refused(ApiError::new(Code::Conflict, "this node is about to stop"))
            }
            Ok(Request::Drain { on }) => {
                self.drain(on).await;
                Response::Done
            }
            Err(error) => {
                self.bad_requests.inc();
                Response::Refused(ApiError::new(Code::BadRequest, error.to_string()))
            }
        };
        self.respond(&message, &response).await;
    }

    fn admit(&mut self, admit: Admit, message: &Message) -> Result<(), ApiError> {
        if self.draining.is_some() {
            return Err(drains());
        }
        if self.headroom() == 0 {
            return Err(ApiError::new(Code::Full, "this node is full"));
        }
        self.enter(&admit.room, admit.version)?;
        self.next_peer += 1;
        let peer = PeerId(self.next_peer);
        let room = admit.room.clone();
        let waiting = Some(Box::new(Waiting {
            message: message.clone(),
            offer: admit.offer.clone(),
            identity: admit.identity.clone(),
            purpose: if admit.speaker.is_some() { Purpose::Speak } else { Purpose::Listen },
            claim: admit.claim.clone(),
        }));
        let shard = self.duty.admit(peer, admit, &self.loads)?;
        self.loads[shard] += 1;
        self.peers.insert(peer, Seat { shard, room, connected: false, waiting });
        Ok(())
    }

    fn remove(&mut self, peer: PeerId, by: Option<&Owner>) -> Response {
        if by.is_none_or(|by| self.books.may_end(peer, by))
            && let Some(seat) = self.forget(peer)
        {
            self.duty.remove(seat.shard, peer);
        }
        Response::Done
    }

    /// Ends a WHIP or WHEP session; its signaling node hears that the peer is gone.
    async fn hang(&mut self, peer: PeerId, key: &str) -> Response {
        if !self.books.is_key(peer, key) {
            return Response::Refused(ApiError::new(Code::NotFound, "there is no such session"));
        }
        self.end_and_tell(peer).await;
        Response::Done
    }

    /// Ms since it was opened.
    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    async fn disown(&mut self, peers: &[PeerId]) -> Response {
        for peer in self.books.disown(self.now(), peers) {
            self.orphans_ended.inc();
            self.end_and_tell(peer).await;
        }
        Response::Done
    }

    /// Ends what nobody wants any more. Whoever was asleep or cannot hear judges nobody.
    async fn look_after_orphans(&mut self) {
        let (now, slept) = (self.now(), self.looked_at.elapsed());
        self.looked_at = Instant::now();
        if slept > 2 * ANNOUNCE || !self.bus.is_up() {
            self.books.deaf(now);
        }
        for peer in self.books.due(now) {
            self.orphans_ended.inc();
            self.end_and_tell(peer).await;
        }
        self.orphans.set(self.books.count_orphans(now) as i64);
    }

    /// Whoever has it all the same is told.
    async fn end_and_tell(&mut self, peer: PeerId) {
        let Some(seat) = self.forget(peer) else { return };
        self.duty.remove(seat.shard, peer);
        self.tell(seat.room, peer, PeerEvent::Gone).await;
    }

    fn stage(&mut self, stage: Stage) -> Result<(), ApiError> {
        self.enter(&stage.room, stage.version)?;
        self.duty.stage(stage)
    }

    fn enter(&mut self, room: &RoomId, version: u64) -> Result<(), ApiError> {
        if self.versions.enter(Instant::now(), room, version) { Ok(()) } else { Err(is_over()) }
    }

    async fn close(&mut self, room: &RoomId, version: Option<u64>) -> Response {
        if !self.versions.close(Instant::now(), room, version) {
            return Response::Done;
        }
        if let Err(error) = self.duty.close(room) {
            return Response::Refused(error);
        }
        for peer in self.peers_where(|seat| seat.room == *room) {
            self.end(peer, is_over()).await;
        }
        Response::Done
    }

    /// Whoever has been replaced as an origin lets go: its speakers come back at the new one.
    async fn rooms_come_from(&mut self, payload: &[u8]) {
        let Ok(Origins { rooms }) = serde_json::from_slice(payload) else {
            self.bad_origins.inc();
            return;
        };
        let mut otherwise = Vec::new();
        for origin in rooms.into_iter().take(MAX_ORIGINS) {
            let room = origin.room.clone();
            match self.duty.origin(origin) {
                Heard::Known => continue,
                Heard::Otherwise(known) => {
                    otherwise.push(known);
                    continue;
                }
                Heard::Replaced => {}
            }
            tracing::warn!(%room, "another origin has taken over: its speakers are let go");
            if self.duty.close(&room).is_ok() {
                for peer in self.peers_where(|seat| seat.room == room) {
                    self.end(peer, ApiError::new(Code::Unavailable, "another origin has taken over")).await;
                    self.tell(room.clone(), peer, PeerEvent::Gone).await;
                }
            }
        }
        self.contradict(otherwise).await;
    }

    /// Says what is known here of rooms of which it was told otherwise.
    async fn contradict(&self, rooms: Vec<RoomOrigin>) {
        for rooms in rooms.chunks(MAX_ORIGINS) {
            let known = Known { node: self.config.node.clone(), rooms: rooms.to_vec() };
            self.publish(node::KNOWN, &known).await;
        }
    }

    /// Refuses those who still wait to be admitted: where they are sent to next, they are sooner.
    async fn turn_away(&mut self) {
        for peer in self.peers_where(|seat| seat.waiting.is_some()) {
            if let Some(shard) = self.end(peer, drains()).await {
                self.duty.remove(shard, peer);
            }
        }
    }

    fn peers_where(&self, picks: impl Fn(&Seat) -> bool) -> Vec<PeerId> {
        self.peers.iter().filter(|(_, seat)| picks(seat)).map(|(&peer, _)| peer).collect()
    }

    /// Forgets a peer, with an answer for whoever waits for it; the shard that it was on.
    async fn end(&mut self, peer: PeerId, why: ApiError) -> Option<usize> {
        let seat = self.forget(peer)?;
        if let Some(waiting) = seat.waiting {
            self.respond(&waiting.message, &Response::Refused(why)).await;
        }
        Some(seat.shard)
    }

    async fn change(&mut self, change: Change) {
        match change {
            Change::Admitted { peer, result } => self.admitted(peer, result).await,
            Change::Connected { peer } => {
                let Some(seat) = self.peers.get_mut(&peer) else { return };
                if !std::mem::replace(&mut seat.connected, true) {
                    self.connected.inc();
                }
                let room = seat.room.clone();
                self.trace(peer, "its peer is connected");
                self.tell(room, peer, PeerEvent::Connected).await;
            }
            Change::Gone { peer } => {
                self.trace(peer, "its peer is gone");
                if let Some(seat) = self.forget(peer) {
                    self.tell(seat.room, peer, PeerEvent::Gone).await;
                }
            }
            Change::Otherwise(rooms) => self.contradict(rooms).await,
        }
    }

    async fn admitted(&mut self, peer: PeerId, result: Result<Credentials, ApiError>) {
        // Removed meanwhile: whoever removed it does not wait for it.
        let Some(seat) = self.peers.get_mut(&peer) else { return };
        let Some(waiting) = seat.waiting.take() else { return };
        let Waiting { message, offer, identity, purpose, claim } = *waiting;
        let response = match result {
            Ok(credentials) => {
                let speaks = purpose == Purpose::Speak;
                let answer = self.reach.answer(seat.shard, credentials, &offer, speaks);
                if let Some(claim) = claim {
                    let (session, shard) = (&claim.session, seat.shard);
                    tracing::debug!(target: JOIN, %session, peer = peer.0, shard, room = %seat.room, "a peer is made");
                    let (now, room) = (self.start.elapsed().as_millis() as u64, seat.room.clone());
                    self.books.enter(now, peer, purpose, room, identity, claim);
                }
                Response::Admitted { peer, answer }
            }
            Err(error) => {
                self.forget(peer);
                Response::Refused(error)
            }
        };
        self.respond(&message, &response).await;
    }

    /// Says what has become of the peer of somebody's session.
    fn trace(&self, peer: PeerId, what: &'static str) {
        if let Some(session) = self.books.session(peer) {
            tracing::debug!(target: JOIN, %session, peer = peer.0, "{what}");
        }
    }

    fn forget(&mut self, peer: PeerId) -> Option<Seat> {
        let seat = self.peers.remove(&peer)?;
        self.books.forget(peer);
        self.loads[seat.shard] -= 1;
        self.gone += 1;
        if seat.connected {
            self.connected.dec();
        }
        Some(seat)
    }

    async fn announce(&self) {
        let Config { node, region, version, .. } = &self.config;
        self.places.show(self.config.places(), self.headroom(), self.draining.is_some());
        let announcement = Announcement {
            version: version.clone(),
            clock_ms: Some(crate::unix_ms()),
            link: self.links.first().copied(),
            more_links: self.links.iter().skip(1).copied().collect(),
            clients: self.reach.first().collect(),
            peers: self.peers.len() as u32,
            capacity: self.config.places(),
            headroom: Some(self.headroom()),
            gone: self.gone,
            load: self.load,
            admits: self.draining.is_none(),
            drain_ms: self.draining.map(|since| {
                let left = self.config.drain.saturating_sub(since.elapsed());
                (left.as_millis() as u64).saturating_sub(LAST_TO_GO_MS)
            }),
            hears: self.hears.borrow().clone(),
            ..Announcement::new(node.clone(), D::KIND, region.clone(), self.boot)
        };
        self.publish(node::NODES, &announcement).await;
    }

    /// How many more peers it takes: of so many as it can have, and only while its network is not full of what
    /// those who are here get.
    fn headroom(&self) -> u32 {
        let free = self.config.places().saturating_sub(self.peers.len() as u32);
        let Some(most) = self.config.max_egress else { return free };
        let left = most.saturating_sub(self.load.egress_bits_s) / LISTENER_BITS;
        free.min(left.try_into().unwrap_or(u32::MAX))
    }

    fn measure(&mut self) {
        let (packets, bytes) = (self.sent)();
        let cpu_ms = service::metrics::cpu_ms();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.load = self.meter.look(self.now(), Totals { cpu_ms, packets, bytes }, cores);
    }

    async fn tell(&self, room: RoomId, peer: PeerId, what: PeerEvent) {
        self.publish(node::EVENTS, &Event { node: self.config.node.clone(), room, peer, what }).await;
    }

    async fn publish(&self, subject: &str, what: &impl Serialize) {
        let Ok(payload) = serde_json::to_vec(what) else { return };
        match self.bus.publish(subject, payload.into()).await {
            // Of which the bus itself says, once, what it waits for.
            Ok(()) | Err(BusError::Down(_)) => {}
            Err(error) => tracing::warn!(%subject, %error, "not published"),
        }
    }

    async fn respond(&self, message: &Message, response: &Response) {
        let Ok(payload) = serde_json::to_vec(response) else { return };
        if let Err(error) = message.respond(&*self.bus, payload.into()).await {
            tracing::warn!(%error, "a request stays without an answer");
        }
    }
}

fn compared(Compared { differ, orphans, judge }: Compared) -> Response {
    Response::Compared { differ, orphans, judge }
}

fn bad_claim(error: BadClaim) -> Response {
    Response::Refused(ApiError::new(Code::BadRequest, error.to_string()))
}

fn is_over() -> ApiError {
    ApiError::new(Code::Ended, "the room is over")
}

fn drains() -> ApiError {
    ApiError::new(Code::Unavailable, "this node drains")
}
