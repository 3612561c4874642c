//! What a signaling node does all the time: it renews the lease that its sessions live by, has the store do
//! what is due, and cuts the sessions of nodes whose leases have run out.
//!
//! Any number of nodes do so; each thing happens once.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::StoreError;
use cluster::store::{Orphan, Renewed};
use protocol::RoomId;
use room::lease::Lease;
use room::live::Input;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::{Shared, now_ms};

/// How often the store is asked whether something is due: an invitation lasts 30 s, and nobody minds
/// a quarter more.
const EXPIRY: Duration = Duration::from_millis(250);

/// Sessions of nodes that are gone which are cut at a time.
const PORTION: usize = 200;

/// Rooms whose people are counted in the store at a time, once a renewal: a gauge is worth no more.
const CENSUS: usize = 100;

/// How far the clock may be from the store's, in ms, before it is said. Tokens have a leeway of some seconds.
const CLOCK_OFF_MS: u64 = 30_000;

/// How often limits forget whoever has not been here lately.
const FORGET: Duration = Duration::from_secs(10);

/// Runs until the process ends.
pub(crate) async fn run(app: &Shared) -> anyhow::Result<()> {
    let mut tick = interval(EXPIRY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let now = Instant::now();
    let mut upkeep = Upkeep {
        app,
        lease: Lease::default(),
        life: None,
        forget_at: now + FORGET,
        is_down: false,
        is_off: false,
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
    lease: Lease,
    /// Of the store, as it was last heard.
    life: Option<String>,
    forget_at: Instant,
    is_down: bool,
    /// The clock is far from the store's.
    is_off: bool,
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
        let now = self.app.elapsed_ms();
        if self.lease.is_due(now) {
            self.renew().await?;
            self.compare_clocks().await?;
            self.count_people().await;
        }
        for (room, due) in self.app.store.due().await? {
            self.app.rooms.tell_or_start(self.app, &room, Input::Due(due)).await;
        }
        if self.lease.may_judge(now) {
            self.cut_orphans().await?;
        }
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        let Renewed { good, life } = self.app.store.renew(&self.app.owner()).await?;
        let is_same = good && self.life.as_ref() == Some(&life);
        let now = self.app.elapsed_ms();
        self.app.steady.send_modify(|since| *since = is_same.then(|| since.unwrap_or(now)));
        if self.lease.renewed(self.app.elapsed_ms(), good) {
            for room in self.app.rooms.all() {
                self.app.rooms.tell(&room, Input::Lapsed).await;
            }
        }
        if self.life.as_ref().is_some_and(|before| *before != life) {
            self.suspect().await?;
        }
        self.life = Some(life);
        Ok(())
    }

    /// The store is another one: what it has lost is put back, and who is not here any more, though it says so,
    /// is cut. For that no room need be live here.
    async fn suspect(&self) -> Result<(), StoreError> {
        let mut rooms = self.app.store.rooms_of(&self.app.owner()).await?;
        tracing::warn!("the rooms' store is another one, or was started again: what it has lost is put back");
        rooms.extend(self.app.rooms.all());
        for room in rooms {
            self.app.rooms.tell_or_start(self.app, &room, Input::Suspect).await;
        }
        Ok(())
    }

    /// Nothing goes by how clocks differ, but tokens and what people see of times.
    async fn compare_clocks(&mut self) -> Result<(), StoreError> {
        let before = now_ms();
        let theirs = self.app.store.time().await?;
        // They have told it somewhere between.
        let ours = before.midpoint(now_ms());
        self.app.counters.clock_ahead(ours.cast_signed().saturating_sub(theirs.cast_signed()));
        let is_off = ours.abs_diff(theirs) > CLOCK_OFF_MS;
        if is_off && !self.is_off {
            let [ours_s, theirs_s] = [ours, theirs].map(|ms| ms / 1_000);
            tracing::warn!(
                ours_s,
                theirs_s,
                "the clocks of this node and of the rooms' store differ: tokens may be refused, or taken for too long"
            );
        }
        self.is_off = is_off;
        Ok(())
    }

    async fn cut_orphans(&self) -> Result<(), StoreError> {
        let mut rooms: BTreeMap<RoomId, Vec<_>> = BTreeMap::new();
        for Orphan { room, identity, session } in self.app.store.orphans(PORTION).await? {
            rooms.entry(room).or_default().push((identity, session));
        }
        for (room, sessions) in rooms {
            self.app.rooms.tell_or_start(self.app, &room, Input::Orphans(sessions)).await;
        }
        Ok(())
    }

    /// For whoever compares it with what is shown. What cannot be read must not keep anything else from being
    /// done: then it begins again.
    async fn count_people(&mut self) {
        let Census { after, people } = std::mem::take(&mut self.census);
        let Ok(rooms) = self.app.store.rooms(after.as_ref(), CENSUS).await else { return };
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
            self.lease.failed();
            self.app.steady.send_replace(None);
        }
        match done {
            Err(error) if !self.is_down => tracing::warn!(%error, "what is due waits for the store"),
            Ok(()) if self.is_down => tracing::info!("the store answers again"),
            _ => {}
        }
        self.is_down = is_down;
    }
}
