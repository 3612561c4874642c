//! Which version of each room was heard of, so that words that overtake each other do no harm: the end of a
//! room is not that of the one made after it, and nobody enters a room after its end. It goes by versions and
//! not by epochs, because a room that only waits has no epoch.

use std::collections::HashMap;
use std::time::Duration;

use protocol::RoomId;
use tokio::time::Instant;

/// Most rooms that are remembered. Beyond it the one that was heard of least lately is forgotten.
const MAX_ROOMS: usize = 16_384;

/// How long it is remembered that a room is over: longer than any request is underway. Not for good, or a
/// room could not begin again whose versions were lost with the store.
const OVER: Duration = Duration::from_secs(30);

/// Of one node.
#[derive(Default)]
pub(crate) struct Versions {
    rooms: HashMap<RoomId, Known>,
}

struct Known {
    version: u64,
    is_over: bool,
    heard_at: Instant,
}

impl Known {
    fn is_over(&self, now: Instant) -> bool {
        self.is_over && now.duration_since(self.heard_at) < OVER
    }
}

impl Versions {
    /// Somebody is to enter a room, or its stage is told. False where it is over.
    pub(crate) fn enter(&mut self, now: Instant, room: &RoomId, version: u64) -> bool {
        let known = self.known(now, room, version);
        if known.is_over(now) && version <= known.version {
            return false;
        }
        *known = Known { version: version.max(known.version), is_over: false, heard_at: now };
        true
    }

    /// A room is over. False where that was another one of the same name, before.
    pub(crate) fn close(&mut self, now: Instant, room: &RoomId, version: Option<u64>) -> bool {
        let known = self.known(now, room, version.unwrap_or_default());
        let version = version.unwrap_or(known.version);
        let is_this = version >= known.version;
        if is_this {
            *known = Known { version, is_over: true, heard_at: now };
        }
        is_this
    }

    fn known(&mut self, now: Instant, room: &RoomId, version: u64) -> &mut Known {
        if self.rooms.len() >= MAX_ROOMS && !self.rooms.contains_key(room) {
            self.forget(now);
        }
        self.rooms.entry(room.clone()).or_insert(Known { version, is_over: false, heard_at: now })
    }

    fn forget(&mut self, now: Instant) {
        self.rooms.retain(|_, known| !known.is_over || known.is_over(now));
        if self.rooms.len() >= MAX_ROOMS
            && let Some(oldest) = self.rooms.iter().min_by_key(|(_, known)| known.heard_at)
        {
            let oldest = oldest.0.clone();
            self.rooms.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomId {
        RoomId::new(name).unwrap()
    }

    #[test]
    fn a_late_end_ends_no_later_room_and_a_late_entry_opens_none() {
        let (mut versions, now, hall) = (Versions::default(), Instant::now(), room("hall"));
        assert!(versions.enter(now, &hall, 3));
        assert!(versions.enter(now, &hall, 2), "a node that knew it as it was before");
        assert!(versions.close(now, &hall, Some(4)));
        assert!(!versions.enter(now, &hall, 3), "it overtook nothing: the room is over");
        assert!(versions.close(now, &hall, Some(4)), "asked again, as the answer may be lost");
        assert!(versions.enter(now, &hall, 5), "made anew");
        assert!(!versions.close(now, &hall, Some(4)), "of the room before");
        assert!(versions.enter(now, &hall, 5));
        assert!(versions.close(now, &hall, Some(6)));
        assert!(versions.enter(now + OVER, &hall, 1), "not for good");
    }

    #[test]
    fn the_oldest_room_is_forgotten() {
        let (mut versions, now) = (Versions::default(), Instant::now());
        for number in 0..=MAX_ROOMS as u32 {
            assert!(versions.enter(
                now + Duration::from_millis(number.into()),
                &room(&format!("r{number}")),
                1
            ));
        }
        assert_eq!(versions.rooms.len(), MAX_ROOMS);
        assert!(!versions.rooms.contains_key(&room("r0")) && versions.rooms.contains_key(&room("r1")));
    }
}
