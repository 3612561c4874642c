//! What an origin does about requests: each room on the shard that its name falls to.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use media::speakers::{AdmitSpeaker, SpeakersCommand};
use node::Duty;
use protocol::node::{Admit, NodeKind, RoomOrigin, Root, Stage};
use protocol::{ApiError, Code, Epoch, NodeId, PeerId, RoomId};
use transport::ShardHandle;
use transport::queue::Full;

use crate::relay::{Input, RelayQueue};
use crate::{KIND, MAX_ROOMS};

/// Hands requests to the shards, and tells the relay which rooms there are.
pub(crate) struct Speaking {
    me: NodeId,
    shards: Vec<ShardHandle<SpeakersCommand>>,
    queue: Arc<RelayQueue>,
    /// The rooms that it was given, each with the epoch: at most as many as the shards take.
    rooms: HashMap<RoomId, (Epoch, u64)>,
}

impl Duty for Speaking {
    const KIND: NodeKind = KIND;

    fn admit(&mut self, peer: PeerId, admit: Admit, _loads: &[u32]) -> Result<usize, ApiError> {
        let Admit { room, identity, speaker, root, offer, .. } = admit;
        let missing =
            |what| ApiError::new(Code::BadRequest, format!("`{what}`: an origin takes speakers only"));
        let number = speaker.ok_or_else(|| missing("speaker"))?;
        let Root { epoch, .. } = root.ok_or_else(|| missing("root"))?;
        let shard = self.shard(&room);
        self.open(&room, (epoch, 0))?;
        let speaker = AdmitSpeaker { peer, room, identity, number, epoch, offer };
        self.shards[shard].send(SpeakersCommand::Admit(Box::new(speaker))).map_err(busy)?;
        Ok(shard)
    }

    fn remove(&mut self, shard: usize, peer: PeerId) {
        self.shards[shard].send_always(SpeakersCommand::Remove(peer));
    }

    fn stage(&mut self, stage: Stage) -> Result<(), ApiError> {
        let told = (stage.epoch, stage.version);
        if self.rooms.get(&stage.room).is_some_and(|known| *known > told) {
            let says = "the room is known here with a later epoch, or a later version of its stage";
            return Err(ApiError::new(Code::Conflict, says));
        }
        self.open(&stage.room, told)?;
        let shard = self.shard(&stage.room);
        self.shards[shard].send(SpeakersCommand::Stage(stage)).map_err(busy)
    }

    fn origin(&mut self, RoomOrigin { room, root }: RoomOrigin) -> bool {
        root.origin != self.me && self.rooms.get(&room).is_some_and(|(ours, _)| root.epoch > *ours)
    }

    fn close(&mut self, room: &RoomId) -> Result<(), ApiError> {
        self.rooms.remove(room);
        self.shards[self.shard(room)].send(SpeakersCommand::Close(room.clone())).map_err(busy)?;
        self.queue.push(Input::Close(room.clone())).map_err(busy)
    }
}

impl Speaking {
    pub(crate) fn new(me: NodeId, shards: Vec<ShardHandle<SpeakersCommand>>, queue: Arc<RelayQueue>) -> Self {
        Self { me, shards, queue, rooms: HashMap::new() }
    }

    fn shard(&self, room: &RoomId) -> usize {
        let mut hasher = DefaultHasher::new();
        room.hash(&mut hasher);
        (hasher.finish() % self.shards.len() as u64) as usize
    }

    fn open(&mut self, room: &RoomId, told: (Epoch, u64)) -> Result<(), ApiError> {
        if self.rooms.len() < MAX_ROOMS * self.shards.len() || self.rooms.contains_key(room) {
            let known = self.rooms.entry(room.clone()).or_default();
            *known = told.max(*known);
        }
        self.queue.push(Input::Open { room: room.clone(), epoch: told.0 }).map_err(busy)
    }
}

fn busy(_: Full) -> ApiError {
    ApiError::new(Code::Unavailable, "this node is too busy").retry_after_ms(1_000)
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;
    use transport::{Queue, Shard};

    use super::*;

    #[test]
    fn a_full_shard_still_ends_peers_and_does_not_say_that_it_has_closed_a_room() {
        let (_shard, handle) = Shard::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let me = NodeId::new("origin-1").unwrap();
        let mut speaking = Speaking::new(me, vec![handle.clone()], Arc::new(Queue::new(Notify::new())));
        let room = RoomId::new("hall").unwrap();
        assert_eq!(speaking.close(&room), Ok(()));
        while handle.send(SpeakersCommand::Remove(PeerId(1))).is_ok() {}
        assert_eq!(speaking.close(&room).unwrap_err().code, Code::Unavailable);
        let refused = handle.queue_counts().refused;
        speaking.remove(0, PeerId(2));
        assert_eq!(handle.queue_counts().refused, refused, "nobody would ask for it again");
    }
}
