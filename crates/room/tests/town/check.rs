//! What must hold.

use std::collections::BTreeMap;

use protocol::id::Identity;
use protocol::message::{Hand, RoomState};
use protocol::node::Root;
use rand::Rng;
use room::Session;
use room::hall::Due;
use room::live::Who;

use super::client::Place;
use super::world::{Happening, UPKEEP_MS, World};

impl World {
    /// Where nothing has gone wrong for a while, and nothing was done within a second, what was done holds.
    pub(crate) fn check_soon(&mut self) {
        if self.faults == 0 && self.rng.random_bool(0.2) {
            self.older = self.store.clone();
        }
        self.at(self.now + UPKEEP_MS, Happening::Check);
        let is_asleep = self.nodes.iter().any(|node| self.now < node.asleep_until + 1_500);
        let is_calm = self.faults == 0 && self.now >= self.calm_since + 1_500 && !is_asleep;
        if !is_calm || self.now < self.store.changed_at + 1_000 {
            return;
        }
        let Some(room) = self.store.records.room().cloned() else { return };
        if room.state() == RoomState::Ended {
            return;
        }
        if let (Some(wanted), Some((node, _))) = (room.node_stage(), room.origin()) {
            let origin = self.origins.iter().find(|origin| origin.name == *node && origin.is_live);
            let is_anybody_here = self.nodes.iter().any(|node| {
                node.life
                    .as_ref()
                    .is_some_and(|life| life.room.as_ref().is_some_and(|(live, _)| live.room().is_some()))
            });
            if let Some(origin) = origin.filter(|_| is_anybody_here) {
                assert_eq!(origin.stage.as_ref(), Some(&wanted), "the origin knows the stage");
            }
        }
        for (index, person) in self.people.iter().enumerate() {
            if let Place::In(node, ..) = person.place {
                assert!(!room.is_banned(&person.arrival.identity), "{index} is banned, and in at s{node}");
            }
        }
    }

    /// At the end of the evening everything is the same everywhere, and true.
    pub(crate) fn check_all(&mut self) {
        let Some(room) = self.store.records.room().cloned() else { panic!("there is no room any more") };
        assert_eq!(room.state(), RoomState::Live);
        let everybody: Vec<Identity> = self.people.iter().map(|it| it.arrival.identity.clone()).collect();
        let loaded = self.store.load(self.now, &everybody);
        for seat in room.stage() {
            assert!(loaded.people.contains_key(&seat.identity), "{} is on stage and not here", seat.identity);
        }
        let listed = loaded.people.keys().cloned().collect();
        let people = loaded.people.into_iter();
        let present: BTreeMap<Identity, Session> = people
            .filter(|(_, person)| person.value.away_until.is_none())
            .map(|(identity, person)| (identity, person.value.session))
            .collect();
        let root = room.origin().map(|(node, epoch)| Root { origin: node.clone(), epoch });
        self.check_media(&listed, root);
        self.check_sessions(&present);
        let stage: BTreeMap<_, _> =
            room.members().into_iter().map(|member| (member.identity.clone(), member)).collect();
        let hands = room.hands();
        for (index, node) in self.nodes.iter().enumerate() {
            let Some((live, board)) = node.life.as_ref().and_then(|life| life.room.as_ref()) else {
                continue;
            };
            assert_eq!(live.room().map(|it| it.version()), Some(room.version()), "s{index}");
            assert_eq!(live.room(), Some(&room), "s{index}");
            let visible = present.keys().filter(|identity| !identity.as_str().starts_with("hidden")).count();
            let counts = board.counts();
            // Those who were cut off at a node that is there still count.
            let counted = (counts.listeners + counts.speakers) as usize;
            assert!(
                (visible..=loaded.present).contains(&counted),
                "s{index} counts {counted}, {visible} are here"
            );
            assert_eq!(counts.hands as usize, hands.len(), "s{index} counts hands");
        }
        for (index, person) in self.people.iter().enumerate() {
            if !matches!(person.place, Place::In(..)) {
                continue;
            }
            assert_eq!(person.seen.stage, stage, "{index} sees the stage");
            assert_eq!(person.seen.state, Some(room.state()), "{index} sees the room");
            if room.is_host(&person.arrival.identity) {
                let mut seen: Vec<_> = person.seen.hands.values().collect();
                seen.sort_by_key(|hand| hand.turn);
                let order = |hand: &Hand| (hand.identity.clone(), hand.turn);
                assert!(
                    seen.into_iter().map(order).eq(hands.iter().map(order)),
                    "{index} sees the hands in their order"
                );
            }
        }
        let due: Vec<Due> = self.store.due(self.now.saturating_sub(3_000));
        assert_eq!(due, [], "all that was due is done");
    }

    /// Whoever is in is in the list by that session, and whoever is in the list is in.
    fn check_sessions(&self, present: &BTreeMap<Identity, Session>) {
        let mut here = BTreeMap::new();
        for node in &self.nodes {
            let Some(life) = &node.life else { continue };
            let Some((live, _)) = &life.room else { continue };
            for Who { identity, number } in live.connected() {
                let session = Session { node: node.name.clone(), boot: life.boot, number };
                assert_eq!(here.insert(identity.clone(), session), None, "{identity} is here twice");
            }
        }
        assert_eq!(here, *present, "who is here, and who is in the list");
        for (index, person) in self.people.iter().enumerate() {
            match person.place {
                Place::In(node, boot, number) => {
                    let session = Session { node: self.nodes[node].name.clone(), boot, number };
                    assert_eq!(here.get(&person.arrival.identity), Some(&session), "{index} is in");
                }
                Place::Gone => {}
                place => panic!("{index} has not come in: {place:?}"),
            }
        }
    }
}
