use std::net::IpAddr;

use protocol::Answer;
use protocol::session::{Candidate, CandidateProtocol, Fingerprint};
use tokio::sync::oneshot;

use super::super::{Credentials, Identity, Seconds};
use super::*;

fn worker() -> (Worker, mpsc::Sender<Command>) {
    let (commands, inbox) = mpsc::channel();
    let plan = CrowdPlan {
        number: 1,
        identity: Arc::new(Identity::generate().unwrap()),
        notes: mpsc::channel().1,
        seconds: Arc::new(Seconds::new(now_ns())),
        talk: None,
    };
    (Worker::new(Wire::bind().unwrap(), 0, inbox, plan), commands)
}

/// Somebody whose server is at a port where nobody answers.
fn newcomer(place: u32, why: Why, asked_ns: u64, instead_of: Option<u32>) -> Newcomer {
    let server = Credentials::new();
    let candidate = Candidate { protocol: CandidateProtocol::Udp, ip: IpAddr::from([127, 0, 0, 1]), port: 9 };
    Newcomer {
        place: Place(place),
        room: 0,
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

#[test]
fn whoever_is_moved_before_the_first_frame_still_waits_for_it() {
    let (mut worker, _commands) = worker();
    worker.add(newcomer(0, Why::Returns, 700, None));
    worker.add(newcomer(1, Why::Moves, 900, Some(0)));
    assert_eq!(waits_for(&worker, 1), (Why::Returns, 700), "they were cut at 700 and hear nothing yet");
    assert_eq!(waits_for(&worker, 0).0, Why::Moves, "and their first frame counts once");
    worker.remove(Place(0));
    worker.add(newcomer(2, Why::Moves, 950, Some(0)));
    assert_eq!(waits_for(&worker, 2), (Why::Moves, 950), "nobody is there any more");
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
