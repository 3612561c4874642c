use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::contract::store::Ground;

async fn fresh(limits: Limits) -> Ground {
    let time = Arc::new(AtomicU64::new(1_800_000_000_000));
    let clock = Arc::clone(&time);
    let store = MemoryStore::with_clock(limits, move || clock.load(Ordering::Relaxed));
    Ground::new(store, limits, move |ms| {
        time.fetch_add(ms, Ordering::Relaxed);
    })
}

crate::store_contract!(fresh);
