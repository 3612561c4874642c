//! What a participant is told about the room, read and checked: presence without gaps, who came on stage.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
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

/// What everybody in one room watches together.
#[derive(Default)]
pub(crate) struct Board {
    /// When somebody was welcomed, by the version of presence that they were told.
    marks: Mutex<BTreeMap<u64, u64>>,
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

impl Board {
    /// Somebody was welcomed and told this version: those who are told a later one know of them.
    pub(crate) fn mark(&self, version: u64) {
        let mut marks = locked(&self.marks);
        marks.entry(version).or_insert_with(now_ns);
        if marks.len() > MARKS {
            marks.pop_first();
        }
    }

    /// Somebody is called on stage now.
    pub(crate) fn promote(&self, identity: &str) {
        locked(&self.promoted).insert(identity.to_owned(), now_ns());
    }

    /// Messages, bytes and gaps so far.
    pub(crate) fn totals(&self) -> [u64; 3] {
        [&self.messages, &self.bytes, &self.gaps].map(|count| count.load(Ordering::Relaxed))
    }
}

/// One participant's eye on it.
pub(crate) struct Watch {
    board: Arc<Board>,
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
        Self { board, version: 0, heard: rand::random::<u8>().into(), counts: true, news: None }
    }

    /// A speaker's.
    pub(crate) fn of_speaker(board: Arc<Board>) -> Self {
        Self { counts: false, ..Self::new(board) }
    }

    /// Begins from what `welcome` says.
    pub(crate) fn welcomed(&mut self, version: u64) {
        self.version = version;
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
            "presence" => self.presence(head.version, head.since),
            "stage" => self.stage(&head.set),
            "promoted" => self.news = Some(News::Promoted(head.number)),
            "demoted" => self.news = Some(News::Demoted),
            "moved" => self.news = Some(News::Moved { speak: head.purpose == "speak" }),
            "removed" => self.news = Some(News::Removed(head.reason.into_owned())),
            _ => {}
        }
    }

    fn presence(&mut self, version: u64, since: u64) {
        self.board.messages.fetch_add(u64::from(self.counts), Ordering::Relaxed);
        if since > self.version {
            self.board.gaps.fetch_add(1, Ordering::Relaxed);
        }
        let before = std::mem::replace(&mut self.version, version);
        self.heard += 1;
        if self.heard.is_multiple_of(SAMPLED) {
            self.time(before, version);
        }
    }

    /// The longest that anybody waited who is counted in this version and was not in the one before.
    fn time(&self, before: u64, version: u64) {
        let oldest = locked(&self.board.marks).range(before..version).next().map(|(_, &at)| at);
        if let Some(at) = oldest {
            locked(&self.board.lag).record(now_ns().saturating_sub(at) / 1_000);
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
        let board = Arc::new(Board::default());
        let mut watch = Watch::new(Arc::clone(&board));
        watch.welcomed(5);
        for (version, since) in [(7, 5), (9, 7), (12, 10), (13, 0)] {
            watch
                .hear(&format!(r#"{{"type":"presence","version":{version},"since":{since},"counts":{{}}}}"#));
        }
        assert_eq!(board.totals()[0], 4);
        assert_eq!(board.totals()[2], 1);
    }

    #[test]
    fn a_promotion_is_seen_by_everybody_once_they_hear_of_it() {
        let board = Arc::new(Board::default());
        let mut watch = Watch::new(Arc::clone(&board));
        board.promote("anna");
        watch.hear(
            r#"{"type":"stage","version":2,"set":[{"identity":"anna","name":"Anna","number":3}],"gone":[]}"#,
        );
        watch.hear(r#"{"type":"promoted","by":"host","number":3,"muted":false}"#);
        assert_eq!(locked(&board.promotion_seen).count(), 1);
        assert_eq!(watch.news, Some(News::Promoted(3)));
    }

    #[test]
    fn what_concerns_oneself_is_told() {
        let mut watch = Watch::new(Arc::default());
        watch.hear(r#"{"type":"moved","purpose":"listen","why":"drain"}"#);
        assert_eq!(watch.news.take(), Some(News::Moved { speak: false }));
        watch.hear(r#"{"type":"removed","reason":"too_slow"}"#);
        assert_eq!(watch.news, Some(News::Removed("too_slow".into())));
    }
}
