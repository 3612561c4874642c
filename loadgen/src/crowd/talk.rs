//! The speakers of a crowd: when each 20 ms is due, and the packet it becomes.

use std::sync::{Arc, mpsc};

use media::opus;
use rand::Rng;

use super::Place;
use super::credentials::{LEVEL, OPUS};
use super::peer::Keys;
use crate::clock::MS;
use crate::ledger::{Mouth, Said};
use crate::speech::Said as Sound;
use crate::talk::{Pattern, Talk};

/// A tick that comes later than this is counted: what is sent then is older than its time.
const LATE_NS: u64 = 10 * MS;

const FRAME_NS: u64 = 20 * MS;
const FRAME_TICKS: u32 = 960;

/// How the talks of a run go.
pub(crate) struct TalkPlan {
    /// Who speaks when.
    pub(crate) pattern: Pattern,
    /// So many talks, one for each room.
    pub(crate) rooms: u32,
    /// With so many speakers each.
    pub(crate) speakers: u32,
    /// Where what is said is told, before it is sent.
    pub(crate) tell: Vec<mpsc::Sender<Arc<Said>>>,
}

/// One room's talk.
pub(super) struct Room {
    pub(super) number: u32,
    talk: Talk,
    /// The running 20 ms, counted from the start, and when it began.
    frame: u64,
    tick_ns: u64,
    pub(super) speakers: Vec<Speaker>,
}

/// One of the talk's speakers.
pub(super) struct Speaker {
    /// Where they are heard, once they are there.
    pub(super) place: Option<Place>,
    /// After the beginning of a tick: not all at once.
    offset_ns: u64,
    /// What is due in the running tick was sent.
    sent: bool,
    /// Counts what they say, whatever it is sent by.
    mouth: Mouth,
}

/// What makes packets of what somebody says.
pub(super) struct Microphone {
    ssrc: u32,
    sequence: u64,
    timestamp: u32,
}

impl Room {
    pub(super) fn new(number: u32, plan: &TalkPlan, now_ns: u64) -> Self {
        let speakers = (0..plan.speakers).map(|speaker| Speaker {
            place: None,
            offset_ns: u64::from(speaker) * 7 % 20 * MS,
            sent: true,
            mouth: Mouth::default(),
        });
        Self {
            number,
            talk: Talk::new(plan.pattern, plan.speakers as usize, number.into()),
            frame: 0,
            // Rooms do not tick together either.
            tick_ns: now_ns + u64::from(number) * 3 % 20 * MS,
            speakers: speakers.collect(),
        }
    }

    /// What is due now: for each speaker whose turn it is in this tick, their index, what they say, and
    /// by how much that is late. Call it again until it gives nothing.
    pub(super) fn next_due(&mut self, now_ns: u64) -> Option<(usize, Option<Sound>, bool)> {
        loop {
            let mut speakers = self.speakers.iter().enumerate();
            let due =
                speakers.find(|(_, speaker)| !speaker.sent && now_ns >= self.tick_ns + speaker.offset_ns);
            if let Some((index, &Speaker { offset_ns, .. })) = due {
                self.speakers[index].sent = true;
                let late = now_ns - self.tick_ns - offset_ns > LATE_NS;
                return Some((index, self.talk.say(index, self.frame), late));
            }
            if now_ns < self.tick_ns + FRAME_NS {
                return None;
            }
            self.tick_ns += FRAME_NS;
            self.frame += 1;
            self.speakers.iter_mut().for_each(|speaker| speaker.sent = false);
        }
    }

    /// The record of what one of the speakers says now; none for silence.
    pub(super) fn record(&mut self, index: usize, csrc: u32, sound: &Sound, now_ns: u64) -> Option<Said> {
        let packet = opus::Packet::parse(sound.payload).ok().filter(|_| !opus::is_dtx(sound.payload))?;
        let [frame] = packet.frames() else { return None };
        Some(self.speakers[index].mouth.say(self.number, csrc, frame, now_ns))
    }
}

impl Microphone {
    pub(super) fn new() -> Self {
        let mut rng = rand::rng();
        let sequence = rng.random_range(0..1 << 15);
        Self { ssrc: rng.random(), sequence, timestamp: rng.random() }
    }

    /// Time goes on by one frame, whether something is sent or not.
    pub(super) fn step(&mut self) {
        self.timestamp = self.timestamp.wrapping_add(FRAME_TICKS);
    }

    /// Writes the sealed packet into `out`, which is empty before.
    pub(super) fn write(&mut self, sound: &Sound, keys: &Keys, out: &mut Vec<u8>) {
        const HEADER: usize = 20;
        let marker = if sound.starts { 0x80 } else { 0 };
        out.extend([0x90, marker | OPUS]);
        out.extend((self.sequence as u16).to_be_bytes());
        out.extend(self.timestamp.to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        // One extension of one byte (RFC 8285 §4.2): the level, with the bit for speech (RFC 6464 §3).
        let speech = if opus::is_dtx(sound.payload) { 0 } else { 0x80 };
        out.extend([0xBE, 0xDE, 0, 1, LEVEL << 4, speech | sound.level.min(127), 0, 0]);
        out.extend_from_slice(sound.payload);
        keys.sealer.seal(out, 0, HEADER, self.ssrc, self.sequence);
        self.sequence += 1;
    }
}
