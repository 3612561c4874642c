//! The promise to whoever speaks: while a voice is free for them they are heard, at once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use protocol::{SpeakerNumber, VOICES};

/// Whose speech arrives is heard within this, whatever happened before.
const PROMPT: Duration = Duration::from_millis(200);

/// Somebody without a frame for so long has paused, and their voice is anybody's.
const PAUSE: Duration = Duration::from_millis(500);

/// Speech that comes again after this long begins anew.
const GAP: Duration = Duration::from_millis(100);

/// What the origin was given and what it made of it.
#[derive(Default)]
pub(super) struct Hearing {
    /// When speech of each last arrived.
    spoke: HashMap<SpeakerNumber, Instant>,
    /// Whose speech arrives and is not heard, and since when.
    unheard: HashMap<SpeakerNumber, Instant>,
}

impl Hearing {
    /// Speech of somebody who may be heard is about to reach the origin.
    pub(super) fn speaks(&mut self, now: Instant, number: SpeakerNumber) {
        let others = self.spoke.iter().filter(|&(other, &at)| *other != number && now - at <= PAUSE).count();
        let begins = self.spoke.insert(number, now).is_none_or(|before| now - before > GAP);
        if begins || others >= VOICES {
            self.unheard.remove(&number);
        }
        if others < VOICES {
            self.unheard.entry(number).or_insert(now);
        }
    }

    /// Speech of theirs goes down the tree.
    pub(super) fn is_heard(&mut self, number: SpeakerNumber) {
        self.unheard.remove(&number);
    }

    /// They pause: what they say next begins anew.
    pub(super) fn pauses(&mut self, number: SpeakerNumber) {
        self.unheard.remove(&number);
    }

    /// They may not be heard any more.
    pub(super) fn is_silenced(&mut self, number: SpeakerNumber) {
        self.unheard.remove(&number);
        self.spoke.remove(&number);
    }

    /// Another origin decides from here on.
    pub(super) fn restart(&mut self) {
        *self = Self::default();
    }

    /// Holds the origin to the promise.
    pub(super) fn check(&self, now: Instant) {
        for (number, &since) in &self.unheard {
            let silent = self.spoke.get(number).is_none_or(|&at| now - at > GAP);
            assert!(silent || now - since < PROMPT, "{number:?} speaks, unheard for {:?}", now - since);
        }
    }
}
