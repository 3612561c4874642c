//! The peers that people have at media nodes: who may get one, which one holds, what happens when it or
//! its node is gone.
//!
//! A peer that is replaced stays for a while: whoever is moved, promoted or demoted goes on hearing on
//! the old one until the new one is up and their browser has switched to it.

use std::sync::Arc;
use std::time::Duration;

use protocol::message::{MoveReason, Purpose, RoomState, ServerMessage};
use protocol::node::{Event, NodeKind, PeerEvent};
use protocol::{ApiError, Code, Epoch, Identity, NodeId, PeerId};
use room::Room;
use tokio::time::Instant;

use super::people::{Contact, Peer};
use super::{Admitted, LiveRoom, Permit};
use crate::media::no_node;
use crate::rooms::Member;

/// How long the origin's peer of somebody who left the stage goes on, with nothing from their
/// microphone, while they get one at an edge.
const OFF_STAGE: Duration = Duration::from_secs(15);

impl LiveRoom {
    /// Whether somebody may have media, and from where it comes.
    pub(super) async fn permit(&mut self, who: &Member, purpose: Purpose) -> Result<Permit, ApiError> {
        if self.people.current(who).is_none() {
            return Err(not_here());
        }
        let room = self.room.clone().ok_or_else(super::no_room)?;
        if room.state() == RoomState::Ended {
            return Err(ApiError::new(Code::Ended, "the room has ended"));
        }
        let speaker = match purpose {
            Purpose::Listen => None,
            Purpose::Speak => Some(room.place(&who.identity).number.ok_or_else(not_on_stage)?),
        };
        let (origin, epoch) = self.origin(&room).await?;
        Ok(Permit { origin, epoch, speaker })
    }

    /// The room's origin: the one it has, or one that is assigned now.
    async fn origin(&mut self, room: &Arc<Room>) -> Result<(NodeId, Epoch), ApiError> {
        let known = room.origin().map(|(node, epoch)| (node.clone(), epoch));
        if let Some((node, epoch)) = &known
            && self.lost_origin != Some(*epoch)
            && self.app.nodes.live().contains_key(node)
        {
            return Ok((node.clone(), *epoch));
        }
        self.assign_origin(known.map(|(_, epoch)| epoch)).await
    }

    async fn assign_origin(&mut self, lost: Option<Epoch>) -> Result<(NodeId, Epoch), ApiError> {
        let chosen =
            self.app.nodes.place(NodeKind::Origin, &self.app.config.region, &[]).ok_or_else(no_node)?;
        let acted = self.app.halls.assign_origin(&self.id, &chosen.node, lost).await?;
        let origin = acted.room.origin().map(|(node, epoch)| (node.clone(), epoch));
        self.spread(acted).await;
        origin.ok_or_else(no_node)
    }

    /// Notes a peer that a node has made. An error means that nobody wants it any more.
    pub(super) fn admitted(&mut self, who: &Member, admitted: Admitted) -> Result<(), ApiError> {
        let Admitted { purpose, turn, node, peer } = admitted;
        let on_stage = self.room.as_ref().is_some_and(|room| room.place(&who.identity).number.is_some());
        let here = self.people.current(who).ok_or_else(not_here)?;
        if purpose == Purpose::Speak && !on_stage {
            return Err(not_on_stage());
        }
        here.had_media = true;
        let place = here.peer(purpose);
        if place.as_ref().is_some_and(|other| other.turn > turn) {
            return Err(ApiError::new(Code::Conflict, "a later request has replaced this one"));
        }
        let old = place.replace(Peer { node, peer, turn });
        self.people.index(&who.identity);
        if let Some(old) = old {
            self.linger(&who.identity, old, self.app.config.times.replaced);
        }
        Ok(())
    }

    /// Somebody is no longer on stage: they hear the origin until they have an edge. A WHIP client
    /// cannot be told, so its session ends.
    pub(super) fn left_stage(&mut self, identity: &Identity) {
        let Some(here) = self.people.get_mut(identity) else { return };
        if matches!(here.contact, Contact::Whip { .. }) {
            self.unseated.push(identity.clone());
        } else if let Some(peer) = here.speak.take() {
            self.linger(identity, peer, OFF_STAGE);
        }
    }

    fn linger(&mut self, identity: &Identity, peer: Peer, time: Duration) {
        self.people.forget_peer(&peer);
        let out = self.lingering.keep(identity, (peer.node, peer.peer), Instant::now() + time);
        if let Some((node, peer)) = out {
            self.app.counters.lingering_full();
            self.app.remove_peer(node, peer);
        }
    }

    /// Removes the peers whose time is over.
    pub(super) fn let_go_of_lingering(&mut self) {
        let now = Instant::now();
        while let Some((node, peer)) = self.lingering.take_due(now) {
            self.app.remove_peer(node, peer);
        }
    }

    /// Removes what somebody left behind, at once: they are out.
    pub(super) fn forget_lingering(&mut self, identity: &Identity) {
        for (node, peer) in self.lingering.take_of(identity) {
            self.app.remove_peer(node, peer);
        }
    }

    /// Something happened to a peer without our having asked for it.
    pub(super) async fn event(&mut self, event: Event) {
        match event.what {
            PeerEvent::Connected => self.peer_up(event.node, event.peer),
            PeerEvent::Gone => self.peer_gone(event.node, event.peer).await,
        }
    }

    /// The peers before this one are needed no longer. One that somebody has besides, at an edge while
    /// they are on stage, is not among them.
    fn peer_up(&mut self, node: NodeId, peer: PeerId) {
        if let Some(identity) = self.people.whose(&(node, peer)) {
            self.lingering.hurry(identity, Instant::now() + self.app.config.times.switched);
        }
    }

    async fn peer_gone(&mut self, node: NodeId, peer: PeerId) {
        let key = (node, peer);
        self.lingering.drop(&key);
        if let Some((identity, purpose)) = self.people.lose_peer(&key) {
            self.peer_lost(&identity, purpose, MoveReason::PeerLost).await;
        }
    }

    /// All peers at a node are gone, or will be.
    pub(super) async fn node_changed(&mut self, node: &NodeId, why: MoveReason) {
        if why == MoveReason::NodeLost {
            self.origin_lost(node).await;
        }
        for (identity, purpose) in self.people.at_node(node, why != MoveReason::Drain) {
            self.peer_lost(&identity, purpose, why).await;
        }
    }

    /// The room's origin is gone, or has forgotten everything: another one takes over, or the same one
    /// with a higher epoch.
    async fn origin_lost(&mut self, node: &NodeId) {
        let epoch = self.room.as_ref().and_then(|room| room.origin()).filter(|(origin, _)| *origin == node);
        let Some(epoch) = epoch.map(|(_, epoch)| epoch) else { return };
        self.lost_origin = Some(epoch);
        if let Err(error) = self.assign_origin(Some(epoch)).await {
            tracing::warn!(%error, "a room has lost its origin, and there is no other yet");
        }
    }

    /// Asks somebody to come again for media; a WHIP or WHEP client cannot be asked and is gone.
    async fn peer_lost(&mut self, identity: &Identity, purpose: Purpose, why: MoveReason) {
        let on_stage = self.room.as_ref().is_some_and(|room| room.place(identity).number.is_some());
        let Some(here) = self.people.get_mut(identity) else { return };
        if matches!(here.contact, Contact::Whip { .. }) {
            if why != MoveReason::Drain {
                self.hang_up(identity).await;
            }
            return;
        }
        // On stage one hears the origin, off stage an edge: the other peer was left behind on purpose.
        let is_needed = match purpose {
            Purpose::Speak => on_stage,
            Purpose::Listen => !(on_stage && here.speak.is_some()),
        };
        if is_needed {
            self.people.tell(&self.app.counters, identity, &ServerMessage::Moved { purpose, why });
        }
    }
}

fn not_here() -> ApiError {
    ApiError::new(Code::Conflict, "another session has taken the place of this one")
}

fn not_on_stage() -> ApiError {
    ApiError::new(Code::Forbidden, "only those on stage may speak: raise a hand")
}
