//! More newcomers than an edge's shard takes at a time: who is admitted, who waits, who comes back.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use media::dtls::Certificate;
use media::listeners::{
    AdmitListener, FramingChoice, Listeners, ListenersCommand, ListenersConfig, ListenersEvent,
};
use media::{Batch, PeersConfig, Plane};
use protocol::{Code, PeerId, RoomId};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::edge::{room, start};
use crate::person::offer;

/// As many as arrive at a time.
const ARRIVING: u64 = 500;

struct Rush {
    begun: Instant,
    now: Instant,
    plane: Listeners,
    /// When each was answered, and what: ok, or the time after which to come back.
    answers: BTreeMap<u64, (Duration, Result<(), Option<u64>>)>,
}

impl Rush {
    fn new() -> Self {
        let certificate = Arc::new(Certificate::generate().unwrap());
        let peers = PeersConfig { certificate, max_peers: 3_000 };
        let config = ListenersConfig { peers, max_rooms: 2, framing: FramingChoice::Fixed(60) };
        let plane = Listeners::new(config, StdRng::seed_from_u64(1), StdRng::seed_from_u64(2));
        Self { begun: start(), now: start(), plane, answers: BTreeMap::new() }
    }

    fn come(&mut self, who: Range<u64>, room: &RoomId) {
        for peer in who.map(PeerId) {
            let admit = AdmitListener { peer, room: room.clone(), offer: offer(3, None) };
            self.command(ListenersCommand::Admit(Box::new(admit)));
        }
    }

    fn command(&mut self, command: ListenersCommand) {
        self.plane.handle(self.now, command, &mut Batch::default());
        self.listen();
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.plane.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.plane.on_timeout(self.now, &mut Batch::default());
            self.listen();
        }
        self.now = end;
    }

    fn listen(&mut self) {
        while let Some(event) = self.plane.poll() {
            let ListenersEvent::Admitted { peer, result } = event else { continue };
            let answer = result.map(|_| ()).map_err(|error| {
                assert_eq!(error.code, Code::Unavailable);
                error.retry_after_ms
            });
            let first = self.answers.insert(peer.0, (self.now - self.begun, answer));
            assert_eq!(first, None, "nobody is answered twice");
        }
    }

    fn admitted(&self) -> Vec<u64> {
        self.answers.iter().filter(|(_, (_, answer))| answer.is_ok()).map(|(&peer, _)| peer).collect()
    }
}

#[test]
fn who_waits_is_admitted_in_order_as_others_leave_or_take_too_long() {
    let mut rush = Rush::new();
    rush.come(0..ARRIVING + 200, &room());
    assert_eq!(rush.admitted(), (0..ARRIVING).collect::<Vec<_>>());
    assert_eq!(rush.plane.waiting(), 200);
    (0..10).for_each(|peer| rush.command(ListenersCommand::Remove(PeerId(peer))));
    assert_eq!(rush.admitted(), (0..ARRIVING + 10).collect::<Vec<_>>());

    rush.wait(Duration::from_millis(2_999));
    assert_eq!(rush.plane.waiting(), 190);
    rush.wait(Duration::from_millis(1));
    assert_eq!(rush.admitted(), (0..ARRIVING + 200).collect::<Vec<_>>());
    assert_eq!(rush.plane.waiting(), 0);
}

#[test]
fn who_goes_while_they_wait_is_not_admitted() {
    let mut rush = Rush::new();
    let other = RoomId::new("other").unwrap();
    rush.come(0..ARRIVING, &room());
    rush.come(1_000..1_010, &other);
    rush.come(2_000..2_010, &room());
    rush.command(ListenersCommand::Remove(PeerId(2_004)));
    rush.command(ListenersCommand::Close(other));
    assert_eq!(rush.plane.waiting(), 9);
    rush.wait(Duration::from_secs(4));
    let admitted = rush.admitted().split_off(ARRIVING as usize);
    assert_eq!(admitted, [2_000, 2_001, 2_002, 2_003, 2_005, 2_006, 2_007, 2_008, 2_009]);
    assert_eq!(rush.answers.len(), ARRIVING as usize + 9);
}

#[test]
fn in_a_crowd_some_come_back_later_and_nobody_is_kept_waiting_for_longer_than_signaling_waits() {
    let mut rush = Rush::new();
    rush.come(0..10_000, &room());
    rush.wait(Duration::from_secs(6));
    assert_eq!(rush.answers.len(), 10_000, "everybody is answered");
    assert!(rush.answers.values().all(|&(waited, _)| waited < Duration::from_secs(5)));
    let times = rush.answers.values().filter_map(|&(waited, answer)| {
        Some(waited.as_millis() as u64 + answer.err()?.expect("busy is not full"))
    });
    let mut per_second = BTreeMap::<u64, u32>::new();
    times.for_each(|ms| *per_second.entry(ms / 1_000).or_default() += 1);
    assert!(per_second.values().all(|&count| count <= 1_100), "{per_second:?}");
    assert_eq!(u64::from(per_second.values().sum::<u32>()), rush.plane.stats().put_off);
}

#[test]
fn a_shard_that_is_full_names_no_time() {
    let mut rush = Rush::new();
    for some in 0..6 {
        rush.come(some * ARRIVING..(some + 1) * ARRIVING, &room());
        rush.wait(Duration::from_secs(3));
    }
    assert_eq!(rush.admitted().len(), 3_000);
    rush.come(9_000..9_001, &room());
    assert_eq!(rush.answers[&9_000].1, Err(None));
    assert_eq!(rush.plane.stats().refused_full, 1);
}

#[test]
fn those_who_all_leave_at_once_are_forgotten_a_portion_at_a_time() {
    let mut rush = Rush::new();
    rush.come(0..ARRIVING, &room());
    let now = rush.now + Duration::from_secs(31);
    let mut portions = Vec::new();
    while rush.plane.poll_timeout().is_some_and(|due| due <= now) {
        rush.plane.on_timeout(now, &mut Batch::default());
        let events = std::iter::from_fn(|| rush.plane.poll());
        portions.push(events.filter(|event| matches!(event, ListenersEvent::Gone { .. })).count());
    }
    assert!(portions.iter().all(|&gone| gone <= 64), "{portions:?}");
    assert_eq!(portions.iter().sum::<usize>(), ARRIVING as usize);
    assert!(rush.plane.is_empty());
}

#[test]
fn a_large_room_is_closed_a_portion_at_a_time() {
    let mut rush = Rush::new();
    for some in 0..6 {
        rush.come(some * ARRIVING..(some + 1) * ARRIVING, &room());
        rush.wait(Duration::from_secs(3));
    }
    rush.command(ListenersCommand::Close(room()));
    assert!(rush.plane.is_empty(), "nobody hears any more");
    let mut portions = 0;
    while rush.plane.poll_timeout().is_some_and(|due| due <= rush.now) {
        rush.plane.on_timeout(rush.now, &mut Batch::default());
        portions += 1;
    }
    assert!((40..60).contains(&portions), "{portions}");
    assert_eq!(rush.plane.poll(), None, "nothing is told of each");
    rush.come(9_000..9_001, &room());
    assert_eq!(rush.answers[&9_000].1, Ok(()));
}
