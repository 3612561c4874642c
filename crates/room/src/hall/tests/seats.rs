use super::*;

#[test]
fn a_hand_that_is_up_is_consent() {
    let mut town = Town::new(8);
    let raised = town.act(&host("lea"), Action::RaiseHand).unwrap();
    assert_eq!(raised.changes, [Change::Hands { up: vec![id("lea")], down: vec![] }]);

    let number = SpeakerNumber(2);
    let promoted = town.act(&host("hanna"), promote("lea")).unwrap();
    assert_eq!(promoted.answer, Answer::Seated { number });
    let member = StageMember { identity: id("lea"), name: "lea".into(), number, host: false, muted: false };
    assert_eq!(
        promoted.changes,
        [
            Change::Stage { set: vec![member], gone: vec![] },
            Change::Hands { up: vec![], down: vec![id("lea")] },
            Change::Promoted { identity: id("lea"), by: Some(id("hanna")), number, muted: false },
        ]
    );
    assert_eq!(promoted.before, raised.version);
}

#[test]
fn whoever_did_not_ask_is_invited_and_the_seat_is_held_for_thirty_seconds() {
    let mut town = Town::new(2);
    let asked = town.act(&host("hanna"), promote("lea")).unwrap();
    assert_eq!(asked.answer, Answer::Invited { expires_ms: INVITATION_MS });
    let by = Some(id("hanna"));
    assert_eq!(asked.changes, [Change::Invited { identity: id("lea"), by, expires_ms: INVITATION_MS }]);
    town.now += 10_000;
    assert_eq!(town.does("hanna", promote("lea")), Answer::Invited { expires_ms: 20_000 }, "asked already");
    let full = Refusal::StageFull { seats: 2, retry_after_ms: Some(20_000) };
    assert_eq!(town.refused("hanna", promote("leo")), full);
    assert_eq!(town.does("lea", Action::Accept), Answer::Seated { number: SpeakerNumber(2) });
    assert_eq!(town.refused("lea", Action::Accept).code(), protocol::Code::Conflict);
}

#[test]
fn an_invitation_without_an_answer_gives_its_seat_back() {
    let mut town = Town::new(2);
    town.does("hanna", promote("lea"));
    assert_eq!(town.records.next_deadline(), Some(1_000 + INVITATION_MS));
    assert_eq!(town.wait(INVITATION_MS - 1), []);
    let silent = Change::Declined { identity: id("lea"), why: DeclineReason::NoAnswer };
    assert_eq!(town.wait(1), [silent]);
    town.does("hanna", promote("leo"));
    let declined = town.act(&host("leo"), Action::Decline).unwrap().changes;
    assert_eq!(declined, [Change::Declined { identity: id("leo"), why: DeclineReason::Declined }]);
    town.does("hanna", promote("leo"));
    assert_eq!(town.leave("leo"), [Change::Declined { identity: id("leo"), why: DeclineReason::Left }]);
    assert_eq!(town.room.invitations(), []);
}

#[test]
fn an_answer_that_comes_too_late_counts_for_nothing_even_if_the_timer_is_late_too() {
    let mut town = Town::new(2);
    town.does("hanna", promote("lea"));
    town.now += INVITATION_MS;
    assert!(matches!(town.refused("lea", Action::Accept), Refusal::Conflict(_)));
    let outcome = town.act(&host("leo"), Action::RaiseHand).unwrap();
    let silent = Change::Declined { identity: id("lea"), why: DeclineReason::NoAnswer };
    assert!(outcome.changes.contains(&silent), "whoever acts next brings the news");
}

#[test]
fn raising_a_hand_says_yes_to_an_invitation() {
    let mut town = Town::new(8);
    town.does("hanna", promote("lea"));
    assert_eq!(town.does("lea", Action::RaiseHand), Answer::Seated { number: SpeakerNumber(2) });
}

#[test]
fn a_full_stage_refuses_and_lets_newcomers_listen() {
    let mut town = Town::new(1);
    town.does("lea", Action::RaiseHand);
    let full = Refusal::StageFull { seats: 1, retry_after_ms: None };
    assert_eq!(town.refused("hanna", promote("lea")), full);
    assert_eq!(town.enter("sam", Role::Speaker), Ok(Answer::StageFull));
    assert_eq!(town.enter("hugo", Role::Host), Ok(Answer::StageFull));
    assert_eq!(town.room.place(&id("sam")).role, Role::Listener);
    assert_eq!(town.room.place(&id("hugo")).role, Role::Host, "what a host may does not hang on a seat");
    assert_eq!(town.does("hugo", demote("hanna")), Answer::Done);
    assert_eq!(town.does("hugo", promote("hugo")), Answer::Seated { number: SpeakerNumber(2) });
}

#[test]
fn numbers_are_never_given_twice() {
    let mut town = Town::new(8);
    for number in 2..6 {
        town.does("lea", Action::RaiseHand);
        assert_eq!(town.does("hanna", promote("lea")), Answer::Seated { number: SpeakerNumber(number) });
        town.does("lea", STEP_DOWN);
    }
}

#[test]
fn hands_keep_the_order_in_which_they_went_up() {
    let mut town = Town::new(8);
    town.enter("ben", Role::Listener).unwrap();
    for who in ["leo", "lea", "leo", "ben"] {
        town.does(who, Action::RaiseHand);
        // Each by the clock of another node: the store's order counts.
        town.now -= 10;
    }
    let hands = |town: &Town| town.room.hands().into_iter().map(|hand| hand.identity).collect::<Vec<_>>();
    let order = [id("leo"), id("lea"), id("ben")];
    assert_eq!(hands(&town), order);
    // Another name, or a store that has lost the room, and nobody loses their turn.
    town.arrive(Arrival { name: "Leonard".into(), ..arrival("leo", Role::Listener) }).unwrap();
    assert_eq!(hands(&town), order);
    let owner = town.current("hanna").unwrap().owner();
    town.run(&Operation::Restore { room: Box::new((*town.room).clone()), owner }).unwrap();
    assert_eq!(hands(&town), order);
    town.does("hanna", Action::LowerHand { identity: Some(id("leo")) });
    town.does("lea", Action::LowerHand { identity: None });
    assert_eq!(hands(&town), [id("ben")]);
}

#[test]
fn a_host_lowers_all_hands_and_whoever_raises_theirs_again_is_seen() {
    let mut town = Town::new(8);
    for who in ["leo", "lea"] {
        town.does(who, Action::RaiseHand);
    }
    let lowered = town.act(&host("hanna"), Action::LowerAllHands).unwrap();
    assert_eq!(lowered.changes, [Change::Hands { up: vec![], down: vec![id("lea"), id("leo")] }]);
    assert_eq!(town.room.hand_count(), 0);
    let again = town.act(&host("hanna"), Action::LowerAllHands).unwrap();
    assert_eq!((again.before, again.changes), (again.version, vec![]), "nothing new");
    town.does("leo", Action::RaiseHand);
    assert_eq!(town.room.hands().len(), 1);
}

#[test]
fn what_somebody_has_outlives_a_cut_for_sixty_seconds() {
    let mut town = Town::new(8);
    town.does("lea", Action::RaiseHand);
    town.does("hanna", promote("lea"));
    town.does("lea", MUTE_ME);
    town.does("leo", Action::RaiseHand);
    town.cut("lea");
    town.cut("leo");
    assert_eq!(town.wait(AWAY_MS - 1), []);
    town.cut("lea"); // told twice: no more time
    assert_eq!(town.enter("leo", Role::Listener), Ok(Answer::Done));
    assert!(town.room.place(&id("leo")).hand);
    assert_eq!(town.wait(1), [Change::Stage { set: vec![], gone: vec![id("lea")] }]);
    assert_eq!(town.wait(AWAY_MS), [], "leo is back");
}

#[test]
fn whoever_only_comes_and_goes_is_held_for_seconds_unless_on_stage() {
    let mut town = Town::new(8);
    town.enter("sam", Role::Speaker).unwrap();
    town.does("lea", Action::RaiseHand);
    for who in ["lea", "sam"] {
        town.cut_with(who, false);
    }
    assert_eq!(town.wait(BRIEF_MS - 1), []);
    assert_eq!(town.wait(1), [Change::Hands { up: vec![], down: vec![id("lea")] }]);
    assert_eq!(town.current("lea"), None);
    assert_eq!(town.enter("sam", Role::Speaker), Ok(Answer::Seated { number: SpeakerNumber(2) }));
}

#[test]
fn whoever_comes_back_in_time_has_their_seat_and_their_mute() {
    let mut town = Town::new(8);
    town.does("lea", Action::RaiseHand);
    town.does("hanna", promote("lea"));
    town.does("lea", MUTE_ME);
    let before = town.room.place(&id("lea"));
    town.cut("lea");
    town.wait(AWAY_MS - 1);
    assert_eq!(town.enter("lea", Role::Listener), Ok(Answer::Seated { number: SpeakerNumber(2) }));
    assert_eq!(town.room.place(&id("lea")), before);
    assert_eq!(town.records.next_deadline(), None);
}

#[test]
fn a_second_entry_of_the_same_person_takes_no_second_seat() {
    let mut town = Town::new(8);
    assert_eq!(town.enter("hanna", Role::Host), Ok(Answer::Seated { number: SpeakerNumber(1) }));
    assert_eq!(town.on_stage(), ["hanna"]);
}

#[test]
fn somebody_who_is_promoted_while_cut_off_does_not_hold_the_seat_for_longer() {
    let mut town = Town::new(8);
    town.does("lea", Action::RaiseHand);
    town.cut("lea");
    town.wait(AWAY_MS / 2);
    town.does("hanna", promote("lea"));
    assert_eq!(town.wait(AWAY_MS / 2), [Change::Stage { set: vec![], gone: vec![id("lea")] }]);
}

#[test]
fn whoever_lost_the_seat_a_moment_ago_and_enters_is_set_and_not_gone() {
    let mut town = Town::new(8);
    town.enter("sam", Role::Speaker).unwrap();
    town.cut("sam");
    town.now += AWAY_MS;
    let sam = Arrival { name: "Sam".into(), ..arrival("sam", Role::Speaker) };
    let changes = town.arrive(sam).unwrap().changes;
    let [Change::Stage { set, gone }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((set[0].number, gone.len()), (SpeakerNumber(3), 0));
}

#[test]
fn only_those_who_are_seen_in_the_room_can_be_promoted() {
    let mut town = Town::new(8);
    assert_eq!(town.refused("hanna", promote("nobody")), Refusal::NotHere(id("nobody")));
    assert_eq!(town.refused("hanna", promote("hanna")), Refusal::Conflict("already on stage"));
}
