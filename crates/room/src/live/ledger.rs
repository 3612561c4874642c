//! What a node knows of a room: the newest state of which it knows every step.
//!
//! ```text
//!   17 ─▶ 18 ─▶ 19          21 ─▶ 22      each step names the version that it builds on
//!         shown ┘            └ held until 20 has come, or for [`PATIENCE_MS`]: then the room is loaded
//! ```
//!
//! What this node has done itself holds at once for what it decides next, also where a step of somebody else
//! before it is still on its way: that state is kept beside the one that is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::id::Identity;
use protocol::message::RoomState;

use crate::hall::{Commit, Committed, Current, Known, Loaded};
use crate::limits::RESTORED_ABOVE;
use crate::{Delta, Numbered, Room, Tombstone};

/// How long a step that is missing is waited for.
pub const PATIENCE_MS: u64 = 250;

/// Steps that are held. Of more the room is loaded.
const MAX_HELD: usize = 256;

/// One step of a room, with whatever must be told once it is shown.
#[derive(Debug)]
pub(super) struct Step<T> {
    pub(super) before: u64,
    pub(super) version: u64,
    pub(super) delta: Delta,
    pub(super) told: T,
}

#[derive(Debug)]
pub(super) struct Ledger<T> {
    shown: Option<Arc<Room>>,
    /// Of what is shown, or of what is remembered of a room that is over.
    version: u64,
    tombstone: Option<Tombstone>,
    /// The newest one that anybody is known to know.
    newest: u64,
    /// What is shown, with what came after the steps that are missing, as far as it is known.
    ahead: Option<Room>,
    /// By the version that each builds on.
    held: BTreeMap<u64, Step<T>>,
    /// Steps may be missing of which nothing is held.
    is_doubtful: bool,
    missing_since: Option<u64>,
    /// What the store says, where it has lost what is shown.
    lost: Option<Lost>,
    /// The store may be another one: of the same version it may know something else.
    is_strange: bool,
}

/// A store that is not what it was.
#[derive(Debug)]
struct Lost {
    room: Option<Room>,
    since: u64,
}

/// What a ledger has learned.
#[derive(Debug)]
pub(super) struct News<T> {
    /// Of each step that is shown now, what must be told.
    pub(super) told: Vec<T>,
    /// Whose hands and what about whom may be different; none: everybody's.
    pub(super) touched: Option<Vec<Identity>>,
    /// The store had lost the room, and it is back: its people must be put back too.
    pub(super) is_restored: bool,
    /// What was ahead of what is shown, and has not come to be shown: whoever came in meanwhile was told of it.
    pub(super) unseen: Option<Room>,
}

impl<T> Default for News<T> {
    fn default() -> Self {
        Self { told: Vec::new(), touched: Some(Vec::new()), is_restored: false, unseen: None }
    }
}

impl<T> Ledger<T> {
    /// Of a room of which nothing is known.
    pub(super) fn new() -> Self {
        Self {
            shown: None,
            version: 0,
            newest: 0,
            tombstone: None,
            ahead: None,
            held: BTreeMap::new(),
            is_doubtful: true,
            missing_since: None,
            lost: None,
            is_strange: false,
        }
    }

    /// What people are shown.
    pub(super) fn shown(&self) -> Option<&Arc<Room>> {
        self.shown.as_ref()
    }

    /// What things are decided on.
    pub(super) fn newest(&self) -> Option<&Room> {
        match &self.lost {
            Some(lost) => lost.room.as_ref(),
            None => self.ahead.as_ref().or(self.shown.as_deref()),
        }
    }

    /// How the room stands for those who are in it: while the store has lost it, as it was.
    pub(super) fn held_to(&self) -> Option<&Room> {
        if self.lost.is_some() { self.shown.as_deref() } else { self.newest() }
    }

    /// What is known of the room, so that it need not be loaded; none where the store may be another one.
    pub(super) fn known(&self) -> Option<&Arc<Room>> {
        self.shown.as_ref().filter(|_| !self.is_strange && self.lost.is_none())
    }

    /// Since when the store is known to have lost the room, and the room as it was.
    pub(super) fn lost(&self) -> Option<(u64, &Arc<Room>)> {
        Some((self.lost.as_ref()?.since, self.shown.as_ref()?))
    }

    pub(super) fn tombstone(&self) -> Option<&Tombstone> {
        self.tombstone.as_ref()
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// When the room must be loaded.
    pub(super) fn load_at(&self) -> Option<u64> {
        if self.is_doubtful { Some(0) } else { self.missing_since.map(|since| since + PATIENCE_MS) }
    }

    /// Steps may have been missed.
    pub(super) fn doubt(&mut self) {
        self.is_doubtful = true;
    }

    /// The store may be another one, or have come back without what it knew.
    pub(super) fn suspect(&mut self) {
        (self.is_doubtful, self.is_strange) = (true, true);
    }

    /// Somebody knows this version.
    pub(super) fn heard_of(&mut self, now: u64, version: u64) {
        self.newest = self.newest.max(version);
        if version > self.version {
            self.missing_since.get_or_insert(now);
        }
    }

    /// Takes a step of somebody else.
    pub(super) fn take(&mut self, now: u64, step: Step<T>) -> News<T> {
        let mut news = News::default();
        if step.version <= self.version {
            news.told.push(step.told);
            return news;
        }
        self.newest = self.newest.max(step.version);
        // One that is put back is nothing of what is known, whatever it says that it builds on.
        if self.held.len() >= MAX_HELD || self.is_put_back(step.version) {
            self.is_doubtful = true;
        } else {
            self.held.insert(step.before, step);
        }
        self.go_on(now, &mut news);
        news
    }

    /// Takes a step of this node.
    pub(super) fn take_own(&mut self, now: u64, commit: &Commit, committed: &Committed, told: T) -> News<T> {
        let Committed { number, before, version, .. } = *committed;
        let mut news = News::default();
        if commit.above.is_some() {
            news.unseen = self.ahead.take();
            self.restored(commit, number);
            news.is_restored = true;
            news.touched = None;
            return news;
        }
        if commit.is_news() {
            if let Some(ahead) = &mut self.ahead {
                ahead.apply(number, commit.delta.clone());
            } else if before != self.version {
                self.ahead = commit.apply(self.shown.as_deref(), number);
            }
            self.newest = self.newest.max(version);
            self.held.insert(before, Step { before, version, delta: commit.delta.clone(), told });
            self.go_on(now, &mut news);
        }
        if let Some(tombstone) = &commit.forget {
            self.tombstone = Some(Tombstone { number, ..tombstone.clone() });
        }
        news
    }

    /// Takes how that stands on which something was decided in vain.
    pub(super) fn correct(&mut self, now: u64, current: &Current) {
        let is_known = current.version >= self.version && self.lost.is_none();
        let Some(head) = current.head.as_ref().filter(|_| is_known) else {
            self.is_doubtful = true;
            return;
        };
        if current.version == self.version && self.ahead.is_none() {
            return;
        }
        self.heard_of(now, current.version);
        if self.ahead.is_none() {
            self.ahead = self.shown.as_deref().cloned();
        }
        let Some(ahead) = &mut self.ahead else {
            self.is_doubtful = true;
            return;
        };
        ahead.head = head.clone();
        ahead.door = current.door;
        correct(&mut ahead.standing, &current.standing);
        correct(&mut ahead.hands, &current.hands);
    }

    /// Takes the room as it was loaded; it was asked for when this ledger was at version `asked`.
    pub(super) fn loaded(&mut self, now: u64, loaded: &Loaded, asked: u64) -> News<T> {
        let remembered = loaded.tombstone.as_ref().map_or(0, |tombstone| tombstone.number);
        let version = loaded.room.as_ref().map_or(remembered, |room| room.version());
        let mut news = News::default();
        let is_strange = std::mem::take(&mut self.is_strange);
        self.is_doubtful = false;
        self.missing_since = None;
        let is_other = is_strange && version == self.version && loaded.room != self.shown;
        let is_live = self.shown.as_ref().is_some_and(|room| room.state() != RoomState::Ended);
        if is_live && (version < asked || is_other) {
            let since = self.lost.as_ref().map_or(now, |lost| lost.since);
            let room = loaded.room.as_deref().cloned();
            (self.lost, self.tombstone) = (Some(Lost { room, since }), loaded.tombstone.clone());
            return news;
        }
        self.lost = None;
        news.is_restored = self.is_put_back(version);
        // What came meanwhile may be newer. A room that has ended may be over for the store, and forgotten.
        if version > self.version || version < asked || (version == self.version && self.ahead.is_some()) {
            news.unseen = self.ahead.take();
            if version != self.version || news.unseen.is_some() {
                news.touched = None;
            }
            (self.version, self.newest) = (version, version);
            (self.shown, self.tombstone) = (loaded.room.clone(), loaded.tombstone.clone());
        }
        self.go_on(now, &mut news);
        news
    }

    /// Whether it is a version of a room that was put back. Whoever did that may have known an older one than this.
    fn is_put_back(&self, version: u64) -> bool {
        self.shown.is_some() && version > self.version.saturating_add(RESTORED_ABOVE / 2)
    }

    /// The room is in the store again, above everything that was known.
    fn restored(&mut self, commit: &Commit, number: u64) {
        self.lost = None;
        self.shown = commit.apply(None, number).map(Arc::new);
        (self.version, self.newest) = (number, number);
        (self.missing_since, self.tombstone) = (None, None);
        self.held.clear();
    }

    /// Shows what can be shown, and forgets what is over.
    fn go_on(&mut self, now: u64, news: &mut News<T>) {
        while let Some((&before, _)) = self.held.first_key_value()
            && before < self.version
            && let Some(step) = self.held.remove(&before)
        {
            news.told.push(step.told);
        }
        while let Some(step) = self.held.remove(&self.version) {
            self.show(step, news);
        }
        if self.version >= self.newest {
            (self.missing_since, self.ahead) = (None, None);
        } else {
            self.missing_since.get_or_insert(now);
        }
    }

    fn show(&mut self, step: Step<T>, news: &mut News<T>) {
        let Step { version, delta, told, .. } = step;
        if let Some(touched) = &mut news.touched {
            touched.extend(delta.hands.keys().chain(delta.standing.keys()).cloned());
        }
        match &mut self.shown {
            Some(room) => Arc::make_mut(room).apply(version, delta),
            None => self.shown = made(version, delta).map(Arc::new),
        }
        self.tombstone = None;
        self.version = version;
        news.told.push(told);
    }
}

fn made(version: u64, delta: Delta) -> Option<Room> {
    let head = Numbered { number: version, value: delta.head.clone()? };
    let mut room = Room::new(version, version, head);
    room.apply(version, delta);
    Some(room)
}

fn correct<T: Clone>(entries: &mut BTreeMap<Identity, Numbered<T>>, known: &Known<T>) {
    for (identity, entry) in known {
        match entry {
            Some(entry) => drop(entries.insert(identity.clone(), entry.clone())),
            None => drop(entries.remove(identity)),
        }
    }
}
