//! What the signaling nodes tell each other about a room, on `room.<id>`.

use protocol::{NodeId, RoomId};
use room::presence::Share;
use room::{Change, Gone};
use serde::{Deserialize, Serialize};

use super::LiveRoom;

/// One of these.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Note {
    /// Something was done in the store.
    Acted {
        /// By this node.
        from: NodeId,
        /// The room's version now: whoever has an older one loads it.
        version: u64,
        /// What people must be told.
        changes: Vec<Change>,
        /// Sessions that ended by it.
        gone: Vec<Gone>,
    },
    /// Who is at one node.
    Presence(Share),
}

/// Where a room's notes are published.
pub(super) fn subject(room: &RoomId) -> String {
    format!("room.{room}")
}

impl LiveRoom {
    /// Tells the other nodes. What is lost here is found by version, or repeated.
    pub(super) async fn publish(&mut self, note: &Note) {
        let Ok(payload) = serde_json::to_vec(note) else { return };
        if let Err(error) = self.app.bus.publish(&subject(&self.id), payload.into()).await {
            tracing::warn!(%error, "the other signaling nodes are not told");
        }
    }

    /// Hears what another node tells; one's own notes come back too.
    pub(super) async fn hear(&mut self, payload: &[u8]) {
        match serde_json::from_slice(payload) {
            Ok(Note::Acted { from, version, changes, gone }) if from != self.app.config.node => {
                if self.room.as_ref().is_none_or(|room| room.version() < version) {
                    self.reload().await;
                }
                self.follow(&changes, &gone);
            }
            Ok(Note::Acted { .. }) => {}
            Ok(Note::Presence(share)) => {
                self.presence.board(|board| board.merge(crate::app::now_ms(), share));
            }
            Err(_) => self.app.counters.bad("bus_room"),
        }
    }
}
