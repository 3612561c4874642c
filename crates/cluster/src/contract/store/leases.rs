//! What becomes of people whose signaling node is gone, or was taken for gone.

use std::collections::BTreeSet;

use room::Owner;
use room::hall::Conflict;
use room::lease::LEASE_MS;
use room::limits::AWAY_MS;

use super::*;

fn owner(boot: u64) -> Owner {
    Owner { node: NodeId::new("s1").unwrap(), boot }
}

/// A crowd of a node's first life, and somebody of its second.
async fn crowd(store: &Halls) {
    store.renew(&owner(1)).await.unwrap();
    store.renew(&owner(2)).await.unwrap();
    for number in 0..30 {
        enter(store, &format!("p{number}"), Role::Listener, number).await.unwrap();
    }
    let session = Session { boot: 2, ..session(99) };
    store.enter(&town(), &arrival("hanna", Role::Host), &session).await.unwrap();
}

pub async fn whoever_was_at_a_node_that_is_gone_is_cut_once(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    crowd(store).await;
    assert_eq!(store.reap().await, Ok(0), "its lease is good");
    ground.advance(LEASE_MS);
    store.renew(&owner(2)).await.unwrap();

    let mut orphans = BTreeSet::new();
    loop {
        let found = ground.store.orphans(10).await.unwrap();
        if found.is_empty() {
            break;
        }
        for orphan in found {
            assert!(orphans.insert(orphan.identity.clone()), "asked for twice: {:?}", orphan.identity);
            store.cut(&orphan.room, &orphan.identity, &orphan.session, true).await.unwrap();
        }
        ground.advance(2_000);
        store.renew(&owner(2)).await.unwrap();
    }
    assert_eq!(orphans.len(), 30);
    assert_eq!(store.people(&town(), None, 99).await.unwrap().len(), 31, "held");
    ground.advance(AWAY_MS);
    store.renew(&owner(2)).await.unwrap();
    store.expire().await.unwrap();
    let left = store.people(&town(), None, 99).await.unwrap();
    assert_eq!(left.iter().map(|person| person.identity.as_str()).collect::<Vec<_>>(), ["hanna"]);
}

pub async fn a_node_that_was_taken_for_gone_puts_its_people_back(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    assert!(!store.renew(&owner(1)).await.unwrap(), "the first one");
    assert!(store.renew(&owner(1)).await.unwrap());
    enter(store, "lea", Role::Listener, 1).await.unwrap();
    enter(store, "leo", Role::Listener, 2).await.unwrap();
    let sam = enter(store, "sam", Role::Speaker, 3).await.unwrap();
    ground.advance(LEASE_MS);
    assert_eq!(store.reap().await, Ok(3));

    store.resume(&town(), &sam.ticket, &Session { boot: 2, ..session(3) }).await.unwrap();
    assert!(!store.renew(&owner(1)).await.unwrap(), "it must know");
    assert_eq!(store.put_back(&town(), &id("lea"), &session(1)).await, Ok(Some(session(1))));
    let elsewhere = Session { boot: 2, ..session(3) };
    assert_eq!(store.put_back(&town(), &id("sam"), &session(3)).await, Ok(Some(elsewhere)));
    ground.advance(LEASE_MS - 1_000);
    store.renew(&owner(1)).await.unwrap();
    ground.advance(AWAY_MS);
    let gone = store.expire().await.unwrap();
    let gone: Vec<_> = gone.iter().flat_map(|acted| &acted.gone).map(|gone| gone.identity.as_str()).collect();
    assert_eq!(gone, ["leo"], "nobody put him back");
    assert_eq!(store.put_back(&town(), &id("leo"), &session(2)).await, Ok(None), "too late");
}

pub async fn whoever_is_alive_is_not_taken_for_gone(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    store.renew(&owner(1)).await.unwrap();
    store.renew(&owner(2)).await.unwrap();
    enter(store, "lea", Role::Listener, 1).await.unwrap();
    let (identity, session) = (id("lea"), session(1));
    let cut = Operation::Cut { identity, session, had_media: true, if_lapsed: true };
    let before = ground.load(&cut).await;
    let commit = ground.decide(&before, &cut);
    assert_eq!(ground.store.commit(&town(), &commit).await.unwrap(), Err(Conflict::Alive(owner(1))));
    assert_eq!(ground.load(&cut).await.people, before.people, "nothing is set");

    ground.advance(LEASE_MS);
    store.renew(&owner(2)).await.unwrap();
    let lapsed = ground.load(&cut).await;
    let mut commit = ground.decide(&lapsed, &cut);
    commit.compare.lapsed.insert(owner(2));
    let other = ground.store.commit(&town(), &commit).await.unwrap();
    assert_eq!(other, Err(Conflict::Alive(owner(2))), "one of several is named");
    commit.compare.lapsed.remove(&owner(2));
    ground.store.commit(&town(), &commit).await.unwrap().expect("its lease has run out");
    assert!(ground.load(&cut).await.people[&id("lea")].value.away_until.is_some());
}

pub async fn a_room_that_ends_leaves_nothing_to_a_node_that_is_gone(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    crowd(store).await;
    store.act(&town(), &Actor::Admin, &Action::End).await.unwrap();
    ground.advance(LEASE_MS);
    assert_eq!(ground.store.orphans(10).await.unwrap(), []);
}
