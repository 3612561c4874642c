//! Who is in a room, on stage or not: one entry for each identity, with the socket that it is on.
//!
//! Kept beside the [`Room`](crate::Room) and not in it, so that a store can keep it as a hash and
//! ten thousand joins do not rewrite the stage ten thousand times.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use protocol::id::{Identity, NodeId};
use protocol::message::{Person, RemoveReason};
use protocol::token::Role;
use serde::{Deserialize, Serialize};

use crate::limits::{AWAY_MS, EMPTY_MS, MAX_SEATS};
use crate::{Arrival, People, Refusal};

/// One socket (or WHIP, WHEP session) of a signaling node: who answers for a participant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Session {
    /// The signaling node.
    pub node: NodeId,
    /// Which of its sockets; never given twice while the node runs.
    pub number: u64,
}

/// Somebody who is here, or was cut off less than [`AWAY_MS`] ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Shown to others.
    pub name: String,
    /// Counted by nobody, shown to nobody.
    pub hidden: bool,
    /// Where they are.
    pub session: Session,
    /// Since when they have been cut off, if they are.
    pub away_since: Option<u64>,
}

/// A session that is over: its socket closes with the reason, and it counts no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Whose.
    pub identity: Identity,
    /// Which.
    pub session: Session,
    /// `Left` also for those who were cut off and did not come back in time.
    pub reason: RemoveReason,
}

/// Everybody who is here, in the order of identities.
#[derive(Debug, Clone)]
pub struct Roster {
    people: BTreeMap<Identity, Present>,
    /// Those cut off, by the time of the cut.
    away: BTreeSet<(u64, Identity)>,
    /// How many are not hidden.
    visible: usize,
    /// Since when nobody has been here.
    empty_since: Option<u64>,
}

impl Present {
    /// Whether they were cut off too long ago to come back.
    pub fn is_lost(&self, now: u64) -> bool {
        self.away_since.is_some_and(|since| since.saturating_add(AWAY_MS) <= now)
    }
}

impl Roster {
    /// Nobody is here, since `now`.
    pub fn new(now: u64) -> Self {
        Self { people: BTreeMap::new(), away: BTreeSet::new(), visible: 0, empty_since: Some(now) }
    }

    /// Whether there is a place for somebody in a room of at most `limit`. A full one still has some
    /// for those who may come on stage.
    pub fn check_enter(&self, arrival: &Arrival, limit: usize) -> Result<(), Refusal> {
        let more = if arrival.role == Role::Listener { 0 } else { usize::from(MAX_SEATS) };
        let known = self.people.contains_key(&arrival.identity);
        if known || self.people.len() < limit + more { Ok(()) } else { Err(Refusal::RoomFull(limit)) }
    }

    /// Lets somebody in. Answers with the session that this one replaces.
    pub fn enter(&mut self, arrival: &Arrival, session: &Session) -> Option<Session> {
        let before = self.take(&arrival.identity);
        self.empty_since = None;
        self.visible += usize::from(!arrival.hidden);
        let present = Present {
            name: arrival.name.clone(),
            hidden: arrival.hidden,
            session: session.clone(),
            away_since: None,
        };
        self.people.insert(arrival.identity.clone(), present);
        before.map(|before| before.session)
    }

    /// Notes that a session was cut off. False where somebody else's session has taken its place.
    pub fn cut(&mut self, identity: &Identity, session: &Session, now: u64) -> bool {
        match self.people.get_mut(identity) {
            Some(present) if present.session == *session && present.away_since.is_none() => {
                present.away_since = Some(now);
                self.away.insert((now, identity.clone()));
                true
            }
            _ => false,
        }
    }

    /// Lets go of somebody.
    pub fn remove(&mut self, now: u64, identity: &Identity) -> Option<Present> {
        let present = self.take(identity)?;
        if self.people.is_empty() {
            self.empty_since = Some(now);
        }
        Some(present)
    }

    /// Lets go of everybody.
    pub fn clear(&mut self, now: u64) {
        *self = Self::new(now);
    }

    /// Lets go of those who were cut off too long ago.
    pub fn expire(&mut self, now: u64) -> Vec<Gone> {
        let mut gone = Vec::new();
        let out = |away: &&(u64, Identity)| away.0.saturating_add(AWAY_MS) <= now;
        while let Some((_, identity)) = self.away.first().filter(out).cloned() {
            if let Some(present) = self.remove(now, &identity) {
                gone.push(Gone { identity, session: present.session, reason: RemoveReason::Left });
            }
        }
        gone
    }

    /// When [`expire`](Self::expire) is due, or the room has been [deserted](Self::is_deserted).
    pub fn next_deadline(&self) -> Option<u64> {
        let away = self.away.first().map(|(since, _)| since.saturating_add(AWAY_MS));
        away.or(self.empty_since.map(|since| since.saturating_add(EMPTY_MS)))
    }

    /// Whether nobody has been here for so long that the room ends.
    pub fn is_deserted(&self, now: u64) -> bool {
        self.empty_since.is_some_and(|since| since.saturating_add(EMPTY_MS) <= now)
    }

    /// Who they are, if they are here.
    pub fn get(&self, identity: &Identity) -> Option<&Present> {
        self.people.get(identity)
    }

    /// Those who are not hidden, at most `limit` of them, from behind `after` on.
    pub fn page(&self, after: Option<&Identity>, limit: usize) -> Vec<Person> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.people
            .range::<Identity, _>((from, Bound::Unbounded))
            .filter(|(_, present)| !present.hidden)
            .map(|(identity, present)| Person { identity: identity.clone(), name: present.name.clone() })
            .take(limit)
            .collect()
    }

    /// How many are here and not hidden.
    pub fn visible(&self) -> usize {
        self.visible
    }

    fn take(&mut self, identity: &Identity) -> Option<Present> {
        let present = self.people.remove(identity)?;
        if let Some(since) = present.away_since {
            self.away.remove(&(since, identity.clone()));
        }
        self.visible -= usize::from(!present.hidden);
        Some(present)
    }
}

impl People for Roster {
    fn name(&self, identity: &Identity) -> Option<&str> {
        self.get(identity).filter(|present| !present.hidden).map(|present| present.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(name: &str, hidden: bool) -> Arrival {
        let identity = Identity::new(name).unwrap();
        Arrival { identity, name: name.into(), role: Role::Listener, hidden }
    }

    fn session(number: u64) -> Session {
        Session { node: NodeId::new("s").unwrap(), number }
    }

    #[test]
    fn one_person_is_here_once_and_by_the_newest_session() {
        let mut roster = Roster::new(0);
        let lea = arrival("lea", false);
        assert_eq!(roster.enter(&lea, &session(1)), None);
        assert!(roster.cut(&lea.identity, &session(1), 10));
        assert_eq!(roster.enter(&lea, &session(2)), Some(session(1)));
        assert!(!roster.cut(&lea.identity, &session(1), 20), "that one is over");
        assert_eq!((roster.visible(), roster.next_deadline()), (1, None));
    }

    #[test]
    fn the_hidden_are_here_and_not_counted() {
        let mut roster = Roster::new(0);
        let recorder = arrival("recorder", true);
        roster.enter(&recorder, &session(1));
        assert_eq!((roster.visible(), roster.page(None, 9).len()), (0, 0));
        assert_eq!(roster.name(&recorder.identity), None);
        assert!(!roster.is_deserted(EMPTY_MS), "a recorder keeps a room open");
        roster.enter(&arrival("recorder", false), &session(2));
        assert_eq!(roster.visible(), 1);
        roster.remove(5, &recorder.identity);
        assert_eq!((roster.visible(), roster.next_deadline()), (0, Some(5 + EMPTY_MS)));
    }

    #[test]
    fn only_those_who_are_away_for_long_are_let_go() {
        let mut roster = Roster::new(0);
        for (number, name) in ["anna", "ben", "carl"].into_iter().enumerate() {
            let person = arrival(name, false);
            roster.enter(&person, &session(number as u64));
            roster.cut(&person.identity, &session(number as u64), 100 * number as u64);
        }
        roster.enter(&arrival("anna", false), &session(7));
        assert_eq!(roster.next_deadline(), Some(100 + AWAY_MS));
        let gone = roster.expire(100 + AWAY_MS);
        assert_eq!(gone.iter().map(|gone| gone.identity.as_str()).collect::<Vec<_>>(), ["ben"]);
        assert_eq!(roster.page(None, 9).len(), 2);
    }
}
