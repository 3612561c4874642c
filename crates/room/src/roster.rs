//! Who is in a room, on stage or not: one entry for each identity, with the socket that it is on.
//!
//! Kept beside the [`Room`](crate::Room) and not in it, so that a store can keep it as a hash and
//! ten thousand joins do not rewrite the stage ten thousand times.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use protocol::id::{Identity, NodeId};
use protocol::message::{Person, RemoveReason};
use serde::{Deserialize, Serialize};

use crate::limits::{AWAY_MS, MAX_SEATS};
use crate::{Arrival, People, Refusal};
use protocol::token::Role;

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
#[derive(Debug, Default, Clone)]
pub struct Roster {
    people: BTreeMap<Identity, Present>,
    /// Those cut off, by the time of the cut.
    away: BTreeSet<(u64, Identity)>,
    /// How many are not hidden.
    visible: usize,
}

impl Roster {
    /// Lets somebody in who would be one of at most `limit`. Answers with the session that this one
    /// replaces. A full room still has place for those who may come on stage.
    pub fn enter(
        &mut self,
        arrival: &Arrival,
        session: &Session,
        limit: usize,
    ) -> Result<Option<Session>, Refusal> {
        let limit = if arrival.role == Role::Listener { limit } else { limit + usize::from(MAX_SEATS) };
        if !self.people.contains_key(&arrival.identity) && self.people.len() >= limit {
            return Err(Refusal::RoomFull(limit));
        }
        let before = self.remove(&arrival.identity);
        self.visible += usize::from(!arrival.hidden);
        let present = Present {
            name: arrival.name.clone(),
            hidden: arrival.hidden,
            session: session.clone(),
            away_since: None,
        };
        self.people.insert(arrival.identity.clone(), present);
        Ok(before.map(|before| before.session))
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
    pub fn remove(&mut self, identity: &Identity) -> Option<Present> {
        let present = self.people.remove(identity)?;
        if let Some(since) = present.away_since {
            self.away.remove(&(since, identity.clone()));
        }
        self.visible -= usize::from(!present.hidden);
        Some(present)
    }

    /// Lets go of those who were cut off too long ago.
    pub fn expire(&mut self, now: u64) -> Vec<Gone> {
        let mut gone = Vec::new();
        while let Some((since, identity)) = self.away.first().cloned() {
            if since.saturating_add(AWAY_MS) > now {
                break;
            }
            self.away.pop_first();
            if let Some(present) = self.remove(&identity) {
                gone.push(Gone { identity, session: present.session, reason: RemoveReason::Left });
            }
        }
        gone
    }

    /// When [`expire`](Self::expire) is due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.away.first().map(|(since, _)| since.saturating_add(AWAY_MS))
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

    /// Whether nobody is here.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }
}

impl People for Roster {
    fn name(&self, identity: &Identity) -> Option<&str> {
        self.get(identity).filter(|present| !present.hidden).map(|present| present.name.as_str())
    }
}
