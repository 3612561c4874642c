//! The store that several signaling nodes share: Redis or Valkey, one primary, from 7.0 on.
//!
//! ```text
//!   dais:{town}:room       hash    number, version, door, head
//!   dais:{town}:standing   hash    identity → what was decided about them
//!   dais:{town}:hands      hash    identity → their raised hand
//!   dais:{town}:people     hash    identity → who is here, by which session
//!   dais:{town}:names      zset    those of them who are not hidden, in the order of identities
//!   dais:{town}:due        zset    what runs out, by the server's time in ms
//!   dais:{town}:changes    stream  who did what to whom, numbered as the room is
//!   dais:{town}:nodes      hash    signaling node → how many are connected to it
//!   dais:{town}:parties    hash    party of guests → how many of it are here
//!   dais:{town}:over       string  what is remembered once it is over
//!   dais:{town}:done:<id>  string  the answer to a commit, for whoever did not get it
//!   dais:rooms  dais:due   zset    all rooms; when something is due in which      dais:epoch  the last one
//!   dais:leases            zset    signaling node → until when its sessions live      dais:life  of what is kept
//!   dais:at:<node>         set     the rooms in which it has sessions
//! ```
//!
//! Values are JSON with the number of the change that set them in front, and say their version: `17:{"v":1,…}`.
//! Scripts compare numbers and set values; they know no rule. Every operation has a time-out of ours, and a
//! commit of which it is not known whether it was done is asked about again under its id, never done twice.

mod condition;
mod connection;
mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use protocol::id::{Epoch, Identity, RoomId};
use protocol::message::{Counts, Person};
use redis::Script;
use room::hall::{Commit, Committed, Conflict, Due, Loaded};
use room::lease::LEASE_MS;
use room::{Owner, Room, Session};

use super::{Limits, Listed, Orphan, Renewed, Store, StoreError};
pub use condition::Condition;
use connection::Connection;
pub use connection::{NotRedis, RedisUrl};
use wire::{Page, Row};

/// Most rooms, and most things in each, that one looks after at once.
const MOST_DUE: (usize, usize) = (64, 256);

/// What is kept of a room with one time to live, as its keys end.
const KEPT: [&str; 9] =
    ["room", "standing", "hands", "people", "names", "due", "changes", "nodes", "parties"];

/// Rooms whose time to live is looked at with each renewal of a lease, any of the node's: each of 10,000 has its turn
/// hundreds of times before it could run out, and a renewal costs the same whatever is there.
const LOOKED_AT: usize = 16;

/// People who are looked at in one go.
const PORTION: usize = 500;

/// How long nobody else is asked to do what is due, in ms. Longer than it takes.
const CLAIM_MS: u64 = 2_000;

/// Keeps rooms in Redis.
pub struct RedisStore {
    connection: Connection,
    prefix: String,
    limits: Limits,
    scripts: Scripts,
}

struct Scripts {
    load: Script,
    commit: Script,
    due: Script,
    rooms: Script,
    people: Script,
    renew: Script,
    orphans: Script,
    epoch: Script,
}

impl RedisStore {
    /// The store at this URL; what it keeps begins with `prefix`. Nobody is asked yet: it may be down.
    pub fn new(url: RedisUrl, prefix: &str, limits: Limits) -> anyhow::Result<Arc<Self>> {
        let scripts = Scripts {
            load: Script::new(include_str!("redis/load.lua")),
            commit: Script::new(include_str!("redis/commit.lua")),
            due: Script::new(include_str!("redis/due.lua")),
            rooms: Script::new(include_str!("redis/rooms.lua")),
            people: Script::new(include_str!("redis/people.lua")),
            renew: Script::new(include_str!("redis/renew.lua")),
            orphans: Script::new(include_str!("redis/orphans.lua")),
            epoch: Script::new(include_str!("redis/epoch.lua")),
        };
        let connection = Connection::new(url).context("the way to Redis")?;
        let prefix = format!("{prefix}:");
        Ok(Arc::new(Self { connection, prefix, limits, scripts }))
    }

    /// Looks through a room by portions, so that nobody else waits for long. Whether it is known of everybody there
    /// at which node they are.
    async fn find_sessions(
        &self,
        owner: &str,
        room: &RoomId,
        limit: usize,
        found: &mut Vec<(Identity, Session)>,
    ) -> Result<bool, StoreError> {
        let (mut cursor, mut wrong) = (0_u64, None);
        loop {
            let mut ask = redis::cmd("HSCAN");
            ask.arg(self.key(room, "people")).arg(cursor).arg("COUNT").arg(PORTION);
            let answer = self.connection.ask(&ask).await?;
            let (next, entries): (u64, Vec<(String, String)>) =
                redis::from_redis_value(answer).map_err(|error| garbage(room, &error.to_string()))?;
            for (identity, entry) in &entries {
                match wire::connected(identity, entry) {
                    Ok((identity, Some(session))) if wire::owner(&session.owner()) == owner => {
                        found.push((identity, session));
                    }
                    Ok(_) => {}
                    Err(what) => wrong = Some(what),
                }
            }
            cursor = next;
            if cursor == 0 || found.len() >= limit {
                return Ok(wrong.map(|what| garbage(room, &what)).is_none());
            }
        }
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.connection.ask(&redis::cmd("PING")).await.map(drop)
    }

    fn key(&self, room: &RoomId, what: &str) -> String {
        format!("{}{{{room}}}:{what}", self.prefix)
    }

    fn global(&self, what: &str) -> String {
        format!("{}{what}", self.prefix)
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn load(
        &self,
        room: &RoomId,
        known: Option<&Arc<Room>>,
        concerns: &[&Identity],
    ) -> Result<Loaded, StoreError> {
        let mut ask = self.scripts.load.prepare_invoke();
        for what in ["room", "standing", "hands", "people", "names", "over"] {
            ask.key(self.key(room, what));
        }
        ask.arg(known.map_or(0, |room| room.version()));
        for identity in concerns {
            ask.arg(identity.as_str());
        }
        let answer = self.connection.run(&ask).await?;
        wire::loaded(&answer, known, concerns).map_err(|what| garbage(room, &what))
    }

    async fn commit(
        &self,
        room: &RoomId,
        commit: &Commit,
    ) -> Result<Result<Committed, Conflict>, StoreError> {
        let mut ask = self.scripts.commit.prepare_invoke();
        for what in KEPT {
            ask.key(self.key(room, what));
        }
        let done = format!("done:{:032x}", rand::random::<u128>());
        ask.key(self.key(room, "over")).key(self.key(room, &done));
        ask.key(self.global("rooms")).key(self.global("due")).key(self.global("leases"));
        ask.arg(wire::commit(commit, self.limits.rooms)).arg(room.as_str()).arg(&self.prefix);
        let answer = self.connection.run(&ask).await?;
        let committed = wire::committed(&answer, commit).map_err(|what| garbage(room, &what))?;
        committed.ok_or(StoreError::Rooms(self.limits.rooms))
    }

    async fn time(&self) -> Result<u64, StoreError> {
        let answer = self.connection.ask(&redis::cmd("TIME")).await?;
        let (s, us): (u64, u64) =
            redis::from_redis_value(answer).map_err(|error| StoreError::Garbage(error.to_string()))?;
        Ok(s * 1_000 + us / 1_000)
    }

    async fn next_epoch(&self, above: Epoch) -> Result<Epoch, StoreError> {
        let mut ask = self.scripts.epoch.prepare_invoke();
        ask.key(self.global("epoch")).arg(above.0);
        Ok(Epoch(self.connection.read(&ask, "epoch").await?))
    }

    async fn due(&self) -> Result<Vec<(RoomId, Vec<Due>)>, StoreError> {
        let mut ask = self.scripts.due.prepare_invoke();
        ask.key(self.global("due")).arg(MOST_DUE.0).arg(MOST_DUE.1).arg(CLAIM_MS).arg(&self.prefix);
        let answer: Vec<(String, Vec<String>)> = self.connection.read(&ask, "due").await?;
        let things = |(room, due): (String, Vec<String>)| {
            let due = due.iter().filter_map(|due| wire::due(due)).collect();
            Some((RoomId::new(&room).ok()?, due))
        };
        Ok(answer.into_iter().filter_map(things).collect())
    }

    async fn renew(&self, owner: &Owner) -> Result<Renewed, StoreError> {
        let owner = wire::owner(owner);
        let mut ask = self.scripts.renew.prepare_invoke();
        ask.key(self.global("leases")).key(self.global(&format!("at:{owner}"))).key(self.global("life"));
        ask.arg(owner).arg(LEASE_MS).arg(wire::KEEP_MS).arg(format!("{:032x}", rand::random::<u128>()));
        ask.arg(LOOKED_AT).arg(&self.prefix).arg(&KEPT);
        let (good, life) = self.connection.read(&ask, "leases").await?;
        Ok(Renewed { good, life })
    }

    async fn sessions(&self, room: &RoomId, owner: &Owner) -> Result<Vec<(Identity, Session)>, StoreError> {
        let mut found = Vec::new();
        self.find_sessions(&wire::owner(owner), room, usize::MAX, &mut found).await?;
        Ok(found)
    }

    async fn rooms_of(&self, owner: &Owner) -> Result<BTreeSet<RoomId>, StoreError> {
        let key = self.global(&format!("at:{}", wire::owner(owner)));
        let rooms = self.connection.ask(redis::cmd("SMEMBERS").arg(key)).await?;
        let rooms: Vec<String> =
            redis::from_redis_value(rooms).map_err(|error| StoreError::Garbage(format!("at: {error}")))?;
        Ok(rooms.iter().filter_map(|room| RoomId::new(room).ok()).collect())
    }

    async fn orphans(&self, limit: usize) -> Result<Vec<Orphan>, StoreError> {
        let mut ask = self.scripts.orphans.prepare_invoke();
        ask.key(self.global("leases")).arg(MOST_DUE.0).arg(CLAIM_MS).arg(&self.prefix);
        let lapsed: Vec<(String, String)> = self.connection.read(&ask, "leases").await?;
        let mut orphans = Vec::new();
        for (owner, room) in lapsed {
            let Ok(id) = RoomId::new(&room) else { continue };
            let mut found = Vec::new();
            let is_readable = self.find_sessions(&owner, &id, limit - orphans.len(), &mut found).await?;
            let is_empty = found.is_empty() && is_readable;
            let orphan = |(identity, session)| Orphan { room: id.clone(), identity, session };
            orphans.extend(found.into_iter().map(orphan));
            if is_empty {
                // They have gone by themselves, and the room with them.
                let mut forget = redis::cmd("SREM");
                forget.arg(self.global(&format!("at:{owner}"))).arg(room);
                self.connection.ask(&forget).await?;
            }
            if orphans.len() >= limit {
                break;
            }
        }
        Ok(orphans)
    }

    async fn rooms(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<Listed>, StoreError> {
        let mut ask = self.scripts.rooms.prepare_invoke();
        let after = after.map_or("", RoomId::as_str);
        ask.key(self.global("rooms")).arg(after).arg(limit).arg(&self.prefix);
        let page: Vec<Row> = self.connection.read(&ask, "rooms").await?;
        // One room that cannot be read hides no other.
        Ok(page.into_iter().filter_map(|(id, head, here, hands)| listed(&id, &head, here, hands)).collect())
    }

    async fn people(
        &self,
        room: &RoomId,
        after: Option<&Identity>,
        limit: usize,
    ) -> Result<Vec<Person>, StoreError> {
        let mut ask = self.scripts.people.prepare_invoke();
        for what in ["room", "people", "names"] {
            ask.key(self.key(room, what));
        }
        ask.arg(after.map_or("", Identity::as_str)).arg(limit);
        let page: Option<Page> = self.connection.read(&ask, "people").await?;
        let page = page.ok_or(StoreError::NoRoom)?;
        // Nor does one entry hide any other.
        let (mut people, mut wrong) = (Vec::new(), None);
        for (identity, entry) in page {
            match entry.map(|entry| wire::person(&identity, &entry)).transpose() {
                Ok(person) => people.extend(person),
                Err(what) => wrong = Some(what),
            }
        }
        wrong.inspect(|what| drop(garbage(room, what)));
        Ok(people)
    }
}

fn listed(id: &str, head: &str, here: usize, hands: usize) -> Option<Listed> {
    let head = wire::head(head).inspect_err(|error| tracing::error!(room = id, %error, "not a room")).ok()?;
    let room = Room::new(head.number, head.number, head);
    let (info, stage) = (room.info(), room.members());
    let listeners = here.saturating_sub(stage.len());
    let counts = Counts { listeners: listeners as u32, speakers: stage.len() as u32, hands: hands as u32 };
    Some(Listed { info, stage, counts })
}

fn garbage(room: &RoomId, what: &str) -> StoreError {
    tracing::error!(%room, %what, "the store holds what is no part of a room");
    StoreError::Garbage(format!("room {room}: {what}"))
}

#[cfg(test)]
mod tests;
