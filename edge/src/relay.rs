//! The relay of an edge at work: what links and shards say goes into [`Rooms`], and what that decides is
//! done.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::room::tree::Member;
use cluster::nodes::Live;
use media::listeners::ListenersCommand;
use media::relay::{LinkId, Output};
use node::serve::Ids;
use node::{Change, Child};
use protocol::link::{ChildMessage, Datagram, ParentMessage};
use protocol::node::{NodeKind, Root};
use protocol::{NodeId, RoomId};
use service::{Shutdown, Tasks};
use tokio::sync::{Notify, mpsc, watch};
use transport::link::{Event, LinkError, LinkHandle};
use transport::queue::Full;
use transport::{Links, Queue, ShardHandle};

use crate::meters::RelayMeters;
use crate::rooms::{Out, Rooms, Topology};

/// How often lost frames are asked for again, and everything else that is due is looked for.
const TICK: Duration = Duration::from_millis(20);

/// Between two looks at what was counted.
const FOLLOW: Duration = Duration::from_millis(250);

/// What the relay is told.
pub(crate) enum Input {
    /// There is a room, which comes from there, if from anywhere yet.
    Known {
        room: RoomId,
        root: Option<Root>,
    },
    /// Where a room comes from now, if it is one of ours.
    Moved {
        room: RoomId,
        root: Root,
    },
    /// A shard has its first listener of a room.
    Wanted(usize, RoomId),
    /// A shard has none any more.
    Unwanted(usize, RoomId),
    /// The room is over.
    Close(RoomId),
    ChildUp(LinkId, LinkHandle<ParentMessage>),
    ChildSaid(LinkId, ChildMessage),
    ChildLost(LinkId),
    ParentUp(LinkId, LinkHandle<ChildMessage>),
    ParentSaid(LinkId, ParentMessage),
    ParentLost(LinkId),
    /// It was dialled in vain.
    ParentFailed(NodeId, LinkError),
}

/// What may be dropped when there is too much of it: a datagram, and when it arrived.
pub(crate) struct Audio {
    from: From,
    at: Instant,
    datagram: Datagram,
}

enum From {
    Parent(LinkId),
    Child(LinkId),
}

pub(crate) type RelayQueue = Queue<Input, Audio, Notify>;

/// Puts what happens on a child's link into the queue.
pub(crate) fn child_told(queue: &RelayQueue, id: LinkId, child: Child) -> Result<(), Full> {
    match child {
        Child::Said(Event::Datagram(datagram)) => {
            queue.push_frame(Audio { from: From::Child(id), at: Instant::now(), datagram });
        }
        Child::Said(Event::Message(message)) => return queue.push(Input::ChildSaid(id, message)),
        Child::Up(handle) => queue.push_always(Input::ChildUp(id, handle)),
        Child::Lost => queue.push_always(Input::ChildLost(id)),
    }
    Ok(())
}

/// Dials a parent, and puts what happens on its link into the queue. If that is full, the link ends: rooms
/// would wait for good for what was said there.
async fn take_parent(links: Links, addr: SocketAddr, parent: NodeId, id: LinkId, queue: Arc<RelayQueue>) {
    let link = match links.dial(addr, &parent).await {
        Ok(link) => link,
        Err(error) => {
            match error {
                LinkError::Version { .. } => tracing::warn!(%parent, %error, "parent not reached"),
                _ => tracing::info!(%parent, %error, "parent not reached"),
            }
            queue.push_always(Input::ParentFailed(parent, error));
            return;
        }
    };
    let handle = link.handle();
    tracing::info!(%parent, version = handle.version(), "parent linked");
    queue.push_always(Input::ParentUp(id, handle.clone()));
    let why = link
        .run(|event| match event {
            Event::Datagram(datagram) => {
                queue.push_frame(Audio { from: From::Parent(id), at: Instant::now(), datagram });
            }
            Event::Message(message) => {
                let said = queue.push(Input::ParentSaid(id, message));
                said.unwrap_or_else(|Full| handle.close("relay queue full"));
            }
        })
        .await;
    tracing::info!(%parent, %why, "parent lost");
    queue.push_always(Input::ParentLost(id));
}

/// What a relay works with.
pub(crate) struct Tools {
    pub(crate) queue: Arc<RelayQueue>,
    pub(crate) shards: Vec<ShardHandle<ListenersCommand>>,
    pub(crate) links: Links,
    pub(crate) ids: Ids,
    pub(crate) tasks: Tasks,
    pub(crate) live: watch::Receiver<Live>,
    pub(crate) hears: watch::Sender<Vec<NodeId>>,
    pub(crate) changes: mpsc::Sender<Change>,
}

/// The relay of one edge.
pub(crate) struct Relay {
    tools: Tools,
    rooms: Rooms,
    parents: HashMap<LinkId, LinkHandle<ChildMessage>>,
    children: HashMap<LinkId, LinkHandle<ParentMessage>>,
    out: Out,
    meters: RelayMeters,
}

impl Relay {
    pub(crate) fn new(tools: Tools, rooms: Rooms, meters: RelayMeters) -> Self {
        Self { tools, rooms, parents: HashMap::new(), children: HashMap::new(), out: Out::default(), meters }
    }

    /// Works until `ended` begins.
    pub(crate) async fn run(mut self, ended: Shutdown) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut follow = tokio::time::interval(FOLLOW);
        follow.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let queue = self.tools.queue.clone();
        let mut credentials = self.tools.links.credentials();
        let (mut control, mut audio) = (VecDeque::new(), VecDeque::new());
        self.look_at_nodes();
        loop {
            tokio::select! {
                () = queue.waker().notified() => {
                    queue.take(&mut control, &mut audio);
                    control.drain(..).for_each(|input| self.handle(Instant::now(), input));
                    audio.drain(..).for_each(|audio| self.relay(audio));
                }
                _ = tick.tick() => self.rooms.on_timeout(Instant::now(), &mut self.out),
                _ = follow.tick() => self.follow(),
                Ok(()) = self.tools.live.changed() => self.look_at_nodes(),
                () = credentials.renewed() => self.rooms.renew_links(&mut self.out),
                () = ended.begun() => return,
            }
            self.act();
        }
    }

    fn handle(&mut self, now: Instant, input: Input) {
        let Self { rooms, out, .. } = self;
        match input {
            Input::Known { room, root } => rooms.known(now, &room, root),
            Input::Moved { room, root } => rooms.moved(now, &room, root, out),
            Input::Wanted(shard, room) => rooms.wanted(now, shard, &room, out),
            Input::Unwanted(shard, room) => rooms.unwanted(now, shard, &room, out),
            Input::Close(room) => rooms.close(&room, out),
            Input::ChildUp(id, handle) => {
                self.children.insert(id, handle);
                rooms.child_up(id);
            }
            Input::ChildSaid(id, message) => rooms.child_said(now, id, message, out),
            Input::ChildLost(id) => {
                self.children.remove(&id);
                self.meters.forget(id, None);
                rooms.child_lost(now, id, out);
            }
            Input::ParentUp(id, handle) => {
                rooms.parent_up(now, &handle.remote().node, id, out);
                self.parents.insert(id, handle);
                self.tell_whom_we_hear();
            }
            Input::ParentSaid(id, message) => rooms.parent_said(now, id, message, out),
            Input::ParentLost(id) => {
                let handle = self.parents.remove(&id);
                self.meters.forget(id, handle.as_ref().map(|handle| handle.remote().node.as_str()));
                rooms.parent_lost(now, id, out);
                self.tell_whom_we_hear();
            }
            Input::ParentFailed(node, error) => {
                self.meters.failed(&error);
                rooms.parent_failed(now, &node, out);
            }
        }
    }

    fn tell_whom_we_hear(&self) {
        let origins = self.parents.values().map(LinkHandle::remote).filter(|it| it.kind == NodeKind::Origin);
        let mut origins: Vec<NodeId> = origins.map(|remote| remote.node.clone()).collect();
        origins.sort_unstable();
        origins.dedup();
        self.tools.hears.send_if_modified(|hears| {
            let is_news = *hears != origins;
            *hears = origins;
            is_news
        });
    }

    fn relay(&mut self, audio: Audio) {
        let Audio { from, at, datagram } = audio;
        match (from, datagram) {
            (From::Parent(id), Datagram::Frames { channel, frames }) => {
                self.rooms.frames(at, id, channel, frames, &mut self.out);
                self.give_to_shards(at);
            }
            (From::Parent(id), Datagram::Heartbeat(heartbeat)) => {
                let Some(link) = self.parents.get(&id) else { return };
                link.set_loss_permille(self.rooms.parent_beat(id, heartbeat, link.rtt()));
            }
            (From::Child(id), Datagram::Heartbeat(heartbeat)) => {
                self.rooms.child_loss(at, id, heartbeat.loss_permille);
            }
            (From::Child(id), Datagram::Missing(missing)) => {
                self.rooms.child_missing(id, &missing, &mut self.out);
            }
            (From::Parent(_), Datagram::Missing(_)) | (From::Child(_), Datagram::Frames { .. }) => {
                self.meters.upwards();
            }
        }
    }

    fn give_to_shards(&mut self, arrived: Instant) {
        for (room, frame) in self.out.frames.drain(..) {
            for shard in self.rooms.shards(&room) {
                let command = ListenersCommand::Frame { room: room.clone(), frame: frame.clone(), arrived };
                self.tools.shards[shard].send_frame(command);
            }
        }
    }

    /// Does what was decided.
    fn act(&mut self) {
        let Out { up, down, frames: _, silent, dial, hang_up, changed, otherwise } = &mut self.out;
        up.drain(..).for_each(|output| send(&self.parents, output));
        down.drain(..).for_each(|output| send(&self.children, output));
        for (shard, room, is_silent) in silent.drain(..) {
            self.tools.shards[shard].send_always(ListenersCommand::KeepAlive(room, is_silent));
        }
        for link in hang_up.drain(..).filter_map(|id| self.parents.get(&id)) {
            link.close("not used");
        }
        changed.drain(..).for_each(|why| self.meters.changed(why));
        if !otherwise.is_empty() {
            // Full: it comes to the same in a second.
            let _full = self.tools.changes.try_send(Change::Otherwise(std::mem::take(otherwise)));
        }
        for (parent, addr) in dial.drain(..) {
            let Tools { links, ids, queue, tasks, .. } = &self.tools;
            let id = ids.next();
            tasks.errand("parent link", take_parent(links.clone(), addr, parent, id, queue.clone()));
        }
    }

    fn look_at_nodes(&mut self) {
        let live = self.tools.live.borrow_and_update().clone();
        let can_dial = |link: &SocketAddr| link.is_ipv4() || self.tools.links.local_addr().is_ipv6();
        let links = live.values().map(|node| {
            let links = node.links_from(self.rooms.region());
            (node.node.clone(), links.into_iter().filter(can_dial).collect())
        });
        let links = links.filter(|(_, links): &(_, Vec<_>)| !links.is_empty()).collect();
        let edges = live.values().filter(|node| node.kind == NodeKind::Edge && node.admits);
        let edges = edges.map(|node| Member { node: node.node.clone(), region: node.region.clone() });
        self.rooms.topology(Topology { links, edges: edges.collect() });
    }

    fn follow(&mut self) {
        self.meters.follow(&self.rooms, self.tools.queue.counts());
        self.parents.iter().for_each(|(&id, link)| self.meters.follow_parent(id, link));
        self.children.iter().for_each(|(&id, link)| self.meters.follow_link(id, link));
    }
}

fn send<M>(links: &HashMap<LinkId, LinkHandle<M>>, output: Output<M>) {
    let (Output::Datagram(id, _) | Output::Message(id, _)) = &output;
    // One that is gone meanwhile needs nothing more.
    let Some(link) = links.get(id) else { return };
    match output {
        Output::Datagram(_, datagram) => link.send_datagram(datagram),
        Output::Message(_, message) => link.send(message),
    }
}

#[cfg(test)]
mod tests;
