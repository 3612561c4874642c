//! How busy the threads are that serve people, and how far presence is held back for it.
//!
//! Busy is a thread that works on tasks, or would if others of the machine did not go first: so audio that
//! takes the cores away holds presence back too. How late things are would be told only once people feel it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use room::presence::{Busy, SAMPLE_MS};
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::Shared;

/// Runs until the process ends.
pub(crate) async fn run(app: &Shared) -> anyhow::Result<()> {
    let threads = Handle::current().metrics();
    let mut tick = interval(Duration::from_millis(SAMPLE_MS));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut busy = Busy::default();
    let mut last = (Instant::now(), worked(&threads));
    loop {
        tick.tick().await;
        let now = (Instant::now(), worked(&threads));
        let passed = (now.0 - last.0) * threads.num_workers() as u32;
        if !passed.is_zero() {
            busy.add(now.1.saturating_sub(last.1).div_duration_f64(passed));
        }
        last = now;
        app.restraint.store(busy.restraint().per_mille(), Ordering::Relaxed);
        app.counters.busy(busy);
    }
}

/// How long the threads have worked so far, together.
fn worked(threads: &RuntimeMetrics) -> Duration {
    (0..threads.num_workers()).map(|thread| threads.worker_total_busy_duration(thread)).sum()
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn a_thread_that_never_comes_to_rest_is_seen_to_work() {
        let threads = Handle::current().metrics();
        let before = worked(&threads);
        // Always ready: this would never end if work were only counted once a thread sleeps.
        while worked(&threads) == before {
            yield_now().await;
        }
    }
}
