//! Presence: who is around the stage, as state that is shown now and then, not as a log.
//!
//! ```text
//!   join, leave, stage ─▶┐                              ┌─▶ delta(since)   to every client, merged
//!   merge(Share of       ├─▶ Board ── poll(now), paced ─┤
//!     another node)  ───▶┘                              └─▶ share(now)     to the other signaling nodes
//! ```
//!
//! Each signaling node has a board for each of its rooms. What changes between two versions is merged,
//! and everybody who is at the same version gets the same delta, so it is encoded once. Versions are
//! the board's own: a client that comes from another node starts from a fresh `welcome`. Time is in ms,
//! each node's own, and only grows: between nodes there are ages and no times.

mod pace;
mod share;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::id::{Identity, NodeId};
use protocol::message::{Counts, Person, ServerMessage};

use crate::Room;
pub use pace::{Busy, COUNTS_INTERVAL_MS, NAMED_INTERVAL_MS, Restraint, SAMPLE_MS, SLOWEST_MS};
use share::Others;
pub use share::{HEARTBEAT_MS, MAX_SHARES, Part, SHARE_TIMEOUT_MS, Share};

/// People up to which everybody is named: so many still fit a screen, and all their comings and goings
/// are worth a message.
pub const NAMED: usize = 200;

/// Named again once there are so few, so that a room at the limit does not go back and forth.
pub const NAMED_AGAIN: usize = 180;

/// Versions that are remembered, for clients who are behind; whoever is further behind gets it all.
pub const HISTORY: usize = 64;

/// A version that has come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Its number.
    pub version: u64,
    /// How long ago the first change in it came about, at whichever node.
    pub lag_ms: u64,
}

/// Presence of one room, as one signaling node sees it.
#[derive(Debug)]
pub struct Board {
    /// Those whose sockets are here, on stage or not, by name.
    own: BTreeMap<Identity, String>,
    others: Others,
    stage: BTreeSet<Identity>,
    hands: u32,
    shown: View,
    version: u64,
    /// Of the version that is shown, when it came about.
    lag_ms: u64,
    /// For each of the last versions, who came or went, and whether they had been there before.
    history: VecDeque<Vec<(Identity, bool)>>,
    /// Since when something has waited to be shown.
    waiting_since: Option<u64>,
    shown_at: Option<u64>,
    /// Stretches the intervals while there is more important work.
    restraint: Restraint,
    merged: u64,
}

/// What a version says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct View {
    counts: Counts,
    /// None: too many to be named.
    audience: Option<BTreeMap<Identity, String>>,
}

impl Board {
    /// An empty board of this node; `boot` differs after each of its starts and should only grow.
    pub fn new(node: NodeId, boot: u64, now: u64) -> Self {
        Self {
            own: BTreeMap::new(),
            others: Others::new(node, boot, now),
            stage: BTreeSet::new(),
            hands: 0,
            shown: View { audience: Some(BTreeMap::new()), ..View::default() },
            version: 0,
            lag_ms: 0,
            history: VecDeque::new(),
            waiting_since: None,
            shown_at: None,
            restraint: Restraint::default(),
            merged: 0,
        }
    }

    /// Somebody who is not hidden has come to this node.
    pub fn join(&mut self, now: u64, person: Person) {
        self.own.insert(person.identity, person.name);
        self.others.own_changed(now);
        self.changed(now);
    }

    /// Somebody has gone from this node: left, was put out, did not come back, or is elsewhere now.
    pub fn leave(&mut self, now: u64, identity: &Identity) {
        if self.own.remove(identity).is_some() {
            self.others.own_changed(now);
            self.changed(now);
        }
    }

    /// Takes over from the room who is on stage and how many hands are up; after each of its changes.
    pub fn stage(&mut self, now: u64, room: &Room) {
        let stage: BTreeSet<_> = room.stage().iter().map(|seat| seat.identity.clone()).collect();
        let hands = room.hand_count() as u32;
        if stage != self.stage || hands != self.hands {
            (self.stage, self.hands) = (stage, hands);
            self.changed(now);
        }
    }

    /// Takes what another signaling node says. Older than what is known, it changes nothing.
    pub fn merge(&mut self, now: u64, share: Share) {
        if let Some(since) = self.others.merge(now, share) {
            self.changed(since);
        }
    }

    /// The bus is away: that nobody is heard says nothing about anybody.
    pub fn deaf(&mut self, now: u64) {
        self.others.excuse(now);
    }

    /// Shares may have been missed, here and by the others: all tell theirs again.
    pub fn missed(&mut self) {
        self.others.missed();
    }

    /// How far the intervals are stretched from now on.
    pub fn restrain(&mut self, restraint: Restraint) {
        self.restraint = restraint;
    }

    /// Makes a new version, if something has changed and the pace allows. Then everybody's
    /// [`delta`](Self::delta) is due.
    pub fn poll(&mut self, now: u64) -> Option<Shown> {
        if self.others.expire(now) {
            self.changed(now);
        }
        let waiting_since = self.waiting_since.filter(|_| self.due() <= Some(now))?;
        self.waiting_since = None;
        let view = self.view();
        if view == self.shown {
            return None;
        }
        self.remember(&view);
        self.shown = view;
        self.version += 1;
        self.shown_at = Some(now);
        self.lag_ms = now.saturating_sub(waiting_since);
        Some(Shown { version: self.version, lag_ms: self.lag_ms })
    }

    /// What the other signaling nodes must be told, if anything now.
    pub fn share(&mut self, now: u64) -> Option<Share> {
        self.others.share(now, &self.own, self.restraint)
    }

    /// What they are told last: nobody is here any more.
    pub fn farewell(&mut self) -> Share {
        self.others.farewell()
    }

    /// When to call [`poll`](Self::poll) and [`share`](Self::share) again.
    pub fn next_deadline(&self) -> u64 {
        let others = self.others.next_deadline(self.restraint);
        self.due().map_or(others, |due| due.min(others))
    }

    /// What has changed since a version, as everybody at that version is told; none where nothing has.
    ///
    /// `since` 0 in the message means that it is everything: `joined` replaces what was known.
    pub fn delta(&self, since: u64) -> Option<ServerMessage> {
        if since >= self.version {
            return None;
        }
        let (since, joined, left) = match (&self.shown.audience, self.touched(since)) {
            (None, _) => (since, Vec::new(), Vec::new()),
            (Some(audience), None) => (0, audience.iter().map(person).collect(), Vec::new()),
            (Some(audience), Some(touched)) => {
                let (here, gone): (Vec<_>, Vec<_>) =
                    touched.into_iter().partition(|(identity, _)| audience.contains_key(*identity));
                let joined = here.iter().filter_map(|(id, _)| audience.get_key_value(*id)).map(person);
                let left = gone.into_iter().filter(|(_, was_there)| *was_there).map(|(id, _)| id.clone());
                (since, joined.collect(), left.collect())
            }
        };
        Some(ServerMessage::Presence {
            version: self.version,
            since,
            age_ms: self.lag_ms,
            counts: self.shown.counts,
            joined,
            left,
        })
    }

    /// Number of the version that is shown.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The counts of the version that is shown.
    pub fn counts(&self) -> Counts {
        self.shown.counts
    }

    /// The audience of the version that is shown, at most `limit` of them. Of an audience that is too
    /// large to be named, some of those who are on this node.
    pub fn people(&self, limit: usize) -> Vec<Person> {
        match &self.shown.audience {
            Some(audience) => audience.iter().take(limit).map(person).collect(),
            None => self
                .own
                .iter()
                .filter(|(identity, _)| !self.stage.contains(*identity))
                .take(limit)
                .map(person)
                .collect(),
        }
    }

    /// Changes that went into a message with others.
    pub fn merged(&self) -> u64 {
        self.merged
    }

    /// Shares that were not taken because there are too many signaling nodes.
    pub fn refused(&self) -> u64 {
        self.others.refused
    }

    fn changed(&mut self, since: u64) {
        self.merged += u64::from(self.waiting_since.is_some());
        self.waiting_since = Some(self.waiting_since.map_or(since, |earlier| earlier.min(since)));
    }

    /// When the next version may come.
    fn due(&self) -> Option<u64> {
        let waiting_since = self.waiting_since?;
        Some(self.shown_at.map_or(waiting_since, |at| waiting_since.max(at.saturating_add(self.interval()))))
    }

    fn interval(&self) -> u64 {
        let interval = if self.shown.audience.is_some() { NAMED_INTERVAL_MS } else { COUNTS_INTERVAL_MS };
        self.restraint.stretch(interval)
    }

    fn view(&self) -> View {
        let total = self.own.len() + self.others.people();
        let limit = if self.shown.audience.is_some() { NAMED } else { NAMED_AGAIN };
        let named = (total <= limit && self.others.are_named()).then(|| self.audience());
        let listeners = match &named {
            Some(audience) => audience.len(),
            None => total.saturating_sub(self.stage.len()),
        };
        let counts =
            Counts { listeners: listeners as u32, speakers: self.stage.len() as u32, hands: self.hands };
        View { counts, audience: named }
    }

    fn audience(&self) -> BTreeMap<Identity, String> {
        self.others
            .named()
            .chain(&self.own)
            .filter(|(identity, _)| !self.stage.contains(*identity))
            .map(|(identity, name)| (identity.clone(), name.clone()))
            .collect()
    }

    /// Notes who comes and goes with the next version.
    fn remember(&mut self, next: &View) {
        let (Some(before), Some(after)) = (&self.shown.audience, &next.audience) else {
            self.history.clear();
            return;
        };
        let came = after.iter().filter(|(identity, name)| before.get(*identity) != Some(name));
        let came = came.map(|(identity, _)| (identity.clone(), before.contains_key(identity)));
        let went = before.keys().filter(|identity| !after.contains_key(*identity));
        let touched = came.chain(went.map(|identity| (identity.clone(), true))).collect();
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(touched);
    }

    /// Everybody who came or went since a version, and whether they were there at that version. None
    /// where that is not remembered.
    fn touched(&self, since: u64) -> Option<BTreeMap<&Identity, bool>> {
        let behind = (self.version - since) as usize;
        if since == 0 || behind > self.history.len() {
            return None;
        }
        let mut touched = BTreeMap::new();
        for (identity, was_there) in self.history.iter().skip(self.history.len() - behind).flatten() {
            touched.entry(identity).or_insert(*was_there);
        }
        Some(touched)
    }
}

fn person((identity, name): (&Identity, &String)) -> Person {
    Person { identity: identity.clone(), name: name.clone() }
}

#[cfg(test)]
mod tests;
