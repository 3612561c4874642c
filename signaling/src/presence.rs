//! The presence lane of a room: its board, and each delta encoded once for everybody at that version.
//!
//! The room's task changes the board; the writers of the connections take from it what their client
//! has missed, whenever they get to it. So presence is merged by being written late, and never queued.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::ws::Utf8Bytes;
use room::presence::{Board, Shown};
use service::metrics::Gauge;
use tokio::sync::watch;

use crate::encode;

/// A room's board, shared with the writers.
pub(crate) struct Presence {
    state: Mutex<State>,
    shown: watch::Sender<Edition>,
    /// People in the rooms of this node, as shown.
    people: Gauge,
}

struct State {
    board: Board,
    /// Encoded deltas to the version that is shown, by the version they build on.
    texts: BTreeMap<u64, Utf8Bytes>,
    /// What the gauge holds of this room.
    counted: i64,
}

/// That a version is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edition {
    version: u64,
    /// When the first change in it came about.
    since: Instant,
}

/// One client's place on the lane.
pub(crate) struct Reader {
    presence: Arc<Presence>,
    shown: watch::Receiver<Edition>,
    /// The version that the client has.
    seen: u64,
}

/// What a client has missed.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) text: Utf8Bytes,
    /// Versions that it skips.
    pub(crate) merged: u64,
    /// Since when it could have been told.
    since: Instant,
}

impl Presence {
    pub(crate) fn new(board: Board, people: Gauge) -> Arc<Self> {
        let edition = Edition { version: 0, since: Instant::now() };
        let state = State { board, texts: BTreeMap::new(), counted: 0 };
        Arc::new(Self { state: Mutex::new(state), shown: watch::Sender::new(edition), people })
    }

    /// Works on the board.
    pub(crate) fn board<T>(&self, work: impl FnOnce(&mut Board) -> T) -> T {
        work(&mut self.state().board)
    }

    /// The room is not live here any more: its people are not counted.
    pub(crate) fn close(&self) {
        self.people.dec_by(std::mem::take(&mut self.state().counted));
    }

    /// Shows a new version, if one is due.
    pub(crate) fn poll(&self, now_ms: u64) {
        let mut state = self.state();
        let Some(Shown { version, lag_ms }) = state.board.poll(now_ms) else { return };
        state.texts.clear();
        let counts = state.board.counts();
        let people = i64::from(counts.listeners) + i64::from(counts.speakers);
        self.people.inc_by(people - std::mem::replace(&mut state.counted, people));
        drop(state);
        let now = Instant::now();
        let since = now.checked_sub(Duration::from_millis(lag_ms)).unwrap_or(now);
        self.shown.send_replace(Edition { version, since });
    }

    /// A place on the lane for a client who has version `seen`.
    pub(crate) fn reader(self: &Arc<Self>, seen: u64) -> Reader {
        Reader { presence: self.clone(), shown: self.shown.subscribe(), seen }
    }

    /// The text that brings a client from `seen` to the version that it answers with.
    fn text(&self, seen: u64) -> Option<(u64, Utf8Bytes)> {
        let State { board, texts, .. } = &mut *self.state();
        if let Some(text) = texts.get(&seen) {
            return Some((board.version(), text.clone()));
        }
        let text = encode::message(&board.delta(seen)?);
        texts.insert(seen, text.clone());
        Some((board.version(), text))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// What the client has missed by now, if anything.
    pub(crate) fn take(&mut self) -> Option<News> {
        let edition = *self.shown.borrow_and_update();
        if edition.version <= self.seen {
            return None;
        }
        let (version, text) = self.presence.text(self.seen)?;
        let merged = version.saturating_sub(self.seen + 1);
        self.seen = version;
        Some(News { text, merged, since: edition.since })
    }

    /// Waits for another version. Never returns once there can be none.
    pub(crate) async fn changed(&mut self) {
        if self.shown.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

impl News {
    /// How long its first change has been on its way.
    pub(crate) fn lag(&self) -> Duration {
        self.since.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use protocol::message::Person;
    use protocol::{Identity, NodeId};

    use super::*;

    fn person(name: &str) -> Person {
        Person { identity: Identity::new(name).unwrap(), name: name.into() }
    }

    fn presence() -> (Arc<Presence>, Gauge) {
        let people = Gauge::default();
        (Presence::new(Board::new(NodeId::new("s").unwrap(), 1, 0), people.clone()), people)
    }

    /// Two a second, with two bytes of WebSocket around each, leave room for stage and welcome within 300.
    #[test]
    fn ten_thousand_people_are_told_in_few_bytes() {
        let (presence, _) = presence();
        for version in 0..10_000 {
            presence.board(|board| board.join(version * 500, person(&format!("p{version}"))));
            presence.poll(version * 500);
        }
        presence.board(|board| board.join(5_000_001, person("last")));
        presence.poll(5_000_500);
        let text = presence.reader(10_000).take().unwrap().text;
        assert!(text.contains(r#""listeners":10001"#), "{text}");
        assert!((text.len() + 2) * 2 <= 250, "{} bytes: {text}", text.len());
    }

    #[test]
    fn clients_at_the_same_version_share_one_text_and_late_ones_get_it_merged() {
        let (presence, people) = presence();
        let (mut quick, mut also_quick, mut late) =
            (presence.reader(0), presence.reader(0), presence.reader(0));
        presence.board(|board| board.join(0, person("anna")));
        presence.poll(0);
        let (one, other) = (quick.take().unwrap().text, also_quick.take().unwrap().text);
        assert_eq!(one.as_ptr(), other.as_ptr(), "encoded once");
        assert!(quick.take().is_none());

        presence.board(|board| board.join(1_000, person("ben")));
        presence.poll(1_000);
        assert_eq!(quick.take().unwrap().merged, 0);
        let news = late.take().unwrap();
        assert_eq!(news.merged, 1);
        assert!(news.text.contains("anna") && news.text.contains("ben"));
        assert_eq!(people.get(), 2);
        presence.close();
        assert_eq!(people.get(), 0);
    }
}
