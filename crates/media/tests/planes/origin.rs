//! An origin's plane: who is heard, when, and by whom.

use std::sync::Arc;
use std::time::{Duration, Instant};

use media::dtls::Certificate;
use media::speakers::{
    AdmitSpeaker, Speakers, SpeakersCommand, SpeakersConfig, SpeakersEvent, SpeakersStats,
};
use media::srtp::MAX_STREAMS;
use media::{Batch, PeersConfig, Plane};
use protocol::message::RoomState;
use protocol::node::{Stage, StageSpeaker};
use protocol::{Epoch, FRAME_TICKS, Frame, Identity, PeerId, SpeakerNumber};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::edge::{room, start};
use crate::person::{Heard, OPUS, Person, RED, offer};

mod levels;

const LOUD: u8 = 30;
const EPOCH: Epoch = Epoch(1);

/// An origin's shard on a clock of its own. Person n is speaker n + 1.
struct Origin {
    now: Instant,
    plane: Speakers,
    out: Batch,
    people: Vec<Person>,
    heard: Vec<Vec<Heard>>,
    feedback: Vec<Vec<Vec<u8>>>,
    /// What went down the tree, and when.
    tree: Vec<(Duration, Frame)>,
    events: Vec<SpeakersEvent>,
    began: Instant,
    version: u64,
}

fn identity(person: usize) -> Identity {
    Identity::new(&format!("person {person}")).unwrap()
}

fn number(person: usize) -> SpeakerNumber {
    SpeakerNumber(person as u32 + 1)
}

fn admission(peer: PeerId, of: usize, lines: u8) -> AdmitSpeaker {
    let (identity, number) = (identity(of), number(of));
    AdmitSpeaker { peer, room: room(), identity, number, epoch: EPOCH, offer: offer(lines, None) }
}

fn audio(count: u32) -> Vec<u8> {
    [&[0x78], &count.to_be_bytes()[..]].concat()
}

impl Origin {
    /// `people` on stage of a live room, connected.
    fn with(people: usize) -> Self {
        let peers = PeersConfig { certificate: Arc::new(Certificate::generate().unwrap()), max_peers: 20 };
        let config = SpeakersConfig { peers, max_rooms: 2 };
        let now = start();
        let mut origin = Self {
            now,
            plane: Speakers::new(config, StdRng::seed_from_u64(1), StdRng::seed_from_u64(2)),
            out: Batch::default(),
            people: Vec::new(),
            heard: Vec::new(),
            feedback: Vec::new(),
            tree: Vec::new(),
            events: Vec::new(),
            began: now,
            version: 0,
        };
        for person in 0..people {
            origin.join(person);
        }
        origin.stage(RoomState::Live, &[]);
        origin
    }

    /// Connects one more peer, of person `of`.
    fn join(&mut self, of: usize) -> usize {
        self.join_with(of, 3)
    }

    /// The same, with so many lines to hear on.
    fn join_with(&mut self, of: usize, lines: u8) -> usize {
        let person = Person::new(self.people.len() as u8 + 1);
        let admit = admission(person.peer, of, lines);
        let (addr, keys) = (person.addr, person.session());
        self.people.push(person);
        self.heard.push(Vec::new());
        self.feedback.push(Vec::new());
        self.command(SpeakersCommand::AdmitConnected(Box::new(admit), addr, keys));
        self.people.len() - 1
    }

    /// Puts everybody on stage, some of them muted.
    fn stage(&mut self, state: RoomState, muted: &[usize]) {
        self.version += 1;
        self.stage_at(self.version, state, muted);
    }

    fn stage_at(&mut self, version: u64, state: RoomState, muted: &[usize]) {
        let speaker = |person| StageSpeaker {
            identity: identity(person),
            number: number(person),
            muted: muted.contains(&person),
        };
        let speakers = (0..self.people.len()).map(speaker).collect();
        let stage = Stage { room: room(), epoch: EPOCH, version, state, speakers };
        self.command(SpeakersCommand::Stage(stage));
    }

    fn command(&mut self, command: SpeakersCommand) {
        self.plane.handle(self.now, command, &mut self.out);
        self.deliver();
    }

    fn receive(&mut self, person: usize, mut datagram: Vec<u8>) {
        self.plane.receive(self.now, self.people[person].addr, &mut datagram, &mut self.out);
        self.deliver();
    }

    fn say(&mut self, person: usize, timestamp: u32, level: u8, payload: &[u8]) {
        let datagram = self.people[person].packet(OPUS, timestamp, level, payload);
        self.receive(person, datagram);
    }

    /// Everybody in `speaking` says frames `counts`, one each 20 ms.
    fn talk(&mut self, speaking: &[usize], counts: std::ops::Range<u32>) {
        for count in counts {
            for &person in speaking {
                self.say(person, count * FRAME_TICKS, LOUD, &audio(count));
            }
            self.wait(20);
        }
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(due) = self.plane.poll_timeout().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.plane.on_timeout(self.now, &mut self.out);
            self.deliver();
        }
        self.now = end;
    }

    /// Everybody's browser shows that it is still there.
    fn stay(&mut self) {
        for person in 0..self.people.len() {
            let check = self.people[person].check();
            self.receive(person, check);
        }
    }

    /// Time passes, however long, and nobody leaves.
    fn sit(&mut self, length: Duration) {
        let end = self.now + length;
        while self.now < end {
            self.stay();
            self.wait((end - self.now).as_millis().min(10_000) as u64);
        }
    }

    fn deliver(&mut self) {
        for (to, datagram) in self.out.datagrams() {
            let Some(index) = self.people.iter().position(|person| person.addr == to) else { continue };
            self.heard[index].extend(self.people[index].hear(datagram));
            self.feedback[index].extend(self.people[index].hear_feedback(datagram));
        }
        self.out.clear();
        while let Some(event) = self.plane.poll() {
            match event {
                SpeakersEvent::Frame { frame, .. } => self.tree.push((self.now - self.began, frame)),
                SpeakersEvent::Admitted { peer, result: Ok(credentials) } => {
                    let person = self.people.iter_mut().find(|person| person.peer == peer);
                    person.into_iter().for_each(|person| person.credentials = Some(credentials.clone()));
                }
                event => self.events.push(event),
            }
        }
    }

    fn forget(&mut self) {
        self.tree.clear();
        self.heard.iter_mut().for_each(Vec::clear);
        self.feedback.iter_mut().for_each(Vec::clear);
        self.events.clear();
    }

    fn stats(&self) -> &SpeakersStats {
        self.plane.stats()
    }

    /// Who was heard in the tree, and with which counts.
    fn said(&self) -> Vec<(u32, u32)> {
        let audio = self.tree.iter().filter(|(_, frame)| frame.payload.len() > 2);
        audio.map(|(_, frame)| (frame.speaker.0, count(&frame.payload))).collect()
    }

    fn dtx_frames(&self) -> usize {
        self.tree.iter().filter(|(_, frame)| frame.payload.len() <= 2).count()
    }
}

fn count(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[1..].try_into().unwrap())
}

fn said(heard: &[Heard]) -> Vec<(u32, u32)> {
    let audio = heard.iter().filter(|heard| heard.payload.len() > 2);
    audio.map(|heard| (heard.speaker.unwrap(), count(&heard.payload))).collect()
}

#[test]
fn everybody_else_hears_a_speaker_and_so_does_the_tree() {
    let mut origin = Origin::with(2);
    origin.talk(&[0], 0..3);
    let expected = [(1, 0), (1, 1), (1, 2)];
    assert_eq!(origin.said(), expected);
    assert_eq!(said(&origin.heard[1]), expected);
    assert_eq!(said(&origin.heard[0]), [], "nobody hears themselves");
    let frame = &origin.tree.last().unwrap().1;
    assert_eq!((frame.epoch, frame.level, frame.voice.index()), (EPOCH, LOUD, 0));
}

#[test]
fn two_who_speak_at_once_have_a_voice_each_and_no_gap_in_numbers() {
    let mut origin = Origin::with(2);
    origin.talk(&[0, 1], 0..50);
    for person in [0, 1] {
        let audible: Vec<_> = origin.heard[person].iter().filter(|heard| heard.payload.len() > 2).collect();
        assert_eq!(audible.len(), 50);
        assert!(audible.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)));
    }
    for voice in [0, 1] {
        let numbers = origin.tree.iter().filter(|(_, frame)| frame.voice.index() == voice);
        let numbers: Vec<_> = numbers.map(|(_, frame)| frame.number).collect();
        assert_eq!(numbers, (0..numbers.len() as u32).collect::<Vec<_>>());
    }
}

#[test]
fn whoever_is_not_on_stage_is_not_heard() {
    let mut origin = Origin::with(1);
    let stranger = origin.join(1);
    origin.talk(&[stranger], 0..5);
    assert_eq!(origin.said(), []);
    assert_eq!(origin.stats().dropped_muted, 5);
}

#[test]
fn a_mute_ends_the_turn_cleanly_and_holds_until_it_is_lifted() {
    let mut origin = Origin::with(2);
    origin.talk(&[0], 0..5);
    origin.forget();
    origin.stage(RoomState::Live, &[0]);
    assert_eq!(origin.dtx_frames(), 3);
    origin.talk(&[0], 5..15);
    assert_eq!(origin.said(), []);
    origin.stage_at(1, RoomState::Live, &[]);
    origin.talk(&[0], 15..20);
    assert_eq!(origin.said(), [], "an older version changes nothing");
    origin.stage(RoomState::Live, &[]);
    origin.talk(&[0], 20..22);
    assert_eq!(origin.said(), [(1, 20), (1, 21)]);
}

#[test]
fn a_silent_room_sends_one_dtx_frame_every_400_ms() {
    let mut origin = Origin::with(2);
    origin.wait(4_000);
    assert!((10..=11).contains(&origin.tree.len()), "{}", origin.tree.len());
    for pair in origin.tree.windows(2) {
        let (passed, ticks) = (pair[1].0 - pair[0].0, pair[1].1.timestamp.wrapping_sub(pair[0].1.timestamp));
        assert!(passed <= Duration::from_millis(420));
        assert_eq!(u64::from(ticks / 48), passed.as_millis() as u64, "the timestamp follows the clock");
        assert_eq!((pair[1].1.voice.index(), pair[1].1.payload.len(), pair[1].1.level), (0, 1, 127));
    }
    assert_eq!(origin.heard[0].len(), origin.tree.len());
}

#[test]
fn a_muted_track_of_three_byte_packets_counts_as_silence() {
    let mut origin = Origin::with(2);
    for i in 0..100 {
        origin.say(0, i * FRAME_TICKS, 127, &[0xF8, 0xFF, 0xFE]);
        origin.wait(20);
    }
    assert!(origin.tree.len() <= 6, "{}", origin.tree.len());
}

#[test]
fn whoever_speaks_alone_still_hears_that_the_room_is_there() {
    let mut origin = Origin::with(1);
    origin.talk(&[0], 0..200);
    assert!((8..=11).contains(&origin.heard[0].len()), "{}", origin.heard[0].len());
    assert_eq!(said(&origin.heard[0]), []);
}

/// The tree hears every frame of ten seconds that somebody says.
fn hears_all_of(origin: &mut Origin, person: usize) {
    for second in 2..12 {
        origin.stay();
        origin.forget();
        origin.talk(&[person], second * 50..second * 50 + 50);
        assert_eq!(origin.said().len(), 50, "in second {second}: {:?}", origin.stats());
    }
}

#[test]
fn a_seat_that_can_be_sent_nothing_costs_nobody_their_voice_however_long_all_are_silent() {
    for silence in [1, 12, 24, 30, 60, 3_600] {
        let mut origin = Origin::with(2);
        origin.join_with(2, 0);
        origin.stage(RoomState::Live, &[]);
        origin.sit(Duration::from_secs(silence));
        hears_all_of(&mut origin, 0);
        assert_eq!(origin.stats().dropped_early, 0, "after {silence} s");
    }
}

#[test]
fn nor_does_somebody_who_asks_for_media_again_and_again_and_never_comes() {
    let mut origin = Origin::with(2);
    for peer in 100..130 {
        let admit = SpeakersCommand::Admit(Box::new(admission(PeerId(peer), 2, 3)));
        origin.command(admit);
        origin.sit(Duration::from_secs(4));
    }
    hears_all_of(&mut origin, 0);
    assert_eq!(origin.stats().refused, 0);
}

#[test]
fn a_voice_that_nobody_used_for_half_a_day_is_heard_like_any_other() {
    let mut origin = Origin::with(3);
    origin.talk(&[0, 1, 2], 0..50);
    origin.sit(Duration::from_secs(13 * 3_600));
    for person in 0..3 {
        hears_all_of(&mut origin, person);
    }
}

#[test]
fn a_room_with_nothing_to_do_has_nothing_to_send() {
    let mut origin = Origin::with(0);
    origin.join_with(0, 0);
    origin.stage(RoomState::Live, &[]);
    origin.wait(400);
    origin.forget();
    origin.wait(10_000);
    assert_eq!(origin.tree.len(), 25, "one in 400 ms, and no moment of a voice beside them");
    let times: Vec<_> = origin.tree.iter().map(|(_, frame)| frame.timestamp).collect();
    assert!(times.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 20 * FRAME_TICKS));
}

#[test]
fn whoever_connects_hears_something_at_once() {
    let mut origin = Origin::with(1);
    origin.wait(1_000);
    let newcomer = origin.join(1);
    origin.wait(20);
    assert_eq!(origin.heard[newcomer].len(), 1);
}

#[test]
fn backstage_speakers_hear_each_other_and_the_tree_only_silence() {
    let mut origin = Origin::with(2);
    origin.stage(RoomState::Backstage, &[]);
    origin.forget();
    origin.talk(&[0], 0..50);
    assert_eq!(said(&origin.heard[1]).len(), 50);
    assert_eq!(origin.said(), []);
    assert!((2..=3).contains(&origin.dtx_frames()));

    origin.stage(RoomState::Live, &[]);
    origin.talk(&[0], 50..60);
    assert!(origin.said().len() >= 8);
    let times: Vec<_> = origin.tree.iter().map(|(_, frame)| frame.timestamp).collect();
    assert!(times.windows(2).all(|pair| (pair[1].wrapping_sub(pair[0]) as i32) > 0));
    let numbers: Vec<_> = origin.tree.iter().map(|(_, frame)| frame.number).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
}

#[test]
fn a_lost_packet_is_found_in_the_redundancy_of_the_next() {
    let mut origin = Origin::with(2);
    let red = |count: u32| {
        let before = audio(count - 1);
        let head = [0x80 | OPUS, 0x0F, 0x00, before.len() as u8, OPUS];
        [&head[..], &before, &audio(count)].concat()
    };
    for count in 1..10 {
        let datagram = origin.people[0].packet(RED, count * FRAME_TICKS, LOUD, &red(count));
        if count != 5 {
            origin.receive(0, datagram);
        }
        origin.wait(20);
    }
    assert_eq!(origin.said(), (0..10).map(|count| (1, count)).collect::<Vec<_>>());
    assert_eq!(nacked(&origin.feedback[0]), [] as [u16; 0]);
}

/// Sequence numbers asked for again.
fn nacked(feedback: &[Vec<u8>]) -> Vec<u16> {
    let mut asked = Vec::new();
    for compound in feedback {
        let mut rest = &compound[..];
        while rest.len() >= 4 {
            let len = 4 + 4 * usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            if rest[1] == 205 {
                asked.extend(rest[12..len].chunks(4).map(|item| u16::from_be_bytes([item[0], item[1]])));
            }
            rest = &rest[len..];
        }
    }
    asked
}

#[test]
fn a_lost_packet_is_asked_for_and_takes_its_place() {
    let mut origin = Origin::with(2);
    origin.talk(&[0], 0..5);
    origin.forget();
    let lost_index = origin.people[0].next;
    origin.people[0].next += 1;
    origin.talk(&[0], 6..8);
    let asked = nacked(&origin.feedback[0]);
    assert_eq!(asked, vec![lost_index as u16; asked.len()]);
    assert!((1..=2).contains(&asked.len()));
    let repaired = origin.people[0].packet_at(lost_index, OPUS, 5 * FRAME_TICKS, LOUD, &audio(5));
    origin.receive(0, repaired);
    assert_eq!(origin.said(), [(1, 6), (1, 7), (1, 5)]);
    let times: Vec<_> = origin.tree.iter().map(|(_, frame)| frame.timestamp).collect();
    assert_eq!(times[0].wrapping_sub(times[2]), FRAME_TICKS);
}

#[test]
fn losses_are_reported_every_second_though_they_are_repaired() {
    let mut origin = Origin::with(2);
    for count in 0..150 {
        let index = origin.people[0].next;
        let datagram = origin.people[0].packet(OPUS, count * FRAME_TICKS, LOUD, &audio(count));
        if count % 10 == 9 {
            origin.wait(20);
            let again = origin.people[0].packet(OPUS, (count + 1) * FRAME_TICKS, LOUD, &audio(count + 1));
            origin.receive(0, again);
            let repaired = origin.people[0].packet_at(index, OPUS, count * FRAME_TICKS, LOUD, &audio(count));
            origin.receive(0, repaired);
        } else {
            origin.receive(0, datagram);
            origin.wait(20);
        }
    }
    let last = origin.feedback[0].last().unwrap();
    assert_eq!(last[1], 201);
    let fraction = last[12];
    assert!((18..32).contains(&fraction), "{fraction} of 256 in about a tenth");
}

#[test]
fn a_new_stream_and_a_jump_in_time_leave_no_trace_on_the_voice() {
    let mut origin = Origin::with(2);
    origin.talk(&[0], 0..10);
    origin.wait(100);
    (origin.people[0].ssrc, origin.people[0].next) = (0xFFFF, 7);
    origin.talk(&[0], 100_000..100_010);
    origin.talk(&[0], 5..15);
    assert_eq!(origin.said().len(), 30);
    follows_the_clock(&origin.tree);
}

/// Time on each voice only grows, and is never far from the clock.
fn follows_the_clock(tree: &[(Duration, Frame)]) {
    for voice in 0..3 {
        let frames: Vec<_> = tree.iter().filter(|(_, frame)| frame.voice.index() == voice).collect();
        for pair in frames.windows(2) {
            let ticks = pair[1].1.timestamp.wrapping_sub(pair[0].1.timestamp) as i32;
            assert!(ticks > 0 && ticks % FRAME_TICKS as i32 == 0, "{ticks}");
        }
        let Some(first) = frames.first() else { continue };
        for (at, frame) in &frames {
            let ms = i64::from(frame.timestamp.wrapping_sub(first.1.timestamp) / 48);
            let passed = (*at - first.0).as_millis() as i64;
            // What stopped in mid-word is ended where it stopped, 200 ms later.
            let tolerance = if frame.payload.len() > 2 { 100 } else { 220 };
            assert!((ms - passed).abs() <= tolerance, "{ms} ms of media after {passed} ms");
        }
    }
}

#[test]
fn time_is_unbroken_across_turns_mutes_and_silence() {
    let mut origin = Origin::with(4);
    let mut count = 0;
    for turn in 0..40u32 {
        let speaker = (turn % 4) as usize;
        origin.talk(&[speaker, (speaker + 1) % 4], count..count + 30);
        count += 30;
        match turn % 5 {
            0 => origin.stage(RoomState::Live, &[speaker]),
            1 => origin.stage(RoomState::Live, &[]),
            2 => origin.wait(1_500),
            3 => origin.say(speaker, count * FRAME_TICKS, 127, &[0x78]),
            _ => {}
        }
    }
    follows_the_clock(&origin.tree);
}

#[test]
fn the_newer_peer_of_a_person_replaces_the_older() {
    let mut origin = Origin::with(2);
    origin.talk(&[0], 0..3);
    origin.forget();
    let newer = origin.join(0);
    let gone = SpeakersEvent::Gone { peer: PeerId(1), room: room() };
    assert_eq!(origin.events, [SpeakersEvent::Connected { peer: PeerId(3), room: room() }, gone]);
    origin.talk(&[newer], 100..103);
    assert_eq!(origin.said(), [(1, 100), (1, 101), (1, 102)]);
    origin.talk(&[0], 3..6);
    assert_eq!(origin.said().len(), 3);
}

#[test]
fn whoever_leaves_in_mid_word_leaves_a_clean_end() {
    let mut origin = Origin::with(2);
    origin.talk(&[0], 0..5);
    origin.forget();
    origin.command(SpeakersCommand::Remove(PeerId(1)));
    assert_eq!(origin.dtx_frames(), 3);
    assert_eq!(said(&origin.heard[1]), []);
    assert_eq!(origin.heard[1].len(), 3);
}

#[test]
fn a_stream_that_stops_in_mid_word_is_ended_for_it() {
    let mut origin = Origin::with(2);
    origin.talk(&[0], 0..5);
    origin.forget();
    origin.wait(300);
    assert_eq!(origin.dtx_frames(), 3);
}

#[test]
fn an_encoder_that_begins_anew_again_and_again_is_heard_each_time_until_it_must_come_again_itself() {
    let mut origin = Origin::with(2);
    let mut count = 0;
    for restart in 1..=MAX_STREAMS {
        (origin.people[0].ssrc, origin.people[0].next) = (0x5000 + restart as u32, 7 * restart as u64);
        origin.forget();
        origin.talk(&[0], count..count + 10);
        origin.wait(60);
        assert_eq!(origin.said().len(), 10, "its SSRC number {restart}");
        count += 100;
    }
    origin.forget();
    origin.people[0].ssrc = 0x4000;
    origin.talk(&[0], count..count + 10);
    assert_eq!(origin.events, [SpeakersEvent::Gone { peer: PeerId(1), room: room() }]);
    assert_eq!((origin.plane.peer_stats().streams, origin.plane.peer_stats().srtp_streams), (1, 1));
    let again = origin.join(0);
    origin.forget();
    origin.talk(&[again], 0..10);
    assert_eq!(origin.said().len(), 10);
}

#[test]
fn nonsense_with_the_right_keys_is_counted_and_nothing_else() {
    let mut origin = Origin::with(2);
    origin.talk(&[0], 0..5);
    origin.forget();
    for (payload_type, payload) in [(96, &[0x78, 1][..]), (RED, &[0xFF; 4]), (OPUS, &[0x7B, 0x3F, 1])] {
        let datagram = origin.people[0].packet(payload_type, 5 * FRAME_TICKS, LOUD, payload);
        origin.receive(0, datagram);
    }
    let stats = origin.stats();
    assert_eq!((stats.bad_rtp, stats.bad_red, stats.bad_opus), (1, 1, 1));
    origin.talk(&[0], 5..10);
    assert_eq!(origin.said().len(), 5);
}

#[test]
fn a_room_that_closes_takes_its_peers_along() {
    let mut origin = Origin::with(2);
    origin.command(SpeakersCommand::Close(room()));
    origin.forget();
    origin.talk(&[0], 0..5);
    origin.wait(1_000);
    assert_eq!((origin.tree.len(), origin.events.len(), origin.plane.len()), (0, 0, 0));
    assert_eq!(origin.plane.poll_timeout(), None);
}
