//! What guests from one address may have of a room, and what is left to others.

use super::*;
use crate::limits::{HANDS_FULL_RETRY_MS, MAX_HANDS, MORE_PLACES, PARTY_PER_FREE};

fn guest(name: &str, party: u64) -> Arrival {
    Arrival { party: Some(Party(party)), ..arrival(name, Role::Listener) }
}

/// Somebody comes and raises their hand.
fn comes_and_raises(town: &mut Town, arrival: Arrival) -> Result<Outcome, Refusal> {
    let actor = Actor::Participant(arrival.identity.clone());
    town.arrive(arrival).unwrap();
    town.now += 1;
    town.act(&actor, Action::RaiseHand)
}

/// A town with as many hands as may be up; each of these parties has so many of them.
fn crowded<const N: usize>(shares: [(u64, usize); N]) -> Town {
    let mut town = Town::new(8);
    for (party, hands) in shares {
        for number in 0..hands {
            comes_and_raises(&mut town, guest(&format!("p{party}-{number}"), party)).unwrap();
        }
    }
    assert_eq!(town.room.hand_count(), MAX_HANDS);
    town
}

#[test]
fn a_full_list_of_hands_makes_room_by_the_newest_of_whoever_has_most() {
    let mut town = crowded([(1, MAX_HANDS - 1), (2, 1)]);
    let raised = comes_and_raises(&mut town, guest("honest", 3)).unwrap();
    let newest = id(&format!("p1-{}", MAX_HANDS - 2));
    assert_eq!(raised.changes, [Change::Hands { up: vec![id("honest")], down: vec![newest] }]);
    assert_eq!(town.room.hand_count(), MAX_HANDS);
}

#[test]
fn whoever_has_most_of_the_hands_gets_no_more_until_one_goes_down() {
    let mut town = crowded([(1, MAX_HANDS)]);
    let refused = comes_and_raises(&mut town, guest("one-more", 1)).unwrap_err();
    assert_eq!(refused, Refusal::HandsFull(MAX_HANDS));
    let told = protocol::ApiError::from(refused);
    assert_eq!((told.code, told.retry_after_ms), (protocol::Code::HandsFull, Some(HANDS_FULL_RETRY_MS)));
    town.does("hanna", Action::LowerHand { identity: Some(id("p1-0")) });
    town.does("one-more", Action::RaiseHand);
}

#[test]
fn shares_of_hands_become_equal_and_then_stay() {
    let half = MAX_HANDS / 2;
    let mut town = crowded([(1, half + 1), (2, half - 1)]);
    assert!(comes_and_raises(&mut town, guest("a", 2)).is_ok());
    assert!(comes_and_raises(&mut town, guest("b", 2)).is_err());
    assert!(comes_and_raises(&mut town, guest("c", 1)).is_err());
    let mut town = crowded([(1, half), (2, half - 1), (3, 1)]);
    assert!(comes_and_raises(&mut town, guest("a", 2)).is_err(), "it would only turn the two around");
}

#[test]
fn whom_a_token_names_finds_room_for_their_hand_while_a_guest_has_one() {
    let mut town = crowded([(1, 1), (2, 1), (3, MAX_HANDS - 2)]);
    for number in 0..MAX_HANDS {
        comes_and_raises(&mut town, arrival(&format!("n{number}"), Role::Listener)).unwrap();
    }
    let named = comes_and_raises(&mut town, arrival("late", Role::Listener));
    assert_eq!(named, Err(Refusal::HandsFull(MAX_HANDS)), "first come, first served");
}

#[test]
fn a_guest_who_comes_back_has_the_hand_of_a_guest() {
    let mut town = crowded([(1, MAX_HANDS)]);
    let last = format!("p1-{}", MAX_HANDS - 1);
    let ticket = Ticket { identity: id(&last), secret: Secret(u128::from(town.sessions)) };
    town.cut(&last);
    let session = town.session();
    town.run(&Operation::Resume { ticket, session, secret: Secret(0) }).unwrap();
    town.does(&last, Action::LowerHand { identity: None });
    town.now += 1;
    town.does(&last, Action::RaiseHand);
    assert!(comes_and_raises(&mut town, guest("honest", 2)).is_ok());
    assert!(!town.room.place(&id(&last)).hand, "they gave way");
}

#[test]
fn guests_of_one_address_leave_places_to_others_and_all_guests_to_those_who_are_known() {
    let mut town = Town::planned(Plan::default());
    let mut fill = |party: u64| {
        let arrivals = (0..).map(|number| guest(&format!("p{party}-{number}"), party));
        let mut count = 0;
        let full = arrivals.map(|arrival| town.arrive(arrival).map(|_| count += 1)).find_map(Result::err);
        (count, full.unwrap())
    };
    let share = |free: usize| free * PARTY_PER_FREE / (PARTY_PER_FREE + 1);
    assert_eq!(fill(1), (share(PLACES), Refusal::PartyFull));
    assert_eq!(fill(2).0, share(PLACES - share(PLACES)), "the second finds as large a part of what is left");
    let rest = (3..10).map(|party| fill(party).0).sum::<usize>();
    assert_eq!(share(PLACES) + share(PLACES - share(PLACES)) + rest, PLACES, "in the end all are taken");
    assert_eq!(fill(10), (0, Refusal::RoomFull(PLACES)));

    for number in 0..MORE_PLACES {
        town.enter(&format!("n{number}"), Role::Listener).unwrap();
    }
    assert_eq!(town.enter("known", Role::Listener), Err(Refusal::RoomFull(PLACES)));
    town.enter("hanna", Role::Host).unwrap();
}

#[test]
fn a_place_is_free_again_for_the_party_once_a_guest_is_gone() {
    let mut town = Town::planned(Plan::default());
    let most = PLACES * PARTY_PER_FREE / (PARTY_PER_FREE + 1);
    for number in 0..most {
        town.arrive(guest(&format!("p{number}"), 1)).unwrap();
    }
    assert_eq!(town.arrive(guest("late", 1)), Err(Refusal::PartyFull));
    town.cut_with("p0", false);
    town.arrive(arrival("p1", Role::Listener)).unwrap();
    town.wait(BRIEF_MS);
    for late in ["late", "later"] {
        town.arrive(guest(late, 1)).unwrap();
    }
    assert_eq!(town.arrive(guest("latest", 1)), Err(Refusal::PartyFull));
}
