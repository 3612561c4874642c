//! Which stage an origin knows of each of its rooms, against what it is told: so that what was lost, repeated or
//! late on its way does not last.

use std::collections::HashMap;

use protocol::id::{Epoch, NodeId, RoomId};
use protocol::node::{RoomOrigin, Root, Stage};

/// The rooms of one origin.
#[derive(Debug)]
pub struct Stages {
    me: NodeId,
    /// Most rooms.
    most: usize,
    rooms: HashMap<RoomId, (Epoch, u64)>,
}

/// How what one is told of a room compares with what one knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It is no news.
    Known,
    /// Another origin has taken over.
    Replaced,
    /// This is what is known here. Whoever knows less of it is behind, whoever knows more must tell it.
    Otherwise(RoomOrigin),
}

/// The room is known with a later epoch, or a later version of its stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the room is known here with a later epoch, or a later version of its stage")]
pub struct Outdated;

impl Stages {
    /// Of an origin that takes at most so many rooms.
    pub fn new(me: NodeId, most: usize) -> Self {
        Self { me, most, rooms: HashMap::new() }
    }

    /// Somebody is to speak in a room whose stage may not have been told yet.
    pub fn open(&mut self, room: &RoomId, epoch: Epoch) {
        self.know(room, (epoch, 0));
    }

    /// Whether this is the stage from now on.
    pub fn take(&mut self, stage: &Stage) -> Result<(), Outdated> {
        let told = (stage.epoch, stage.version);
        if self.rooms.get(&stage.room).is_some_and(|known| *known > told) {
            return Err(Outdated);
        }
        self.know(&stage.room, told);
        Ok(())
    }

    /// Hears where a room comes from.
    pub fn hear(&self, told: &RoomOrigin) -> Heard {
        let known = self.rooms.get(&told.room).copied();
        let is_ours = told.root.origin == self.me;
        match (known, told.stage) {
            (None, _) if !is_ours => Heard::Known,
            (Some((epoch, _)), _) if !is_ours && epoch < told.root.epoch => Heard::Replaced,
            // Epochs that are equal were given twice: of two origins nobody knew which holds.
            (known, stage) => {
                let (epoch, version) = known.unwrap_or_default();
                let is_known = is_ours && epoch == told.root.epoch && stage.is_none_or(|it| it == version);
                if is_known { Heard::Known } else { self.otherwise(told, epoch, version) }
            }
        }
    }

    /// The room is over, or another origin has it.
    pub fn close(&mut self, room: &RoomId) {
        self.rooms.remove(room);
    }

    fn otherwise(&self, told: &RoomOrigin, epoch: Epoch, version: u64) -> Heard {
        let root = Root { origin: self.me.clone(), epoch };
        Heard::Otherwise(RoomOrigin { room: told.room.clone(), root, stage: Some(version) })
    }

    fn know(&mut self, room: &RoomId, told: (Epoch, u64)) {
        if self.rooms.len() < self.most || self.rooms.contains_key(room) {
            let known = self.rooms.entry(room.clone()).or_default();
            *known = told.max(*known);
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::message::RoomState;

    use super::*;

    fn room() -> RoomId {
        RoomId::new("hall").unwrap()
    }

    fn stage(epoch: u32, version: u64) -> Stage {
        Stage { room: room(), epoch: Epoch(epoch), version, state: RoomState::Live, speakers: Vec::new() }
    }

    fn told(origin: &str, epoch: u32, stage: Option<u64>) -> RoomOrigin {
        let root = Root { origin: NodeId::new(origin).unwrap(), epoch: Epoch(epoch) };
        RoomOrigin { room: room(), root, stage }
    }

    fn stages() -> Stages {
        Stages::new(NodeId::new("o1").unwrap(), 1)
    }

    #[test]
    fn what_was_lost_or_is_late_is_said() {
        let mut stages = stages();
        let nothing = Heard::Otherwise(told("o1", 0, Some(0)));
        assert_eq!(stages.hear(&told("o1", 3, Some(5))), nothing, "it has heard of nothing");
        stages.open(&room(), Epoch(3));
        assert_eq!(stages.hear(&told("o1", 3, None)), Heard::Known, "nobody speaks of its stage");
        assert_eq!(stages.hear(&told("o1", 3, Some(5))), Heard::Otherwise(told("o1", 3, Some(0))));
        assert_eq!(stages.take(&stage(3, 5)), Ok(()));
        assert_eq!(stages.hear(&told("o1", 3, Some(5))), Heard::Known);
        let ours = Heard::Otherwise(told("o1", 3, Some(5)));
        assert_eq!(stages.hear(&told("o1", 3, Some(4))), ours, "by somebody who has missed something");
        assert_eq!(stages.take(&stage(3, 4)), Err(Outdated));
        assert_eq!(stages.hear(&told("o1", 4, Some(6))), ours, "it has missed something");
        assert_eq!(stages.take(&stage(4, 6)), Ok(()));
        assert_eq!(stages.take(&stage(3, 7)), Err(Outdated));
    }

    #[test]
    fn an_origin_goes_for_a_later_one_and_contradicts_any_other() {
        let mut stages = stages();
        assert_eq!(stages.hear(&told("o2", 3, Some(5))), Heard::Known, "it is no room of this one");
        assert_eq!(stages.take(&stage(3, 5)), Ok(()));
        let ours = Heard::Otherwise(told("o1", 3, Some(5)));
        assert_eq!(stages.hear(&told("o2", 2, Some(9))), ours);
        assert_eq!(stages.hear(&told("o2", 3, Some(9))), ours, "an epoch that was given twice");
        assert_eq!(stages.hear(&told("o2", 4, Some(9))), Heard::Replaced);
        stages.close(&room());
        assert_eq!(stages.hear(&told("o2", 4, Some(9))), Heard::Known);
    }

    #[test]
    fn it_remembers_no_more_rooms_than_it_takes() {
        let mut stages = stages();
        assert_eq!(stages.take(&stage(3, 5)), Ok(()));
        let other = RoomId::new("foyer").unwrap();
        assert_eq!(stages.take(&Stage { room: other.clone(), ..stage(3, 5) }), Ok(()));
        assert!(!stages.rooms.contains_key(&other));
        assert_eq!(stages.take(&stage(3, 4)), Err(Outdated));
    }
}
