//! What a signaling node does all the time: it renews the lease that its sessions live by, has the store do
//! what is due, and cuts the sessions of nodes whose leases have run out.
//!
//! Any number of nodes do so; each thing happens once. A node that could not reach the store for a while
//! judges nobody until it has reached it for as long as a lease lasts: those whom it would cut may have had no
//! chance to renew theirs either.

use std::time::Duration;

use cluster::StoreError;
use cluster::store::LEASE_MS;
use protocol::RoomId;
use room::Owner;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::Shared;
use crate::live::Input;

/// How often the store is asked whether something is due: an invitation lasts 30 s, and nobody minds
/// a quarter more.
const EXPIRY: Duration = Duration::from_millis(250);

/// Between two renewals of the lease.
const RENEWAL: Duration = Duration::from_millis(LEASE_MS / 5);

/// Rooms whose people are counted in the store at a time, once a renewal: a gauge is worth no more.
const CENSUS: usize = 100;

/// How often limits forget whoever has not been here lately.
const FORGET: Duration = Duration::from_secs(10);

/// Runs until the process ends.
pub(crate) async fn run(app: &Shared) -> anyhow::Result<()> {
    let mut tick = interval(EXPIRY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let now = Instant::now();
    let mut upkeep = Upkeep {
        app,
        renew_at: now,
        forget_at: now + FORGET,
        held_since: None,
        is_down: false,
        census: Census::default(),
    };
    loop {
        tick.tick().await;
        let done = upkeep.once(Instant::now()).await;
        upkeep.note(done);
    }
}

struct Upkeep<'a> {
    app: &'a Shared,
    renew_at: Instant,
    forget_at: Instant,
    /// Since when the lease has been renewed without a gap.
    held_since: Option<Instant>,
    is_down: bool,
    census: Census,
}

/// How many people the store has, counted a page of rooms at a time.
#[derive(Default)]
struct Census {
    after: Option<RoomId>,
    people: i64,
}

impl Upkeep<'_> {
    async fn once(&mut self, now: Instant) -> Result<(), StoreError> {
        if self.forget_at <= now {
            self.forget_at = now + FORGET;
            self.app.gates.forget();
        }
        if self.renew_at <= now {
            self.renew_at = now + RENEWAL;
            self.renew(now).await?;
            self.count_people().await;
        }
        for acted in self.app.halls.expire().await? {
            let room = acted.room.id().clone();
            self.app.rooms.tell_or_start(self.app, &room, Input::Expired(acted)).await;
        }
        if self.held_since.is_some_and(|since| since + Duration::from_millis(LEASE_MS) <= now) {
            self.app.halls.reap().await?;
        }
        Ok(())
    }

    async fn renew(&mut self, now: Instant) -> Result<(), StoreError> {
        let owner = Owner { node: self.app.config.node.clone(), boot: self.app.boot };
        if self.app.halls.renew(&owner).await? {
            self.held_since.get_or_insert(now);
            return Ok(());
        }
        self.held_since = Some(now);
        for room in self.app.rooms.all() {
            self.app.rooms.tell(&room, Input::Lapsed).await;
        }
        Ok(())
    }

    /// For whoever compares it with what is shown. What cannot be read must not keep anything else from being
    /// done: then it begins again.
    async fn count_people(&mut self) {
        let Census { after, people } = std::mem::take(&mut self.census);
        let Ok(rooms) = self.app.halls.rooms(after.as_ref(), CENSUS).await else { return };
        let here = rooms.iter().map(|room| i64::from(room.counts.listeners + room.counts.speakers));
        let people = people + here.sum::<i64>();
        match rooms.last().filter(|_| rooms.len() == CENSUS) {
            Some(last) => self.census = Census { after: Some(last.info.room.clone()), people },
            None => self.app.counters.store_people(people),
        }
    }

    /// Says once that the store is gone, and once that it is back.
    fn note(&mut self, done: Result<(), StoreError>) {
        let is_down = done.is_err();
        self.app.counters.store_up(!is_down);
        if is_down {
            self.held_since = None;
        }
        match done {
            Err(error) if !self.is_down => tracing::warn!(%error, "what is due waits for the store"),
            Ok(()) if self.is_down => tracing::info!("the store answers again"),
            _ => {}
        }
        self.is_down = is_down;
    }
}
