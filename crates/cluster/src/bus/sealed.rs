//! A bus whose words are in envelopes: over any other, for processes that share a key.
//!
//! ```text
//!   publish, request, respond ──▶ Seal ──▶ the other bus ──▶ queue ──▶ Gate ──▶ Subscription
//!   here, each second ──▶ Herald        asks strangers for an answer ◀── Gate
//! ```
//!
//! What is not signed, not for us, not new or not known to be new is counted and goes no further. What a
//! newcomer says before it has given an answer is missed, and whoever missed it is told of the gap.

mod gate;
mod refusals;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use protocol::NodeId;
use protocol::envelope::{Ear, Envelope, Keys, Life, Refused, To, Trust};
use protocol::node::{self, HERE, life_subject};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::{Bus, BusError, BusStats, MAX_PAYLOAD, Message, Reply, Subscription};
pub(super) use gate::Gate;
use refusals::Refusals;

/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(1);

/// How long an answer of a stranger is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Strangers that are asked at a time, and as many wait; others are when they are heard again.
const MAX_ASKED: usize = 64;

/// What answers are signed for: which request they are to is in the envelope.
const ANSWERS: &str = "answers";

/// Carries messages in envelopes.
pub struct Sealed {
    inner: Arc<dyn Bus>,
    seal: Arc<Seal>,
}

/// Says that this process lives, and finds out whether others do. It has to run for a bus to hear anybody.
pub struct Herald {
    bus: Arc<Sealed>,
    strangers: mpsc::Receiver<(Life, u64)>,
}

/// Closes envelopes, and opens them.
struct Seal {
    me: Life,
    keys: RwLock<Keys>,
    start: Instant,
    number: AtomicU64,
    trust: Mutex<Trust>,
    /// Wakes whenever somebody has shown that it lives.
    met: watch::Sender<()>,
    strangers: mpsc::Sender<(Life, u64)>,
    refusals: Refusals,
}

impl Sealed {
    /// A bus for this life of a process. `boot` grows from start to start, unless a clock steps back.
    pub fn new(inner: Arc<dyn Bus>, node: NodeId, boot: u64, keys: Keys) -> (Arc<Self>, Herald) {
        let me = Life { node, boot };
        let (tell, strangers) = mpsc::channel(MAX_ASKED);
        let seal = Arc::new(Seal {
            trust: Mutex::new(Trust::new(me.clone())),
            me,
            keys: RwLock::new(keys),
            start: Instant::now(),
            number: AtomicU64::new(0),
            met: watch::Sender::default(),
            strangers: tell,
            refusals: Refusals::default(),
        });
        let bus = Arc::new(Self { inner, seal });
        (bus.clone(), Herald { bus, strangers })
    }

    /// From now on these sign, and are believed.
    pub fn renew(&self, keys: Keys) {
        *self.seal.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
    }

    /// How many messages were refused, by why, since it was made.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.seal.refusals.counts()
    }

    async fn ask(
        &self,
        subject: &str,
        (life, tick): (Life, u64),
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, BusError> {
        let to = To::Asked { life: life.clone(), tick };
        let (number, sealed) = self.seal.close(subject, to, payload)?;
        let answer = self.inner.request(subject, sealed, timeout).await?;
        let answer = self.seal.open_answer(&life, number, answer);
        answer.ok_or_else(|| BusError::Unbelievable(subject.into()))
    }

    /// Asks a stranger whether it lives. Either way the seal has learned what there is to know.
    async fn meet(&self, stranger: (Life, u64)) {
        let subject = life_subject(&stranger.0);
        if let Err(error) = self.ask(&subject, stranger, Bytes::new(), PATIENCE).await {
            tracing::debug!(%error, "somebody on the bus does not show that it lives");
        }
    }
}

#[async_trait]
impl Bus for Sealed {
    async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), BusError> {
        let (_, sealed) = self.seal.close(subject, To::Everybody, payload)?;
        self.inner.publish(subject, sealed).await
    }

    async fn subscribe(&self, subject: &str) -> Result<Subscription, BusError> {
        let gate = Gate::new(self.seal.clone());
        let mut subscription = self.inner.subscribe(subject).await?;
        subscription.gate = Some(Box::new(gate));
        Ok(subscription)
    }

    async fn respond(&self, reply: &Reply, payload: Bytes) -> Result<(), BusError> {
        let (_, sealed) = self.seal.close(ANSWERS, reply.to.clone().unwrap_or(To::Everybody), payload)?;
        self.inner.respond(reply, sealed).await
    }

    /// The subject names a node; nobody answers for one that was not heard.
    async fn request(&self, subject: &str, payload: Bytes, timeout: Duration) -> Result<Bytes, BusError> {
        match self.seal.address(subject) {
            Some(address) => self.ask(subject, address, payload, timeout).await,
            None if self.is_up() => Err(BusError::NoResponder(subject.into())),
            None => Err(BusError::Down(format!("who answers on {subject} was not heard"))),
        }
    }

    fn is_up(&self) -> bool {
        self.inner.is_up()
    }

    fn stats(&self) -> BusStats {
        self.inner.stats()
    }
}

impl Herald {
    /// Runs until the bus is gone.
    pub async fn run(mut self) -> Result<(), BusError> {
        let bus = &*self.bus;
        let mut here = bus.subscribe(HERE).await?;
        let mut asked = bus.subscribe(&life_subject(&bus.seal.me)).await?;
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asking = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = beat.tick() => beat_once(bus).await,
                heard = here.recv() => drop(heard.ok_or_else(ended)?),
                message = asked.recv() => answer(bus, &message.ok_or_else(ended)?).await,
                Some(stranger) = self.strangers.recv(), if asking.len() < MAX_ASKED => {
                    asking.push(bus.meet(stranger));
                }
                Some(()) = asking.next() => {}
            }
        }
    }
}

async fn beat_once(bus: &Sealed) {
    match bus.publish(HERE, Bytes::new()).await {
        Err(BusError::Down(_)) => bus.seal.deaf(),
        Err(error) => tracing::warn!(%error, "the others do not hear that this process lives"),
        Ok(()) => bus.seal.forget(),
    }
}

async fn answer(bus: &Sealed, message: &Message) {
    if let Err(error) = message.respond(bus, Bytes::new()).await {
        tracing::debug!(%error, "whoever asked whether this process lives is not told");
    }
}

fn ended() -> BusError {
    BusError::Down("the subscription ended".into())
}

/// What became of a message.
enum Opened {
    Taken(Message),
    Refused,
    /// Nobody knows whether whoever said it lives, or it is known only now.
    Missed {
        known_by_now: bool,
    },
}

impl Seal {
    /// Seconds that this process has lived.
    fn now(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, subject: &str, to: To, payload: Bytes) -> Result<(u64, Bytes), BusError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(BusError::TooLarge(payload.len()));
        }
        let number = self.number.fetch_add(1, Relaxed) + 1;
        let envelope = Envelope { from: self.me.clone(), number, tick: self.now(), to, payload };
        Ok((number, envelope.seal(&self.keys(), subject)))
    }

    fn open(&self, ear: &mut Ear, message: Message) -> Opened {
        let Message { subject, payload, reply } = message;
        let envelope = match Envelope::open(&self.keys(), &subject, payload) {
            Ok(envelope) => envelope,
            Err(why) => return self.refuse(&subject, &why),
        };
        let now = self.now();
        let mut trust = self.trust();
        let was_known = trust.knows(&envelope.from);
        match trust.hear(now, ear, &envelope) {
            Ok(()) if was_known => {}
            Ok(()) => {
                self.met.send_replace(());
            }
            Err(why @ Refused::Stranger(_)) => {
                self.refuse(&subject, &why);
                if was_known {
                    return Opened::Missed { known_by_now: true };
                }
                if let Some(stranger) = trust.to_ask(now, &envelope) {
                    // Where too many wait, it is asked when it is heard a second later.
                    let _full = self.strangers.try_send(stranger);
                }
                return Opened::Missed { known_by_now: false };
            }
            Err(why) => return self.refuse(&subject, &why),
        }
        let to = To::Asker { life: envelope.from, number: envelope.number };
        let is_request = matches!(envelope.to, To::Asked { .. });
        let reply = reply.filter(|_| is_request).map(|reply| Reply { to: Some(to), ..reply });
        Opened::Taken(Message { subject, payload: envelope.payload, reply })
    }

    fn open_answer(&self, asked: &Life, request: u64, answer: Bytes) -> Option<Bytes> {
        let opened = Envelope::open(&self.keys(), ANSWERS, answer).and_then(|envelope| {
            let mut trust = self.trust();
            let was_known = trust.knows(asked);
            trust.answered(self.now(), asked, request, &envelope)?;
            if !was_known {
                self.met.send_replace(());
            }
            Ok(envelope.payload)
        });
        opened.inspect_err(|why| drop(self.refuse(ANSWERS, why))).ok()
    }

    fn refuse(&self, subject: &str, why: &Refused) -> Opened {
        self.refusals.count(subject, why);
        Opened::Refused
    }

    fn address(&self, subject: &str) -> Option<(Life, u64)> {
        let node = node::addressee(subject)?;
        self.trust().address(self.now(), &node)
    }

    fn deaf(&self) {
        self.trust().deaf(self.now());
    }

    fn forget(&self) {
        self.trust().forget(self.now());
    }

    fn ear(&self) -> Ear {
        self.trust().ear()
    }

    fn trust(&self) -> MutexGuard<'_, Trust> {
        self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
