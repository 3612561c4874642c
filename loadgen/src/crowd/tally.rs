//! What one crowd counts, and the seconds of the run that all crowds fill together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Histogram;
use crate::clock::SECOND;
use crate::figures::Second;
use crate::reckoning::Account;

/// What one crowd has counted, complete once its thread has ended.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) latency: Histogram,
    pub(crate) longest_gap: Histogram,
    pub(crate) first_audio: Histogram,
    pub(crate) hears_again: Histogram,
    pub(crate) late: u64,
    pub(crate) duplicates: u64,
    pub(crate) undecryptable: u64,
    pub(crate) unknown: u64,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) frames_per_packet: [u64; 7],
    /// Audible packets by the framing that their length stands for: 20, 60 and 120 ms.
    pub(crate) packets_by_framing: [u64; 3],
    /// Listeners with a stream whose sequence numbers began anew, and such streams.
    pub(crate) wrapped_listeners: u64,
    pub(crate) wrapped_streams: u64,
    /// Who was in, and when.
    pub(crate) accounts: Vec<Account>,
    /// Frames heard by the second in which they were sent.
    pub(crate) received_by_second: Vec<u64>,
    pub(crate) no_audio: u64,
    pub(crate) late_ticks: u64,
    pub(crate) ticks: u64,
    pub(crate) socket_drops: u64,
    pub(crate) strays: u64,
    /// Steps of handshakes: most that waited at once, the longest wait in ns, those dropped.
    pub(crate) backlog: u64,
    pub(crate) backlog_wait_ns: u64,
    pub(crate) backlog_dropped: u64,
    /// Everything that speakers here have said.
    pub(crate) said: Vec<std::sync::Arc<crate::ledger::Said>>,
}

impl Tally {
    pub(super) fn count_backlog(&mut self, backlog: &super::backlog::Backlog) {
        self.backlog = backlog.longest as u64;
        self.backlog_wait_ns = backlog.waited_ns;
        self.backlog_dropped = backlog.dropped;
    }

    /// Counts an audible packet of so many frames. The end of what is said may be shorter than the framing.
    pub(super) fn count_length(&mut self, frames: usize) {
        let framing = match frames {
            0..=1 => 0,
            2..=3 => 1,
            _ => 2,
        };
        self.packets_by_framing[framing] += 1;
    }

    pub(super) fn count_received(&mut self, second: usize) {
        if self.received_by_second.len() <= second {
            self.received_by_second.resize(second + 1, 0);
        }
        self.received_by_second[second] += 1;
    }
}

/// What a crowd counts within one second.
#[derive(Default)]
pub(super) struct Current {
    pub(super) counts: Second,
    pub(super) latency: Histogram,
}

/// The seconds of a run.
pub(crate) struct Seconds {
    /// When the first one began.
    began_ns: u64,
    open: Mutex<Open>,
    /// Packets that are missing by their sequence numbers: for the line that shows progress.
    missing: AtomicI64,
}

#[derive(Default)]
struct Open {
    done: Vec<Second>,
    /// Those that not every crowd has left yet.
    filling: BTreeMap<u64, Current>,
}

impl Seconds {
    pub(crate) fn new(began_ns: u64) -> Self {
        Self { began_ns, open: Mutex::default(), missing: AtomicI64::new(0) }
    }

    /// When the first one began.
    pub(crate) fn began_ns(&self) -> u64 {
        self.began_ns
    }

    /// The number of a second.
    pub(crate) fn of(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.began_ns) / SECOND
    }

    /// By so many more, or fewer, are missing.
    pub(super) fn count_missing(&self, more: i64) {
        if more != 0 {
            self.missing.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Packets that are missing so far. Losses at the end of a stream do not show here.
    pub(crate) fn missing(&self) -> u64 {
        self.missing.load(Ordering::Relaxed).max(0) as u64
    }

    /// Takes what a crowd counted in a second, and clears it.
    pub(super) fn submit(&self, second: u64, current: &mut Current) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = open.filling.entry(second).or_default();
        let (sum, more) = (&mut whole.counts, &current.counts);
        sum.connected += more.connected;
        sum.joins += more.joins;
        sum.frames += more.frames;
        sum.packets += more.packets;
        sum.bytes += more.bytes;
        sum.longest_gap = sum.longest_gap.max(more.longest_gap);
        whole.latency.add(&current.latency);
        current.counts = Second::default();
        current.latency.clear();
        // Two seconds are enough for every crowd to notice that one is over.
        while open.filling.first_key_value().is_some_and(|(&oldest, _)| oldest + 2 < second) {
            open.finish_oldest();
        }
    }

    /// What is complete so far, with `also` done to all of it.
    pub(crate) fn with<T>(&self, also: impl FnOnce(&mut Vec<Second>) -> T) -> T {
        also(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner).done)
    }

    /// All of them, when the crowds have ended.
    pub(crate) fn finish(&self) -> Vec<Second> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while !open.filling.is_empty() {
            open.finish_oldest();
        }
        std::mem::take(&mut open.done)
    }
}

impl Open {
    fn finish_oldest(&mut self) {
        let Some((second, Current { counts, latency })) = self.filling.pop_first() else { return };
        let at = |share| latency.quantile(share).unwrap_or_default();
        let (latency_p50, latency_p99, latency_max) = (at(0.5), at(0.99), latency.max());
        let index = second as usize;
        if self.done.len() <= index {
            self.done.resize(index + 1, Second::default());
        }
        self.done[index] = Second { latency_p50, latency_p99, latency_max, ..counts };
    }
}
