//! What every speaker has said, and when: the ground truth of the figures.
//!
//! ```text
//!   speaker sends ─▶ Said ─▶ one mirror in each thread: bytes ─▶ which frame, sent when
//!                      └───▶ at the end: which frames were on a voice
//! ```
//!
//! A frame is on a voice if anybody heard it. What nobody heard counts too if it lies in a short gap
//! between two frames of its speaker that were heard, unless others had all voices then, or if the whole room fell silent while no more
//! people spoke than it has voices: then the server lost it for everybody. The rest was not loud enough
//! for a voice, which is the stage's business and no loss.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::VOICES;

use crate::clock::MS;

/// A frame that comes later than this is lost.
pub(crate) const LATE_NS: u64 = 500 * MS;

/// Unheard frames between heard ones were on the voice if the gap is no longer than this: below it
/// nobody else can have had the voice meanwhile and given it back.
const GAP_NS: u64 = 500 * MS;

/// Length of a frame.
const FRAME_NS: u64 = 20 * MS;

/// Frames of a speaker that can still be recognised: those of 2.5 s.
const RECENT: usize = 128;

/// An audible frame that was sent.
#[derive(Debug)]
pub(crate) struct Said {
    /// In which room, by its number in this run.
    pub(crate) room: u32,
    /// By whom: the CSRC.
    pub(crate) speaker: u32,
    /// The audible frames of the speaker in order, from 0.
    pub(crate) number: u64,
    /// Of the frame's bytes, as [`hash`] makes it.
    pub(crate) hash: u64,
    /// When it was sent, in ns.
    pub(crate) at_ns: u64,
    /// How long this speaker has paused so far, in ns, beyond the 20 ms from frame to frame.
    pub(crate) paused_ns: u64,
    /// Somebody heard it.
    pub(crate) heard: AtomicBool,
}

/// Tells frames apart: the bytes of a frame without its TOC, which joining changes.
pub(crate) fn hash(frame: &[u8]) -> u64 {
    const K: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = K ^ frame.len() as u64;
    let mut words = frame.chunks_exact(8);
    for word in &mut words {
        hash = mix(hash, u64::from_le_bytes(word.try_into().expect("chunks of eight")));
    }
    words.remainder().iter().fold(hash, |hash, &byte| mix(hash, byte.into()))
}

fn mix(hash: u64, word: u64) -> u64 {
    ((hash ^ word).wrapping_mul(0xD6E8_FEB8_6659_FD93)).rotate_left(29)
}

/// One speaker's side: numbers what they say.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mouth {
    next: u64,
    last_ns: Option<u64>,
    paused_ns: u64,
}

impl Mouth {
    /// The record of an audible frame that is sent now.
    pub(crate) fn say(&mut self, room: u32, speaker: u32, frame: &[u8], at_ns: u64) -> Said {
        let since = self.last_ns.map_or(0, |last| at_ns.saturating_sub(last));
        self.paused_ns += since.saturating_sub(FRAME_NS);
        let number = self.next;
        (self.next, self.last_ns) = (number + 1, Some(at_ns));
        let (hash, paused_ns) = (hash(frame), self.paused_ns);
        Said { room, speaker, number, hash, at_ns, paused_ns, heard: AtomicBool::new(false) }
    }
}

/// What a thread knows of what was said: enough to recognise frames.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    /// By their numbers: they are looked up for every frame.
    rooms: Vec<Room>,
}

/// One room's part of it.
#[derive(Debug, Default)]
pub(crate) struct Room {
    speakers: Vec<Speaker>,
    /// When each audible frame was sent, in the order of their sending.
    times: Vec<u64>,
}

#[derive(Debug)]
struct Speaker {
    number: u32,
    recent: VecDeque<Arc<Said>>,
}

impl Mirror {
    /// Takes note of a frame. It must have been noted before it can arrive anywhere.
    pub(crate) fn note(&mut self, said: Arc<Said>) {
        let index = said.room as usize;
        if self.rooms.len() <= index {
            self.rooms.resize_with(index + 1, Room::default);
        }
        let room = &mut self.rooms[index];
        room.times.push(said.at_ns);
        let index = room.speakers.iter().position(|speaker| speaker.number == said.speaker);
        let index = index.unwrap_or_else(|| {
            room.speakers.push(Speaker { number: said.speaker, recent: VecDeque::new() });
            room.speakers.len() - 1
        });
        let recent = &mut room.speakers[index].recent;
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(said);
    }

    /// What was said in a room, if anything can have been.
    pub(crate) fn room(&self, room: u32) -> Option<&Room> {
        self.rooms.get(room as usize)
    }
}

impl Room {
    /// The newest frame of a speaker with these bytes that `fits`, and whether there was one at all.
    pub(crate) fn find(&self, speaker: u32, hash: u64, mut fits: impl FnMut(&Said) -> bool) -> Found<'_> {
        let mut known = false;
        let speaker = self.speakers.iter().find(|known| known.number == speaker);
        for said in speaker.into_iter().flat_map(|speaker| speaker.recent.iter().rev()) {
            if said.hash == hash {
                known = true;
                if fits(said) {
                    return Found::Frame(said);
                }
            }
        }
        if known { Found::Again } else { Found::Unknown }
    }

    /// Whether a speaker had no voice between their frame `after` and `said`: it was long, nobody has heard
    /// anything of what they said meanwhile, and others were heard. (If nobody was, the room fell silent.)
    /// However short it was: while as many others were heard as there are voices, there was none left.
    pub(crate) fn was_off_voice(&self, after: u64, said: &Said) -> bool {
        let between = after + 1..said.number;
        let is_long = between.end.saturating_sub(between.start) > GAP_NS / FRAME_NS;
        let frames = |own: bool| {
            let speakers = self.speakers.iter().filter(move |one| (one.number == said.speaker) == own);
            speakers.flat_map(|one| &one.recent)
        };
        let own = || frames(true).filter(|frame| between.contains(&frame.number));
        let since_ns = own().next().map_or(0, |first| first.at_ns);
        let meanwhile = |frame: &&Arc<Said>| (since_ns..said.at_ns).contains(&frame.at_ns);
        let is_heard = |frame: &Arc<Said>| frame.heard.load(Ordering::Relaxed);
        let others = || frames(false).filter(meanwhile).filter(|frame| is_heard(frame));
        let had_others = || has_all_voices(others().map(|frame| frame.speaker));
        !own().any(is_heard) && (is_long && others().next().is_some() || had_others())
    }

    /// The newest frame of a speaker, sent before `until_ns`, that anybody heard.
    pub(crate) fn last_heard(&self, speaker: u32, until_ns: u64) -> Option<&Said> {
        let speaker = self.speakers.iter().find(|known| known.number == speaker)?;
        let is_heard = |said: &&Arc<Said>| said.at_ns < until_ns && said.heard.load(Ordering::Relaxed);
        speaker.recent.iter().rev().find(is_heard).map(Arc::as_ref)
    }

    /// From when on somebody who came at `since_ns` could hear something: then, if somebody was
    /// speaking; else when the next one began. None while nobody has.
    pub(crate) fn sounding_from(&self, since_ns: u64) -> Option<u64> {
        let next = self.times.partition_point(|&at| at < since_ns);
        let before = next.checked_sub(1).and_then(|index| self.times.get(index));
        if before.is_some_and(|&at| at + 3 * FRAME_NS > since_ns) {
            return Some(since_ns);
        }
        self.times.get(next).copied()
    }
}

/// Whether so many people spoke that every voice was one of theirs.
fn has_all_voices(speakers: impl Iterator<Item = u32>) -> bool {
    let mut known = [None; VOICES];
    for speaker in speakers {
        match known.iter_mut().find(|known| known.is_none_or(|known| known == speaker)) {
            Some(place) => *place = Some(speaker),
            None => return true,
        }
    }
    known.iter().all(Option::is_some)
}

/// What became of a search.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// This one.
    Frame(&'a Arc<Said>),
    /// There are such frames, but none fits: it was here before.
    Again,
    /// Nobody said this.
    Unknown,
}

/// Of everything that was said in one room, in the order of sending: which frames were on a voice.
pub(crate) fn settle(said: &[Arc<Said>]) -> Vec<bool> {
    let mut on_voice: Vec<bool> = said.iter().map(|said| said.heard.load(Ordering::Relaxed)).collect();
    fill_gaps(said, &mut on_voice);
    fill_outages(said, &mut on_voice);
    on_voice
}

fn fill_gaps(said: &[Arc<Said>], on_voice: &mut [bool]) {
    let mut by_speaker: HashMap<u32, Vec<usize>> = HashMap::new();
    for (index, said) in said.iter().enumerate() {
        by_speaker.entry(said.speaker).or_default().push(index);
    }
    for frames in by_speaker.values() {
        let mut last_heard: Option<usize> = None;
        for (place, &index) in frames.iter().enumerate() {
            if !said[index].heard.load(Ordering::Relaxed) {
                continue;
            }
            if let Some(last) = last_heard {
                let first = &said[frames[last]];
                let sounding =
                    (said[index].at_ns - first.at_ns).saturating_sub(said[index].paused_ns - first.paused_ns);
                let others = said[frames[last] + 1..index]
                    .iter()
                    .filter(|said| said.speaker != first.speaker && said.heard.load(Ordering::Relaxed));
                let is_short = place > last + 1 && sounding <= GAP_NS;
                if is_short && !has_all_voices(others.map(|said| said.speaker)) {
                    frames[last..place].iter().for_each(|&index| on_voice[index] = true);
                }
            }
            last_heard = Some(place);
        }
    }
}

/// Marks what was said while nobody in the room heard anything.
fn fill_outages(said: &[Arc<Said>], on_voice: &mut [bool]) {
    let mut from = 0;
    while from < said.len() {
        if on_voice[from] {
            from += 1;
            continue;
        }
        let length = on_voice[from..].iter().take_while(|on| !**on).count();
        let silent = &said[from..from + length];
        let mut speakers: Vec<u32> = silent.iter().map(|said| said.speaker).collect();
        speakers.sort_unstable();
        speakers.dedup();
        let lasted = silent[length - 1].at_ns - silent[0].at_ns;
        if lasted >= GAP_NS && speakers.len() <= VOICES {
            on_voice[from..from + length].fill(true);
        }
        from += length;
    }
}

#[cfg(test)]
mod tests;
