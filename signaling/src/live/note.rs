//! What the signaling nodes tell each other about a room, on `room.<id>`.

use cluster::Message;
use protocol::node::room_subject;
use protocol::{Identity, NodeId};
use room::presence::Share;
use room::{Change, Gone};
use serde::{Deserialize, Serialize};

use super::LiveRoom;
use super::people::Peer;

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
        /// Those that were replaced go on elsewhere, with their peers.
        resumed: bool,
    },
    /// Somebody went on at another node: these peers are theirs.
    HandOver {
        /// To this node.
        to: NodeId,
        /// Who.
        identity: Identity,
        /// At an edge.
        listen: Option<Peer>,
        /// At the origin.
        speak: Option<Peer>,
    },
    /// Who is at one node.
    Presence(Share),
}

impl LiveRoom {
    /// Tells the other nodes. Of what is lost here the stage is found by its version and presence is
    /// repeated.
    pub(super) async fn publish(&mut self, note: &Note) {
        let Ok(payload) = serde_json::to_vec(note) else { return };
        if let Err(error) = self.app.bus.publish(&room_subject(&self.id), payload.into()).await {
            tracing::warn!(%error, "the other signaling nodes are not told");
        }
    }

    /// Hears what another node tells; one's own notes come back too.
    pub(super) async fn hear(&mut self, message: &Message) {
        match serde_json::from_slice(&message.payload) {
            Ok(Note::Acted { from, version, changes, gone, resumed }) if from != self.app.config.node => {
                if self.room.as_ref().is_none_or(|room| room.version() < version) {
                    self.reload().await;
                }
                if resumed {
                    self.hand_over(&from, &gone).await;
                }
                self.follow(&changes, &gone);
            }
            Ok(Note::HandOver { to, identity, listen, speak }) if to == self.app.config.node => {
                self.take_over(&identity, listen, speak);
            }
            Ok(Note::Acted { .. } | Note::HandOver { .. }) => {}
            Ok(Note::Presence(share)) => {
                let now = self.app.elapsed_ms();
                let refused = self.presence.board(|board| {
                    let before = board.refused();
                    board.merge(now, share);
                    board.refused() - before
                });
                self.app.counters.shares_refused(refused);
            }
            Err(_) => self.app.counters.bad("bus_room"),
        }
    }

    /// Gives the peers of those who went on elsewhere to whoever has them now.
    async fn hand_over(&mut self, to: &NodeId, gone: &[Gone]) {
        let own = self.app.config.node.clone();
        for gone in gone.iter().filter(|gone| gone.session.node == own) {
            let Some((listen, speak)) = self.people.take_peers(&gone.identity) else { continue };
            let (to, identity) = (to.clone(), gone.identity.clone());
            self.publish(&Note::HandOver { to, identity, listen, speak }).await;
        }
    }

    /// Takes the peers of somebody who came over; of somebody who has left again, they go too.
    fn take_over(&mut self, identity: &Identity, listen: Option<Peer>, speak: Option<Peer>) {
        let Some(here) = self.people.get_mut(identity) else {
            for peer in [listen, speak].into_iter().flatten() {
                self.app.remove_peer(peer.node, peer.peer);
            }
            return;
        };
        here.listen = here.listen.take().or(listen);
        here.speak = here.speak.take().or(speak);
        self.people.index(identity);
    }
}
