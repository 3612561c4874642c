//! What runs out, in its time and once.

use protocol::message::RoomState;
use room::limits::{AWAY_MS, EMPTY_MS, ENDED_MS};
use tokio::task::JoinSet;

use super::*;

pub async fn whoever_does_not_come_back_is_gone_once(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    opened(store).await;
    enter(store, "leo", Role::Listener, 3).await.unwrap();
    for (name, number) in [("lea", 2), ("leo", 3)] {
        store.cut(&town(), &id(name), &session(number), true).await.unwrap();
    }
    assert_eq!(store.people(&town(), None, 9).await.unwrap().len(), 3, "held");
    ground.advance(AWAY_MS - MARGIN);
    assert_eq!(store.expire().await.unwrap(), []);
    ground.advance(MARGIN);

    let mut sweeps = JoinSet::new();
    for _ in 0..10 {
        let store = Arc::clone(store);
        sweeps.spawn(async move { store.expire().await.unwrap() });
    }
    let happened: Vec<_> = sweeps.join_all().await.into_iter().flatten().collect();
    let mut gone: Vec<_> = happened.iter().flat_map(|acted| &acted.gone).collect();
    gone.sort_by(|a, b| a.identity.cmp(&b.identity));
    assert_eq!(gone.len(), 2);
    assert_eq!((&gone[0].identity, &gone[0].session), (&id("lea"), &session(2)));
    assert!(gone.iter().all(|gone| gone.reason == RemoveReason::Left));
    let room = store.room(&town()).await.unwrap().unwrap();
    assert_eq!((room.hand_count(), room.stage().len()), (0, 1));
    assert_eq!(store.people(&town(), None, 9).await.unwrap().len(), 1);
}

pub async fn a_deserted_room_ends_and_may_begin_anew(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    enter(store, "hanna", Role::Host, 1).await.unwrap();
    store.leave(&town(), &id("hanna"), &session(1)).await.unwrap();
    ground.advance(EMPTY_MS - MARGIN);
    assert_eq!(store.expire().await.unwrap(), []);
    ground.advance(MARGIN);
    let ended = store.expire().await.unwrap();
    assert!(ended.len() == 1 && ended[0].ended());
    assert_eq!(store.room(&town()).await, Ok(None));
    let entered = enter(store, "hanna", Role::Host, 2).await.unwrap();
    assert_eq!(entered.acted.room.state(), RoomState::Live);
    ground.advance(EMPTY_MS);
    assert_eq!(store.expire().await.unwrap(), [], "somebody is there");
}

pub async fn a_room_that_was_ended_says_so_and_is_forgotten_later(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    opened(store).await;
    let ended = store.act(&town(), &participant("hanna"), &Action::End).await.unwrap();
    assert!(ended.ended());
    assert_eq!(store.people(&town(), None, 9).await, Ok(vec![]));
    let refused = enter(store, "lea", Role::Listener, 3).await;
    assert_eq!(refused, Err(Refusal::Ended.into()));
    ground.advance(ENDED_MS);
    assert_eq!(store.expire().await.unwrap(), [], "nobody needs to be told");
    assert_eq!(store.room(&town()).await, Ok(None));
}

pub async fn an_ended_room_can_be_made_again(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    opened(store).await;
    let ended = store.act(&town(), &Actor::Admin, &Action::End).await.unwrap();
    let again = store.create(&town(), &Actor::Admin, &Plan::default()).await.unwrap();
    assert_eq!(again.room.state(), RoomState::Live);
    assert!(again.outcome.version > ended.outcome.version, "nobody takes the one for the other");
    enter(store, "lea", Role::Listener, 3).await.unwrap();
}

pub async fn decisions_are_made_in_the_time_that_is_told(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let began = ground.store.time().await.unwrap();
    ground.advance(60_000);
    let before = ground.store.time().await.unwrap();
    let decided = ground.store.load(&town(), None, &[]).await.unwrap().now;
    let after = ground.store.time().await.unwrap();
    assert!(before >= began + 60_000 && (before..=after).contains(&decided), "{before}, {decided}, {after}");
}
