//! The clock of the figures: nanoseconds of realtime, because the kernel stamps arrivals with it.

use std::time::{SystemTime, UNIX_EPOCH};

/// A second.
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A millisecond.
pub(crate) const MS: u64 = 1_000_000;

/// Now, in ns since 1970.
pub(crate) fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
