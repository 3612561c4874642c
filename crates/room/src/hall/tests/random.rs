//! Whatever people do, in whatever order: what must hold holds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use protocol::id::{NodeId, SpeakerNumber};

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Enter(Identity, Role),
    Resume(usize),
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
        1 => Just(Action::LowerAllHands),
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
        3 => any::<usize>().prop_map(Step::Resume),
        1 => someone().prop_map(Step::Leave),
        2 => someone().prop_map(Step::Cut),
        16 => (actor, action()).prop_map(|(actor, action)| Step::Act(actor, action)),
        1 => (node, any::<bool>()).prop_map(|(node, lost)| Step::Origin(node, lost)),
        2 => (0..40_000u64).prop_map(Step::Wait),
    ]
}

/// A client's view of the stage, made of nothing but what it is told.
#[derive(Default)]
struct Client {
    stage: BTreeMap<Identity, StageMember>,
    hands: BTreeSet<Identity>,
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
                    self.hands.extend(up.iter().cloned());
                    self.hands.retain(|identity| !down.contains(identity));
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
        let head = &room.head.value;
        assert!(head.stage.len() + head.invitations.len() <= usize::from(head.seats), "seats");
        assert_eq!(outcome.version, room.version());
        assert_eq!(outcome.before, self.version, "no change is left out");
        assert!(outcome.changes.is_empty() || outcome.version > outcome.before);
        self.version = outcome.version;

        for seat in room.stage() {
            assert!(!room.is_banned(&seat.identity));
            assert!(!self.retired.contains(&seat.number), "a number came back");
            let owner = self.numbers.entry(seat.number).or_insert_with(|| seat.identity.clone());
            assert_eq!(*owner, seat.identity, "a number has two owners");
            assert!(!room.hands.contains_key(&seat.identity));
            assert!(room.invitation(&seat.identity).is_none());
            assert_eq!(seat.host, room.is_host(&seat.identity));
        }
        let current: BTreeSet<_> = room.stage().iter().map(|seat| seat.number).collect();
        assert_eq!(current.len(), room.stage().len());
        self.retired.extend(self.numbers.keys().filter(|number| !current.contains(number)));

        let epoch = room.origin().map_or(self.epoch, |(_, epoch)| epoch);
        assert!(epoch >= self.epoch);
        self.epoch = epoch;

        for number in 0..9 {
            let who = id(&format!("p{number}"));
            let is_here = town.current(who.as_str()).is_some();
            assert!(!(is_here && room.is_banned(&who)), "a banned person is in");
            assert!(is_here || head.seat(&who).is_none(), "somebody on stage is not in the room");
            assert!(is_here || !room.hands.contains_key(&who), "the hand of somebody who is not there");
        }

        self.client.learn(&outcome.changes);
        let told: Vec<_> = self.client.stage.values().cloned().collect();
        let mut members = room.members();
        members.sort_by(|a, b| a.identity.cmp(&b.identity));
        assert_eq!(told, members, "whoever reads the changes knows the stage");
        assert!(self.client.hands.iter().eq(room.hands.keys()), "whoever reads the changes knows the hands");
    }
}

/// What comes of a step: several things where time passes.
fn take(town: &mut Town, tickets: &mut Vec<Ticket>, step: Step) -> Vec<Result<Outcome, HallError>> {
    let operation = match step {
        Step::Enter(identity, role) => {
            let arrival = arrival(identity.as_str(), role);
            let (session, secret) = (town.session(), Secret(u128::from(town.sessions)));
            tickets.push(Ticket { identity: identity.clone(), secret });
            let banned = town.room.is_banned(&identity);
            let entered = town.run(&Operation::Enter { arrival, session, secret });
            let is_refused = matches!(entered, Err(HallError::Refused(Refusal::Banned)));
            assert_eq!(banned, is_refused, "banned is out, and only banned");
            return vec![entered.map(|(_, outcome)| outcome)];
        }
        Step::Resume(which) => {
            let Some(ticket) = tickets.get(which % tickets.len().max(1)).cloned() else { return Vec::new() };
            let (session, secret) = (town.session(), Secret(u128::from(town.sessions)));
            tickets.push(Ticket { identity: ticket.identity.clone(), secret });
            Operation::Resume { ticket, session, secret }
        }
        Step::Leave(identity) => {
            let Some(session) = town.current(identity.as_str()) else { return Vec::new() };
            Operation::Leave { identity, session }
        }
        Step::Cut(identity) => {
            let Some(session) = town.current(identity.as_str()) else { return Vec::new() };
            Operation::Cut { identity, session, had_media: true, if_lapsed: false }
        }
        Step::Act(actor, action) => Operation::Act { actor, action },
        Step::Origin(node, lost) => {
            let epoch = town.room.head.value.epoch;
            Operation::Origin { node, epoch: Epoch(epoch.0 + 1), lost: lost.then_some(epoch) }
        }
        Step::Wait(ms) => {
            town.now += ms;
            let due: Vec<_> = town.records.due(town.now).cloned().collect();
            let lapse = |due| town.run(&Operation::Lapse(due)).map(|(_, outcome)| outcome);
            return due.into_iter().map(lapse).collect();
        }
    };
    vec![town.run(&operation).map(|(_, outcome)| outcome)]
}

proptest! {
    #[test]
    fn what_must_hold_holds_whatever_people_do(
        seats in 1..5u16,
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        let mut town = Town::planned(Plan { seats: Some(seats), ..Plan::default() });
        town.now = 0;
        // Without somebody who stays the room is deserted, which is another story.
        town.enter("keeper", Role::Listener).unwrap();
        let mut watch = Watch { version: town.room.version(), ..Watch::default() };
        let mut tickets = Vec::new();
        for step in steps {
            let before = town.room.clone();
            let came = take(&mut town, &mut tickets, step);
            if let [Err(_)] = came[..] {
                prop_assert_eq!(&town.room, &before, "a refusal changes nothing");
            }
            // Of several things only the last is seen as it left the room.
            let outcomes: Vec<_> = came.into_iter().filter_map(Result::ok).collect();
            let Some((last, earlier)) = outcomes.split_last() else { continue };
            for outcome in earlier {
                watch.client.learn(&outcome.changes);
                watch.version = outcome.version;
            }
            watch.check(&town, last);
            prop_assert!(town.records.next_deadline().is_none_or(|at| at > town.now) || last.changes.is_empty());
        }
    }
}
