//! A store whose answers are timed: how long people wait for it is the first question when rooms are slow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use cluster::store::{Listed, Orphan, Renewed};
use cluster::{SharedStore, Store, StoreError};
use protocol::message::Person;
use protocol::{Epoch, Identity, RoomId};
use room::hall::{Commit, Committed, Conflict, Due, Loaded};
use room::{Owner, Room, Session};
use service::Metrics;
use service::metrics::{Counter, HistogramBy};

/// From a store in this process to one across an ocean.
const SECONDS: &[f64] = &[0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];

pub(crate) struct Timed {
    store: SharedStore,
    seconds: HistogramBy,
    conflicts: Counter,
    garbage: Counter,
}

impl Timed {
    pub(crate) fn new(store: SharedStore, metrics: &Metrics) -> Self {
        let (labels, bad) = (&["operation"], "What came from outside and could not be used.");
        Self {
            store,
            seconds: metrics.histograms(
                "dais_store_seconds",
                "How long the rooms' store took to answer, or to be given up.",
                SECONDS,
                labels,
            ),
            conflicts: metrics
                .counter("dais_store_conflicts_total", "Operations decided again: another was faster."),
            garbage: metrics.counters("dais_bad_input_total", bad, &["what"]).of(&["store"]),
        }
    }

    fn timed<T>(
        &self,
        operation: &str,
        since: Instant,
        answer: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.seconds.of(&[operation]).observe(since.elapsed().as_secs_f64());
        self.garbage.inc_by(u64::from(matches!(answer, Err(StoreError::Garbage(_)))));
        answer
    }
}

#[async_trait]
impl Store for Timed {
    async fn load(
        &self,
        room: &RoomId,
        known: Option<&Arc<Room>>,
        concerns: &[&Identity],
    ) -> Result<Loaded, StoreError> {
        let since = Instant::now();
        self.timed("load", since, self.store.load(room, known, concerns).await)
    }

    async fn commit(
        &self,
        room: &RoomId,
        commit: &Commit,
    ) -> Result<Result<Committed, Conflict>, StoreError> {
        let since = Instant::now();
        let answer = self.timed("commit", since, self.store.commit(room, commit).await)?;
        self.conflicts.inc_by(u64::from(matches!(answer, Err(Conflict::Changed(_)))));
        Ok(answer)
    }

    async fn time(&self) -> Result<u64, StoreError> {
        let since = Instant::now();
        self.timed("time", since, self.store.time().await)
    }

    async fn next_epoch(&self, above: Epoch) -> Result<Epoch, StoreError> {
        let since = Instant::now();
        self.timed("next_epoch", since, self.store.next_epoch(above).await)
    }

    async fn due(&self) -> Result<Vec<(RoomId, Vec<Due>)>, StoreError> {
        let since = Instant::now();
        self.timed("due", since, self.store.due().await)
    }

    async fn renew(&self, owner: &Owner) -> Result<Renewed, StoreError> {
        let since = Instant::now();
        self.timed("renew", since, self.store.renew(owner).await)
    }

    async fn sessions(&self, room: &RoomId, owner: &Owner) -> Result<Vec<(Identity, Session)>, StoreError> {
        let since = Instant::now();
        self.timed("sessions", since, self.store.sessions(room, owner).await)
    }

    async fn rooms_of(&self, owner: &Owner) -> Result<BTreeSet<RoomId>, StoreError> {
        let since = Instant::now();
        self.timed("rooms_of", since, self.store.rooms_of(owner).await)
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>, StoreError> {
        let since = Instant::now();
        self.timed("orphans", since, self.store.orphans(limit).await)
    }

    async fn rooms(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let since = Instant::now();
        self.timed("rooms", since, self.store.rooms(after, limit).await)
    }

    async fn people(
        &self,
        room: &RoomId,
        after: Option<&Identity>,
        limit: usize,
    ) -> Result<Vec<Person>, StoreError> {
        let since = Instant::now();
        self.timed("people", since, self.store.people(room, after, limit).await)
    }
}
