//! Keeps the origin's picture of the stage true: every change at once, again until it is acknowledged,
//! and now and then without a reason. A mute that is lost on its way lasts no longer than that.

use protocol::id::NodeId;
use protocol::node::Stage;

/// Between two tries while the origin does not acknowledge.
const RETRY_MS: u64 = 500;

#[derive(Debug)]
pub(super) struct StagePush {
    repeat_ms: u64,
    wanted: Option<(Stage, NodeId)>,
    is_underway: bool,
    /// Not before then, unless it is another one than was told last.
    next_at: u64,
    told: Option<Stage>,
}

impl StagePush {
    pub(super) fn new(repeat_ms: u64) -> Self {
        Self { repeat_ms, wanted: None, is_underway: false, next_at: 0, told: None }
    }

    /// From now on this is what the origin must know.
    pub(super) fn want(&mut self, stage: Option<(Stage, NodeId)>) {
        self.wanted = stage;
    }

    /// What is to be told now, and to whom.
    pub(super) fn poll(&mut self, now: u64) -> Option<(NodeId, Stage)> {
        let (stage, node) = self.wanted.as_ref().filter(|_| !self.is_underway)?;
        if self.told.as_ref() == Some(stage) && now < self.next_at {
            return None;
        }
        self.is_underway = true;
        self.told = Some(stage.clone());
        Some((node.clone(), stage.clone()))
    }

    /// The origin has answered, or has not.
    pub(super) fn answered(&mut self, now: u64, is_done: bool) {
        self.is_underway = false;
        self.next_at = now + if is_done { self.repeat_ms } else { RETRY_MS };
    }

    /// When something is to be told, if nothing else happens.
    pub(super) fn due(&self) -> Option<u64> {
        let (stage, _) = self.wanted.as_ref().filter(|_| !self.is_underway)?;
        Some(if self.told.as_ref() == Some(stage) { self.next_at } else { 0 })
    }
}
