//! Tells the media nodes where the rooms that are live here come from: at once when that changes, and every
//! second of all of them, with the version of each stage. So what was lost on its way is made up for, and who
//! knows something else says so.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::RoomId;
use protocol::node::{MAX_ORIGINS, ORIGINS, Origins as Told, RoomOrigin, Root};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::Shared;

/// Between two times that all are told.
const REPEAT: Duration = Duration::from_secs(1);

/// Where the rooms that are live here come from.
#[derive(Default)]
pub(crate) struct Origins {
    rooms: Mutex<BTreeMap<RoomId, (Root, u64)>>,
    /// Rooms of which the media nodes do not know yet.
    news: Mutex<Vec<RoomId>>,
    changed: Notify,
}

impl Origins {
    /// A room comes from there, with this version of its stage; none: it is not live here, or has no origin.
    pub(crate) fn set(&self, room: &RoomId, from: Option<(Root, u64)>) {
        let mut rooms = lock(&self.rooms);
        let Some((root, stage)) = from else { return drop(rooms.remove(room)) };
        let before = rooms.insert(room.clone(), (root.clone(), stage));
        if before.is_none_or(|(before, _)| before != root) {
            lock(&self.news).push(room.clone());
            self.changed.notify_one();
        }
    }

    /// Without their stages: those are on their way just now.
    fn news(&self) -> Vec<RoomOrigin> {
        let (rooms, news) = (lock(&self.rooms), std::mem::take(&mut *lock(&self.news)));
        let there = news.into_iter().filter_map(|room| {
            let root = rooms.get(&room)?.0.clone();
            Some(RoomOrigin { room, root, stage: None })
        });
        there.collect()
    }

    fn all(&self) -> Vec<RoomOrigin> {
        let rooms = lock(&self.rooms);
        let told = |(room, (root, stage)): (&RoomId, &(Root, u64))| RoomOrigin {
            room: room.clone(),
            root: root.clone(),
            stage: Some(*stage),
        };
        rooms.iter().map(told).collect()
    }
}

/// Tells them until the process ends.
pub(crate) async fn tell(app: &Shared) {
    let mut repeat = interval(REPEAT);
    repeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let rooms = tokio::select! {
            _ = repeat.tick() => app.origins.all(),
            () = app.origins.changed.notified() => app.origins.news(),
        };
        for rooms in rooms.chunks(MAX_ORIGINS) {
            let Ok(payload) = serde_json::to_vec(&Told { rooms: rooms.to_vec() }) else { continue };
            // While the bus is down nobody can be told; they are told again.
            let _down = app.bus.publish(ORIGINS, payload.into()).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
