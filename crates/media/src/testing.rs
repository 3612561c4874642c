//! What tests of several modules share.

use std::time::Instant;

/// A moment to start from: which one does not matter, so the clock is read nowhere else.
#[allow(clippy::disallowed_methods)]
pub(crate) fn start() -> Instant {
    Instant::now()
}
