//! What an edge does about requests: each listener on the shard that has the fewest.

use std::sync::Arc;

use media::listeners::{AdmitListener, ListenersCommand};
use node::Duty;
use protocol::node::{Admit, NodeKind, RoomOrigin, Stage};
use protocol::{ApiError, Code, PeerId, RoomId};
use room::stages::Heard;
use transport::ShardHandle;
use transport::queue::Full;

use crate::KIND;
use crate::relay::{Input, RelayQueue};

/// Hands requests to the shards, and tells the relay where rooms come from.
pub(crate) struct Listening {
    pub(crate) shards: Vec<ShardHandle<ListenersCommand>>,
    pub(crate) queue: Arc<RelayQueue>,
}

impl Duty for Listening {
    const KIND: NodeKind = KIND;

    fn admit(&mut self, peer: PeerId, admit: Admit, loads: &[u32]) -> Result<usize, ApiError> {
        let Admit { room, root, offer, .. } = admit;
        let shard = (0..loads.len()).min_by_key(|&shard| loads[shard]).unwrap_or_default();
        self.queue.push(Input::Known { room: room.clone(), root }).map_err(busy)?;
        let listener = AdmitListener { peer, room, offer };
        self.shards[shard].send(ListenersCommand::Admit(Box::new(listener))).map_err(busy)?;
        Ok(shard)
    }

    fn remove(&mut self, shard: usize, peer: PeerId) {
        self.shards[shard].send_always(ListenersCommand::Remove(peer));
    }

    fn stage(&mut self, _stage: Stage) -> Result<(), ApiError> {
        Err(ApiError::new(Code::BadRequest, "an edge has no stage"))
    }

    fn origin(&mut self, RoomOrigin { room, root, .. }: RoomOrigin) -> Heard {
        // Full: it is told again in a second. Where the relay knows otherwise it says so by itself.
        let _full = self.queue.push(Input::Moved { room, root });
        Heard::Known
    }

    fn close(&mut self, room: &RoomId) -> Result<(), ApiError> {
        self.queue.push(Input::Close(room.clone())).map_err(busy)?;
        self.shards
            .iter()
            .try_for_each(|shard| shard.send(ListenersCommand::Close(room.clone())))
            .map_err(busy)
    }
}

fn busy(_: Full) -> ApiError {
    ApiError::new(Code::Unavailable, "this node is too busy").retry_after_ms(1_000)
}
