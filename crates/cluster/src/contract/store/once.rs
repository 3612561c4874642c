//! What many do at the same moment happens once.

use protocol::id::Epoch;
use room::hall::{Conflict, Current, Due, Known, STALE_MS};
use room::limits::EMPTY_MS;
use room::{Numbered, Room, Secret};
use tokio::task::JoinSet;

use super::*;

pub async fn two_promotions_at_once_never_seat_a_ninth(fresh: &impl AsyncFn(Limits) -> Ground) {
    for raised in [true, false] {
        let ground = fresh(Limits::default()).await;
        let store = &ground.halls;
        enter(store, "hanna", Role::Host, 0).await.unwrap();
        for number in 1..=20 {
            let name = format!("p{number}");
            enter(store, &name, Role::Listener, number).await.unwrap();
            if raised {
                store.act(&town(), &participant(&name), &Action::RaiseHand).await.unwrap();
            }
        }
        let mut promotions = JoinSet::new();
        for number in 1..=20 {
            let store = Arc::clone(store);
            let promotion = promote(&format!("p{number}"));
            promotions.spawn(async move { store.act(&town(), &participant("hanna"), &promotion).await });
        }
        let answers = promotions.join_all().await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 7);
        let full = |answer: &Result<_, _>| {
            matches!(answer, Err(Refused::Hall(HallError::Refused(Refusal::StageFull { seats: 8, .. }))))
        };
        assert_eq!(answers.iter().filter(|answer| full(answer)).count(), 13);
        let room = store.room(&town()).await.unwrap().unwrap();
        assert_eq!(room.stage().len() + room.invitations().len(), 8);
    }
}

pub async fn of_many_changes_at_once_none_is_lost(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    let created = store.create(&town(), &Actor::Admin, &Plan::default()).await.unwrap().outcome.version;
    let mut hands = JoinSet::new();
    for number in 0..50 {
        let store = Arc::clone(store);
        hands.spawn(async move {
            let name = format!("p{number}");
            enter(&store, &name, Role::Listener, number).await.unwrap();
            let raised = store.act(&town(), &participant(&name), &Action::RaiseHand).await.unwrap();
            (raised.outcome.before, raised.outcome.version)
        });
    }
    let mut changes = hands.join_all().await;
    changes.sort_unstable();
    let before = changes.iter().map(|(before, _)| *before);
    let versions = changes.iter().map(|(_, version)| *version);
    assert!(before.eq([created].into_iter().chain(versions).take(50)), "each builds on the one before");
    assert_eq!(store.room(&town()).await.unwrap().unwrap().hand_count(), 50);
}

/// Has two commits that were decided on the same set one after the other; what the second is told.
async fn two_at_once(ground: &Ground, first: &Operation, second: &Operation) -> Current {
    let loaded = (ground.load(first).await, ground.load(second).await);
    let commits = (ground.decide(&loaded.0, first), ground.decide(&loaded.1, second));
    ground.store.commit(&town(), &commits.0).await.unwrap().expect("nothing has changed");
    changed(ground, &commits.1).await
}

async fn changed(ground: &Ground, commit: &Commit) -> Current {
    match ground.store.commit(&town(), commit).await.unwrap() {
        Err(Conflict::Changed(current)) => *current,
        other => panic!("{other:?}"),
    }
}

/// What is told is what is there. The operation must concern everybody of whom something is known.
async fn check_all_of_it(ground: &Ground, operation: &Operation, current: &Current) {
    let loaded = ground.load(operation).await;
    assert!(current.now <= loaded.now && loaded.now - current.now < MARGIN);
    let told = current.head.clone().map(|head| {
        let mut room = Room::new(current.version, current.door, head);
        some(&current.standing).for_each(|(who, standing)| room.with_standing(who, standing));
        some(&current.hands).for_each(|(who, hand)| room.with_hand(who, hand));
        Arc::new(room)
    });
    assert_eq!(told, loaded.room);
    for who in operation.concerns() {
        assert_eq!(current.people[who].as_ref(), loaded.people.get(who), "{who}");
        assert!(current.standing.contains_key(who) && current.hands.contains_key(who), "{who}");
    }
    assert_eq!(current.people.len(), operation.concerns().len());
}

fn some<T: Clone>(known: &Known<T>) -> impl Iterator<Item = (Identity, Numbered<T>)> {
    known.iter().filter_map(|(who, it)| Some((who.clone(), it.clone()?)))
}

pub async fn a_loser_is_told_how_it_is(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let (lea, leo) = (id("lea"), id("leo"));
    enter(&ground.halls, "hanna", Role::Host, 1).await.unwrap();
    let ban = act("hanna", Action::Ban { identity: leo.clone() });
    let current = two_at_once(&ground, &act("hanna", Action::End), &ban).await;
    check_all_of_it(&ground, &ban, &current).await;
    assert_eq!((&current.people[&leo], &current.hands[&leo], &current.standing[&leo]), (&None, &None, &None));
    ground.halls.create(&town(), &Actor::Admin, &Plan::default()).await.unwrap();

    for (name, role, number) in [("hanna", Role::Host, 1), ("lea", Role::Listener, 2)] {
        enter(&ground.halls, name, role, number).await.unwrap();
    }
    let promotion = act("hanna", promote("lea"));
    let current = two_at_once(&ground, &act("lea", Action::RaiseHand), &promotion).await;
    check_all_of_it(&ground, &promotion, &current).await;
    assert!(current.hands[&lea].is_some() && current.people[&lea].is_some());
    let current = two_at_once(&ground, &promotion, &promotion).await;
    check_all_of_it(&ground, &promotion, &current).await;
    assert!(current.hands[&lea].is_none() && current.standing[&lea].is_some());
    let mute = act("hanna", Action::Mute { identity: Some(lea.clone()) });
    let current = two_at_once(&ground, &mute, &mute).await;
    check_all_of_it(&ground, &mute, &current).await;
    assert!(current.standing[&lea].as_ref().is_some_and(|it| it.number == current.version));
}

pub async fn whoever_is_late_to_a_room_that_is_over_is_told_so(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits { rooms: 1, ..Limits::default() }).await;
    enter(&ground.halls, "hanna", Role::Host, 1).await.unwrap();
    ground.halls.leave(&town(), &id("hanna"), &session(1)).await.unwrap();
    ground.advance(EMPTY_MS);
    let (arrival, session) = (arrival("lea", Role::Listener), session(2));
    let entry = Operation::Enter { arrival, session, secret: Secret(1) };
    let late = ground.decide(&ground.load(&entry).await, &entry);
    let current = two_at_once(&ground, &Operation::Lapse(Due::Empty), &entry).await;
    check_all_of_it(&ground, &entry, &current).await;
    let tombstone = ground.load(&entry).await.tombstone.unwrap();
    assert_eq!((current.head, current.door, current.version), (None, 0, tombstone.number));

    let other = RoomId::new("other").unwrap();
    ground.halls.create(&other, &Actor::Admin, &Plan::default()).await.unwrap();
    let current = changed(&ground, &late).await;
    assert_eq!(
        (current.head, current.version),
        (None, tombstone.number),
        "even where there is no place for another"
    );
}

pub async fn what_was_decided_long_ago_is_decided_again(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    opened(&ground.halls).await;
    let promotion = act("hanna", promote("lea"));
    let loaded = ground.load(&promotion).await;
    let mut commit = ground.decide(&loaded, &promotion);
    // A store's own time goes on, so that what is ahead of it must be so by far.
    for now in [loaded.now - STALE_MS - 1, loaded.now + STALE_MS + MARGIN] {
        commit.now = now;
        let current = changed(&ground, &commit).await;
        check_all_of_it(&ground, &promotion, &current).await;
        assert!(current.now >= loaded.now);
        commit.now = current.now;
    }
    ground.store.commit(&town(), &commit).await.unwrap().expect("that is its time");
}

pub async fn what_is_known_of_a_room_is_not_fetched_again(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let lea = id("lea");
    let again = async |known: &Arc<Room>| ground.store.load(&town(), Some(known), &[&lea]).await.unwrap();
    enter(&ground.halls, "hanna", Role::Host, 1).await.unwrap();
    let first = ground.halls.room(&town()).await.unwrap().unwrap();
    enter(&ground.halls, "lea", Role::Listener, 2).await.unwrap();
    let loaded = again(&first).await;
    assert!(loaded.room.is_some_and(|room| Arc::ptr_eq(&room, &first)), "nothing that others must know");
    assert_eq!((loaded.people.len(), loaded.present), (1, 2), "people are");

    let raised = ground.halls.act(&town(), &participant("lea"), &Action::RaiseHand).await.unwrap();
    let second = again(&first).await.room.unwrap();
    assert!(second.version() > first.version() && second == raised.room);
    assert!(Arc::ptr_eq(&again(&second).await.room.unwrap(), &second));
    assert_eq!(again(&first).await.room, Some(second.clone()), "whatever others know");

    for (name, number) in [("hanna", 1), ("lea", 2)] {
        ground.halls.leave(&town(), &id(name), &session(number)).await.unwrap();
    }
    ground.advance(EMPTY_MS);
    ground.halls.expire().await.unwrap();
    let over = again(&second).await;
    assert!(over.room.is_none() && over.tombstone.is_some());
}

pub async fn an_origin_is_assigned_once(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    store.create(&town(), &Actor::Admin, &Plan::default()).await.unwrap();
    let mut lost = None;
    for _ in 0..3 {
        let mut tries = JoinSet::new();
        for number in 0..10 {
            let store = Arc::clone(store);
            let node = NodeId::new(&format!("o{number}")).unwrap();
            tries.spawn(async move { store.assign_origin(&town(), &node, lost).await.unwrap() });
        }
        let origin = |acted: &Acted| acted.room.origin().map(|(node, epoch)| (node.clone(), epoch));
        let tries = tries.join_all().await;
        assert!(tries.iter().all(|acted| origin(acted) == origin(&tries[0])));
        assert_eq!(tries.iter().filter(|acted| !acted.outcome.changes.is_empty()).count(), 1);
        let epoch = tries[0].room.origin().map(|(_, epoch)| epoch);
        assert!(epoch > lost);
        lost = epoch;
    }
}

pub async fn epochs_grow_over_all_rooms(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    let node = NodeId::new("o1").unwrap();
    let mut last = Epoch(0);
    for name in ["a", "b", "a", "b"] {
        let room = RoomId::new(name).unwrap();
        store.create(&room, &Actor::Admin, &Plan::default()).await.unwrap();
        let epoch = store.assign_origin(&room, &node, None).await.unwrap().room.origin().unwrap().1;
        assert!(epoch > last);
        last = epoch;
        store.act(&room, &Actor::Admin, &Action::End).await.unwrap();
    }
}
