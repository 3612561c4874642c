use proptest::prelude::*;
use protocol::id::{RoomId, SpeakerNumber};

use super::*;
use crate::{Head, Numbered, Plan, Seat};

fn id(text: &str) -> Identity {
    Identity::new(text).unwrap()
}

fn person(text: &str) -> Person {
    Person { identity: id(text), name: text.to_uppercase() }
}

fn board(node: &str) -> Board {
    born(node, 1, 0)
}

fn born(node: &str, boot: u64, now: u64) -> Board {
    Board::new(NodeId::new(node).unwrap(), boot, now)
}

/// Lets time pass up to `until`; each hears whatever any other says, except where it is `lost`.
fn talk(boards: &mut [&mut Board], from: u64, until: u64, lost: impl Fn(&Share) -> bool) {
    for now in (from..=until).step_by(50) {
        for speaker in 0..boards.len() {
            let Some(share) = boards[speaker].share(now).filter(|share| !lost(share)) else { continue };
            for (_, hears) in boards.iter_mut().enumerate().filter(|(board, _)| *board != speaker) {
                hears.merge(now, share.clone());
            }
        }
        for board in boards.iter_mut() {
            board.poll(now);
        }
    }
}

fn listeners(boards: &[&mut Board]) -> Vec<u32> {
    boards.iter().map(|board| board.counts().listeners).collect()
}

/// `joined` and `left` of a delta, by identity, and the version it builds on.
fn told(board: &Board, since: u64) -> Option<(u64, Vec<String>, Vec<String>)> {
    let Some(ServerMessage::Presence { since, joined, left, .. }) = board.delta(since) else { return None };
    let joined = joined.iter().map(|person| person.identity.to_string()).collect();
    Some((since, joined, left.iter().map(Identity::to_string).collect()))
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

fn crowd(board: &mut Board, now: u64, people: std::ops::Range<usize>) {
    for number in people {
        board.join(now, person(&format!("p{number:03}")));
    }
}

#[test]
fn the_first_change_shows_at_once_and_the_next_ones_together_a_quarter_second_later() {
    let mut board = board("s");
    board.join(1_000, person("anna"));
    assert_eq!(board.poll(1_000), Some(Shown { version: 1, lag_ms: 0 }));
    board.join(1_010, person("ben"));
    board.join(1_020, person("carl"));
    board.leave(1_030, &id("carl"));
    assert_eq!(board.poll(1_100), None);
    assert_eq!(board.poll(1_250), Some(Shown { version: 2, lag_ms: 240 }));
    assert_eq!(told(&board, 1), Some((1, strings(&["ben"]), vec![])), "carl was never seen");
    assert_eq!(board.merged(), 2);
    assert_eq!(board.poll(2_000), None, "nothing new");
    assert_eq!(told(&board, 2), None);
}

#[test]
fn who_reads_slowly_gets_everything_since_then_in_one_message() {
    let mut board = board("s");
    for (step, name) in ["anna", "ben", "carl"].into_iter().enumerate() {
        board.join(step as u64 * 1_000, person(name));
        board.poll(step as u64 * 1_000);
    }
    board.leave(3_000, &id("anna"));
    board.poll(3_000);
    assert_eq!(told(&board, 1), Some((1, strings(&["ben", "carl"]), strings(&["anna"]))));
    assert_eq!(told(&board, 0), Some((0, strings(&["ben", "carl"]), vec![])), "everything");
}

#[test]
fn who_is_further_behind_than_is_remembered_gets_everything() {
    let mut board = board("s");
    for step in 0..=HISTORY as u64 + 1 {
        board.join(step * 1_000, person(&format!("p{step:03}")));
        board.poll(step * 1_000);
    }
    assert_eq!(told(&board, 1).unwrap().0, 0);
    assert_eq!(told(&board, 1).unwrap().1.len(), HISTORY + 2);
    assert_eq!(told(&board, 2).unwrap().0, 2);
}

#[test]
fn beyond_two_hundred_people_only_counts_are_told_twice_a_second() {
    let mut board = board("s");
    crowd(&mut board, 0, 0..200);
    board.poll(0);
    assert_eq!(board.people(500).len(), 200);
    crowd(&mut board, 250, 200..201);
    board.poll(250);
    assert_eq!(board.counts().listeners, 201);
    assert_eq!(told(&board, 1), Some((1, vec![], vec![])));
    assert_eq!(board.people(50).len(), 50, "some are still shown to newcomers");
    crowd(&mut board, 300, 201..210);
    assert_eq!(board.poll(749), None);
    assert!(board.poll(750).is_some());

    // Names come back, all of them, once it is clearly small again.
    for number in 181..210 {
        board.leave(2_000, &id(&format!("p{number:03}")));
    }
    board.poll(3_000);
    assert_eq!(told(&board, 3).unwrap().1.len(), 0, "181 is not clearly small");
    board.leave(3_000, &id("p180"));
    board.poll(4_000);
    assert_eq!(
        told(&board, 4).unwrap(),
        (0, board.people(500).iter().map(|p| p.identity.to_string()).collect(), vec![])
    );
    assert_eq!(board.counts().listeners, 180);
}

#[test]
fn who_goes_on_stage_leaves_the_audience() {
    let mut board = board("s");
    board.join(0, person("anna"));
    board.join(0, person("ben"));
    board.poll(0);
    let mut head = Head::new(RoomId::new("r").unwrap(), &Plan::default(), 0).unwrap();
    let (identity, name, number) = (id("anna"), "Anna".into(), SpeakerNumber(1));
    head.stage.push(Seat { identity, name, number, host: true, muted: false });
    board.stage(500, &Room::new(1, 1, Numbered { number: 1, value: head }));
    board.poll(500);
    assert_eq!(told(&board, 1), Some((1, vec![], strings(&["anna"]))));
    assert_eq!(board.counts(), Counts { listeners: 1, speakers: 1, hands: 0 });
}

#[test]
fn the_parts_of_all_signaling_nodes_make_one_audience() {
    let (mut here, mut there) = (board("here"), board("there"));
    here.join(0, person("anna"));
    there.join(0, person("ben"));
    let share = there.share(0).unwrap();
    here.merge(0, share.clone());
    here.poll(0);
    assert_eq!(told(&here, 0).unwrap().1, strings(&["anna", "ben"]));

    // Ben comes over: for a moment both have him, and he is one.
    here.join(1_000, person("ben"));
    assert_eq!(here.poll(1_000), None);
    there.leave(1_000, &id("ben"));
    here.merge(1_100, there.share(1_000).unwrap());
    assert_eq!(here.poll(1_250), None, "nothing to be seen");
    here.merge(1_300, share);
    assert_eq!(here.counts().listeners, 2, "an old share changes nothing");
}

#[test]
fn lag_counts_from_the_change_at_the_other_node() {
    let (mut here, mut there) = (board("here"), born("there", 1, 90_000));
    talk(&mut [&mut here], 0, 1_000, |_| false);
    there.share(90_000);
    there.join(90_010, person("ben"));
    there.join(90_200, person("carl"));
    assert_eq!(there.share(90_249), None);
    let share = there.share(90_250).unwrap();
    assert_eq!(share.age_ms, 240);
    here.merge(1_010, share.clone());
    assert_eq!(here.poll(1_010).unwrap().lag_ms, 0, "whoever was not known may have been there for long");

    there.join(90_400, person("dora"));
    let lost = there.share(90_500).unwrap();
    assert_eq!(lost.age_ms, 100);
    here.merge(2_500, there.share(92_000).unwrap());
    assert!(here.share(2_500).unwrap().asks, "a version that is not known");
    there.merge(92_010, Share { asks: true, ..here.share(4_000).unwrap() });
    let again = there.share(92_250).unwrap();
    assert_eq!((again.version, again.age_ms), (lost.version, 1_850));
    here.merge(4_100, again);
    assert_eq!(here.poll(4_100).unwrap().lag_ms, 1_850);
    let Some(ServerMessage::Presence { age_ms, .. }) = here.delta(1) else { panic!("news") };
    assert_eq!(age_ms, 1_850);
}

#[test]
fn what_has_not_changed_is_repeated_without_names_and_who_comes_new_asks_for_them() {
    let (mut here, mut there) = (board("here"), board("there"));
    there.join(0, person("ben"));
    assert!(there.share(0).unwrap().part.is_some());
    assert_eq!(there.share(HEARTBEAT_MS - 1), None);
    let heartbeat = there.share(HEARTBEAT_MS).unwrap();
    assert_eq!((heartbeat.part.as_ref(), heartbeat.asks), (None, false));

    let asks = here.share(HEARTBEAT_MS).unwrap();
    assert!(asks.asks);
    there.merge(HEARTBEAT_MS, asks);
    here.merge(HEARTBEAT_MS + 250, there.share(HEARTBEAT_MS + 250).unwrap());
    here.poll(HEARTBEAT_MS + 250);
    assert_eq!(told(&here, 0).unwrap().1, strings(&["ben"]));
}

#[test]
fn a_lost_share_is_repaired_within_two_heartbeats() {
    let (mut here, mut there) = (board("here"), board("there"));
    talk(&mut [&mut here, &mut there], 0, 1_000, |_| false);
    there.join(1_050, person("ben"));
    talk(&mut [&mut here, &mut there], 1_050, 1_500, |share| share.part.is_some());
    assert_eq!(here.counts().listeners, 0);
    talk(&mut [&mut here, &mut there], 1_550, 1_500 + 2 * HEARTBEAT_MS, |_| false);
    assert_eq!(here.counts().listeners, 1);
}

#[test]
fn a_signaling_node_that_falls_silent_has_nobody_any_more_once_its_lease_is_over() {
    let (mut here, mut there) = (board("here"), board("there"));
    there.join(0, person("ben"));
    talk(&mut [&mut here, &mut there], 0, HEARTBEAT_MS, |_| false);
    talk(&mut [&mut here], HEARTBEAT_MS + 50, HEARTBEAT_MS + SHARE_TIMEOUT_MS - 50, |_| false);
    assert_eq!(here.counts().listeners, 1);
    let deadline = HEARTBEAT_MS + SHARE_TIMEOUT_MS;
    assert!(here.next_deadline() <= deadline);
    assert!(here.poll(deadline).is_some());
    assert_eq!(here.counts().listeners, 0);
}

#[test]
fn a_signaling_node_that_goes_in_order_is_not_waited_for() {
    let (mut here, mut there) = (board("here"), board("there"));
    there.join(0, person("ben"));
    talk(&mut [&mut here, &mut there], 0, 1_000, |_| false);
    here.merge(1_050, there.farewell());
    here.poll(1_250);
    assert_eq!(here.counts().listeners, 0);
}

#[test]
fn a_node_that_was_asleep_and_taken_for_gone_is_counted_again_at_once() {
    let (mut here, mut there) = (board("here"), board("there"));
    here.join(0, person("anna"));
    there.join(0, person("ben"));
    talk(&mut [&mut here, &mut there], 0, 1_000, |_| false);
    talk(&mut [&mut here], 1_050, 41_000, |_| false);
    assert_eq!(listeners(&[&mut here, &mut there]), [1, 2]);
    there.poll(41_050);
    assert_eq!(there.counts().listeners, 2, "it was not the others who were silent");
    let share = there.share(41_050).unwrap();
    assert!(share.part.is_some() && share.asks);
    here.merge(41_050, share);
    assert!(here.poll(41_050).is_some());
    assert_eq!(listeners(&[&mut here, &mut there]), [2, 2]);
}

#[test]
fn while_the_bus_is_away_nobody_is_taken_for_gone() {
    let (mut here, mut there) = (board("here"), board("there"));
    there.join(0, person("ben"));
    talk(&mut [&mut here, &mut there], 0, 1_000, |_| false);
    for now in (1_000..31_000).step_by(500) {
        here.deaf(now);
        here.share(now);
        here.poll(now);
    }
    assert_eq!(here.counts().listeners, 1);
    here.missed();
    let share = here.share(31_000).unwrap();
    assert!(share.asks && share.part.is_some(), "both sides may have missed something");
}

#[test]
fn a_board_made_anew_in_the_same_boot_is_newer_than_the_one_before() {
    let (mut here, mut before) = (board("here"), born("there", 1, 0));
    for step in 0..20 {
        before.join(step * 250, person(&format!("p{step}")));
        here.merge(step * 250, before.share(step * 250).unwrap());
    }
    let mut there = born("there", 1, 7_000);
    there.join(7_000, person("ben"));
    here.merge(7_000, there.share(7_000).unwrap());
    here.poll(7_000);
    assert_eq!(here.counts().listeners, 1);
}

/// The boot is the one thing that comes from a wall clock.
#[test]
fn a_node_whose_clock_went_back_is_believed_once_its_former_life_is_over() {
    let (mut here, mut before) = (board("here"), born("there", 1_000, 0));
    before.join(0, person("ben"));
    talk(&mut [&mut here, &mut before], 0, 1_000, |_| false);
    let mut there = born("there", 10, 0);
    there.join(0, person("carl"));
    talk(&mut [&mut here, &mut there], 1_050, 1_000 + SHARE_TIMEOUT_MS + 2 * HEARTBEAT_MS, |_| false);
    assert_eq!(told(&here, 0).unwrap().1, strings(&["carl"]));
}

#[test]
fn there_is_a_limit_to_the_nodes_that_are_believed() {
    let mut here = board("here");
    for number in 0..=MAX_SHARES {
        let mut there = board(&format!("s{number}"));
        there.join(0, person(&format!("p{number}")));
        here.merge(0, there.share(0).unwrap());
    }
    here.poll(0);
    assert_eq!((here.counts().listeners as usize, here.refused()), (MAX_SHARES, 1));
}

#[test]
fn under_load_it_comes_less_often_and_is_no_less_alive() {
    let mut board = board("s");
    board.join(0, person("anna"));
    board.poll(0);
    board.restrain(Restraint::from_per_mille(1_000));
    board.join(1, person("ben"));
    assert_eq!(board.next_deadline(), 0, "the share, which nobody has taken yet");
    board.share(1);
    board.join(2, person("carl"));
    assert_eq!(board.share(HEARTBEAT_MS), None);
    assert!(board.share(1 + HEARTBEAT_MS).unwrap().part.is_some());
    assert_eq!(board.poll(SLOWEST_MS - 1), None);
    assert_eq!(board.poll(SLOWEST_MS).unwrap().lag_ms, SLOWEST_MS - 1);
}

/// What befalls nodes and their words in [`everybody_agrees_after_the_last_word`].
#[derive(Debug, Clone, Copy)]
enum Fate {
    Join(usize, u8),
    Leave(usize, u8),
    Wait(u64),
    /// Of the words on their way, one arrives, and may do so again.
    Arrive(usize),
    Lose(usize),
    Restart(usize, u64),
    Gone(usize),
}

fn fate() -> impl Strategy<Value = Fate> {
    let node = 0..3usize;
    prop_oneof![
        4 => (node.clone(), 0..12u8).prop_map(|(node, who)| Fate::Join(node, who)),
        2 => (node.clone(), 0..12u8).prop_map(|(node, who)| Fate::Leave(node, who)),
        6 => (1..700u64).prop_map(Fate::Wait),
        8 => (0..64usize).prop_map(Fate::Arrive),
        4 => (0..64usize).prop_map(Fate::Lose),
        1 => (node.clone(), 0..9u64).prop_map(|(node, boot)| Fate::Restart(node, boot)),
        1 => node.prop_map(Fate::Gone),
    ]
}

proptest! {
    /// Words may be lost, doubled and late, nodes may begin anew, with a clock that went back too, or be gone:
    /// once words arrive again, everybody has the same audience within a lease and two heartbeats.
    #[test]
    fn everybody_agrees_after_the_last_word(fates in proptest::collection::vec(fate(), 1..200)) {
        let names = ["a", "b", "c"];
        let mut boards: Vec<Board> = names.iter().map(|name| born(name, 5, 0)).collect();
        let mut people = vec![BTreeSet::new(); boards.len()];
        // No two lives of a node begin in the same millisecond.
        let mut boots = vec![BTreeSet::from([5]); boards.len()];
        let mut gone = BTreeSet::new();
        let (mut now, mut words) = (0, Vec::<(usize, Share)>::new());
        for fate in fates {
            match fate {
                Fate::Join(node, who) => {
                    boards[node].join(now, person(&format!("p{who}")));
                    people[node].insert(format!("p{who}"));
                }
                Fate::Leave(node, who) => {
                    boards[node].leave(now, &id(&format!("p{who}")));
                    people[node].remove(&format!("p{who}"));
                }
                Fate::Wait(ms) => now += ms,
                Fate::Arrive(word) if !words.is_empty() => {
                    let (to, share) = words[word % words.len()].clone();
                    boards[to].merge(now, share);
                }
                Fate::Lose(word) if !words.is_empty() => drop(words.swap_remove(word % words.len())),
                Fate::Arrive(_) | Fate::Lose(_) => {}
                Fate::Restart(node, mut boot) => {
                    while !boots[node].insert(boot) {
                        boot += 10;
                    }
                    boards[node] = born(names[node], boot, now);
                    people[node].clear();
                }
                Fate::Gone(node) => drop(gone.insert(node)),
            }
            for from in (0..boards.len()).filter(|node| !gone.contains(node)) {
                boards[from].poll(now);
                let Some(share) = boards[from].share(now) else { continue };
                words.extend((0..boards.len()).filter(|to| *to != from).map(|to| (to, share.clone())));
            }
        }
        let mut living: Vec<&mut Board> = boards.iter_mut().enumerate()
            .filter(|(node, _)| !gone.contains(node)).map(|(_, board)| board).collect();
        talk(&mut living, now, now + SHARE_TIMEOUT_MS + 2 * HEARTBEAT_MS, |_| false);
        let there: BTreeSet<String> = people.into_iter().enumerate()
            .filter(|(node, _)| !gone.contains(node)).flat_map(|(_, people)| people).collect();
        for board in living {
            let known: BTreeSet<_> = board.people(NAMED).iter().map(|p| p.identity.to_string()).collect();
            prop_assert_eq!(&known, &there);
        }
    }

    /// However people come and go, however slowly a client reads: applying what it is told, it knows
    /// the audience, and every version is no sooner than the pace allows.
    #[test]
    fn whoever_applies_the_deltas_knows_the_audience(
        steps in proptest::collection::vec((0..40usize, any::<bool>(), 0..400u64, 0..4u8), 1..300),
    ) {
        let mut board = board("s");
        let (mut now, mut last) = (0, None::<u64>);
        // Three clients; the slower, the less often they read.
        let mut clients = vec![(0, BTreeMap::new()); 3];
        for (who, comes, wait, reads) in steps {
            now += wait;
            let someone = person(&format!("p{who}"));
            if comes { board.join(now, someone) } else { board.leave(now, &someone.identity) }
            if board.poll(now).is_some() {
                prop_assert!(last.is_none_or(|last| now - last >= NAMED_INTERVAL_MS));
                last = Some(now);
            }
            for (version, audience) in clients.iter_mut().skip(usize::from(reads)) {
                let Some(ServerMessage::Presence { version: to, since, joined, left, .. }) = board.delta(*version)
                else { continue };
                if since == 0 {
                    audience.clear();
                }
                for identity in &left {
                    prop_assert!(audience.remove(identity).is_some(), "only those who were known leave");
                }
                audience.extend(joined.into_iter().map(|person| (person.identity, person.name)));
                *version = to;
                let known: Vec<_> = audience.iter().map(super::person).collect();
                prop_assert_eq!(known, board.people(NAMED));
            }
        }
    }
}
