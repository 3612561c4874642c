//! From whom an edge takes its rooms, and when it looks for somebody else.
//!
//! A room is *unplaced* while its parent is to be looked for: because a link is lost, the tree has
//! changed, or the parent could not give it. It keeps what it has until the next parent is there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ::room::tree::{self, Parent};
use media::relay::LinkId;
use protocol::node::Root;
use protocol::{NodeId, RoomId};

use super::{Out, Room, Rooms};

/// How long a room is kept that nobody needs: people reload, and the next one is not to wait.
pub(super) const LINGER: Duration = Duration::from_secs(30);

/// How long a parent may be without a way to the root before another is tried. It looks for one itself.
const NO_PATH: Duration = Duration::from_secs(2);

/// How long a parent is not asked for a room again that it could not give.
const AVOID: Duration = Duration::from_secs(5);

/// Between two looks at what takes its time.
const LOOK: Duration = Duration::from_millis(100);

/// Most rooms that are placed in one go: the tree of a large cluster takes some time to work out, and
/// audio waits meanwhile.
const PLACED_AT_ONCE: usize = 32;

impl Rooms {
    /// Does what takes its time: now and then, however often it is called.
    pub(super) fn look_around(&mut self, now: Instant, out: &mut Out) {
        if self.next_look.is_some_and(|at| now < at) {
            return;
        }
        self.next_look = Some(now + LOOK);
        if self.parents.wake(now) {
            self.unplace_all();
        }
        self.leave_lost_parents(now, out);
        self.place_unplaced(now, PLACED_AT_ONCE, out);
        self.look_for_silence(out);
        out.hang_up.extend(self.parents.unused(now, |link| self.upstream.uses(link)));
        let over = |since: Instant| now.saturating_duration_since(since) >= LINGER;
        for id in self.ids(|room| room.idle_since.is_some_and(over)) {
            self.close(&id, out);
        }
    }

    /// The room begins or ends to be needed.
    pub(super) fn look_for_need(&mut self, now: Instant, id: &RoomId, out: &mut Out) {
        let needed = self.downstream.has_children(id);
        let Some(room) = self.rooms.get_mut(id) else { return };
        if needed || !room.shards.is_empty() {
            room.idle_since = None;
            self.place(now, id, out);
        } else {
            room.idle_since.get_or_insert(now);
        }
    }

    /// Tells the shards which rooms have lost their origin, and which have one again.
    fn look_for_silence(&mut self, out: &mut Out) {
        for (id, room) in &mut self.rooms {
            let is_silent = room.has_no_origin(&self.topology);
            if std::mem::replace(&mut room.is_silent, is_silent) != is_silent {
                out.silent.extend(room.shards.iter().map(|&shard| (shard, id.clone(), is_silent)));
            }
        }
    }

    pub(super) fn unplace(&mut self, id: &RoomId, why: &'static str) {
        if let Some(room) = self.rooms.get_mut(id) {
            room.unplaced.get_or_insert(why);
        }
    }

    pub(super) fn unplace_all(&mut self) {
        self.rooms.values_mut().for_each(|room| {
            room.unplaced.get_or_insert("tree");
        });
    }

    /// Places some of the unplaced rooms; in turn, so that those without a parent do not keep the others
    /// from theirs.
    pub(super) fn place_unplaced(&mut self, now: Instant, at_once: usize, out: &mut Out) {
        let mut ids = self.ids(|room| room.unplaced.is_some());
        let done = ids.partition_point(|id| Some(id) <= self.placed_up_to.as_ref());
        ids.rotate_left(done);
        ids.truncate(at_once);
        self.placed_up_to = ids.last().cloned();
        for id in ids {
            self.place(now, &id, out);
        }
    }

    /// Rooms that come by this link.
    pub(super) fn ids_from(&self, link: LinkId) -> Vec<RoomId> {
        let comes = |id: &&RoomId| self.upstream.parent(id) == Some(link);
        self.rooms.keys().filter(comes).cloned().collect()
    }

    fn ids(&self, which: impl Fn(&Room) -> bool) -> Vec<RoomId> {
        self.rooms.iter().filter(|(_, room)| which(room)).map(|(id, _)| id.clone()).collect()
    }

    /// Takes the room from the parent that it has in the tree, as soon as that is linked.
    fn place(&mut self, now: Instant, id: &RoomId, out: &mut Out) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        let before = self.upstream.parent(id);
        if room.idle_since.is_some() && before.is_none() {
            return;
        }
        let Some(root) = &room.root else {
            // It is looked for a parent once it has an origin.
            room.unplaced = None;
            return;
        };
        room.avoid.take_if(|(_, until)| *until <= now);
        let avoided = room.avoid.as_ref().map(|(node, _)| node);
        let usable = |node: &NodeId| !self.parents.rests(node) && avoided != Some(node);
        let edges: Vec<_> = self.topology.edges.iter().filter(|edge| usable(&edge.node)).cloned().collect();
        let parent = match tree::parent(id, &edges, &self.me) {
            Parent::Edge(node) => node,
            Parent::Origin => root.origin.clone(),
        };
        let link = self.parents.link(&parent).filter(|_| usable(&parent));
        let Some(link) = link else {
            room.unplaced.get_or_insert("tree");
            let address = usable(&parent).then(|| self.address(&parent)).flatten();
            if let Some(address) = address
                && self.parents.want(&parent)
            {
                out.dial.push((parent, address));
            }
            return;
        };
        let why = room.unplaced.take().unwrap_or("tree");
        if before != Some(link) {
            // The first parent is no change.
            out.changed.extend((before.is_some() || why != "tree").then_some(why));
            self.upstream.join(id, link, &root.origin, root.epoch, &mut out.up);
            if before.is_none() {
                // Until it answers: one that never does is left like one without a way.
                room.lost_since.get_or_insert(now);
            }
        }
    }

    /// Where a node is dialled. Where one of its addresses does not lead there, another one may.
    pub(super) fn address(&self, node: &NodeId) -> Option<SocketAddr> {
        let links = self.topology.links.get(node)?;
        links.get(self.parents.failures(node) % links.len().max(1)).copied()
    }

    /// Tells the children which way the room comes, and notes when it comes no way.
    pub(super) fn tell_path(&mut self, now: Instant, id: &RoomId, out: &mut Out) {
        let (path, epoch) = self.upstream.path(id);
        let mut path = path.to_vec();
        if let Some(room) = self.rooms.get_mut(id) {
            room.lost_since = path.is_empty().then(|| room.lost_since.unwrap_or(now));
            let root = path.first().map(|origin| Root { origin: origin.clone(), epoch });
            if let Some(root) = root.filter(|root| room.is_older(root)) {
                room.root = Some(root);
            }
        }
        if !path.is_empty() {
            path.push(self.me.node.clone());
        }
        self.downstream.set_path(id, path, epoch, &mut out.down);
    }

    pub(super) fn leave_parent(
        &mut self,
        now: Instant,
        id: &RoomId,
        link: LinkId,
        why: &'static str,
        out: &mut Out,
    ) {
        if let (Some(node), Some(room)) = (self.parents.node(link), self.rooms.get_mut(id)) {
            room.avoid = Some((node.clone(), now + AVOID));
            room.unplaced = Some(why);
        }
        self.upstream.leave_parent(id, link, &mut out.up);
        self.tell_path(now, id, out);
        self.place(now, id, out);
    }

    fn leave_lost_parents(&mut self, now: Instant, out: &mut Out) {
        let lost = |since: Instant| now.saturating_duration_since(since) >= NO_PATH;
        for id in self.ids(|room| room.lost_since.is_some_and(lost)) {
            if let Some(room) = self.rooms.get_mut(&id) {
                room.lost_since = Some(now);
            }
            if let Some(link) = self.upstream.parent(&id) {
                self.leave_parent(now, &id, link, "no_path", out);
            }
        }
    }
}
