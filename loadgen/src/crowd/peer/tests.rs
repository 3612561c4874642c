use protocol::Answer;

use super::*;

/// Somebody who has been told where the server is, and whom their connection is told to.
fn newcomer() -> (Peer, oneshot::Receiver<Result<u64, &'static str>>) {
    let (connected, outcome) = oneshot::channel();
    let server = Credentials::new();
    let answer = Answer {
        ufrag: server.ufrag,
        pwd: server.pwd,
        fingerprint: Fingerprint([7; 32]),
        candidates: Vec::new(),
        ssrcs: vec![1, 2, 3],
        red: false,
    };
    let newcomer = Newcomer {
        place: Place(0),
        room: 0,
        via: Via::default(),
        own: None,
        credentials: Credentials::new(),
        answer,
        asked_ns: 0,
        why: Why::Joins,
        instead_of: None,
        speaks: None,
        connected,
        lost: None,
    };
    let remote = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7100);
    (Peer::new(newcomer, Ipv4Addr::new(127, 1, 0, 0), remote, 0), outcome)
}

fn timer(peer: &mut Peer, now_ns: u64) -> Due {
    peer.on_timer(now_ns, &mut Vec::new())
}

#[test]
fn a_report_says_what_was_lost_since_the_last_one_across_the_wrap() {
    let mut stream = Stream::of(Some(7));
    assert!(stream.report().is_none(), "nothing has come");
    let missing = [65_530u16, 65_531, 65_534, 65_535, 0, 1].map(|sequence| stream.count(sequence));
    assert_eq!(missing, [0, 0, 2, 0, 0, 0]);
    assert!(stream.has_wrapped() && !Stream::default().has_wrapped());
    let report = stream.report().unwrap();
    assert_eq!((report.lost, report.fraction_lost, report.highest), (2, 64, 0x1_0001));
    assert_eq!((2..6).map(|sequence| stream.count(sequence)).sum::<i64>(), 0);
    let report = stream.report().unwrap();
    assert_eq!((report.lost, report.fraction_lost, report.highest), (2, 0, 0x1_0005));
}

#[test]
fn who_waits_for_a_turn_here_is_not_given_up_and_repeats_nothing() {
    let (mut peer, _outcome) = newcomer();
    peer.shake(SECOND);
    assert!(matches!(timer(&mut peer, SECOND + CONNECT_NS), Due::Nothing));
    assert!(peer.next_timer() > SECOND + CONNECT_NS, "the timer comes again");

    // 25 s were spent here, so the server has all of its time still.
    assert!(peer.has_its_turn(26 * SECOND));
    assert!(matches!(timer(&mut peer, 26 * SECOND), Due::Repeat));
    assert!(matches!(timer(&mut peer, 25 * SECOND + CONNECT_NS), Due::Repeat));
    assert!(matches!(timer(&mut peer, 27 * SECOND + CONNECT_NS), Due::Over("dtls_timeout")));
}

#[test]
fn steps_that_wait_at_the_same_time_count_once() {
    let (mut peer, _outcome) = newcomer();
    peer.shake(0);
    let Phase::Shaking(waiting) = &mut peer.phase else { panic!("it shakes hands") };
    waiting.add(SECOND);
    assert!(peer.has_its_turn(5 * SECOND));
    assert_eq!(peer.began_ns, 0, "one waits still");
    assert!(peer.has_its_turn(6 * SECOND));
    assert_eq!(peer.began_ns, 6 * SECOND);
}

#[test]
fn after_the_handshake_no_step_has_a_turn() {
    let (mut peer, _outcome) = newcomer();
    assert!(!peer.has_its_turn(SECOND), "nothing has begun");
}
