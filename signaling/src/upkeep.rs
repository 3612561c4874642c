//! What a signaling node does all the time: it renews the lease that its sessions live by, has the store do
//! what is due, and cuts the sessions of nodes whose leases have run out.
//!
//! Any number of nodes do so; each thing happens once. A node that could not reach the store for a while
//! judges nobody until it has reached it for as long as a lease lasts: those whom it would cut may have had no
//! chance to renew theirs either.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cluster::StoreError;
use cluster::store::LEASE_MS;
use room::Owner;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::Shared;
use crate::live::Input;

/// How often the store is asked whether something is due: an invitation lasts 30 s, and nobody minds
/// a quarter more.
const EXPIRY: Duration = Duration::from_millis(250);

/// Between two renewals of the lease.
const RENEWAL: Duration = Duration::from_millis(LEASE_MS / 5);

/// Lateness of a timer that doubles the intervals of presence, in ms. A few are normal.
const LATE_MS: u64 = 50;

/// Most that presence is slowed down.
const MOST_LOAD: u64 = 8;

/// How often limits forget whoever has not been here lately.
const FORGET: Duration = Duration::from_secs(10);

/// Runs until the process ends.
pub(crate) async fn run(app: &Shared) -> anyhow::Result<()> {
    let mut tick = interval(EXPIRY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let now = Instant::now();
    let mut upkeep = Upkeep { app, renew_at: now, forget_at: now + FORGET, held_since: None, is_down: false };
    loop {
        let scheduled = tick.tick().await;
        app.load.store(load(scheduled.elapsed()), Ordering::Relaxed);
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
        }
        let mut happened = self.app.halls.expire().await?;
        if self.held_since.is_some_and(|since| since + Duration::from_millis(LEASE_MS) <= now) {
            happened.extend(self.app.halls.reap().await?);
        }
        for acted in happened {
            let room = acted.room.id().clone();
            self.app.rooms.tell_or_start(self.app, &room, Input::Expired(acted)).await;
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

/// How busy the process is, told by how late a timer is: presence comes so many times less often.
fn load(late: Duration) -> u64 {
    (1 + late.as_millis() as u64 / LATE_MS).min(MOST_LOAD)
}
