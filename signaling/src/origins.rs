//! Tells the media nodes where the rooms that are live here come from: at once when that changes, and all of
//! them every second, so that a word that was lost is made up for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::node::{MAX_ORIGINS, ORIGINS, Origins as Told, RoomOrigin, Root};
use protocol::{Epoch, NodeId, RoomId};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::Shared;

/// Between two times that all are told.
const REPEAT: Duration = Duration::from_secs(1);

/// Where the rooms that are live here come from.
#[derive(Default)]
pub(crate) struct Origins {
    rooms: Mutex<BTreeMap<RoomId, (NodeId, Epoch)>>,
    /// Rooms of which the media nodes do not know yet.
    news: Mutex<Vec<RoomId>>,
    changed: Notify,
}

impl Origins {
    /// A room comes from there; none: it is not live here, or has no origin.
    pub(crate) fn set(&self, room: &RoomId, origin: Option<(&NodeId, Epoch)>) {
        let mut rooms = lock(&self.rooms);
        let Some((node, epoch)) = origin else { return drop(rooms.remove(room)) };
        if rooms.get(room).is_some_and(|(_, known)| *known >= epoch) {
            return;
        }
        rooms.insert(room.clone(), (node.clone(), epoch));
        lock(&self.news).push(room.clone());
        self.changed.notify_one();
    }

    fn news(&self) -> Vec<RoomOrigin> {
        let (rooms, news) = (lock(&self.rooms), std::mem::take(&mut *lock(&self.news)));
        news.iter().filter_map(|room| rooms.get_key_value(room)).map(told).collect()
    }

    fn all(&self) -> Vec<RoomOrigin> {
        lock(&self.rooms).iter().map(told).collect()
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

fn told((room, (origin, epoch)): (&RoomId, &(NodeId, Epoch))) -> RoomOrigin {
    RoomOrigin { room: room.clone(), root: Root { origin: origin.clone(), epoch: *epoch } }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
