//! The last frames of a room, so that a child who lacks one can be helped.

use std::collections::VecDeque;

use protocol::frame::Frame;
use protocol::{Epoch, FRAME_TICKS, VOICES, VoiceId};

use crate::voice::since;

/// Frames kept of each voice: 1.28 s. Nobody asks for older ones, they would come too late to be heard.
pub const MAX_HISTORY: usize = 64;

/// A frame this much older than its voice's newest helps nobody: after a pause it would come seconds
/// late, and jitter buffers would grow for it.
const STALE: i32 = 12 * FRAME_TICKS as i32;

/// Recent frames of each voice, in the order of their numbers, of one epoch.
#[derive(Debug, Default)]
pub struct History {
    epoch: Epoch,
    voices: [VecDeque<Frame>; VOICES],
}

impl History {
    /// Keeps a frame; it may be older than the newest. One of a lower epoch is not kept.
    pub fn push(&mut self, frame: Frame) {
        if frame.epoch > self.epoch {
            *self = Self { epoch: frame.epoch, ..Self::default() };
        }
        if frame.epoch < self.epoch {
            return;
        }
        let voice = &mut self.voices[frame.voice.index()];
        let newer = voice.iter().rev().take_while(|kept| kept.number > frame.number).count();
        let place = voice.len() - newer;
        if place > 0 && voice[place - 1].number == frame.number {
            return;
        }
        voice.insert(place, frame);
        if voice.len() > MAX_HISTORY {
            voice.pop_front();
        }
    }

    /// The frame with this number, if it is kept and can still be heard.
    pub fn get(&self, epoch: Epoch, voice: VoiceId, number: u32) -> Option<&Frame> {
        let newest = self.voices[voice.index()].back()?;
        self.find(epoch, voice, number).filter(|frame| is_fresh(frame, newest))
    }

    /// The frame `back` places before `frame` on its voice, if it is kept and can still be heard.
    pub fn before(&self, frame: &Frame, back: u32) -> Option<&Frame> {
        let earlier = self.find(frame.epoch, frame.voice, frame.number.checked_sub(back)?);
        earlier.filter(|earlier| is_fresh(earlier, frame))
    }

    fn find(&self, epoch: Epoch, voice: VoiceId, number: u32) -> Option<&Frame> {
        let voice = &self.voices[voice.index()];
        let index = voice.binary_search_by_key(&number, |frame| frame.number).ok()?;
        (epoch == self.epoch).then(|| &voice[index])
    }
}

fn is_fresh(frame: &Frame, newest: &Frame) -> bool {
    since(newest.timestamp, frame.timestamp) <= STALE
}
