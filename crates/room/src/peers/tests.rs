use protocol::id::{NodeId, Session};

use super::*;

fn owner(node: &str) -> Owner {
    Owner { node: NodeId::new(node).unwrap(), boot: 1 }
}

fn claim(node: &str) -> Claim {
    let Owner { node, boot } = owner(node);
    Claim { session: Session { node, boot, number: 1 }, whip: None }
}

fn wants(books: &mut Books, now: u64, node: &str, peers: &[u64]) -> Compared {
    let wanted: Digests = peers.iter().copied().map(PeerId).collect();
    let compared = books.compare(now, &owner(node), &wanted.to_vec()).unwrap();
    for &index in &compared.differ {
        let behind = peers.iter().copied().map(PeerId).filter(|peer| bucket(*peer) == usize::from(index));
        books.claim(now, &owner(node), index, &behind.collect::<Vec<_>>()).unwrap();
    }
    compared
}

fn books(peers: &[(u64, &str)]) -> Books {
    let mut books = Books::default();
    for (peer, node) in peers {
        let identity = Identity::new(&format!("person-{peer}")).unwrap();
        let room = RoomId::new("hall").unwrap();
        books.enter(0, PeerId(*peer), Purpose::Listen, room, identity, claim(node));
    }
    books
}

fn ids(compared: &Compared) -> Vec<u64> {
    compared.orphans.iter().map(|orphan| orphan.peer.0).collect()
}

#[test]
fn where_both_agree_nothing_more_is_said() {
    let mut books = books(&[(1, "s1"), (2, "s1"), (17, "s1"), (3, "s2")]);
    assert_eq!(wants(&mut books, 1_000, "s1", &[1, 2, 17]), Compared::default());
    assert_eq!(wants(&mut books, 1_000, "s1", &[1, 2]).differ, [1], "17 is behind the digest of 1");
    assert_eq!(books.count_orphans(60_000), 4, "nobody has been heard since");
}

#[test]
fn a_new_peer_waits_for_whoever_asked_for_it_to_hear_of_it() {
    let mut books = books(&[(1, "s1")]);
    for now in (1_000..NEW_MS).step_by(1_000) {
        wants(&mut books, now, "s1", &[]);
    }
    assert_eq!(books.count_orphans(NEW_MS - 1), 0);
    wants(&mut books, NEW_MS, "s1", &[]);
    assert_eq!(books.due(NEW_MS + UNWANTED_MS - 1), []);
    assert_eq!(books.due(NEW_MS + UNWANTED_MS), [PeerId(1)]);
    wants(&mut books, NEW_MS + 1_000, "s1", &[1]);
    assert_eq!(books.due(NEW_MS + UNWANTED_MS), [], "it is wanted after all");
}

#[test]
fn somebody_who_went_on_at_another_node_keeps_their_peer() {
    let mut books = books(&[(1, "s1")]);
    wants(&mut books, 1_000, "s1", &[1]);
    wants(&mut books, 1_100, "s2", &[1]);
    assert!(books.may_end(PeerId(1), &owner("s2")), "as long as nothing is settled it is anybody's");
    wants(&mut books, 2_000, "s1", &[]);
    assert_eq!(ids(&wants(&mut books, 2_050, "s3", &[])), [1]);
    wants(&mut books, 2_100, "s2", &[1]);
    assert_eq!((books.due(60_000), books.count_orphans(2_100)), (vec![], 0));
    assert!(!books.may_end(PeerId(1), &owner("s1")), "it was theirs before");
    wants(&mut books, 3_000, "s1", &[1]);
    wants(&mut books, 3_000, "s2", &[1]);
    assert!(!books.may_end(PeerId(1), &owner("s1")), "and they do not get it back from whoever wants it");
}

#[test]
fn the_peers_of_a_silent_node_are_shown_to_the_others_and_end_only_where_somebody_says_so() {
    let mut books = books(&[(1, "s1"), (2, "s1"), (3, "s2")]);
    wants(&mut books, 1_000, "s1", &[1, 2]);
    assert!(wants(&mut books, 1_000 + LEASE_MS - 1, "s2", &[3]).orphans.is_empty());
    let now = 1_000 + LEASE_MS;
    let first = wants(&mut books, now, "s2", &[3]);
    assert_eq!((ids(&first), first.judge), (vec![1, 2], true));
    assert!(!wants(&mut books, now + 10, "s3", &[]).judge, "one is enough");
    assert!(wants(&mut books, now + JUDGE_MS, "s3", &[]).judge, "and then another one");
    assert_eq!(books.due(now + 600_000), []);
    wants(&mut books, now, "s2", &[1, 3]);
    assert_eq!(books.disown(now, &[PeerId(1), PeerId(2), PeerId(3), PeerId(4)]), [PeerId(2)]);
}

#[test]
fn whoever_heard_nobody_judges_nobody() {
    let mut books = books(&[(1, "s1"), (2, "s2")]);
    wants(&mut books, 1_000, "s1", &[1]);
    books.deaf(30_000);
    assert!(wants(&mut books, 30_500, "s2", &[2]).orphans.is_empty());
    assert_eq!(books.disown(30_500, &[PeerId(1)]), []);
}

#[test]
fn what_is_claimed_and_gone_is_said() {
    let mut books = books(&[(1, "s1"), (17, "s1")]);
    books.forget(PeerId(17));
    assert_eq!(wants(&mut books, 1_000, "s1", &[1, 17]).differ, [1]);
    let lacks = books.claim(1_000, &owner("s1"), 1, &[PeerId(1), PeerId(17)]);
    assert_eq!(lacks, Ok(vec![PeerId(17)]));
}

#[test]
fn a_session_that_goes_on_elsewhere_can_go_on_again() {
    let mut books = books(&[(1, "s1")]);
    books.adopt(9_000, PeerId(1), claim("s2")).unwrap();
    wants(&mut books, 9_500, "s3", &[]);
    let orphans = wants(&mut books, 9_000 + LEASE_MS, "s3", &[]).orphans;
    assert_eq!(orphans.iter().map(|orphan| &orphan.claim).collect::<Vec<_>>(), [&claim("s2")]);
}

#[test]
fn many_orphans_are_told_one_part_after_another() {
    let all: Vec<(u64, &str)> = (0..MAX_ORPHANS as u64 + 7).map(|peer| (peer, "s1")).collect();
    let mut books = books(&all);
    let first = ids(&wants(&mut books, LEASE_MS, "s2", &[]));
    let second = ids(&wants(&mut books, LEASE_MS + 1_000, "s2", &[]));
    assert_eq!((first.len(), second[0], second[7]), (MAX_ORPHANS, MAX_ORPHANS as u64, 0));
}

#[test]
fn bad_claims_are_refused() {
    let mut books = books(&[(1, "s1")]);
    assert_eq!(books.compare(0, &owner("s1"), &[0; 3]), Err(BadClaim::Digests));
    assert_eq!(books.claim(0, &owner("s1"), BUCKETS as u8, &[]), Err(BadClaim::Digests));
    assert_eq!(books.claim(0, &owner("s1"), 2, &[PeerId(1)]), Err(BadClaim::Bucket));
    for number in 0..MAX_OWNERS {
        let _ = books.compare(0, &owner(&format!("n{number}")), &[0; BUCKETS]);
    }
    assert_eq!(books.compare(1, &owner("more"), &[0; BUCKETS]), Err(BadClaim::Owners));
    assert!(
        books.compare(LEASE_MS, &owner("more"), &[0; BUCKETS]).is_ok(),
        "those who are gone are forgotten"
    );
}
