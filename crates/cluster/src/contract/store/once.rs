//! What many do at the same moment happens once.

use protocol::id::Epoch;
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
            matches!(answer, Err(StoreError::Hall(HallError::Refused(Refusal::StageFull { seats: 8, .. }))))
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
        let origin = |acted: &crate::Acted| acted.room.origin().map(|(node, epoch)| (node.clone(), epoch));
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
