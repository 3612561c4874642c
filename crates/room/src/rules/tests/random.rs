//! Whatever people do, in whatever order: what must hold holds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Enter(Identity, Role),
    Leave(Identity),
    Cut(Identity),
    Act(Actor, Action),
    Origin(NodeId, bool),
    Wait(u64),
}

fn someone() -> impl Strategy<Value = Identity> {
    (0..9u8).prop_map(|number| id(&format!("p{number}")))
}

fn action() -> impl Strategy<Value = Action> {
    let maybe = || proptest::option::of(someone());
    prop_oneof![
        6 => Just(Action::RaiseHand),
        1 => maybe().prop_map(|identity| Action::LowerHand { identity }),
        4 => Just(Action::Accept),
        1 => Just(Action::Decline),
        2 => maybe().prop_map(|identity| Action::Mute { identity }),
        1 => Just(Action::Unmute),
        2 => maybe().prop_map(|identity| Action::Demote { identity }),
        9 => someone().prop_map(|identity| Action::Promote { identity }),
        1 => someone().prop_map(|identity| Action::Kick { identity }),
        1 => someone().prop_map(|identity| Action::Ban { identity }),
        1 => someone().prop_map(|identity| Action::Unban { identity }),
        1 => Just(Action::GoLive),
        1 => (1..6u16).prop_map(|seats| Action::Configure { title: None, seats: Some(seats), live: None }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let role = prop_oneof![Just(Role::Host), Just(Role::Speaker), Just(Role::Listener)];
    let actor = prop_oneof![
        8 => someone().prop_map(Actor::Participant),
        1 => someone().prop_map(Actor::Bearer),
        2 => Just(Actor::Admin),
    ];
    let node = (0..3u8).prop_map(|number| NodeId::new(&format!("o{number}")).unwrap());
    prop_oneof![
        6 => (someone(), role).prop_map(|(who, role)| Step::Enter(who, role)),
        1 => someone().prop_map(Step::Leave),
        1 => someone().prop_map(Step::Cut),
        16 => (actor, action()).prop_map(|(actor, action)| Step::Act(actor, action)),
        1 => (node, any::<bool>()).prop_map(|(node, lost)| Step::Origin(node, lost)),
        2 => (0..40_000u64).prop_map(Step::Wait),
    ]
}

/// A client's view of the stage, made of nothing but what it is told.
#[derive(Default)]
struct Client {
    stage: BTreeMap<Identity, StageMember>,
    hands: BTreeMap<Identity, Hand>,
}

impl Client {
    fn learn(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Stage { set, gone } => {
                    self.stage.extend(set.iter().map(|member| (member.identity.clone(), member.clone())));
                    self.stage.retain(|identity, _| !gone.contains(identity));
                }
                Change::Hands { up, down } => {
                    self.hands.extend(up.iter().map(|hand| (hand.identity.clone(), hand.clone())));
                    self.hands.retain(|identity, _| !down.contains(identity));
                }
                _ => {}
            }
        }
    }
}

/// What must hold over a whole life of a room.
#[derive(Default)]
struct Watch {
    client: Client,
    /// Who had which number. None ever has another owner, and none comes back.
    numbers: BTreeMap<SpeakerNumber, Identity>,
    retired: BTreeSet<SpeakerNumber>,
    version: u64,
    epoch: Epoch,
}

impl Watch {
    fn check(&mut self, town: &Town, outcome: &Outcome) {
        let room = &town.room;
        assert!(room.stage.len() + room.invitations.len() <= usize::from(room.seats), "seats");
        assert_eq!(outcome.version, room.version());
        assert_eq!(outcome.before, self.version, "no change is left out");
        assert!(outcome.version - outcome.before <= 1);
        assert!(outcome.changes.is_empty() || outcome.version > outcome.before);
        self.version = outcome.version;

        for seat in room.stage() {
            assert!(!room.is_banned(&seat.identity));
            assert!(!self.retired.contains(&seat.number), "a number came back");
            let owner = self.numbers.entry(seat.number).or_insert_with(|| seat.identity.clone());
            assert_eq!(*owner, seat.identity, "a number has two owners");
            assert!(room.hands.iter().all(|hand| hand.identity != seat.identity));
            assert!(room.invitation(&seat.identity).is_none());
        }
        let current: BTreeSet<_> = room.stage().iter().map(|seat| seat.number).collect();
        assert_eq!(current.len(), room.stage().len());
        self.retired.extend(self.numbers.keys().filter(|number| !current.contains(number)));

        let epoch = room.origin().map_or(self.epoch, |(_, epoch)| epoch);
        assert!(epoch >= self.epoch);
        self.epoch = epoch;

        self.client.learn(&outcome.changes);
        let told: Vec<_> = self.client.stage.values().cloned().collect();
        let mut members = room.members();
        members.sort_by(|a, b| a.identity.cmp(&b.identity));
        assert_eq!(told, members, "whoever reads the changes knows the stage");
        let mut hands = room.hands();
        hands.sort_by(|a, b| a.identity.cmp(&b.identity));
        assert_eq!(self.client.hands.values().cloned().collect::<Vec<_>>(), hands);
        assert!(room.next_deadline().is_none_or(|deadline| deadline > town.now), "all that was due is done");
    }
}

fn take(town: &mut Town, step: Step) -> Result<Outcome, Refusal> {
    let now = town.now;
    match step {
        Step::Enter(identity, role) => {
            let name = identity.to_string();
            let banned = town.room.is_banned(&identity);
            let arrival = Arrival { identity: identity.clone(), name: name.clone(), role, hidden: false };
            let outcome = town.room.enter(now, &arrival);
            assert_eq!(banned, outcome == Err(Refusal::Banned), "banned is out, and only banned");
            outcome.inspect(|_| drop(town.people.insert(identity, name)))
        }
        Step::Leave(identity) => {
            town.people.remove(&identity);
            town.room.leave(now, &identity)
        }
        Step::Cut(identity) => town.room.cut(now, &identity),
        Step::Act(actor, action) => town.act(&actor, action),
        Step::Origin(node, lost) => {
            let lost = lost.then_some(town.room.epoch);
            let next = Epoch(town.room.epoch.0 + 1);
            town.room.assign_origin(now, &node, next, lost)
        }
        Step::Wait(ms) => {
            town.now += ms;
            town.room.expire(town.now)
        }
    }
}

proptest! {
    #[test]
    fn what_must_hold_holds_whatever_people_do(
        seats in 1..5u16,
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        let plan = Plan { seats: Some(seats), ..Plan::default() };
        let room = Room::new(RoomId::new("r").unwrap(), &plan, 0).unwrap();
        let mut town = Town { room, people: BTreeMap::new(), now: 0 };
        let mut watch = Watch { version: town.room.version(), ..Watch::default() };
        for step in steps {
            let before = town.room.clone();
            match take(&mut town, step) {
                Ok(outcome) => watch.check(&town, &outcome),
                Err(_) => prop_assert_eq!(&town.room, &before, "a refusal changes nothing"),
            }
        }
    }
}
