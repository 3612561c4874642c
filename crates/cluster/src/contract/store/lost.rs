//! A store that has lost something: what somebody knows of a room is put back, above all that there is.

use std::collections::BTreeMap;

use protocol::id::Epoch;
use room::Owner;
use room::hall::Operation;
use room::limits::RESTORED_ABOVE;

use super::*;

fn owner() -> Owner {
    session(1).owner()
}

pub async fn a_room_is_put_back_as_it_was_and_nothing_of_what_is_there_is_left(
    fresh: &impl AsyncFn(Limits) -> Ground,
) {
    let before = fresh(Limits::default()).await;
    opened(&before.halls).await;
    enter(&before.halls, "sam", Role::Speaker, 3).await.unwrap();
    let known = before.store.load(&town(), None, &[&id("lea"), &id("sam")]).await.unwrap();
    let room = known.room.unwrap();

    // One that is empty, and one that knows another evening.
    for is_empty in [true, false] {
        let ground = fresh(Limits::default()).await;
        let store = &ground.halls;
        if !is_empty {
            enter(store, "mallory", Role::Host, 7).await.unwrap();
            enter(store, "leo", Role::Listener, 8).await.unwrap();
            store.act(&town(), &participant("leo"), &Action::RaiseHand).await.unwrap();
        }
        let restore = Operation::Restore { room: Box::new((*room).clone()), owner: owner() };
        let back = store.run(&town(), &restore).await.unwrap().room;
        assert_eq!(*back, *store.room(&town()).await.unwrap().unwrap(), "as the store has it");
        assert!(back.version() > room.version() + RESTORED_ABOVE);
        assert_eq!(back.stage(), room.stage());
        assert_eq!(back.hands(), room.hands());
        let people = store.people(&town(), None, 9).await.unwrap();
        let people: Vec<_> = people.iter().map(|person| person.identity.as_str()).collect();
        assert_eq!(people, ["hanna", "lea", "sam"], "whoever has something has their place");

        // Their nodes put them back: with them their tickets.
        for name in ["lea", "sam"] {
            let present = known.people[&id(name)].value.clone();
            let session = present.session.clone();
            let back = Operation::Return { identity: id(name), session, lost: Some(present) };
            store.run(&town(), &back).await.unwrap();
        }
        let found = ground.store.sessions(&town(), &owner()).await.unwrap();
        let found: BTreeMap<_, _> =
            found.iter().map(|(who, session)| (who.as_str(), session.number)).collect();
        assert_eq!(found, BTreeMap::from([("lea", 2), ("sam", 3)]), "whom nobody put back is away");
        assert_eq!(ground.store.rooms_of(&owner()).await.unwrap(), [town()].into());
        let nobody = Owner { boot: owner().boot + 1, ..owner() };
        assert_eq!(ground.store.rooms_of(&nobody).await.unwrap(), [].into());
    }
}

pub async fn epochs_go_on_above_what_anybody_knows(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let first = ground.store.next_epoch(Epoch(0)).await.unwrap();
    let above = ground.store.next_epoch(Epoch(70)).await.unwrap();
    let next = ground.store.next_epoch(Epoch(3)).await.unwrap();
    assert_eq!((first, above, next), (Epoch(1), Epoch(71), Epoch(72)));
}
