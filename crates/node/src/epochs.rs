//! Which epoch of each room was heard of, so that words that overtake each other do no harm: the end of a
//! room is not that of the one made after it, and nobody enters a room after its end.

use std::collections::HashMap;
use std::time::Duration;

use protocol::{Epoch, RoomId};
use tokio::time::Instant;

/// Most rooms that are remembered. Beyond it the one with the lowest epoch is forgotten: epochs grow over all
/// rooms, so it is the oldest.
const MAX_ROOMS: usize = 16_384;

/// How long it is remembered that a room is over: longer than any request is underway. Not for good, or a
/// room could not begin again whose epochs were lost with the store.
const OVER: Duration = Duration::from_secs(30);

/// Of one node.
#[derive(Default)]
pub(crate) struct Epochs {
    rooms: HashMap<RoomId, Known>,
}

struct Known {
    epoch: Epoch,
    over_since: Option<Instant>,
}

impl Known {
    fn is_over(&self, now: Instant) -> bool {
        self.over_since.is_some_and(|since| now.duration_since(since) < OVER)
    }
}

impl Epochs {
    /// Somebody is to enter a room, or its stage is told. False where it is over.
    pub(crate) fn enter(&mut self, now: Instant, room: &RoomId, epoch: Epoch) -> bool {
        let known = self.known(now, room, epoch);
        if known.is_over(now) && epoch <= known.epoch {
            return false;
        }
        *known = Known { epoch: epoch.max(known.epoch), over_since: None };
        true
    }

    /// A room is over. False where that was another one of the same name, before.
    pub(crate) fn close(&mut self, now: Instant, room: &RoomId, epoch: Epoch) -> bool {
        let known = self.known(now, room, epoch);
        let is_this = epoch >= known.epoch;
        if is_this {
            *known = Known { epoch, over_since: Some(now) };
        }
        is_this
    }

    fn known(&mut self, now: Instant, room: &RoomId, epoch: Epoch) -> &mut Known {
        if self.rooms.len() >= MAX_ROOMS && !self.rooms.contains_key(room) {
            self.forget(now);
        }
        self.rooms.entry(room.clone()).or_insert(Known { epoch, over_since: None })
    }

    fn forget(&mut self, now: Instant) {
        self.rooms.retain(|_, known| known.over_since.is_none() || known.is_over(now));
        if self.rooms.len() >= MAX_ROOMS
            && let Some(oldest) = self.rooms.iter().min_by_key(|(_, known)| known.epoch)
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
        let (mut epochs, now, hall) = (Epochs::default(), Instant::now(), room("hall"));
        assert!(epochs.enter(now, &hall, Epoch(3)));
        assert!(epochs.close(now, &hall, Epoch(3)));
        assert!(!epochs.enter(now, &hall, Epoch(3)), "it overtook nothing: the room is over");
        assert!(epochs.close(now, &hall, Epoch(3)), "asked again, as the answer may be lost");
        assert!(epochs.enter(now, &hall, Epoch(4)), "made anew");
        assert!(!epochs.close(now, &hall, Epoch(3)), "of the room before");
        assert!(epochs.enter(now, &hall, Epoch(4)));
        assert!(epochs.close(now, &hall, Epoch(5)), "its origin was replaced meanwhile");
        assert!(epochs.enter(now + OVER, &hall, Epoch(1)), "not for good");
    }

    #[test]
    fn the_oldest_room_is_forgotten() {
        let (mut epochs, now) = (Epochs::default(), Instant::now());
        for number in 0..=MAX_ROOMS as u32 {
            assert!(epochs.enter(now, &room(&format!("r{number}")), Epoch(number)));
        }
        assert_eq!(epochs.rooms.len(), MAX_ROOMS);
        assert!(!epochs.rooms.contains_key(&room("r0")) && epochs.rooms.contains_key(&room("r1")));
    }
}
