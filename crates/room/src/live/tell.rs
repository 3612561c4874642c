//! What people are told when the room has changed.
//!
//! Stage and hands are told as the difference between what was last shown and what is there, so that nothing
//! depends on the order in which news arrive; and whoever was put out goes because the room says so. What
//! concerns one person comes from the list of changes.

use std::collections::BTreeMap;

use protocol::id::{Identity, NodeId};
use protocol::message::{Hand, RemoveReason, RoomInfo, RoomState, ServerMessage, StageMember};
use protocol::node::Root;
use protocol::token::Role;

use super::ledger::{News, Step};
use super::note::{Acted, Note};
use super::people::Peer;
use super::{Around, Effect, Live};
use crate::room::PENDING;
use crate::{Change, Gone, Numbered, Room};

/// What must be told of a step once it is shown.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) changes: Vec<Change>,
    pub(super) gone: Vec<Gone>,
}

/// What people were last shown.
#[derive(Debug, Default)]
pub(super) struct Shown {
    info: Option<RoomInfo>,
    /// Number of the head that was shown.
    head: Option<u64>,
    stage: Vec<StageMember>,
    /// The turn of each that is up.
    hands: BTreeMap<Identity, (u64, u32)>,
}

impl Live {
    /// Hears what another node tells; one's own notes come back too.
    pub(super) fn hear(&mut self, around: &mut Around<'_>, note: Note) {
        let own = &self.settings.owner.node;
        match note {
            Note::Acted(acted) if acted.from != *own => {
                let Acted { from, before, version, delta, changes, gone, resumed } = *acted;
                // Whose session is over need not wait for what came before.
                self.hand_over(&from, &gone, &resumed);
                self.follow(around, Told { changes: Vec::new(), gone });
                let told = Told { changes, gone: Vec::new() };
                if version == before {
                    self.ledger.heard_of(around.now, version);
                    return self.follow(around, told);
                }
                let news = self.ledger.take(around.now, Step { before, version, delta, told });
                self.show(around, news);
            }
            Note::HandOver { to, identity, listen, speak } if to == *own => {
                self.take_over(&identity, listen, speak);
            }
            Note::Known { version } => self.ledger.heard_of(around.now, version),
            Note::Presence { share, version } => {
                self.ledger.heard_of(around.now, version);
                around.board.merge(around.now, share);
            }
            Note::Acted(_) | Note::HandOver { .. } => {}
        }
    }

    /// Tells everybody what is different.
    pub(super) fn show(&mut self, around: &mut Around<'_>, news: News<Told>) {
        if let Some(room) = &news.unseen {
            self.shown.told(room);
        }
        if news.touched.as_ref().is_none_or(|touched| !touched.is_empty()) || self.is_head_news() {
            self.show_room(around, news.touched.as_deref());
        }
        for told in news.told {
            self.follow(around, told);
        }
        if news.is_restored {
            if let Some((_, epoch)) = self.ledger.newest().and_then(|room| room.origin()) {
                self.may_have_forgotten(epoch);
            }
            self.put_back(true);
        }
    }

    fn is_head_news(&self) -> bool {
        self.ledger.shown().is_some_and(|room| self.shown.head != Some(room.head.number))
    }

    fn show_room(&mut self, around: &mut Around<'_>, touched: Option<&[Identity]>) {
        let Some(room) = self.ledger.shown().cloned() else { return };
        let is_ended = room.state() == RoomState::Ended;
        self.is_closed &= is_ended;
        if self.is_head_news() || touched.is_none() {
            self.show_head(around, &room);
        }
        if !is_ended {
            self.show_hands(&room, touched);
            self.put_out_banned(around, &room, touched);
        } else {
            self.shown.hands.clear();
        }
        around.board.stage(around.now, &room);
    }

    fn show_head(&mut self, around: &mut Around<'_>, room: &Room) {
        let is_ended = room.state() == RoomState::Ended;
        if !is_ended {
            self.show_stage(around, room);
        }
        let info = room.info();
        if self.shown.info.as_ref() != Some(&info) {
            let (state, since, title) = (info.state, info.since, info.title.clone());
            self.effects.push(Effect::TellAll(ServerMessage::Room { state, since, title }));
        }
        self.shown.head = Some(room.head.number);
        if is_ended {
            // One that is made in its place begins anew.
            self.shown.stage.clear();
        }
        self.shown.info = Some(info);
        let root = room.origin().map(|(node, epoch)| Root { origin: node.clone(), epoch });
        if root.as_ref().is_some_and(|root| self.lost_origin.is_some_and(|lost| root.epoch > lost)) {
            self.lost_origin = None;
        }
        let root = root.filter(|_| !is_ended);
        self.effects.push(Effect::Origin(root.clone().map(|root| (root, room.head.number))));
        self.push.want(room.node_stage().zip(root.map(|root| root.origin)));
    }

    fn show_stage(&mut self, around: &mut Around<'_>, room: &Room) {
        let new = room.members();
        let old = std::mem::replace(&mut self.shown.stage, new.clone());
        let (set, gone) = stage_difference(&old, new);
        for identity in &gone {
            self.left_stage(around, identity);
        }
        if !set.is_empty() || !gone.is_empty() {
            self.effects.push(Effect::TellAll(ServerMessage::Stage { version: room.version(), set, gone }));
        }
    }

    fn show_hands(&mut self, room: &Room, touched: Option<&[Identity]>) {
        let (up, down) = self.shown.hands_difference(room, touched);
        if up.is_empty() && down.is_empty() {
            return;
        }
        let version = room.version();
        // Whose hand a host lowered would otherwise go on waiting. Those on stage have been told more,
        // and hosts are told everything below.
        let waits = |identity: &&Identity| room.place(identity).role == Role::Listener;
        for identity in down.iter().filter(waits) {
            let own = ServerMessage::Hands { version, up: Vec::new(), down: vec![identity.clone()] };
            self.tell(identity, own);
        }
        self.tell_hosts(ServerMessage::Hands { version, up, down });
    }

    /// Whoever the room says is out goes, also where nobody told so.
    fn put_out_banned(&mut self, around: &mut Around<'_>, room: &Room, touched: Option<&[Identity]>) {
        let mut out = Vec::new();
        let mut look = |identity: &Identity| {
            let Some(here) = self.people.get(identity) else { return };
            let standing = room.standing(identity);
            let farewell = standing.and_then(|standing| standing.farewell.as_ref());
            let tickets = here.entry.as_ref().map(|entry| &entry.value.tickets);
            if standing.is_some_and(|standing| standing.banned) {
                out.push((identity.clone(), RemoveReason::Banned));
            } else if let (Some(farewell), Some(tickets)) = (farewell, tickets)
                && farewell.is_of(tickets)
            {
                out.push((identity.clone(), farewell.reason));
            }
        };
        match touched {
            Some(touched) => touched.iter().for_each(look),
            None => room.standing.keys().for_each(&mut look),
        }
        for (identity, reason) in out {
            self.let_go(around, &identity, reason);
        }
    }

    /// Tells single people, and lets go of those who are gone.
    pub(super) fn follow(&mut self, around: &mut Around<'_>, told: Told) {
        let Told { changes, gone } = told;
        for change in changes {
            self.tell_one(change);
        }
        for gone in gone {
            self.put_out(around, &gone);
        }
        if self.ledger.shown().is_some_and(|room| room.state() == RoomState::Ended) {
            self.end(around);
        }
    }

    fn tell_one(&mut self, change: Change) {
        match change {
            Change::Promoted { identity, by, number, muted } => {
                self.tell(&identity, ServerMessage::Promoted { by, number, muted });
            }
            Change::Demoted { identity, by } => self.tell(&identity, ServerMessage::Demoted { by }),
            Change::Muted { identity, by } => self.tell(&identity, ServerMessage::Muted { by }),
            Change::Invited { identity, by, expires_ms } => {
                self.tell(&identity, ServerMessage::Invited { identity: None, by, expires_ms });
            }
            Change::Declined { identity, why } => self.tell_hosts(ServerMessage::Declined { identity, why }),
            // Told as differences, or by `put_out`.
            Change::Stage { .. } | Change::Hands { .. } | Change::Room { .. } => {}
            Change::Removed { .. } | Change::Origin { .. } => {}
        }
    }

    /// Ends a session that is over, if it is one of ours.
    fn put_out(&mut self, around: &mut Around<'_>, gone: &Gone) {
        let number = self.people.get(&gone.identity).map(|here| here.number);
        if gone.session.owner() == self.settings.owner && number == Some(gone.session.number) {
            self.let_go(around, &gone.identity, gone.reason);
        }
    }

    /// Forgets somebody: their socket closes, and their peers go.
    pub(super) fn let_go(&mut self, around: &mut Around<'_>, identity: &Identity, reason: RemoveReason) {
        let peers = self.people.take_peers(identity);
        let Some(here) = self.people.remove(identity) else { return };
        self.effects.push(Effect::End(here.number, reason));
        for Peer { node, peer, .. } in peers.into_iter().flat_map(|(listen, speak)| [listen, speak]).flatten()
        {
            self.effects.push(Effect::Remove(node, peer));
        }
        self.forget_lingering(identity);
        around.board.leave(around.now, identity);
    }

    /// The room is over: everybody goes, and the nodes forget it.
    fn end(&mut self, around: &mut Around<'_>) {
        if self.people.is_empty() && self.is_closed {
            return;
        }
        for (identity, here) in self.people.drain() {
            self.effects.push(Effect::End(here.number, RemoveReason::Ended));
            around.board.leave(around.now, &identity);
        }
        self.lingering.clear();
        self.is_closed = true;
        self.push.want(None);
        if let Some(room) = self.ledger.shown() {
            self.effects.push(Effect::Close(room.version(), room.origin().map(|(_, epoch)| epoch)));
        }
    }

    /// Gives the peers of those who went on elsewhere to whoever has them now.
    fn hand_over(&mut self, to: &NodeId, gone: &[Gone], resumed: &[Identity]) {
        for gone in gone.iter().filter(|gone| gone.session.owner() == self.settings.owner) {
            if !resumed.contains(&gone.identity) {
                continue;
            }
            let Some((listen, speak)) = self.people.take_peers(&gone.identity) else { continue };
            let (to, identity) = (to.clone(), gone.identity.clone());
            self.effects.push(Effect::Publish(Note::HandOver { to, identity, listen, speak }));
        }
    }

    /// Takes the peers of somebody who came over; of somebody who has left again, they go too.
    fn take_over(&mut self, identity: &Identity, listen: Option<Peer>, speak: Option<Peer>) {
        let Some(here) = self.people.get_mut(identity) else {
            for Peer { node, peer, .. } in [listen, speak].into_iter().flatten() {
                self.effects.push(Effect::Remove(node, peer));
            }
            return;
        };
        here.listen = here.listen.take().or(listen);
        here.speak = here.speak.take().or(speak);
        self.people.index(identity);
    }
}

impl Shown {
    /// Some have been told this, and the others what was shown: what differs is told to all, as it is then.
    fn told(&mut self, room: &Room) {
        let members = room.members();
        // By a name that nobody has: whatever comes is different from it.
        let unlike = |member: &StageMember| StageMember { name: String::new(), ..member.clone() };
        for shown in &mut self.stage {
            if !members.contains(shown) {
                *shown = unlike(shown);
            }
        }
        let is_new = |member: &&StageMember| !self.stage.iter().any(|it| it.identity == member.identity);
        let new: Vec<_> = members.iter().filter(is_new).map(unlike).collect();
        self.stage.extend(new);
        let turn = |identity: &Identity| room.hands.get(identity).map(Numbered::turn);
        let who: Vec<Identity> = self.hands.keys().chain(room.hands.keys()).cloned().collect();
        for identity in who {
            if self.hands.get(&identity).copied() != turn(&identity) {
                self.hands.insert(identity, (PENDING, 0));
            }
        }
    }

    /// Which hands went up since, and which went down. Only those that were touched can be different.
    fn hands_difference(&mut self, room: &Room, touched: Option<&[Identity]>) -> (Vec<Hand>, Vec<Identity>) {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        let mut look = |identity: &Identity, shown: &mut BTreeMap<Identity, _>| match room.hands.get(identity)
        {
            Some(hand) if shown.insert(identity.clone(), hand.turn()) != Some(hand.turn()) => {
                up.push(hand.shown(identity));
            }
            Some(_) => {}
            None if shown.remove(identity).is_some() => down.push(identity.clone()),
            None => {}
        };
        match touched {
            Some(touched) => touched.iter().for_each(|identity| look(identity, &mut self.hands)),
            None => {
                let shown: Vec<_> = self.hands.keys().cloned().collect();
                shown.iter().chain(room.hands.keys()).for_each(|identity| look(identity, &mut self.hands));
            }
        }
        up.sort_by_key(|hand| hand.turn);
        (up, down)
    }
}

/// Who is new or different on stage, and who is no longer there.
fn stage_difference(old: &[StageMember], new: Vec<StageMember>) -> (Vec<StageMember>, Vec<Identity>) {
    let is_there = |identity: &Identity| new.iter().any(|member| member.identity == *identity);
    let gone = old.iter().map(|member| &member.identity).filter(|identity| !is_there(identity)).cloned();
    let gone = gone.collect();
    (new.into_iter().filter(|member| !old.contains(member)).collect(), gone)
}

#[cfg(test)]
mod tests {
    use protocol::id::SpeakerNumber;

    use super::*;

    #[test]
    fn the_stage_is_told_as_what_is_different() {
        let id = |text: &str| Identity::new(text).unwrap();
        let member = |name: &str, muted| StageMember {
            identity: id(name),
            name: name.into(),
            number: SpeakerNumber(1),
            host: false,
            muted,
        };
        let old = [member("anna", false), member("ben", false), member("carl", false)];
        let new = vec![member("anna", false), member("ben", true), member("dora", false)];
        let (set, gone) = stage_difference(&old, new);
        assert_eq!(set, [member("ben", true), member("dora", false)]);
        assert_eq!(gone, [id("carl")]);
    }
}
