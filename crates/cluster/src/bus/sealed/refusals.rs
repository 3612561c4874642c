//! What was refused: every message is counted, and now and then one of each kind is logged.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::envelope::Refused;
use tokio::time::Instant;

/// Between two lines in the log about the same.
const SAY_AGAIN: Duration = Duration::from_secs(60);

const KINDS: usize = Refused::WHAT.len();

/// Of one process.
#[derive(Default)]
pub(super) struct Refusals {
    counts: [AtomicU64; KINDS],
    said: Mutex<[Option<Instant>; KINDS]>,
}

impl Refusals {
    pub(super) fn count(&self, subject: &str, why: &Refused) {
        self.counts[why.index()].fetch_add(1, Relaxed);
        if !self.is_to_be_said(why.index()) {
            return;
        }
        match why {
            Refused::Twin { .. } => tracing::error!("{why}"),
            // Whoever starts is one for a moment.
            Refused::Stranger(_) => tracing::debug!(%subject, "a message on the bus waits: {why}"),
            _ => tracing::warn!(%subject, "a message on the bus is refused: {why}"),
        }
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Refused::WHAT.into_iter().zip(self.counts.iter().map(|count| count.load(Relaxed)))
    }

    fn is_to_be_said(&self, kind: usize) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_due = said[kind].is_none_or(|at| now.duration_since(at) >= SAY_AGAIN);
        if is_due {
            said[kind] = Some(now);
        }
        is_due
    }
}
