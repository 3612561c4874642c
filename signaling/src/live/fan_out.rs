//! What people are told when the room has changed.
//!
//! Stage and hands are told as the difference between the state that was last shown and the newest
//! one, so that nothing depends on the order in which news arrive. What concerns one person comes
//! from the list of changes.

use std::sync::Arc;

use cluster::Acted;
use protocol::Identity;
use protocol::message::{Hand, RemoveReason, RoomState, ServerMessage, StageMember};
use protocol::token::Role;
use room::{Change, Gone, Room};

use super::LiveRoom;
use super::note::Note;

impl LiveRoom {
    /// Takes what was done here, and tells the other nodes.
    pub(super) async fn spread(&mut self, acted: Acted) {
        self.spread_entry(acted, false).await;
    }

    /// The same, where it may be that somebody `resumed`.
    pub(super) async fn spread_entry(&mut self, acted: Acted, resumed: bool) {
        let Acted { room, outcome, gone } = &acted;
        let is_news = outcome.version != outcome.before || !outcome.changes.is_empty() || !gone.is_empty();
        let note = is_news.then(|| Note::Acted {
            from: self.app.config.node.clone(),
            version: room.version(),
            changes: outcome.changes.clone(),
            gone: gone.clone(),
            resumed,
        });
        self.adopt(acted);
        if let Some(note) = note {
            self.publish(&note).await;
        }
    }

    /// Takes what was done, here or elsewhere.
    pub(super) fn adopt(&mut self, acted: Acted) {
        self.show(acted.room);
        self.follow(&acted.outcome.changes, &acted.gone);
    }

    /// Tells everybody what is different in `room`, unless something newer has been shown.
    pub(super) fn show(&mut self, room: Arc<Room>) {
        let before = self.room.clone();
        if before.as_ref().is_some_and(|before| !is_newer(before, &room)) {
            return;
        }
        self.room = Some(room.clone());
        let before = before.filter(|before| before.state() != RoomState::Ended);
        self.is_closed &= room.state() == RoomState::Ended;
        if room.state() != RoomState::Ended {
            self.show_stage(before.as_deref(), &room);
            self.show_hands(before.as_deref(), &room);
        }
        let info = room.info();
        if before.is_none_or(|before| before.info() != info) {
            let (state, since, title) = (info.state, info.since, info.title);
            self.people.tell_all(&self.app.counters, &ServerMessage::Room { state, since, title });
        }
        let now = self.app.elapsed_ms();
        self.presence.board(|board| board.stage(now, &room));
        let origin = room.origin().filter(|_| room.state() != RoomState::Ended);
        self.app.origins.set(&self.id, origin);
        self.push.want(room.node_stage().zip(room.origin().map(|(node, _)| node.clone())));
        self.people.count(&self.app.counters, self.room.as_deref());
    }

    fn show_stage(&mut self, before: Option<&Room>, after: &Room) {
        let old = before.map(Room::members).unwrap_or_default();
        let new = after.members();
        let (set, gone) = stage_difference(&old, new);
        for identity in &gone {
            self.left_stage(identity);
        }
        if !set.is_empty() || !gone.is_empty() {
            let message = ServerMessage::Stage { version: after.version(), set, gone };
            self.people.tell_all(&self.app.counters, &message);
        }
    }

    fn show_hands(&self, before: Option<&Room>, after: &Room) {
        let old = before.map(Room::hands).unwrap_or_default();
        let (up, down) = hands_difference(&old, after.hands());
        if up.is_empty() && down.is_empty() {
            return;
        }
        let version = after.version();
        // Whose hand a host lowered would otherwise go on waiting. Those on stage have been told more,
        // and hosts are told everything below.
        let waits = |identity: &&Identity| after.place(identity).role == Role::Listener;
        for identity in down.iter().filter(waits) {
            let own = ServerMessage::Hands { version, up: Vec::new(), down: vec![identity.clone()] };
            self.people.tell(&self.app.counters, identity, &own);
        }
        self.people.tell_hosts(&self.app.counters, &ServerMessage::Hands { version, up, down });
    }

    /// Tells single people, and lets go of those who are gone.
    pub(super) fn follow(&mut self, changes: &[Change], gone: &[Gone]) {
        for change in changes {
            self.tell_one(change);
        }
        for gone in gone {
            self.put_out(gone);
        }
        if self.room.as_ref().is_some_and(|room| room.state() == RoomState::Ended) {
            self.end();
        }
        self.people.count(&self.app.counters, self.room.as_deref());
    }

    fn tell_one(&mut self, change: &Change) {
        let counters = &self.app.counters;
        match change.clone() {
            Change::Promoted { identity, by, number, muted } => {
                self.people.tell(counters, &identity, &ServerMessage::Promoted { by, number, muted });
            }
            Change::Demoted { identity, by } => {
                self.people.tell(counters, &identity, &ServerMessage::Demoted { by });
            }
            Change::Muted { identity, by } => {
                self.people.tell(counters, &identity, &ServerMessage::Muted { by });
            }
            Change::Invited { identity, by, expires_ms } => {
                let message = ServerMessage::Invited { identity: None, by, expires_ms };
                self.people.tell(counters, &identity, &message);
            }
            Change::Declined { identity, why } => {
                self.people.tell_hosts(counters, &ServerMessage::Declined { identity, why });
            }
            // Told as differences, or by `put_out`.
            Change::Stage { .. } | Change::Hands { .. } | Change::Room { .. } => {}
            Change::Removed { .. } | Change::Origin { .. } => {}
        }
    }

    /// Ends a session that is over, if it is one of ours.
    fn put_out(&mut self, gone: &Gone) {
        let is_ours = gone.session.node == self.app.config.node;
        let number = self.people.get_mut(&gone.identity).map(|here| here.number);
        if !is_ours || number != Some(gone.session.number) {
            return;
        }
        self.let_go(&gone.identity, gone.reason);
    }

    /// Forgets somebody: their socket closes, and their peers go.
    pub(super) fn let_go(&mut self, identity: &Identity, reason: RemoveReason) {
        let peers = self.people.take_peers(identity);
        let Some(here) = self.people.remove(identity) else { return };
        if let Some(lanes) = here.lanes() {
            lanes.end(reason);
        }
        for peer in peers.into_iter().flat_map(|(listen, speak)| [listen, speak]).flatten() {
            self.app.remove_peer(peer.node, peer.peer);
        }
        self.forget_lingering(identity);
        let now = self.app.elapsed_ms();
        self.presence.board(|board| board.leave(now, identity));
    }

    /// The room is over: everybody goes, and the nodes forget it.
    fn end(&mut self) {
        if self.people.is_empty() && self.is_closed {
            return;
        }
        for (identity, here) in self.people.drain() {
            if let Some(lanes) = here.lanes() {
                lanes.end(RemoveReason::Ended);
            }
            self.presence.board(|board| board.leave(self.app.elapsed_ms(), &identity));
        }
        self.lingering.clear();
        self.is_closed = true;
        self.push.want(None);
        // Without an origin it had no peers.
        if let Some((_, epoch)) = self.room.as_ref().and_then(|room| room.origin()) {
            self.app.close_room(&self.id, epoch);
        }
    }
}

/// Whether `room` is to be shown after `before`. A room that was made in place of an ended one counts
/// from the beginning, but its state is younger.
fn is_newer(before: &Room, room: &Room) -> bool {
    let is_anew = before.state() == RoomState::Ended && room.state() != RoomState::Ended;
    if is_anew { room.info().since >= before.info().since } else { room.version() > before.version() }
}

/// Who is new or different on stage, and who is no longer there.
fn stage_difference(old: &[StageMember], new: Vec<StageMember>) -> (Vec<StageMember>, Vec<Identity>) {
    let is_there = |identity: &Identity| new.iter().any(|member| member.identity == *identity);
    let gone = old.iter().map(|member| &member.identity).filter(|identity| !is_there(identity)).cloned();
    let gone = gone.collect();
    (new.into_iter().filter(|member| !old.contains(member)).collect(), gone)
}

/// Which hands went up, and which went down.
fn hands_difference(old: &[Hand], new: Vec<Hand>) -> (Vec<Hand>, Vec<Identity>) {
    let before: std::collections::HashSet<(&Identity, u64)> =
        old.iter().map(|hand| (&hand.identity, hand.since)).collect();
    let after: std::collections::HashSet<&Identity> = new.iter().map(|hand| &hand.identity).collect();
    let down = old.iter().map(|hand| &hand.identity).filter(|identity| !after.contains(identity));
    let down: Vec<Identity> = down.cloned().collect();
    let up = new.iter().filter(|hand| !before.contains(&(&hand.identity, hand.since))).cloned().collect();
    (up, down)
}

#[cfg(test)]
mod tests {
    use protocol::SpeakerNumber;

    use super::*;

    fn id(text: &str) -> Identity {
        Identity::new(text).unwrap()
    }

    fn member(name: &str, muted: bool) -> StageMember {
        let number = SpeakerNumber(1);
        StageMember { identity: id(name), name: name.into(), number, host: false, muted }
    }

    #[test]
    fn the_stage_is_told_as_what_is_different() {
        let old = [member("anna", false), member("ben", false), member("carl", false)];
        let new = vec![member("anna", false), member("ben", true), member("dora", false)];
        let (set, gone) = stage_difference(&old, new);
        assert_eq!(set, [member("ben", true), member("dora", false)]);
        assert_eq!(gone, [id("carl")]);
    }

    #[test]
    fn a_hand_that_went_down_and_up_again_is_up_anew() {
        let hand = |name: &str, since| Hand { identity: id(name), name: name.into(), since };
        let (up, down) = hands_difference(&[hand("a", 1), hand("b", 2)], vec![hand("b", 5), hand("c", 6)]);
        assert_eq!(up, [hand("b", 5), hand("c", 6)]);
        assert_eq!(down, [id("a")]);
    }
}
