use super::*;
use crate::Head;

#[test]
fn only_hosts_do_what_hosts_do() {
    let mut town = Town::new(8);
    town.enter("sam", Role::Speaker).unwrap();
    let unban = Action::Unban { identity: id("leo") };
    let title = Action::Configure { title: Some("Mine".into()), seats: None, live: None };
    let lower = Action::LowerHand { identity: Some(id("leo")) };
    for who in ["lea", "sam", "nobody"] {
        for action in [
            promote("leo"),
            demote("hanna"),
            mute("hanna"),
            kick("leo"),
            ban("leo"),
            unban.clone(),
            lower.clone(),
            Action::LowerAllHands,
            Action::GoLive,
            Action::End,
            title.clone(),
        ] {
            assert_eq!(town.refused(who, action), Refusal::NotHost);
        }
    }
}

#[test]
fn a_host_cannot_put_out_another_but_an_admin_can() {
    let mut town = Town::new(8);
    town.enter("hugo", Role::Host).unwrap();
    assert_eq!(town.refused("hanna", kick("hugo")), Refusal::TargetIsHost);
    assert_eq!(town.refused("hanna", ban("hugo")), Refusal::TargetIsHost);
    assert!(matches!(town.refused("hanna", kick("hanna")), Refusal::Conflict(_)));
    town.act(&Actor::Admin, kick("hugo")).unwrap();
    assert_eq!(town.enter("hugo", Role::Host), Ok(Answer::Done), "as a listener now");
    assert_eq!(town.refused("hugo", mute("hanna")), Refusal::NotHost);
    assert_eq!(town.act(&Actor::Bearer(id("hugo")), mute("hanna")), Err(Refusal::NotHost));
}

#[test]
fn whoever_shows_a_host_token_over_http_acts_without_being_there() {
    let mut town = Town::new(8);
    assert!(town.act(&Actor::Bearer(id("helen")), mute("hanna")).is_ok());
    assert_eq!(town.act(&Actor::Bearer(id("helen")), kick("hanna")), Err(Refusal::TargetIsHost));
    assert_eq!(town.act(&Actor::Admin, STEP_DOWN).unwrap_err().code(), protocol::Code::BadRequest);
}

#[test]
fn a_speaker_who_was_demoted_listens_whatever_token_they_show_until_they_are_promoted() {
    let mut town = Town::new(8);
    town.enter("sam", Role::Speaker).unwrap();
    let demoted = town.act(&host("hanna"), demote("sam")).unwrap().changes;
    assert_eq!(
        demoted,
        [
            Change::Stage { set: vec![], gone: vec![id("sam")] },
            Change::Demoted { identity: id("sam"), by: Some(id("hanna")) },
        ]
    );
    town.leave("sam");
    for role in [Role::Speaker, Role::Host, Role::Listener] {
        assert_eq!(town.enter("sam", role), Ok(Answer::Done));
    }
    town.does("sam", Action::RaiseHand);
    town.does("hanna", promote("sam"));
    town.leave("sam");
    assert!(matches!(town.enter("sam", Role::Speaker), Ok(Answer::Seated { .. })));
}

#[test]
fn a_host_who_was_demoted_is_a_host_in_the_audience() {
    let mut town = Town::new(8);
    town.enter("hugo", Role::Host).unwrap();
    town.does("hanna", demote("hugo"));
    assert_eq!(town.enter("hugo", Role::Host), Ok(Answer::Done), "a reload brings no seat");
    assert_eq!(town.does("hugo", mute("hanna")), Answer::Done);
}

#[test]
fn whoever_stepped_down_stays_down_over_a_reload() {
    let mut town = Town::new(8);
    town.enter("sam", Role::Speaker).unwrap();
    town.does("sam", STEP_DOWN);
    assert_eq!(town.enter("sam", Role::Speaker), Ok(Answer::Done));
    assert_eq!(town.refused("sam", STEP_DOWN), Refusal::Conflict("not on stage"));
}

#[test]
fn the_first_token_says_the_role() {
    let mut town = Town::new(8);
    town.enter("sam", Role::Speaker).unwrap();
    town.leave("sam");
    town.enter("sam", Role::Host).unwrap();
    assert_eq!(town.room.place(&id("sam")).role, Role::Speaker);
    town.leave("hanna");
    town.enter("hanna", Role::Listener).unwrap();
    assert_eq!(town.room.place(&id("hanna")).role, Role::Host);
}

#[test]
fn a_listener_who_was_promoted_does_not_become_a_host_by_another_token() {
    let mut town = Town::new(8);
    town.does("lea", Action::RaiseHand);
    town.does("hanna", promote("lea"));
    town.enter("lea", Role::Host).unwrap();
    assert_eq!(town.room.place(&id("lea")).role, Role::Speaker);
    town.leave("lea");
    assert_eq!(town.enter("lea", Role::Host), Ok(Answer::Done), "and has no seat of their own");
}

#[test]
fn a_host_s_mute_holds_over_a_new_entry_and_the_speaker_may_lift_it() {
    let mut town = Town::new(8);
    town.enter("sam", Role::Speaker).unwrap();
    let muted = town.act(&host("hanna"), mute("sam")).unwrap().changes;
    assert_eq!(muted.len(), 2, "the stage and the person");
    assert_eq!(muted[1], Change::Muted { identity: id("sam"), by: Some(id("hanna")) });
    town.leave("sam");
    town.enter("sam", Role::Speaker).unwrap();
    assert!(town.is_muted("sam"));
    town.does("sam", Action::Unmute);
    assert!(!town.is_muted("sam"));
    town.leave("sam");
    town.enter("sam", Role::Speaker).unwrap();
    assert!(!town.is_muted("sam"));
}

#[test]
fn one_s_own_mute_is_told_to_everybody_and_ends_with_the_seat() {
    let mut town = Town::new(8);
    let muted = town.act(&host("hanna"), MUTE_ME).unwrap().changes;
    assert!(matches!(&muted[..], [Change::Stage { set, .. }] if set[0].muted));
    let again = town.act(&host("hanna"), MUTE_ME).unwrap();
    assert_eq!((again.before, again.changes), (again.version, vec![]), "nothing new");
    town.leave("hanna");
    town.enter("hanna", Role::Host).unwrap();
    assert!(!town.is_muted("hanna"));
    assert_eq!(town.refused("lea", MUTE_ME), Refusal::Conflict("not on stage"));
    assert_eq!(town.refused("hanna", mute("lea")), Refusal::Conflict("not on stage"));
}

#[test]
fn whoever_is_kicked_may_come_back_to_listen() {
    let mut town = Town::new(8);
    town.enter("sam", Role::Speaker).unwrap();
    let kicked = town.act(&host("hanna"), kick("sam")).unwrap().changes;
    assert_eq!(
        kicked,
        [
            Change::Stage { set: vec![], gone: vec![id("sam")] },
            Change::Removed { identity: id("sam"), reason: RemoveReason::Kicked },
        ]
    );
    assert_eq!(town.enter("sam", Role::Speaker), Ok(Answer::Done));
    assert_eq!(town.refused("hanna", kick("nobody")), Refusal::NotHere(id("nobody")));
}

#[test]
fn whoever_is_banned_stays_out_until_somebody_unbans_them() {
    let mut town = Town::new(8);
    town.does("lea", Action::RaiseHand);
    town.does("hanna", ban("lea"));
    town.does("hanna", ban("stranger"));
    assert_eq!(town.room.hands(), []);
    for who in ["lea", "stranger"] {
        assert_eq!(town.enter(who, Role::Host), Err(Refusal::Banned));
        assert_eq!(town.refused(who, Action::RaiseHand), Refusal::Banned);
    }
    town.does("hanna", Action::Unban { identity: id("lea") });
    assert_eq!(town.enter("lea", Role::Listener), Ok(Answer::Done));
}

#[test]
fn an_invitation_can_be_taken_back() {
    let mut town = Town::new(8);
    town.does("hanna", promote("lea"));
    let back = town.act(&host("hanna"), demote("lea")).unwrap().changes;
    assert_eq!(back, [Change::Demoted { identity: id("lea"), by: Some(id("hanna")) }]);
    assert_eq!(town.room.invitations(), []);
    assert_eq!(town.refused("hanna", demote("lea")), Refusal::Conflict("not on stage"));
}

#[test]
fn a_room_that_a_listener_made_goes_live_with_the_first_who_may_speak() {
    let waiting = || {
        let mut town = Town::new(8);
        town.records = Records::default();
        town.enter("lea", Role::Listener).unwrap();
        assert_eq!(town.room.state(), RoomState::Backstage);
        town
    };
    let mut town = waiting();
    let changes = town.arrive(arrival("sam", Role::Speaker)).unwrap().changes;
    assert!(changes.contains(&Change::Room { state: RoomState::Live, since: 1_000 }), "{changes:?}");

    for (live, state) in [(false, RoomState::Backstage), (true, RoomState::Live)] {
        let mut town = waiting();
        let plan = Action::Configure { title: None, seats: None, live: Some(live) };
        town.act(&Actor::Admin, plan).unwrap();
        assert_eq!(town.room.state(), state);
        town.enter("hanna", Role::Host).unwrap();
        assert_eq!(town.room.state(), state, "what it was made to be on purpose, it stays");
    }
}

#[test]
fn the_room_goes_live_once_and_ends_for_good() {
    let mut town = Town::planned(Plan { live: Some(false), ..Plan::default() });
    town.enter("hanna", Role::Host).unwrap();
    assert_eq!(town.room.state(), RoomState::Backstage);
    let live = town.act(&host("hanna"), Action::GoLive).unwrap().changes;
    assert_eq!(live, [Change::Room { state: RoomState::Live, since: 1_000 }]);
    assert_eq!(town.act(&host("hanna"), Action::GoLive).unwrap().changes, []);
    let ended = town.act(&host("hanna"), Action::End).unwrap().changes;
    assert_eq!(ended, [Change::Room { state: RoomState::Ended, since: 1_000 }]);
    assert_eq!(town.room.stage(), []);
    assert_eq!(town.does("hanna", Action::End), Answer::Done);
    assert_eq!(town.refused("hanna", Action::GoLive), Refusal::Ended);
    assert_eq!(town.enter("lea", Role::Listener), Err(Refusal::Ended));
}

#[test]
fn title_and_seats_keep_within_their_limits() {
    let mut town = Town::new(8);
    let mut configure = |title: Option<&str>, seats| {
        town.act(&Actor::Admin, Action::Configure { title: title.map(Into::into), seats, live: None })
    };
    assert!(configure(Some("All hands"), Some(1)).is_ok());
    assert_eq!(configure(Some("All hands"), Some(1)).unwrap().changes, [], "the same again");
    let long = "x".repeat(crate::limits::MAX_TITLE + 1);
    for (title, seats) in [(Some(""), None), (Some("a\nb"), None), (Some(&*long), None), (None, Some(0))] {
        assert!(matches!(configure(title, seats), Err(Refusal::Invalid(_))));
    }
    assert!(matches!(configure(None, Some(crate::limits::MAX_SEATS + 1)), Err(Refusal::Invalid(_))));
    town.act(&Actor::Admin, Action::Configure { title: None, seats: Some(2), live: None }).unwrap();
    town.does("hanna", promote("lea"));
    let fewer = Action::Configure { title: None, seats: Some(1), live: None };
    assert!(matches!(town.refused("hanna", fewer), Refusal::Conflict(_)));
}

#[test]
fn the_origin_is_given_once_and_replaced_only_when_it_is_the_one_that_was_lost() {
    let mut town = Town::new(8);
    let (first, second) = (NodeId::new("o1").unwrap(), NodeId::new("o2").unwrap());
    assert_eq!(town.room.node_stage(), None);
    town.origin(&first, Epoch(1), None);
    let late = town.origin(&second, Epoch(2), None);
    assert_eq!((late, town.room.origin()), (vec![], Some((&first, Epoch(1)))));
    town.origin(&second, Epoch(3), Some(Epoch(1)));
    town.origin(&first, Epoch(4), Some(Epoch(1)));
    assert_eq!(town.room.origin(), Some((&second, Epoch(3))), "two saw the same loss: one replacement");

    let stage = town.room.node_stage().unwrap();
    assert_eq!((stage.epoch, stage.version), (Epoch(3), town.room.version()));
    assert_eq!(stage.speakers[0].number, SpeakerNumber(1));
}

/// A town that remembers as much as it may, and nothing that is not decided like this.
fn remembering(decided: &Standing) -> Town {
    let mut town = Town::new(8);
    let standing = (0..MAX_STANDING).map(|number| (id(&format!("s{number}")), Some(decided.clone())));
    let delta = Delta { standing: standing.collect(), ..Delta::default() };
    let commit = Commit {
        now: town.now,
        compare: Compare { door: town.room.door, ..Compare::default() },
        delta,
        people: BTreeMap::new(),
        above: None,
        clear: false,
        forget: None,
        notes: Vec::new(),
    };
    town.records.commit(town.now, &commit).unwrap();
    town.room = town.records.room().unwrap().clone();
    town
}

#[test]
fn what_a_token_would_say_again_is_forgotten_first() {
    let mut town = remembering(&Standing { role: Some(Role::Speaker), ..Standing::default() });
    town.enter("sam", Role::Speaker).unwrap();
    assert_eq!(town.room.standing.len(), 2);
    assert!(town.room.is_host(&id("hanna")));
}

#[test]
fn when_nothing_can_be_forgotten_a_ban_is_refused_and_a_kick_still_works() {
    let mut town = remembering(&Standing { banned: true, ..Standing::default() });
    let limit = Refusal::Limit { what: "decisions about people", limit: MAX_STANDING };
    assert_eq!(town.refused("hanna", ban("enemy")), limit);
    let kicked = town.act(&host("hanna"), kick("lea")).unwrap().changes;
    assert_eq!(kicked, [Change::Removed { identity: id("lea"), reason: RemoveReason::Kicked }]);
    assert!(town.room.standing.len() <= MAX_STANDING + 1, "hanna was there before");
}

#[test]
fn whoever_was_banned_neither_makes_the_ended_room_anew_nor_enters_the_next_one() {
    let mut town = Town::new(8);
    town.enter("hugo", Role::Host).unwrap();
    town.act(&Actor::Admin, ban("hugo")).unwrap();
    let anew = |town: &mut Town, by: &str| {
        let actor = Actor::Bearer(id(by));
        town.run(&Operation::Create { actor, plan: Plan::default() }).map(drop).map_err(refused)
    };
    for forgotten in [false, true] {
        town.act(&Actor::Admin, Action::End).unwrap();
        if forgotten {
            town.wait(crate::limits::ENDED_MS);
            assert_eq!(town.records.room(), None);
        }
        let before = town.room.version();
        assert_eq!(anew(&mut town, "hugo"), Err(Refusal::Banned));
        assert_eq!(anew(&mut town, "hanna"), Ok(()));
        assert!(town.room.version() > before, "nobody takes the one for the other");
        assert_eq!(town.enter("hugo", Role::Host), Err(Refusal::Banned));
    }
    town.act(&Actor::Admin, Action::Unban { identity: id("hugo") }).unwrap();
    assert!(town.enter("hugo", Role::Host).is_ok());
}

#[test]
fn what_is_kept_is_written_and_read_as_it_is() {
    let mut town = Town::new(8);
    town.does("lea", Action::RaiseHand);
    town.does("hanna", promote("leo"));
    town.does("hanna", ban("enemy"));
    let head = serde_json::to_string(&town.room.head.value).unwrap();
    assert_eq!(serde_json::from_str::<Head>(&head).unwrap(), town.room.head.value);
    let delta = Delta {
        head: Some(town.room.head.value.clone()),
        door: true,
        hands: town.room.hands.iter().map(|(who, hand)| (who.clone(), Some(hand.value.clone()))).collect(),
        standing: BTreeMap::from([(id("gone"), None)]),
    };
    let written = serde_json::to_string(&delta).unwrap();
    assert_eq!(serde_json::from_str::<Delta>(&written).unwrap(), delta);
}
