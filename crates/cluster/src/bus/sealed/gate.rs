//! Between a subscription's queue and its reader: opens envelopes, and lets through what may be believed.

use std::sync::Arc;

use protocol::envelope::Ear;
use tokio::sync::watch;

use super::{Opened, Seal};
use crate::Heard;
use crate::bus::Queue;

/// Of one subscription.
pub(in crate::bus) struct Gate {
    seal: Arc<Seal>,
    ear: Ear,
    met: watch::Receiver<()>,
    /// A stranger was not let through. Once somebody has shown that it lives, this may have been the one.
    missed: bool,
}

impl Gate {
    /// Before the subscription is made: what is said from then on is new.
    pub(super) fn new(seal: Arc<Seal>) -> Self {
        let met = seal.met.subscribe();
        Self { ear: seal.ear(), seal, met, missed: false }
    }

    /// What the reader must know next. Cancelling loses nothing.
    pub(in crate::bus) async fn pass(&mut self, queue: &Queue) -> Option<Heard> {
        loop {
            let heard = tokio::select! {
                biased;
                // It cannot fail: the seal is ours, too.
                Ok(()) = self.met.changed(), if self.missed => Heard::Gap,
                heard = queue.pop() => heard?,
            };
            let Heard::Message(message) = heard else {
                self.missed = false;
                return Some(Heard::Gap);
            };
            if !self.missed {
                self.met.mark_unchanged();
            }
            match self.seal.open(&mut self.ear, message) {
                Opened::Taken(message) => return Some(Heard::Message(message)),
                Opened::Missed { known_by_now: true } => return Some(Heard::Gap),
                Opened::Missed { known_by_now: false } => self.missed = true,
                Opened::Refused => {}
            }
            // However many strangers talk, others have their turn.
            tokio::task::consume_budget().await;
        }
    }
}
