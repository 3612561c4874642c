//! Keeps the origin's picture of the stage true: every change at once, again until it is acknowledged, and
//! whenever the origin says that it knows less. While a mute is not acknowledged hosts are told so.

use protocol::id::{Identity, NodeId};
use protocol::node::Stage;

/// How long the origin has to acknowledge a change before hosts are told that it has not, in ms.
const PENDING_MS: u64 = 700;

/// Between two tries while the origin does not acknowledge.
const RETRY_MS: u64 = 500;

#[derive(Debug, Default)]
pub(super) struct StagePush {
    wanted: Option<(Stage, NodeId)>,
    is_underway: bool,
    /// Not before then, unless it is another one than was told last; none: it is acknowledged.
    next_at: Option<u64>,
    told: Option<Stage>,
    /// As the origin has acknowledged it last.
    taken: Option<Stage>,
    /// Since when it lets somebody through who is not to be heard, for all that is known.
    pending_since: Option<u64>,
    /// Of whom hosts know that.
    pending: Vec<Identity>,
}

impl StagePush {
    /// From now on this is what the origin must know.
    pub(super) fn want(&mut self, stage: Option<(Stage, NodeId)>) {
        self.wanted = stage;
    }

    /// What is to be told now, and to whom.
    pub(super) fn poll(&mut self, now: u64) -> Option<(NodeId, Stage)> {
        self.told_at().filter(|at| *at <= now)?;
        let (stage, node) = self.wanted.as_ref()?;
        self.is_underway = true;
        self.told = Some(stage.clone());
        Some((node.clone(), stage.clone()))
    }

    /// The origin has answered, or has not.
    pub(super) fn answered(&mut self, now: u64, is_done: bool) {
        self.is_underway = false;
        if is_done {
            self.taken = self.told.clone();
        }
        self.next_at = (!is_done).then_some(now + RETRY_MS);
    }

    /// The origin knows less than it has acknowledged.
    pub(super) fn again(&mut self) {
        self.next_at.get_or_insert(0);
    }

    /// What hosts are to be told of who is pending, where that is news.
    pub(super) fn news(&mut self, now: u64) -> Option<&[Identity]> {
        let pending = self.still_heard();
        if pending.is_empty() {
            self.pending_since = None;
        } else if *self.pending_since.get_or_insert(now) + PENDING_MS > now {
            return None;
        }
        (pending != self.pending).then(|| {
            self.pending = pending;
            &*self.pending
        })
    }

    /// Whom hosts know to be pending.
    pub(super) fn pending(&self) -> &[Identity] {
        &self.pending
    }

    /// Those whom the origin lets through by what it has acknowledged last, and who are not to be heard. Another
    /// origin, or another epoch, begins with nobody.
    fn still_heard(&self) -> Vec<Identity> {
        let Some((wanted, _)) = &self.wanted else { return Vec::new() };
        let taken = self.taken.iter().filter(|taken| taken.epoch == wanted.epoch);
        let audible = |stage: &Stage, who: &Identity| {
            stage.speakers.iter().any(|speaker| speaker.identity == *who && !speaker.muted)
        };
        let heard = taken.flat_map(|taken| &taken.speakers).filter(|speaker| !speaker.muted);
        let heard = heard.map(|speaker| &speaker.identity);
        heard.filter(|who| !audible(wanted, who)).cloned().collect()
    }

    /// When something is to be told, if nothing else happens.
    pub(super) fn due(&self) -> Option<u64> {
        let pending = self.pending_since.map(|since| since + PENDING_MS);
        let pending = pending.filter(|_| self.pending.is_empty());
        pending.into_iter().chain(self.told_at()).min()
    }

    /// When the origin is to be told, if nothing else happens.
    fn told_at(&self) -> Option<u64> {
        let (stage, _) = self.wanted.as_ref().filter(|_| !self.is_underway)?;
        if self.told.as_ref() == Some(stage) { self.next_at } else { Some(0) }
    }
}

#[cfg(test)]
mod tests {
    use protocol::id::{Epoch, RoomId, SpeakerNumber};
    use protocol::message::RoomState;
    use protocol::node::StageSpeaker;

    use super::*;

    fn stage(epoch: u32, version: u64, speakers: &[(&str, bool)]) -> Option<(Stage, NodeId)> {
        let speaker = |(number, &(name, muted)): (usize, &(&str, bool))| StageSpeaker {
            identity: Identity::new(name).unwrap(),
            number: SpeakerNumber(number as u32 + 1),
            muted,
        };
        let speakers = speakers.iter().enumerate().map(speaker).collect();
        let (room, epoch) = (RoomId::new("hall").unwrap(), Epoch(epoch));
        let stage = Stage { room, epoch, version, state: RoomState::Live, speakers };
        Some((stage, NodeId::new("o1").unwrap()))
    }

    /// What hosts are told by then.
    fn told(push: &mut StagePush, now: u64) -> Option<Vec<String>> {
        push.news(now).map(|pending| pending.iter().map(|who| who.to_string()).collect())
    }

    #[test]
    fn whoever_may_still_be_heard_is_pending_until_the_origin_says_that_it_knows() {
        let mut push = StagePush::default();
        push.want(stage(1, 1, &[("anna", false), ("ben", false), ("carl", true)]));
        assert!(push.poll(0).is_some());
        push.answered(10, true);
        assert_eq!(told(&mut push, 10), None);

        push.want(stage(1, 2, &[("anna", true), ("carl", false)]));
        assert!(push.poll(100).is_some());
        assert_eq!(told(&mut push, 100), None, "it has a moment to say so");
        push.answered(600, false);
        assert_eq!((told(&mut push, 600), push.due()), (None, Some(100 + PENDING_MS)));
        assert_eq!(told(&mut push, 100 + PENDING_MS), Some(vec!["anna".into(), "ben".into()]));
        assert_eq!(told(&mut push, 5_000), None, "once");

        // One of them is let back in before the origin answers.
        push.want(stage(1, 3, &[("anna", false), ("carl", false)]));
        assert_eq!(told(&mut push, 5_000), Some(vec!["ben".into()]));
        assert!(push.poll(5_000).is_some());
        push.answered(5_010, true);
        assert_eq!(told(&mut push, 5_010), Some(vec![]));
        assert_eq!(push.pending_since, None);
    }

    #[test]
    fn another_origin_lets_nobody_through_of_before() {
        let mut push = StagePush::default();
        push.want(stage(1, 1, &[("anna", false)]));
        assert!(push.poll(0).is_some());
        push.answered(10, true);
        push.want(stage(1, 2, &[("anna", true)]));
        assert_eq!(told(&mut push, 20), None);
        assert_eq!(told(&mut push, 20 + PENDING_MS), Some(vec!["anna".into()]));
        push.want(stage(2, 3, &[("anna", true)]));
        assert_eq!(told(&mut push, 21 + PENDING_MS), Some(vec![]));
        push.want(None);
        assert_eq!(told(&mut push, 22 + PENDING_MS), None);
    }
}
