//! The parent's side of the relay: who gets which room, and help for those who lost something.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use protocol::frame::{self, Frame};
use protocol::link::{Missing, ParentMessage};
use protocol::{Epoch, NodeId, RoomId};

use super::{History, LinkId, Output, Redundancy, datagram, length};

/// Most rooms that one child may subscribe to.
pub const MAX_SUBSCRIPTIONS: usize = 8_192;

/// Most rooms whose history is kept.
pub const MAX_ROOMS: usize = 16_384;

/// Everything this node sends to its children.
#[derive(Debug, Default)]
pub struct Downstream {
    rooms: HashMap<RoomId, Room>,
    children: HashMap<LinkId, Child>,
    stats: DownstreamStats,
}

/// What was done for children, since the node started.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct DownstreamStats {
    /// Frames that a child lacked and got.
    pub resent: u64,
    /// Requests about a channel that is not subscribed: late ones, or nonsense.
    pub unknown_channel: u64,
}

#[derive(Debug, Default)]
struct Room {
    history: History,
    /// The root first, this node last. Empty: no way to the root.
    path: Vec<NodeId>,
    epoch: Epoch,
    /// In the order of the links, so that a run can be replayed.
    children: BTreeMap<LinkId, u32>,
}

#[derive(Debug, Default)]
struct Child {
    channels: HashMap<u32, RoomId>,
    redundancy: Redundancy,
}

/// Why a child does not get a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// It said so on a link that is gone.
    #[error("no such link")]
    Link,
    /// The channel is in use for another room.
    #[error("channel in use")]
    Channel,
    /// [`MAX_SUBSCRIPTIONS`] or [`MAX_ROOMS`] is reached.
    #[error("too many rooms")]
    TooMany,
}

type Outputs = Vec<Output<ParentMessage>>;

impl Downstream {
    /// A child has linked.
    pub fn link_up(&mut self, link: LinkId) {
        self.children.insert(link, Child::default());
    }

    /// A child's link has ended; gives the rooms that it had.
    pub fn link_lost(&mut self, link: LinkId) -> Vec<RoomId> {
        let child = self.children.remove(&link).unwrap_or_default();
        let rooms: Vec<_> = child.channels.into_values().collect();
        for room in &rooms {
            if let Some(room) = self.rooms.get_mut(room) {
                room.children.remove(&link);
            }
        }
        rooms
    }

    /// A child wants a room on a channel of its choice; it is told the path, now and whenever it changes.
    pub fn subscribe(
        &mut self,
        link: LinkId,
        room: &RoomId,
        channel: u32,
        out: &mut Outputs,
    ) -> Result<(), SubscribeError> {
        let child = self.children.get_mut(&link).ok_or(SubscribeError::Link)?;
        let rooms = self.rooms.len();
        let subscriptions = child.channels.len();
        match child.channels.entry(channel) {
            Entry::Occupied(_) => return Err(SubscribeError::Channel),
            Entry::Vacant(_) if subscriptions >= MAX_SUBSCRIPTIONS => return Err(SubscribeError::TooMany),
            Entry::Vacant(_) if rooms >= MAX_ROOMS && !self.rooms.contains_key(room) => {
                return Err(SubscribeError::TooMany);
            }
            Entry::Vacant(entry) => entry.insert(room.clone()),
        };
        let state = self.rooms.entry(room.clone()).or_default();
        if let Some(earlier) = state.children.insert(link, channel) {
            child.channels.remove(&earlier);
        }
        out.push(state.tell_path(link, channel));
        Ok(())
    }

    /// A child no longer wants what is on a channel; gives the room.
    pub fn unsubscribe(&mut self, link: LinkId, channel: u32) -> Option<RoomId> {
        let room = self.children.get_mut(&link)?.channels.remove(&channel)?;
        if let Some(state) = self.rooms.get_mut(&room) {
            state.children.remove(&link);
        }
        Some(room)
    }

    /// Whether any child has the room.
    pub fn has_children(&self, room: &RoomId) -> bool {
        self.rooms.get(room).is_some_and(|room| !room.children.is_empty())
    }

    /// Which way the room comes, this node last; children are told when that is news.
    pub fn set_path(&mut self, room: &RoomId, path: Vec<NodeId>, epoch: Epoch, out: &mut Outputs) {
        if self.rooms.len() >= MAX_ROOMS && !self.rooms.contains_key(room) {
            return;
        }
        let state = self.rooms.entry(room.clone()).or_default();
        if state.path != path || state.epoch != epoch {
            (state.path, state.epoch) = (path, epoch);
            out.extend(state.children.iter().map(|(&link, &channel)| state.tell_path(link, channel)));
        }
    }

    /// Sends a frame to all children of the room, and keeps it.
    pub fn forward(&mut self, room: &RoomId, frame: &Frame, out: &mut Outputs) {
        let Some(room) = self.rooms.get_mut(room) else { return };
        let mut frames = Vec::with_capacity(frame::MAX_FRAMES);
        for (link, &channel) in &room.children {
            let wanted = self.children.get(link).map_or(0, |child| child.redundancy.frames());
            with_earlier(&room.history, frame, wanted, &mut frames);
            out.push(Output::Datagram(*link, datagram(channel, &frames)));
        }
        room.history.push(frame.clone());
    }

    /// Answers a child who lacks frames, with what is kept of them.
    pub fn missing(&mut self, link: LinkId, missing: &Missing, out: &mut Outputs) {
        let room = self.children.get(&link).and_then(|child| child.channels.get(&missing.channel));
        let Some(room) = room.and_then(|room| self.rooms.get(room)) else {
            self.stats.unknown_channel += 1;
            return;
        };
        let mut frames: Vec<Frame> = Vec::with_capacity(frame::MAX_FRAMES);
        for &number in &missing.numbers {
            // What is not here either comes to this node later, or never, and goes down by itself.
            let Some(frame) = room.history.get(missing.epoch, missing.voice, number) else { continue };
            self.stats.resent += 1;
            frames.push(frame.clone());
            if !fits(&frames) {
                let over = frames.pop();
                out.push(Output::Datagram(link, datagram(missing.channel, &frames)));
                frames.clear();
                frames.extend(over);
            }
        }
        if !frames.is_empty() {
            out.push(Output::Datagram(link, datagram(missing.channel, &frames)));
        }
    }

    /// A child has told how much its link loses.
    pub fn loss(&mut self, now: Instant, link: LinkId, loss_permille: u16) {
        if let Some(child) = self.children.get_mut(&link) {
            child.redundancy.report(now, loss_permille);
        }
    }

    /// The room is over: its history is forgotten, its children are told.
    pub fn close(&mut self, room: &RoomId, out: &mut Outputs) {
        let Some(state) = self.rooms.remove(room) else { return };
        for (link, channel) in state.children {
            if let Some(child) = self.children.get_mut(&link) {
                child.channels.remove(&channel);
            }
            out.push(Output::Message(
                link,
                ParentMessage::Refused { channel, why: "the room is over".into() },
            ));
        }
    }

    /// Children that are linked.
    pub fn links(&self) -> usize {
        self.children.len()
    }

    /// What was done for children.
    pub fn stats(&self) -> &DownstreamStats {
        &self.stats
    }
}

impl Room {
    fn tell_path(&self, link: LinkId, channel: u32) -> Output<ParentMessage> {
        Output::Message(link, ParentMessage::Path { channel, nodes: self.path.clone(), epoch: self.epoch })
    }
}

/// `frame` with up to `wanted` frames before it, as many as fit; oldest first.
fn with_earlier(history: &History, frame: &Frame, wanted: usize, frames: &mut Vec<Frame>) {
    frames.clear();
    frames.push(frame.clone());
    for back in 1..=wanted as u32 {
        let Some(earlier) = history.before(frame, back) else { break };
        frames.insert(0, earlier.clone());
        if !fits(frames) {
            frames.remove(0);
            break;
        }
    }
}

fn fits(frames: &[Frame]) -> bool {
    frames.len() <= frame::MAX_FRAMES && (frames.len() == 1 || length(frames) <= frame::MAX_DATAGRAM)
}
