//! The rooms of an edge: which of them it takes, from whom, and whom it gives them to.
//!
//! ```text
//!   listeners, children ──▶ needed? ──▶ tree ──▶ parent ──▶ Upstream ──▶ frames ──▶ shards
//!                                                                          └──▶ Downstream ──▶ children
//! ```
//!
//! Everything that decides is here and pure: links, clocks and sockets are the relay's. A room is taken
//! only while there is a listener or a child for it, and [`LINGER`](place::LINGER) longer. One that has no
//! origin, because nobody has spoken yet or because it is lost, waits for one: its shards make the silence.
//! Where it has one and this edge no way to it, they do not: whoever listens had better go elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::room::tree::Member;
use media::relay::{Downstream, LinkId, MAX_ROOMS, Output, Told, Upstream};
use protocol::link::{ChildMessage, Heartbeat, Missing, ParentMessage};
use protocol::node::{RoomOrigin, Root};
use protocol::{Frame, NodeId, Region, RoomId};
use rand::rngs::StdRng;

use crate::parents::Parents;

mod place;
#[cfg(test)]
mod tests;

/// Who the other nodes are, as far as this one has heard.
#[derive(Debug, Default, Clone)]
pub(crate) struct Topology {
    /// Where each node's links are.
    pub(crate) links: BTreeMap<NodeId, Vec<SocketAddr>>,
    /// Those that can be parents beside the origin.
    pub(crate) edges: Vec<Member>,
}

/// What is to be done.
#[derive(Debug, Default)]
pub(crate) struct Out {
    /// To parents.
    pub(crate) up: Vec<Output<ChildMessage>>,
    /// To children.
    pub(crate) down: Vec<Output<ParentMessage>>,
    /// To shards.
    pub(crate) frames: Vec<(RoomId, Frame)>,
    /// To shards: whether the silence of a room is made there.
    pub(crate) silent: Vec<(usize, RoomId, bool)>,
    /// To be dialled.
    pub(crate) dial: Vec<(NodeId, SocketAddr)>,
    /// To be closed.
    pub(crate) hang_up: Vec<LinkId>,
    /// Why rooms have changed their parent.
    pub(crate) changed: Vec<&'static str>,
    /// Where rooms come from that are told to come from elsewhere.
    pub(crate) otherwise: Vec<RoomOrigin>,
}

/// All rooms of this edge.
pub(crate) struct Rooms {
    me: Member,
    topology: Topology,
    rooms: BTreeMap<RoomId, Room>,
    upstream: Upstream,
    downstream: Downstream,
    parents: Parents,
    /// When rests, lingering and lost ways are looked at again.
    next_look: Option<Instant>,
    /// The last of the unplaced rooms that was placed, or tried to.
    placed_up_to: Option<RoomId>,
    /// Memory for one datagram.
    fresh: Vec<Frame>,
}

#[derive(Debug)]
struct Room {
    /// Where it comes from; none while nobody has said so.
    root: Option<Root>,
    /// Shards with listeners.
    shards: BTreeSet<usize>,
    /// It had no origin when that was looked at last: its shards make the silence.
    is_silent: bool,
    idle_since: Option<Instant>,
    /// Since when its parent has no way to the root.
    lost_since: Option<Instant>,
    /// A parent that could not give it, and until when it is not asked.
    avoid: Option<(NodeId, Instant)>,
    /// Its parent is to be looked for, for this reason.
    unplaced: Option<&'static str>,
}

impl Rooms {
    pub(crate) fn new(me: Member, rng: StdRng) -> Self {
        Self {
            upstream: Upstream::new(me.node.clone()),
            me,
            topology: Topology::default(),
            rooms: BTreeMap::new(),
            downstream: Downstream::default(),
            parents: Parents::new(rng),
            next_look: None,
            placed_up_to: None,
            fresh: Vec::new(),
        }
    }

    /// Somebody has said that there is a room, and where it comes from, if that is known. A higher epoch is a
    /// newer origin. Beyond [`MAX_ROOMS`] it stays unknown, and is not taken.
    pub(crate) fn known(&mut self, now: Instant, id: &RoomId, root: Option<Root>) {
        if self.rooms.len() >= MAX_ROOMS && !self.rooms.contains_key(id) {
            return;
        }
        let room = self.rooms.entry(id.clone()).or_insert_with(|| Room::new(now));
        if let Some(root) = root.filter(|root| room.is_older(root)) {
            room.follow(root);
        }
    }

    /// Where a room comes from now, if it is one of ours. An older root than is known is contradicted: somebody has
    /// missed something, or all have forgotten it.
    pub(crate) fn moved(&mut self, now: Instant, id: &RoomId, root: Root, out: &mut Out) {
        let Some(room) = self.rooms.get(id) else { return };
        if room.is_older(&root) {
            self.known(now, id, Some(root));
            self.place_unplaced(now, usize::MAX, out);
        } else if let Some(ours) = room.root.clone().filter(|ours| *ours != root) {
            out.otherwise.push(RoomOrigin { room: id.clone(), root: ours, stage: None });
        }
    }

    /// A shard has its first listener of a room.
    pub(crate) fn wanted(&mut self, now: Instant, shard: usize, id: &RoomId, out: &mut Out) {
        if let Some(room) = self.rooms.get_mut(id) {
            room.shards.insert(shard);
            room.is_silent = room.has_no_origin(&self.topology);
            out.silent.extend(room.is_silent.then(|| (shard, id.clone(), true)));
        }
        self.look_for_need(now, id, out);
    }

    /// A shard has lost its last listener of a room.
    pub(crate) fn unwanted(&mut self, now: Instant, shard: usize, id: &RoomId, out: &mut Out) {
        if let Some(room) = self.rooms.get_mut(id) {
            room.shards.remove(&shard);
        }
        self.look_for_need(now, id, out);
    }

    /// The room is over.
    pub(crate) fn close(&mut self, id: &RoomId, out: &mut Out) {
        self.rooms.remove(id);
        self.upstream.leave(id, &mut out.up);
        self.downstream.close(id, &mut out.down);
    }

    /// Shards that have listeners of a room.
    pub(crate) fn shards(&self, id: &RoomId) -> impl Iterator<Item = usize> + '_ {
        self.rooms.get(id).into_iter().flat_map(|room| &room.shards).copied()
    }

    pub(crate) fn child_up(&mut self, link: LinkId) {
        self.downstream.link_up(link);
    }

    pub(crate) fn child_lost(&mut self, now: Instant, link: LinkId, out: &mut Out) {
        for room in self.downstream.link_lost(link) {
            self.look_for_need(now, &room, out);
        }
    }

    pub(crate) fn child_said(&mut self, now: Instant, link: LinkId, message: ChildMessage, out: &mut Out) {
        match message {
            ChildMessage::Subscribe { room, channel, origin, epoch } => {
                match self.downstream.subscribe(link, &room, channel, &mut out.down) {
                    Ok(()) => {
                        self.known(now, &room, Some(Root { origin, epoch }));
                        self.look_for_need(now, &room, out);
                    }
                    Err(error) => {
                        let refused = ParentMessage::Refused { channel, why: error.to_string() };
                        out.down.push(Output::Message(link, refused));
                    }
                }
            }
            ChildMessage::Unsubscribe { channel } => {
                if let Some(room) = self.downstream.unsubscribe(link, channel) {
                    self.look_for_need(now, &room, out);
                }
            }
        }
    }

    pub(crate) fn child_missing(&mut self, link: LinkId, missing: &Missing, out: &mut Out) {
        self.downstream.missing(link, missing, &mut out.down);
    }

    pub(crate) fn child_loss(&mut self, now: Instant, link: LinkId, loss_permille: u16) {
        self.downstream.loss(now, link, loss_permille);
    }

    /// This node shows another certificate, or believes others: every parent is linked anew, and what comes by the link
    /// before goes over to the new one.
    pub(crate) fn renew_links(&mut self, out: &mut Out) {
        out.dial.extend(self.parents.linked().filter_map(|node| Some((node.clone(), self.address(node)?))));
    }

    pub(crate) fn parent_up(&mut self, now: Instant, node: &NodeId, link: LinkId, out: &mut Out) {
        if let Some(before) = self.parents.up(now, node, link) {
            for id in self.ids_from(before) {
                self.unplace(&id, "renewed");
            }
        }
        self.upstream.link_up(link);
        self.place_unplaced(now, usize::MAX, out);
    }

    /// A node was dialled in vain. Where there is a link to it, that was to be renewed, and goes on while it may.
    pub(crate) fn parent_failed(&mut self, now: Instant, node: &NodeId, out: &mut Out) {
        if self.parents.link(node).is_none() {
            self.parents.failed(now, node);
        }
        self.place_unplaced(now, usize::MAX, out);
    }

    pub(crate) fn parent_lost(&mut self, now: Instant, link: LinkId, out: &mut Out) {
        if let Some(node) = self.parents.node(link).cloned() {
            self.parents.failed(now, &node);
        }
        for id in self.upstream.link_lost(link) {
            self.unplace(&id, "link_lost");
            self.tell_path(now, &id, out);
        }
        self.place_unplaced(now, usize::MAX, out);
    }

    pub(crate) fn parent_said(&mut self, now: Instant, link: LinkId, message: ParentMessage, out: &mut Out) {
        let (id, why) = match self.upstream.message(now, link, message, &mut out.up) {
            Told::Nothing => return,
            Told::Path(id) => return self.tell_path(now, &id, out),
            Told::Loop(id) => (id, "loop"),
            Told::Refused(id) => (id, "refused"),
        };
        self.leave_parent(now, &id, link, why, out);
    }

    /// Takes a parent's heartbeat; gives what ours should say.
    pub(crate) fn parent_beat(&mut self, link: LinkId, heartbeat: Heartbeat, rtt: Duration) -> u16 {
        self.upstream.set_rtt(link, rtt);
        self.upstream.heartbeat(link, heartbeat)
    }

    /// Takes audio from a parent, and gives it to whom it concerns.
    pub(crate) fn frames(
        &mut self,
        now: Instant,
        link: LinkId,
        channel: u32,
        frames: Vec<Frame>,
        out: &mut Out,
    ) {
        let room = self.upstream.frames(now, link, channel, frames, &mut self.fresh, &mut out.up);
        let Some(room) = room else { return };
        for frame in self.fresh.drain(..) {
            self.downstream.forward(&room, &frame, &mut out.down);
            out.frames.push((room.clone(), frame));
        }
    }

    /// The nodes that one has heard of have changed.
    pub(crate) fn topology(&mut self, topology: Topology) {
        if self.topology.edges != topology.edges {
            self.unplace_all();
        }
        self.parents.retain(|node| topology.links.contains_key(node));
        self.topology = topology;
    }

    /// To be called every 20 ms or so.
    pub(crate) fn on_timeout(&mut self, now: Instant, out: &mut Out) {
        self.upstream.on_timeout(now, &mut out.up);
        self.look_around(now, out);
    }

    /// Where this edge is.
    pub(crate) fn region(&self) -> &Region {
        &self.me.region
    }

    /// For counting.
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// For counting.
    pub(crate) fn downstream(&self) -> &Downstream {
        &self.downstream
    }

    /// How many rooms are taken.
    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }
}

impl Room {
    fn new(now: Instant) -> Self {
        Self {
            root: None,
            shards: BTreeSet::new(),
            is_silent: false,
            idle_since: Some(now),
            lost_since: None,
            avoid: None,
            unplaced: None,
        }
    }

    /// Whether its origin is none that is newer than this one, or the same.
    fn is_older(&self, than: &Root) -> bool {
        self.root.as_ref().is_none_or(|root| than.epoch > root.epoch)
    }

    /// Comes from there from now on.
    fn follow(&mut self, root: Root) {
        let before = self.root.replace(root.clone());
        if before.as_ref().map(|before| &before.origin) != Some(&root.origin) {
            // The first one is no change.
            self.unplaced = Some(if before.is_some() { "origin" } else { "tree" });
        }
    }

    /// Nobody has said where it comes from, or its origin is gone.
    fn has_no_origin(&self, topology: &Topology) -> bool {
        self.root.as_ref().is_none_or(|root| !topology.links.contains_key(&root.origin))
    }
}
