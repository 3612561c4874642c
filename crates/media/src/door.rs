//! The door of a shard: newcomers are admitted at the rate at which they get connected.
//!
//! ```text
//!   knock ─┬─▶ waiting ─▶ Turn::Enter ─▶ arriving ─▶ connected, gone, or 3 s old
//!          └─▶ an appointment: come back in so many ms
//! ```
//!
//! When thousands come at once, all their handshakes together would be late. So only some hundreds
//! arrive at the same time, and as many wait as have their turn soon. Everybody else is told when to
//! come back, each at a time of their own: a stream then, and not another storm.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use protocol::PeerId;

/// Most newcomers who arrive at the same time. With half a second for a handshake over a distance it
/// lets in a thousand a second; more at once would only wait for one another.
const ARRIVING: usize = 500;

/// Who has not connected within this keeps nobody waiting any more.
const SETTLING: Duration = Duration::from_secs(3);

/// Who would have to wait longer than this is told to come back.
const SOON: Duration = Duration::from_secs(4);

/// Who has waited for so long, because things went slower than expected, is told to come back, too:
/// half a second later signaling stops listening.
const PATIENCE: Duration = Duration::from_millis(4_500);

/// Most newcomers who wait.
const MAX_WAITING: usize = 4_096;

/// The latest appointment. After that the book is begun again from its middle.
const LATEST: Duration = Duration::from_secs(30);

/// The door. What it keeps of a newcomer is `T`.
#[derive(Debug)]
pub(crate) struct Door<T> {
    /// Admitted and not connected, oldest first.
    arriving: VecDeque<(Instant, PeerId)>,
    /// In the order in which they came.
    waiting: VecDeque<Waiting<T>>,
    pace: Pace,
    /// The first appointment that is free.
    free: Option<Instant>,
}

#[derive(Debug)]
struct Waiting<T> {
    since: Instant,
    peer: PeerId,
    newcomer: T,
}

/// What becomes of one who has waited.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn<T> {
    /// It is their turn. If they are admitted, [`Door::arrives`] must be told.
    Enter(T),
    /// They have waited too long, and should come back after this time.
    Leave(PeerId, Duration),
}

impl<T> Default for Door<T> {
    fn default() -> Self {
        Self { arriving: VecDeque::new(), waiting: VecDeque::new(), pace: Pace::default(), free: None }
    }
}

impl<T> Door<T> {
    /// Has a newcomer wait until [`turn`](Self::turn) names them, which may be at once; or says after
    /// which time they should come back.
    pub(crate) fn knock(&mut self, now: Instant, peer: PeerId, newcomer: T) -> Result<(), Duration> {
        if self.waiting.is_empty() {
            self.pace.begin(now);
        }
        self.pace.measure(now);
        if self.waiting.len() >= self.pace.within(SOON).min(MAX_WAITING) {
            return Err(self.appointment(now));
        }
        self.waiting.push_back(Waiting { since: now, peer, newcomer });
        Ok(())
    }

    /// Whose turn it is. Call until there is nobody, or again when [`poll_timeout`](Self::poll_timeout)
    /// says so.
    pub(crate) fn turn(&mut self, now: Instant) -> Option<Turn<T>> {
        let first = self.waiting.front()?;
        if now >= first.since + PATIENCE {
            let late = self.waiting.pop_front()?.peer;
            return Some(Turn::Leave(late, self.appointment(now)));
        }
        while self.arriving.front().is_some_and(|&(since, _)| now >= since + SETTLING) {
            self.arriving.pop_front();
        }
        if self.arriving.len() >= ARRIVING {
            return None;
        }
        self.waiting.pop_front().map(|waiting| Turn::Enter(waiting.newcomer))
    }

    /// A peer was admitted.
    pub(crate) fn arrives(&mut self, now: Instant, peer: PeerId) {
        self.arriving.push_back((now, peer));
    }

    /// A peer is connected.
    pub(crate) fn connected(&mut self, now: Instant, peer: PeerId) {
        if !self.waiting.is_empty() {
            self.pace.count(now);
        }
        self.gone(peer);
    }

    /// A peer is no more. There are few who arrive, and the oldest come first.
    pub(crate) fn gone(&mut self, peer: PeerId) {
        if let Some(place) = self.arriving.iter().position(|&(_, other)| other == peer) {
            self.arriving.remove(place);
        }
    }

    /// One who waits goes away.
    pub(crate) fn withdraw(&mut self, peer: PeerId) {
        if let Some(place) = self.waiting.iter().position(|waiting| waiting.peer == peer) {
            self.waiting.remove(place);
        }
    }

    /// Sends away those who wait for something that is no more.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.waiting.retain(|waiting| keep(&waiting.newcomer));
    }

    /// When it may be somebody's turn; in the past: at once.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let first = self.waiting.front()?;
        let oldest = self.arriving.front().filter(|_| self.arriving.len() >= ARRIVING);
        let place = oldest.map_or(first.since, |&(since, _)| since + SETTLING);
        Some(place.min(first.since + PATIENCE))
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Books the next time that is free: after those who wait, and after all who were told before.
    fn appointment(&mut self, now: Instant) -> Duration {
        let turn = now + self.pace.time_for(self.waiting.len() + 1);
        let next = self.free.map_or(turn, |free| free.max(turn));
        let at = if next > now + LATEST { turn.max(now + LATEST / 2) } else { next };
        self.free = Some(at + self.pace.time_for(1));
        at - now
    }
}

/// How fast newcomers get connected, measured while somebody waits: at other times it only shows how
/// many have come.
#[derive(Debug)]
struct Pace {
    per_second: f64,
    /// Since when those are counted.
    since: Option<Instant>,
    connected: u32,
}

impl Pace {
    /// Before anything is measured: half a core manages this beside its audio. Who comes back too soon
    /// only waits again, while a shard that nobody comes to has lost that time.
    const USUAL: f64 = 500.0;

    /// Taken to be possible however little is measured: clients may be slow, too.
    const SLOWEST: f64 = 100.0;

    /// For so long newcomers are counted before the pace is corrected.
    const WINDOW: Duration = Duration::from_secs(1);

    fn begin(&mut self, now: Instant) {
        (self.since, self.connected) = (Some(now), 0);
    }

    fn count(&mut self, now: Instant) {
        self.connected += 1;
        self.measure(now);
    }

    fn measure(&mut self, now: Instant) {
        let Some(span) = self.since.map(|since| now - since).filter(|&span| span >= Self::WINDOW) else {
            return;
        };
        let measured = f64::from(self.connected) / span.as_secs_f64();
        self.per_second = f64::midpoint(self.per_second, measured).max(Self::SLOWEST);
        self.begin(now);
    }

    /// How many have their turn in this time.
    fn within(&self, time: Duration) -> usize {
        (self.per_second * time.as_secs_f64()) as usize
    }

    /// In which time so many have their turn.
    fn time_for(&self, newcomers: usize) -> Duration {
        Duration::from_secs_f64(newcomers as f64 / self.per_second)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { per_second: Self::USUAL, since: None, connected: 0 }
    }
}

#[cfg(test)]
mod tests;
