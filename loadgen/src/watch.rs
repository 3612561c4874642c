//! What a participant is told about the room, read and checked: presence without gaps, who came on stage.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

use crate::Histogram;
use crate::clock::{SECOND, now_ns};

/// Joins of a room that are remembered for the lag. A room takes in fewer between two presence messages.
const MARKS: usize = 8_192;

/// What comes later is no news of a promotion any more.
const PROMOTION_NS: u64 = 5 * SECOND;

/// One in so many presence messages is timed: all of them would make the lag our own.
const SAMPLED: u64 = 16;

/// A lower version than one that was told so long before is of a node that has begun anew.
const LIFE_NS: u64 = 10 * SECOND;

/// What everybody in one room watches together.
pub(crate) struct Board {
    /// Each signaling node counts versions of its own.
    marks: Vec<Mutex<Marks>>,
    /// When somebody was called on stage.
    promoted: Mutex<HashMap<String, u64>>,
    messages: AtomicU64,
    /// How often a listener was told to come back later.
    pub(crate) told_to_wait: AtomicU64,
    bytes: AtomicU64,
    gaps: AtomicU64,
    pub(crate) lag: Mutex<Histogram>,
    pub(crate) promotion_seen: Mutex<Histogram>,
}

/// When people were welcomed by one signaling node, by the version of presence that they were told.
#[derive(Default)]
struct Marks(BTreeMap<u64, u64>);

impl Marks {
    fn add(&mut self, version: u64, now_ns: u64) {
        let last = self.0.last_key_value();
        if last.is_some_and(|(&last, &at)| last > version && at + LIFE_NS < now_ns) {
            self.0.clear();
        }
        self.0.entry(version).or_insert(now_ns);
        if self.0.len() > MARKS {
            self.0.pop_first();
        }
    }

    /// The first of these versions that was told since then.
    fn first(&self, mut versions: Range<u64>, since_ns: u64) -> Option<u64> {
        versions.start = versions.start.min(versions.end);
        self.0.range(versions).map(|(_, &at)| at).find(|&at| at >= since_ns)
    }
}

impl Board {
    /// For so many signaling nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        Self {
            marks: (0..nodes).map(|_| Mutex::default()).collect(),
            promoted: Mutex::default(),
            messages: AtomicU64::new(0),
            told_to_wait: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            lag: Mutex::default(),
            promotion_seen: Mutex::default(),
        }
    }

    /// Somebody was welcomed by this node and told this version: those who are told a later one know of them.
    pub(crate) fn mark(&self, node: usize, version: u64) {
        locked(&self.marks[node]).add(version, now_ns());
    }

    /// Somebody is called on stage now.
    pub(crate) fn promote(&self, identity: &str) {
        locked(&self.promoted).insert(identity.to_owned(), now_ns());
    }

    /// What the room's listeners were told so far.
    pub(crate) fn told(&self) -> Told {
        let [messages, bytes, gaps] =
            [&self.messages, &self.bytes, &self.gaps].map(|count| count.load(Ordering::Relaxed));
        Told { messages, bytes, gaps }
    }
}

/// How much listeners were told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Presence messages.
    pub(crate) messages: u64,
    /// Of all messages.
    pub(crate) bytes: u64,
    /// Versions of presence that did not follow on the one before.
    pub(crate) gaps: u64,
}

impl Told {
    /// In all rooms, so far.
    pub(crate) fn so_far(boards: &[Arc<Board>]) -> Self {
        boards.iter().map(|board| board.told()).fold(Self::default(), |sum, told| Self {
            messages: sum.messages + told.messages,
            bytes: sum.bytes + told.bytes,
            gaps: sum.gaps + told.gaps,
        })
    }
}

/// One participant's eye on it.
pub(crate) struct Watch {
    board: Arc<Board>,
    /// The signaling node that they are at, and since when.
    node: usize,
    since_ns: u64,
    /// Presence that this participant has.
    version: u64,
    heard: u64,
    /// Speakers are told the same as listeners, but the figures are the listeners'.
    counts: bool,
    /// What has come that concerns this participant.
    pub(crate) news: Option<News>,
}

/// What concerns oneself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// On stage now, with this number.
    Promoted(u32),
    /// No longer.
    Demoted,
    /// Ask for media again: to listen, or to speak.
    Moved {
        /// It was the speaker's.
        speak: bool,
    },
    /// Out, for this reason.
    Removed(String),
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default)]
    version: u64,
    #[serde(default)]
    since: u64,
    #[serde(default)]
    age_ms: u64,
    #[serde(default)]
    number: u32,
    #[serde(default, borrow)]
    purpose: Cow<'a, str>,
    #[serde(default, borrow)]
    reason: Cow<'a, str>,
    #[serde(default, borrow)]
    set: Vec<OnStage<'a>>,
}

#[derive(Deserialize)]
struct OnStage<'a> {
    #[serde(borrow)]
    identity: Cow<'a, str>,
}

impl Watch {
    /// A listener's.
    pub(crate) fn new(board: Arc<Board>) -> Self {
        let heard = rand::random::<u8>().into();
        Self { board, node: 0, since_ns: 0, version: 0, heard, counts: true, news: None }
    }

    /// A speaker's.
    pub(crate) fn of_speaker(board: Arc<Board>) -> Self {
        Self { counts: false, ..Self::new(board) }
    }

    /// Begins from what the `welcome` of a signaling node says.
    pub(crate) fn welcomed(&mut self, node: usize, version: u64) {
        (self.node, self.version, self.since_ns) = (node, version, now_ns());
        self.news = None;
    }

    /// Counts that this participant was told to come back later.
    pub(crate) fn told_to_wait(&self) {
        self.board.told_to_wait.fetch_add(u64::from(self.counts), Ordering::Relaxed);
    }

    /// Counts a message that was read elsewhere.
    pub(crate) fn count(&self, bytes: usize) {
        if self.counts {
            self.board.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Reads one message.
    pub(crate) fn hear(&mut self, text: &str) {
        self.count(text.len());
        let Ok(head) = serde_json::from_str::<Head<'_>>(text) else { return };
        match head.kind.as_ref() {
            "presence" => self.presence(head.version, head.since, head.age_ms),
            "stage" => self.stage(&head.set),
            "promoted" => self.news = Some(News::Promoted(head.number)),
            "demoted" => self.news = Some(News::Demoted),
            "moved" => self.news = Some(News::Moved { speak: head.purpose == "speak" }),
            "removed" => self.news = Some(News::Removed(head.reason.into_owned())),
            _ => {}
        }
    }

    fn presence(&mut self, version: u64, since: u64, age_ms: u64) {
        self.board.messages.fetch_add(u64::from(self.counts), Ordering::Relaxed);
        if since > self.version {
            self.board.gaps.fetch_add(1, Ordering::Relaxed);
        }
        let before = std::mem::replace(&mut self.version, version);
        self.heard += 1;
        if self.heard.is_multiple_of(SAMPLED) {
            self.time(before, version, age_ms);
        }
    }

    /// The longest that anybody waited who is counted in this version and was not in the one before: as seen
    /// from here among those at this node, and as the node says of those at others.
    fn time(&self, before: u64, version: u64, age_ms: u64) {
        let marks = locked(&self.board.marks[self.node]);
        // Whoever was welcomed before this participant, at a version that they had not been told, was so by
        // this node's earlier life.
        let oldest = marks.first(before..version, self.since_ns);
        drop(marks);
        let here = oldest.map(|at| now_ns().saturating_sub(at) / 1_000);
        let there = (age_ms > 0).then(|| age_ms.saturating_mul(1_000));
        if let Some(lag_us) = here.max(there) {
            locked(&self.board.lag).record(lag_us);
        }
    }

    fn stage(&self, set: &[OnStage<'_>]) {
        let promoted = locked(&self.board.promoted);
        for who in set {
            let since = promoted.get(who.identity.as_ref()).map(|at| now_ns().saturating_sub(*at));
            // Later they are named for other reasons, such as being muted.
            if let Some(since) = since.filter(|&since| since < PROMOTION_NS) {
                locked(&self.board.promotion_seen).record(since / 1_000);
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_that_leaves_versions_out_is_a_gap() {
        let board = Arc::new(Board::new(1));
        let mut watch = Watch::new(Arc::clone(&board));
        watch.welcomed(0, 5);
        for (version, since) in [(7, 5), (9, 7), (12, 10), (13, 0)] {
            watch
                .hear(&format!(r#"{{"type":"presence","version":{version},"since":{since},"counts":{{}}}}"#));
        }
        assert_eq!(board.told().messages, 4);
        assert_eq!(board.told().gaps, 1);
    }

    #[test]
    fn a_promotion_is_seen_by_everybody_once_they_hear_of_it() {
        let board = Arc::new(Board::new(1));
        let mut watch = Watch::new(Arc::clone(&board));
        board.promote("anna");
        watch.hear(
            r#"{"type":"stage","version":2,"set":[{"identity":"anna","name":"Anna","number":3}],"gone":[]}"#,
        );
        watch.hear(r#"{"type":"promoted","by":"host","number":3,"muted":false}"#);
        assert_eq!(locked(&board.promotion_seen).count(), 1);
        assert_eq!(watch.news, Some(News::Promoted(3)));
    }

    /// Hears this version, as often as it takes to be timed.
    fn hear(watch: &mut Watch, version: u64) {
        let since = watch.version;
        for _ in 0..SAMPLED {
            watch.version = since;
            watch
                .hear(&format!(r#"{{"type":"presence","version":{version},"since":{since},"counts":{{}}}}"#));
        }
    }

    #[test]
    fn lag_is_measured_among_those_who_are_at_the_same_node() {
        let board = Arc::new(Board::new(2));
        let mut watch = Watch::new(Arc::clone(&board));
        watch.welcomed(0, 5);
        board.mark(1, 5);
        hear(&mut watch, 6);
        assert_eq!(locked(&board.lag).count(), 0, "another node's version 5");
        board.mark(0, 6);
        hear(&mut watch, 7);
        assert_eq!(locked(&board.lag).count(), 1);

        watch.welcomed(1, 3);
        hear(&mut watch, 9);
        assert_eq!((locked(&board.lag).count(), board.told().gaps), (1, 0), "marked before the welcome here");
        board.mark(1, 9);
        hear(&mut watch, 10);
        assert_eq!(locked(&board.lag).count(), 2);
    }

    #[test]
    fn lag_is_no_less_than_the_node_says_of_people_at_others() {
        let board = Arc::new(Board::new(1));
        let mut watch = Watch::new(Arc::clone(&board));
        watch.welcomed(0, 5);
        board.mark(0, 5);
        for _ in 0..SAMPLED {
            watch.version = 5;
            watch.hear(r#"{"type":"presence","version":6,"since":5,"age_ms":700,"counts":{}}"#);
        }
        let lag = locked(&board.lag);
        assert_eq!((lag.count(), lag.max()), (1, 700_000));
    }

    #[test]
    fn a_node_that_begins_anew_has_versions_of_a_new_life() {
        let mut marks = Marks::default();
        marks.add(900, 0);
        marks.add(899, LIFE_NS);
        assert_eq!(marks.first(0..1_000, 0), Some(LIFE_NS), "two who were welcomed out of order");
        marks.add(3, LIFE_NS + 1);
        assert_eq!((marks.0.len(), marks.first(0..1_000, 0)), (1, Some(LIFE_NS + 1)));
    }

    #[test]
    fn what_concerns_oneself_is_told() {
        let mut watch = Watch::new(Arc::new(Board::new(1)));
        watch.hear(r#"{"type":"moved","purpose":"listen","why":"drain"}"#);
        assert_eq!(watch.news.take(), Some(News::Moved { speak: false }));
        watch.hear(r#"{"type":"removed","reason":"too_slow"}"#);
        assert_eq!(watch.news, Some(News::Removed("too_slow".into())));
    }
}
