//! Coming back after a cut.

use std::collections::BTreeSet;

use room::limits::AWAY_MS;
use tokio::task::JoinSet;

use super::*;

pub async fn a_ticket_brings_back_who_one_was(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    opened(store).await;
    let lea = enter(store, "lea", Role::Listener, 3).await.unwrap();
    store.cut(&town(), &id("lea"), &session(3), true).await.unwrap();
    ground.advance(AWAY_MS - MARGIN);
    let back = store.resume(&town(), &lea.ticket, &session(10)).await.unwrap();
    assert_eq!(back.arrival, lea.arrival);
    assert!(back.acted.room.place(&id("lea")).hand, "her hand is still up");

    ground.advance(AWAY_MS);
    assert_eq!(store.expire().await.unwrap(), [], "nothing of hers runs out");
    store.resume(&town(), &back.ticket, &session(20)).await.expect("the new ticket is good");
}

/// Whoever is cut, or loads the page again, before the answer came shows the same ticket again.
pub async fn a_ticket_is_good_until_its_successor_is_shown(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    opened(store).await;
    let first = enter(store, "lea", Role::Listener, 3).await.unwrap().ticket;
    let mut tries = JoinSet::new();
    for number in 10..20 {
        let (store, ticket) = (Arc::clone(store), first.clone());
        tries.spawn(async move { store.resume(&town(), &ticket, &session(number)).await.unwrap() });
    }
    let back = tries.join_all().await;
    let newest: BTreeSet<_> = back.iter().map(|entered| &entered.ticket).collect();
    assert_eq!(newest.len(), 10, "each has another successor");
    assert_eq!(store.people(&town(), None, 10).await.unwrap().len(), 2, "and all are one person");

    let last = store.resume(&town(), &first, &session(20)).await.unwrap().ticket;
    for ticket in newest {
        let never_shown = store.resume(&town(), ticket, &session(21)).await;
        assert_eq!(never_shown, Err(HallError::Ticket.into()), "it has made way for a later one");
    }
    let next = store.resume(&town(), &last, &session(22)).await.unwrap().ticket;
    assert_eq!(store.resume(&town(), &first, &session(23)).await, Err(HallError::Ticket.into()), "spent");
    store.resume(&town(), &last, &session(24)).await.expect("its successor was not shown");
    assert_eq!(store.resume(&town(), &next, &session(25)).await, Err(HallError::Ticket.into()));
}

pub async fn a_ticket_opens_the_door_before_the_cut_was_noticed(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    let hanna = enter(store, "hanna", Role::Host, 1).await.unwrap();
    let back = store.resume(&town(), &hanna.ticket, &session(2)).await.unwrap();
    assert_eq!(back.acted.gone[0].session, session(1));
    assert_eq!(back.acted.outcome.answer, hanna.acted.outcome.answer, "the same seat");
    assert_eq!(back.acted.room.place(&id("hanna")).role, Role::Host);
}

pub async fn a_ticket_is_too_old_after_sixty_seconds(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    let hanna = enter(store, "hanna", Role::Host, 1).await.unwrap();
    ground.advance(10 * AWAY_MS);
    store.cut(&town(), &id("hanna"), &session(1), true).await.unwrap();
    ground.advance(AWAY_MS);
    let late = store.resume(&town(), &hanna.ticket, &session(2)).await;
    assert_eq!(late, Err(HallError::Ticket.into()), "even before somebody expired it");
    store.expire().await.unwrap();
    assert_eq!(store.resume(&town(), &hanna.ticket, &session(2)).await, Err(HallError::Ticket.into()));
}

pub async fn a_ticket_dies_with_its_session(fresh: &impl AsyncFn(Limits) -> Ground) {
    let ground = fresh(Limits::default()).await;
    let store = &ground.halls;
    enter(store, "hanna", Role::Host, 1).await.unwrap();
    let hanna = participant("hanna");

    let lea = enter(store, "lea", Role::Listener, 2).await.unwrap().ticket;
    let other = enter(store, "lea", Role::Listener, 3).await.unwrap().ticket;
    let elsewhere = Err(HallError::Over(RemoveReason::Replaced).into());
    assert_eq!(store.resume(&town(), &lea, &session(9)).await, elsewhere, "the newer device keeps the seat");
    store.resume(&town(), &other, &session(3)).await.expect("which may come back");

    let kick = Action::Kick { identity: id("lea") };
    let ban = Action::Ban { identity: id("lea") };
    let unban = Action::Unban { identity: id("lea") };
    for (reason, action) in [(RemoveReason::Kicked, kick), (RemoveReason::Banned, ban)] {
        let first = enter(store, "lea", Role::Listener, 4).await.unwrap().ticket;
        let second = store.resume(&town(), &first, &session(5)).await.unwrap().ticket;
        store.act(&town(), &hanna, &action).await.unwrap();
        store.act(&town(), &hanna, &unban).await.unwrap();
        for ticket in [first, second] {
            let farewell = Err(HallError::Over(reason).into());
            assert_eq!(
                store.resume(&town(), &ticket, &session(9)).await,
                farewell,
                "dead for good, and told why"
            );
        }
    }

    let lea = enter(store, "lea", Role::Listener, 5).await.unwrap().ticket;
    store.leave(&town(), &id("lea"), &session(5)).await.unwrap();
    assert_eq!(store.resume(&town(), &lea, &session(9)).await, Err(HallError::Ticket.into()), "left");

    let lea = enter(store, "lea", Role::Listener, 6).await.unwrap().ticket;
    store.act(&town(), &hanna, &Action::End).await.unwrap();
    assert_eq!(store.resume(&town(), &lea, &session(9)).await, Err(HallError::Ticket.into()), "ended");
}
