//! The child's side of the relay: which room comes from which parent, and what is asked of it.
//!
//! A room changes its parent without a hole: the new one is subscribed first, and the old one is left
//! when the new one shows that it has a way to the root.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use protocol::frame::Frame;
use protocol::link::{ChildMessage, Heartbeat, MAX_HOPS, Missing, ParentMessage};
use protocol::{Epoch, NodeId, RoomId};

use super::{LinkId, Loss, Output, Receiver, ReceiverStats};

/// Everything this node hears from its parents.
#[derive(Debug)]
pub struct Upstream {
    me: NodeId,
    rooms: HashMap<RoomId, Room>,
    links: HashMap<LinkId, Parent>,
    next_channel: u32,
    stats: UpstreamStats,
}

/// What rooms that were left, and datagrams of no room, have counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct UpstreamStats {
    left: ReceiverStats,
    unknown_channel: u64,
}

#[derive(Debug, Default)]
struct Room {
    receiver: Receiver,
    /// Whose frames are counted on.
    current: Option<Subscription>,
    /// Who takes over as soon as it has a way to the root.
    next: Option<Subscription>,
}

#[derive(Debug)]
struct Subscription {
    link: LinkId,
    channel: u32,
    /// As the parent told it: root first, parent last.
    path: Vec<NodeId>,
    /// Of that root.
    epoch: Epoch,
}

#[derive(Debug, Default)]
struct Parent {
    channels: HashMap<u32, RoomId>,
    loss: Loss,
    rtt: Duration,
}

/// What a parent's message means for a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Nothing new.
    Nothing,
    /// The way from the root to this node may have changed: see [`Upstream::path`].
    Path(RoomId),
    /// This node is on the parent's path, or too far from the root: that parent must be left.
    Loop(RoomId),
    /// The parent does not give the room; it has been left.
    Refused(RoomId),
}

type Outputs = Vec<Output<ChildMessage>>;

impl Upstream {
    /// No parent, no room; `me` is this node.
    pub fn new(me: NodeId) -> Self {
        Self {
            me,
            rooms: HashMap::new(),
            links: HashMap::new(),
            next_channel: 0,
            stats: UpstreamStats::default(),
        }
    }

    /// A parent is linked.
    pub fn link_up(&mut self, link: LinkId) {
        self.links.insert(link, Parent::default());
    }

    /// A parent's link has ended; gives the rooms that are now without one.
    pub fn link_lost(&mut self, link: LinkId) -> Vec<RoomId> {
        self.links.remove(&link);
        let mut orphans = Vec::new();
        for (id, room) in &mut self.rooms {
            room.next.take_if(|next| next.link == link);
            if room.current.take_if(|current| current.link == link).is_some() {
                room.current = room.next.take();
                orphans.push(id.clone());
            }
        }
        orphans.sort_unstable();
        orphans
    }

    /// Takes a room from a parent, or from another one than before. `origin` and `epoch` are what this
    /// node knows of its root.
    pub fn join(&mut self, room: &RoomId, link: LinkId, origin: &NodeId, epoch: Epoch, out: &mut Outputs) {
        if !self.links.contains_key(&link) || self.parent(room) == Some(link) {
            return;
        }
        let channel = self.next_channel;
        self.next_channel = self.next_channel.wrapping_add(1);
        let state = self.rooms.entry(room.clone()).or_default();
        let subscription = Subscription { link, channel, path: Vec::new(), epoch };
        let replaced = match state.current {
            None => state.current.replace(subscription),
            Some(_) => state.next.replace(subscription),
        };
        if let Some(parent) = self.links.get_mut(&link) {
            parent.channels.insert(channel, room.clone());
        }
        out.push(Output::Message(
            link,
            ChildMessage::Subscribe { room: room.clone(), channel, origin: origin.clone(), epoch },
        ));
        self.unsubscribe(replaced, out);
    }

    /// Leaves a room; what its receiver knew is forgotten.
    pub fn leave(&mut self, room: &RoomId, out: &mut Outputs) {
        let Some(room) = self.rooms.remove(room) else { return };
        self.stats.left.add(room.receiver.stats());
        self.unsubscribe(room.current, out);
        self.unsubscribe(room.next, out);
    }

    /// Leaves the parent that the room comes from or is about to, but keeps what was received.
    pub fn leave_parent(&mut self, room: &RoomId, link: LinkId, out: &mut Outputs) {
        let Some(state) = self.rooms.get_mut(room) else { return };
        let next = state.next.take_if(|next| next.link == link);
        let current = state.current.take_if(|current| current.link == link);
        if state.current.is_none() {
            state.current = state.next.take();
        }
        self.unsubscribe(next, out);
        self.unsubscribe(current, out);
    }

    /// Takes audio from a parent. What is new is appended to `fresh`; what is missing is asked for.
    pub fn frames(
        &mut self,
        now: Instant,
        link: LinkId,
        channel: u32,
        frames: Vec<Frame>,
        fresh: &mut Vec<Frame>,
        out: &mut Outputs,
    ) -> Option<RoomId> {
        let known = self.links.get_mut(&link).and_then(|p| Some((p.channels.get(&channel)?.clone(), p)));
        let Some((id, parent)) = known else {
            // Those still on their way when a room was left.
            self.stats.unknown_channel += 1;
            return None;
        };
        let room = self.rooms.get_mut(&id)?;
        let tally = room.receiver.receive(now, frames, fresh);
        parent.loss.count(tally.expected, tally.missed);
        let rtt = parent.rtt;
        room.ask(now, rtt, out);
        Some(id)
    }

    /// Takes a heartbeat of a parent; gives what ours should say to it.
    pub fn heartbeat(&mut self, link: LinkId, heartbeat: Heartbeat) -> u16 {
        let Some(parent) = self.links.get_mut(&link) else { return 0 };
        parent.loss.heartbeat(heartbeat);
        parent.loss.permille()
    }

    /// The round trip time of a link, for the time between two requests.
    pub fn set_rtt(&mut self, link: LinkId, rtt: Duration) {
        if let Some(parent) = self.links.get_mut(&link) {
            parent.rtt = rtt;
        }
    }

    /// Takes a message of a parent.
    pub fn message(&mut self, now: Instant, link: LinkId, message: ParentMessage, out: &mut Outputs) -> Told {
        let (ParentMessage::Path { channel, .. } | ParentMessage::Refused { channel, .. }) = &message;
        let room = self.links.get(&link).and_then(|parent| parent.channels.get(channel)).cloned();
        let Some(room) = room else { return Told::Nothing };
        match message {
            ParentMessage::Refused { .. } => {
                self.leave_parent(&room, link, out);
                Told::Refused(room)
            }
            ParentMessage::Path { nodes, .. } if nodes.contains(&self.me) || nodes.len() >= MAX_HOPS => {
                Told::Loop(room)
            }
            ParentMessage::Path { channel, nodes, epoch } => {
                self.follow_path(now, &room, channel, nodes, epoch, out);
                Told::Path(room)
            }
        }
    }

    /// Asks again for what is still missing, everywhere. To be called every 20 ms or so: a request waits
    /// no longer than it must, and a first request never waits for this.
    pub fn on_timeout(&mut self, now: Instant, out: &mut Outputs) {
        for room in self.rooms.values_mut() {
            if room.receiver.poll_timeout().is_some_and(|at| at <= now) {
                let parent = room.current.as_ref().and_then(|current| self.links.get(&current.link));
                room.ask(now, parent.map_or(Duration::ZERO, |parent| parent.rtt), out);
            }
        }
    }

    /// The parent that the room will come from: the next one, if there is a change under way.
    pub fn parent(&self, room: &RoomId) -> Option<LinkId> {
        let room = self.rooms.get(room)?;
        room.next.as_ref().or(room.current.as_ref()).map(|subscription| subscription.link)
    }

    /// The way from the root to this room's parent, and the epoch of that root. Empty: there is none.
    pub fn path(&self, room: &RoomId) -> (&[NodeId], Epoch) {
        let current = self.rooms.get(room).and_then(|room| room.current.as_ref());
        current.map_or((&[], Epoch::default()), |current| (&current.path, current.epoch))
    }

    /// Whether any room comes, or is about to come, over this link.
    pub fn uses(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|parent| !parent.channels.is_empty())
    }

    /// What came and what did not, of all rooms since the start.
    pub fn stats(&self) -> ReceiverStats {
        let mut sum = self.stats.left;
        self.rooms.values().for_each(|room| sum.add(room.receiver.stats()));
        sum
    }

    /// Datagrams on channels that are not, or no longer, subscribed.
    pub fn unknown_channel(&self) -> u64 {
        self.stats.unknown_channel
    }

    fn follow_path(
        &mut self,
        now: Instant,
        room: &RoomId,
        channel: u32,
        nodes: Vec<NodeId>,
        epoch: Epoch,
        out: &mut Outputs,
    ) {
        let Some(state) = self.rooms.get_mut(room) else { return };
        let arrived = !nodes.is_empty();
        let both = state.current.iter_mut().chain(&mut state.next);
        for subscription in both.filter(|subscription| subscription.channel == channel) {
            (subscription.path, subscription.epoch) = (nodes.clone(), epoch);
        }
        if let Some(next) = state.next.take_if(|next| next.channel == channel && arrived) {
            let old = state.current.replace(next);
            state.receiver.ask_again(now);
            self.unsubscribe(old, out);
        }
    }

    fn unsubscribe(&mut self, subscription: Option<Subscription>, out: &mut Outputs) {
        let Some(Subscription { link, channel, .. }) = subscription else { return };
        if let Some(parent) = self.links.get_mut(&link) {
            parent.channels.remove(&channel);
            out.push(Output::Message(link, ChildMessage::Unsubscribe { channel }));
        }
    }
}

impl Room {
    fn ask(&mut self, now: Instant, rtt: Duration, out: &mut Outputs) {
        while let Some((epoch, voice, numbers)) = self.receiver.poll_missing(now, rtt) {
            let Some(current) = &self.current else { continue };
            let mut datagram = BytesMut::new();
            Missing { channel: current.channel, epoch, voice, numbers }.write(&mut datagram);
            out.push(Output::Datagram(current.link, datagram.freeze()));
        }
    }
}
