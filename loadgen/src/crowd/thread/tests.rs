use std::net::IpAddr;

use protocol::Answer;
use protocol::session::{Candidate, CandidateProtocol, Fingerprint};
use tokio::sync::oneshot;

use super::super::{Credentials, Identity, Seconds, Why};
use super::*;
use crate::clock::MS;
use crate::places::Via;

fn worker() -> (Worker, mpsc::Sender<Command>) {
    let (commands, inbox) = mpsc::channel();
    let plan = CrowdPlan {
        number: 1,
        addresses: Part::on_loopback(0),
        is_routed: false,
        identity: Arc::new(Identity::generate().unwrap()),
        notes: mpsc::channel().1,
        seconds: Arc::new(Seconds::new(now_ns())),
        talk: None,
    };
    (Worker::new(Wire::bind(false).unwrap(), inbox, plan), commands)
}

/// Somebody whose server is at a port where nobody answers.
fn newcomer(place: u32, why: Why, asked_ns: u64, instead_of: Option<u32>) -> Newcomer {
    let server = Credentials::new();
    let candidate = Candidate { protocol: CandidateProtocol::Udp, ip: IpAddr::from([127, 0, 0, 1]), port: 9 };
    Newcomer {
        place: Place(place),
        room: 0,
        via: Via { media: place as u16, signaling: 0 },
        own: None,
        credentials: Credentials::new(),
        answer: Answer {
            ufrag: server.ufrag,
            pwd: server.pwd,
            fingerprint: Fingerprint([7; 32]),
            candidates: vec![candidate],
            ssrcs: vec![1, 2, 3],
            red: false,
        },
        asked_ns,
        why,
        instead_of: instead_of.map(Place),
        speaks: None,
        connected: oneshot::channel().0,
        lost: None,
    }
}

fn waits_for(worker: &Worker, place: usize) -> (Why, u64) {
    let peer = worker.peers[place].as_ref().unwrap();
    (peer.why, peer.asked_ns)
}

/// The first packet comes for somebody.
fn flow(worker: &mut Worker, place: u32) {
    worker.ears.tick_ns = now_ns();
    let peer = worker.peers[place as usize].as_mut().unwrap();
    assert!(peer.hear(worker.ears.tick_ns));
    worker.flow(Place(place));
}

#[test]
fn whoever_is_moved_before_the_first_frame_still_waits_for_it() {
    let (mut worker, _commands) = worker();
    worker.add(newcomer(0, Why::Returns, 700, None));
    flow(&mut worker, 0);
    worker.add(newcomer(1, Why::Moves, 900, Some(0)));
    worker.add(newcomer(2, Why::Moves, 950, Some(0)));
    worker.remove(Place(1));
    assert_eq!(waits_for(&worker, 0), (Why::Returns, 700), "until the new one flows");
    flow(&mut worker, 2);
    assert_eq!(waits_for(&worker, 2), (Why::Returns, 700), "they were cut at 700 and hear nothing yet");
    assert!(worker.fades(Place(0)), "the old one goes with the new one's first packet");
    worker.add(newcomer(3, Why::Moves, 960, Some(0)));
    flow(&mut worker, 3);
    assert_eq!(waits_for(&worker, 3), (Why::Moves, 960), "nobody is there any more");
}

#[test]
fn an_account_goes_on_where_somebody_moves_to_and_is_one() {
    let (mut worker, commands) = worker();
    worker.add(newcomer(0, Why::Joins, 0, None));
    flow(&mut worker, 0);
    worker.add(newcomer(1, Why::Moves, 0, Some(0)));
    flow(&mut worker, 1);
    assert_eq!((worker.connected, worker.ears.current.counts.joins), (1, 1));
    commands.send(Command::Move(Place(1), Via { media: 1, signaling: 3 })).unwrap();
    assert!(worker.obey());
    worker.remove(Place(0));
    worker.remove(Place(1));
    let [account] = &worker.ears.tally.accounts[..] else { panic!("one person") };
    let via: Vec<_> = account.stays.iter().map(|stay| (stay.via.media, stay.via.signaling)).collect();
    assert_eq!(via, [(1, 3), (1, 0), (0, 0)]);
    assert_eq!(worker.connected, 0);
}

#[test]
fn where_somebody_was_is_heard_until_they_have_gone_over_and_then_is_gone() {
    let (mut worker, _commands) = worker();
    worker.add(newcomer(0, Why::Joins, 0, None));
    flow(&mut worker, 0);
    worker.add(newcomer(1, Why::Moves, 0, Some(0)));
    flow(&mut worker, 1);
    worker.remove(Place(0));
    worker.let_go();
    assert!(worker.fades(Place(0)), "the server lets it go later");
    worker.fading[0].0 = now_ns();
    worker.let_go();
    assert!(worker.peers[0].is_none() && worker.fading.is_empty());
    assert_eq!((worker.connected, worker.ears.tally.accounts.len()), (1, 0), "the account goes on");
}

#[test]
fn whoever_falls_silent_is_told_and_stays() {
    let (mut worker, _commands) = worker();
    let (lost, mut told) = oneshot::channel();
    worker.add(Newcomer { lost: Some(lost), ..newcomer(0, Why::Joins, 0, None) });
    flow(&mut worker, 0);
    let heard_ns = worker.ears.tick_ns;
    let peer = worker.peers[0].as_mut().unwrap();
    let mut on_timer = |after_ms: u64| peer.on_timer(heard_ns + after_ms * MS, &mut Vec::new());
    assert!(matches!(on_timer(999), Due::Nothing));
    assert!(matches!(on_timer(1_000), Due::Silent));
    worker.fail(Place(0), "silent");
    assert_eq!(told.try_recv(), Ok("silent"));
    assert!(worker.peers[0].is_some(), "they are in, and what they miss counts");
}

#[test]
fn handshakes_are_begun_a_tick_later_and_those_of_who_has_left_not_at_all() {
    let (mut worker, _commands) = worker();
    for place in 0..2 {
        worker.add(newcomer(place, Why::Joins, 0, None));
        worker.begin(Place(place), now_ns());
        assert!(worker.handshakes.poll_transmit().is_none(), "reading comes first");
    }
    worker.remove(Place(1));
    assert_eq!(worker.backlog.longest, 2);
    while !worker.backlog.is_empty() {
        worker.work_off();
    }
    assert!(worker.handshakes.is_known(Place(0)) && !worker.handshakes.is_known(Place(1)));
}

#[test]
fn what_comes_before_anything_was_begun_does_not_wait() {
    let (mut worker, _commands) = worker();
    worker.add(newcomer(0, Why::Joins, 0, None));
    worker.on_dtls(Place(0), &[22, 254, 253]);
    worker.on_dtls(Place(7), &[22, 254, 253]);
    assert!(worker.backlog.is_empty());
}
