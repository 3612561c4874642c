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
    Board::new(NodeId::new(node).unwrap(), 1)
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
fn beyond_two_hundred_people_only_counts_are_told_once_a_second() {
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
    assert_eq!(board.poll(1_249), None);
    assert!(board.poll(1_250).is_some());

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
fn a_signaling_node_that_falls_silent_has_nobody_any_more() {
    let (mut here, mut there) = (board("here"), board("there"));
    there.join(0, person("ben"));
    here.merge(0, there.share(0).unwrap());
    here.poll(0);
    assert_eq!(there.share(HEARTBEAT_MS - 1), None);
    here.merge(HEARTBEAT_MS, there.share(HEARTBEAT_MS).unwrap());
    assert_eq!(here.poll(SHARE_TIMEOUT_MS), None);
    assert_eq!(here.next_deadline(), Some(HEARTBEAT_MS + SHARE_TIMEOUT_MS));
    assert!(here.poll(HEARTBEAT_MS + SHARE_TIMEOUT_MS).is_some());
    assert_eq!(here.counts().listeners, 0);
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
fn under_load_it_comes_less_often() {
    let mut board = board("s");
    board.join(0, person("anna"));
    board.poll(0);
    board.slow_down(4);
    board.join(1, person("ben"));
    assert_eq!(board.next_deadline(), Some(0), "the share, which nobody has taken yet");
    board.share(1);
    assert_eq!(board.poll(999), None);
    assert!(board.poll(1_000).is_some());
}

proptest! {
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
