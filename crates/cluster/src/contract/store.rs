//! What every store must do.

mod halls;
mod leases;
mod lives;
mod lost;
mod once;
mod tickets;

use std::sync::Arc;

use protocol::id::{Identity, NodeId, RoomId};
use protocol::message::RemoveReason;
use protocol::token::Role;
use room::hall::{Commit, HallError, Loaded, Operation};
use room::limits::{BRIEF_MS, MAX_HANDS, MAX_SEATS, MORE_PLACES};
use room::{Action, Actor, Answer, Arrival, Party, Plan, Refusal, Session};

use crate::{Limits, SharedStore, StoreError};

pub use halls::{Acted, Entered, Halls, Refused};
pub use leases::*;
pub use lives::*;
pub use lost::*;
pub use once::*;
pub use tickets::*;

/// A store that is empty, and its time, which the stories let pass.
pub struct Ground {
    pub store: SharedStore,
    pub halls: Arc<Halls>,
    advance: Box<dyn Fn(u64) + Send + Sync>,
}

impl Ground {
    /// `advance` lets the store's time pass, in ms.
    pub fn new(store: SharedStore, limits: Limits, advance: impl Fn(u64) + Send + Sync + 'static) -> Self {
        let halls = Halls::new(store.clone(), limits.participants);
        Self { store, halls, advance: Box::new(advance) }
    }

    fn advance(&self, ms: u64) {
        (self.advance)(ms);
    }

    /// What an operation in the town is decided on.
    async fn load(&self, operation: &Operation) -> Loaded {
        self.store.load(&town(), None, &operation.concerns()).await.unwrap()
    }

    /// What it is to set there.
    fn decide(&self, loaded: &Loaded, operation: &Operation) -> Commit {
        self.halls.decide(&town(), loaded, operation).unwrap().commit.unwrap()
    }
}

/// As long before a deadline, in ms, nothing may have happened: a store's own time goes on beside the story's.
const MARGIN: u64 = 10_000;

pub(crate) fn town() -> RoomId {
    RoomId::new("town").unwrap()
}

pub(crate) fn id(text: &str) -> Identity {
    Identity::new(text).unwrap()
}

pub(crate) fn session(number: u64) -> Session {
    Session { node: NodeId::new("s1").unwrap(), boot: 1, number }
}

fn arrival(name: &str, role: Role) -> Arrival {
    Arrival { identity: id(name), name: name.to_uppercase(), role, hidden: false, party: None }
}

fn participant(name: &str) -> Actor {
    Actor::Participant(id(name))
}

fn act(name: &str, action: Action) -> Operation {
    Operation::Act { actor: participant(name), action }
}

fn promote(name: &str) -> Action {
    Action::Promote { identity: id(name) }
}

async fn enter(store: &Halls, name: &str, role: Role, number: u64) -> Result<Entered, Refused> {
    store.enter(&town(), &arrival(name, role), &session(number)).await
}

/// A town hall with a host `hanna` (session 1) and a listener `lea` (session 2) whose hand is up.
async fn opened(store: &Halls) {
    enter(store, "hanna", Role::Host, 1).await.unwrap();
    enter(store, "lea", Role::Listener, 2).await.unwrap();
    store.act(&town(), &participant("lea"), &Action::RaiseHand).await.unwrap();
}

pub async fn the_first_join_makes_a_live_room(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    let entered = enter(store, "hanna", Role::Host, 1).await.unwrap();
    assert!(matches!(entered.acted.outcome.answer, Answer::Seated { .. }));
    assert_eq!(entered.present, 1);
    let room = store.room(&town()).await.unwrap().unwrap();
    assert_eq!(room, entered.acted.room);
    assert_eq!(room.state(), protocol::message::RoomState::Live);
    assert_eq!(room.info().title, "town");
}

pub async fn a_listener_who_comes_first_waits_for_whoever_may_speak(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    let lea = enter(store, "lea", Role::Listener, 1).await.unwrap();
    assert_eq!(lea.acted.room.state(), protocol::message::RoomState::Backstage);
    let sam = enter(store, "sam", Role::Speaker, 2).await.unwrap();
    assert_eq!(sam.acted.room.state(), protocol::message::RoomState::Live);
}

pub async fn making_the_same_room_again_changes_nothing(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    let plan = Plan { title: Some("All hands".into()), seats: Some(3), live: Some(false) };
    let first = store.create(&town(), &Actor::Admin, &plan).await.unwrap();
    let again = store.create(&town(), &Actor::Admin, &plan).await.unwrap();
    assert_eq!((&first.room, again.outcome.changes.len()), (&again.room, 0));
    let renamed = Plan { title: Some("Town hall".into()), ..Plan::default() };
    let renamed = store.create(&town(), &Actor::Admin, &renamed).await.unwrap();
    assert_eq!((renamed.room.info().title.as_str(), renamed.room.info().seats), ("Town hall", 3));
    assert_eq!(renamed.outcome.before, again.outcome.version);
}

pub async fn a_refused_plan_makes_no_room(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    let plan = Plan { seats: Some(MAX_SEATS + 1), ..Plan::default() };
    let refused = store.create(&town(), &Actor::Admin, &plan).await;
    assert!(matches!(refused, Err(Refused::Hall(HallError::Refused(Refusal::Invalid(_))))));
    assert_eq!(store.room(&town()).await, Ok(None));
}

pub async fn a_second_session_replaces_the_first(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    opened(store).await;
    let again = enter(store, "hanna", Role::Host, 7).await.unwrap();
    let [gone] = &again.acted.gone[..] else { panic!("{again:?}") };
    assert_eq!((&gone.session, gone.reason), (&session(1), RemoveReason::Replaced));
    assert_eq!(again.present, 2);
    assert_eq!(again.acted.room.members().len(), 1, "one seat");
}

pub async fn a_cut_of_a_former_session_means_nothing(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    opened(store).await;
    enter(store, "hanna", Role::Host, 7).await.unwrap();
    let before = store.room(&town()).await;
    let cut = store.cut(&town(), &id("hanna"), &session(1), true).await.unwrap();
    let left = store.leave(&town(), &id("hanna"), &session(1)).await.unwrap();
    assert_eq!((cut.gone.len(), left.gone.len()), (0, 0));
    assert_eq!(store.room(&town()).await, before);
}

pub async fn whoever_is_put_out_is_gone(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    opened(store).await;
    let kick = Action::Kick { identity: id("lea") };
    let kicked = store.act(&town(), &participant("hanna"), &kick).await.unwrap();
    let [gone] = &kicked.gone[..] else { panic!("{kicked:?}") };
    assert_eq!((&gone.session, gone.reason), (&session(2), RemoveReason::Kicked));
    assert_eq!(kicked.room.hand_count(), 0);
    assert_eq!(store.people(&town(), None, 10).await.unwrap().len(), 1);

    let ban = Action::Ban { identity: id("lea") };
    let banned = store.act(&town(), &participant("hanna"), &ban).await.unwrap();
    assert_eq!(banned.gone, [], "she was out already");
    let refused = enter(store, "lea", Role::Host, 3).await;
    assert_eq!(refused, Err(Refusal::Banned.into()));
    assert_eq!(store.people(&town(), None, 10).await.unwrap().len(), 1);
}

pub async fn a_full_room_still_lets_hosts_in(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits { participants: 0, ..Limits::default() }).await;
    let store = &ground.halls;
    for number in 0..MORE_PLACES {
        enter(store, &format!("p{number}"), Role::Listener, 1).await.unwrap();
    }
    let refused = enter(store, "lea", Role::Listener, 2).await;
    assert_eq!(refused, Err(Refusal::RoomFull(0).into()));
    enter(store, "hanna", Role::Host, 3).await.unwrap();
    enter(store, "p0", Role::Listener, 4).await.expect("they are in already");
}

pub async fn guests_from_one_address_leave_places_to_others(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits { participants: 20, ..Limits::default() }).await;
    let store = &ground.halls;
    let come = async |name: &str, party: u64, number: u64| {
        let guest = Arrival { party: Some(Party(party)), ..arrival(name, Role::Listener) };
        store.enter(&town(), &guest, &session(number)).await.map(drop)
    };
    for number in 0..18 {
        come(&format!("p{number}"), u64::MAX, number).await.unwrap();
    }
    assert_eq!(come("late", u64::MAX, 18).await, Err(Refusal::PartyFull.into()));
    come("other", u64::MAX - 1, 19).await.unwrap();

    // They are fewer once some have left, were put out, or did not come back.
    store.leave(&town(), &id("p0"), &session(0)).await.unwrap();
    store.act(&town(), &Actor::Admin, &Action::Kick { identity: id("p1") }).await.unwrap();
    store.cut(&town(), &id("p2"), &session(2), false).await.unwrap();
    ground.advance(BRIEF_MS);
    assert_eq!(store.expire().await.unwrap().len(), 1);
    for number in 20..23 {
        come(&format!("p{number}"), u64::MAX, number).await.unwrap();
    }
    assert_eq!(come("late", u64::MAX, 23).await, Err(Refusal::PartyFull.into()));

    // And nothing is left of them in the next room of this name.
    store.act(&town(), &Actor::Admin, &Action::End).await.unwrap();
    store.create(&town(), &Actor::Admin, &Plan::default()).await.unwrap();
    for number in 0..18 {
        come(&format!("p{number}"), u64::MAX, number).await.unwrap();
    }
    assert_eq!(come("late", u64::MAX, 18).await, Err(Refusal::PartyFull.into()));
}

pub async fn a_full_list_of_hands_makes_room_and_is_lowered_at_once(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    let hanna = participant("hanna");
    enter(store, "hanna", Role::Host, 1).await.unwrap();
    for number in 0..=MAX_HANDS {
        let (name, party) = (format!("p{number}"), Some(Party((number / MAX_HANDS) as u64)));
        let guest = Arrival { party, ..arrival(&name, Role::Listener) };
        store.enter(&town(), &guest, &session(2)).await.unwrap();
        store.act(&town(), &participant(&name), &Action::RaiseHand).await.unwrap();
    }
    let room = store.room(&town()).await.unwrap().unwrap();
    assert_eq!((room.hand_count(), room.place(&id(&format!("p{MAX_HANDS}"))).hand), (MAX_HANDS, true));
    let lowered = store.act(&town(), &hanna, &Action::LowerAllHands).await.unwrap();
    assert_eq!((lowered.room.hand_count(), store.room(&town()).await.unwrap().unwrap().hand_count()), (0, 0));
}

pub async fn there_is_a_limit_of_rooms(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits { rooms: 1, ..Limits::default() }).await;
    let store = &ground.halls;
    store.create(&town(), &Actor::Admin, &Plan::default()).await.unwrap();
    let other = RoomId::new("other").unwrap();
    assert_eq!(store.create(&other, &Actor::Admin, &Plan::default()).await, Err(StoreError::Rooms(1).into()));
    let lea = arrival("lea", Role::Listener);
    assert_eq!(store.enter(&other, &lea, &session(1)).await, Err(StoreError::Rooms(1).into()));
}

pub async fn the_hidden_are_not_shown(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    opened(store).await;
    let recorder = Arrival { hidden: true, ..arrival("recorder", Role::Listener) };
    let entered = store.enter(&town(), &recorder, &session(9)).await.unwrap();
    assert_eq!(entered.present, 2);
    assert_eq!(store.people(&town(), None, 10).await.unwrap().len(), 2);
    let listed = store.rooms(None, 10).await.unwrap();
    assert_eq!((listed[0].counts.listeners, listed[0].counts.speakers, listed[0].counts.hands), (1, 1, 1));
    let refused = store.act(&town(), &participant("hanna"), &promote("recorder")).await;
    assert_eq!(refused, Err(Refusal::NotHere(id("recorder")).into()));
}

pub async fn people_and_rooms_come_by_pages(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    for (number, name) in ["carl", "anna", "ben"].into_iter().enumerate() {
        enter(store, name, Role::Listener, number as u64).await.unwrap();
        store.create(&RoomId::new(name).unwrap(), &Actor::Admin, &Plan::default()).await.unwrap();
    }
    let first = store.people(&town(), None, 2).await.unwrap();
    assert_eq!((first[0].identity.as_str(), first[0].name.as_str()), ("anna", "ANNA"));
    let rest = store.people(&town(), Some(&first[1].identity), 2).await.unwrap();
    assert_eq!((rest.len(), rest[0].identity.as_str()), (1, "carl"));

    let rooms = store.rooms(None, 3).await.unwrap();
    let rest = store.rooms(Some(&rooms[2].info.room), 3).await.unwrap();
    assert_eq!((rest.len(), rest[0].info.room.as_str()), (1, "town"));
}

pub async fn what_is_not_there_is_an_error(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    let act = store.act(&town(), &Actor::Admin, &Action::End).await;
    assert_eq!(act, Err(HallError::NoRoom.into()));
    assert_eq!(store.people(&town(), None, 1).await, Err(StoreError::NoRoom.into()));
    assert_eq!(store.cut(&town(), &id("lea"), &session(1), true).await, Err(HallError::NoRoom.into()));
    assert_eq!(store.resume(&town(), "nonsense", &session(1)).await, Err(HallError::Ticket.into()));
}
