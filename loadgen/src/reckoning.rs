//! Who should have heard how many frames: the stays of all, laid over what was said on a voice.

use std::collections::HashMap;
use std::sync::Arc;

use crate::clock::SECOND;
use crate::ear::Stay;
use crate::ledger::{Said, settle};

/// Somebody's account.
pub(crate) struct Account {
    /// Their room, by its number.
    pub(crate) room: u32,
    /// The CSRC of a speaker.
    pub(crate) own: Option<u32>,
    /// When they were in, one after the other: another one begins when they change nodes.
    pub(crate) stays: Vec<Stay>,
}

impl Account {
    /// Its stays, as they are reckoned.
    pub(crate) fn stays(&self) -> impl Iterator<Item = (u32, Option<u32>, Stay)> {
        self.stays.iter().map(|&stay| (self.room, self.own, stay))
    }
}

/// What was said in one room, on a voice.
#[derive(Default)]
pub(crate) struct OnVoice {
    /// Speaker, hash and time, in the order of sending.
    pub(crate) frames: Vec<(u32, u64, u64)>,
}

/// All rooms of a run.
pub(crate) fn on_voice(said: Vec<Arc<Said>>) -> HashMap<u32, OnVoice> {
    let mut rooms: HashMap<u32, Vec<Arc<Said>>> = HashMap::new();
    for said in said {
        rooms.entry(said.room).or_default().push(said);
    }
    let settled = rooms.into_iter().map(|(room, mut said)| {
        said.sort_by_key(|said| said.at_ns);
        let on_voice = settle(&said);
        let frames = said.iter().zip(on_voice).filter(|(_, on)| *on);
        let frames = frames.map(|(said, _)| (said.speaker, said.hash, said.at_ns)).collect();
        (room, OnVoice { frames })
    });
    settled.collect()
}

/// How many frames were expected, in all and by the second in which they were sent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) frames: u64,
    pub(crate) by_second: Vec<u64>,
}

impl Expected {
    /// Of stays in all rooms. A speaker's own frames are not expected by themselves.
    pub(crate) fn of(
        stays: &[(u32, Option<u32>, Stay)],
        rooms: &HashMap<u32, OnVoice>,
        began_ns: u64,
    ) -> Self {
        let mut expected = Self::default();
        for (number, room) in rooms {
            let stays: Vec<_> = stays.iter().filter(|(room, _, _)| room == number).collect();
            let mut from: Vec<u64> = stays.iter().map(|(_, _, stay)| stay.from_ns).collect();
            // A stay that ended before it began counts for nothing: it begins and ends at once.
            let until = stays.iter().map(|(_, _, stay)| stay.until_ns.max(stay.from_ns));
            let mut until: Vec<u64> = until.collect();
            from.sort_unstable();
            until.sort_unstable();
            // Listeners have no own frames: ten thousand need not be asked for each frame.
            let speakers: Vec<_> = stays.iter().filter(|(_, own, _)| own.is_some()).collect();
            for &(speaker, _, at_ns) in &room.frames {
                let here = from.partition_point(|&from| from <= at_ns)
                    - until.partition_point(|&until| until <= at_ns);
                let own = speakers.iter().filter(|(_, own, stay)| {
                    *own == Some(speaker) && (stay.from_ns..stay.until_ns).contains(&at_ns)
                });
                expected.add((here - own.count()) as u64, at_ns.saturating_sub(began_ns) / SECOND);
            }
        }
        expected
    }

    fn add(&mut self, frames: u64, second: u64) {
        let second = second as usize;
        if self.by_second.len() <= second {
            self.by_second.resize(second + 1, 0);
        }
        self.frames += frames;
        self.by_second[second] += frames;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::clock::MS;
    use crate::ledger::Mouth;
    use crate::places::Via;

    fn spoken(speaker: u32, frames: u64) -> Vec<Arc<Said>> {
        let mut mouth = Mouth::default();
        let said = (0..frames).map(|frame| {
            let said = mouth.say(0, speaker, &frame.to_le_bytes(), frame * 20 * MS);
            said.heard.store(true, Ordering::Relaxed);
            Arc::new(said)
        });
        said.collect()
    }

    fn stay(from_ms: u64, until_ms: u64) -> Stay {
        let via = Via::default();
        Stay { via, from_ns: from_ms * MS, until_ns: until_ms * MS, received: 0, longest_gap_ns: 0 }
    }

    #[test]
    fn everybody_is_owed_what_was_said_while_they_were_in() {
        let rooms = on_voice(spoken(1, 100));
        let stays = [(0, None, stay(0, 2_000)), (0, None, stay(1_000, 1_100)), (0, None, stay(500, 400))];
        let expected = Expected::of(&stays, &rooms, 0);
        assert_eq!((expected.frames, expected.by_second), (105, vec![50, 55]));
        assert_eq!(Expected::of(&[(1, None, stay(0, 2_000))], &rooms, 0).frames, 0, "another room");
    }

    #[test]
    fn nobody_is_owed_their_own_words() {
        let said = spoken(1, 10).into_iter().chain(spoken(2, 20)).collect();
        let rooms = on_voice(said);
        let stays = [(0, Some(1), stay(0, 1_000)), (0, Some(2), stay(0, 1_000))];
        assert_eq!(Expected::of(&stays, &rooms, 0).frames, 20 + 10);
    }
}
