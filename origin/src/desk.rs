//! What an origin does about requests: each room on the shard that its name falls to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use media::speakers::{AdmitSpeaker, SpeakersCommand};
use node::Duty;
use protocol::node::{Admit, NodeKind, RoomOrigin, Root, Stage};
use protocol::{ApiError, Code, Epoch, NodeId, PeerId, RoomId};
use room::stages::{Heard, Outdated, Stages};
use transport::ShardHandle;
use transport::queue::Full;

use crate::relay::{Input, RelayQueue};
use crate::{KIND, MAX_ROOMS};

/// Hands requests to the shards, and tells the relay which rooms there are.
pub(crate) struct Speaking {
    shards: Vec<ShardHandle<SpeakersCommand>>,
    queue: Arc<RelayQueue>,
    stages: Stages,
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
        self.stages.open(&room, epoch);
        self.open(&room, epoch)?;
        let speaker = AdmitSpeaker { peer, room, identity, number, epoch, offer };
        self.shards[shard].send(SpeakersCommand::Admit(Box::new(speaker))).map_err(busy)?;
        Ok(shard)
    }

    fn remove(&mut self, shard: usize, peer: PeerId) {
        self.shards[shard].send_always(SpeakersCommand::Remove(peer));
    }

    fn stage(&mut self, stage: Stage) -> Result<(), ApiError> {
        let outdated = |outdated: Outdated| ApiError::new(Code::Conflict, outdated.to_string());
        self.stages.take(&stage).map_err(outdated)?;
        self.open(&stage.room, stage.epoch)?;
        let shard = self.shard(&stage.room);
        self.shards[shard].send(SpeakersCommand::Stage(stage)).map_err(busy)
    }

    fn origin(&mut self, told: RoomOrigin) -> Heard {
        self.stages.hear(&told)
    }

    fn close(&mut self, room: &RoomId) -> Result<(), ApiError> {
        self.stages.close(room);
        self.shards[self.shard(room)].send(SpeakersCommand::Close(room.clone())).map_err(busy)?;
        self.queue.push(Input::Close(room.clone())).map_err(busy)
    }
}

impl Speaking {
    pub(crate) fn new(me: NodeId, shards: Vec<ShardHandle<SpeakersCommand>>, queue: Arc<RelayQueue>) -> Self {
        let stages = Stages::new(me, MAX_ROOMS * shards.len());
        Self { shards, queue, stages }
    }

    fn shard(&self, room: &RoomId) -> usize {
        let mut hasher = DefaultHasher::new();
        room.hash(&mut hasher);
        (hasher.finish() % self.shards.len() as u64) as usize
    }

    fn open(&self, room: &RoomId, epoch: Epoch) -> Result<(), ApiError> {
        self.queue.push(Input::Open { room: room.clone(), epoch }).map_err(busy)
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
