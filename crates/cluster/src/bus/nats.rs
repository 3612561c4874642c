//! The bus between processes: core NATS, by the rules of [`Bus`].
//!
//! ```text
//!   publish, request ──▶ Session ──▶ nats-server ──▶ Session ──▶ Driver ──▶ Queue ──▶ Subscription
//!   subscribe ─────────▶ Driver: makes all subscriptions, again on each new session
//! ```
//!
//! A session is one connection, with a client of its own: when it is lost, whatever waited in it is lost
//! too. The client library's own reconnecting would send all that later, as if it were new. So nothing is
//! published while the bus is down, and nothing stale ever is.

mod config;
mod driver;
mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Bus, BusError, BusStats, MAX_MESSAGE, Queue, Reply, Subscription};
pub use config::{Credentials, NatsConfig, NotNats, Prefix, Server};
pub use driver::Driver;
use driver::Order;
use session::Session;

/// What the subjects start with on which answers are waited for, behind the prefix.
const INBOX: &str = "_inbox.";

/// Subscriptions that wait for the driver to take them: whoever asks waits longer.
const MAX_ORDERS: usize = 64;

/// Carries messages between processes.
pub struct NatsBus {
    prefix: Prefix,
    state: watch::Receiver<State>,
    orders: mpsc::Sender<Order>,
    counts: Arc<Counts>,
}

/// Whether one can speak.
#[derive(Clone)]
enum State {
    Up(Arc<Session>),
    /// And why.
    Down(String),
}

#[derive(Default)]
struct Counts {
    published: AtomicU64,
    delivered: AtomicU64,
    dropped: AtomicU64,
}

impl NatsBus {
    /// A bus that is down until its driver runs and the server is there.
    pub fn new(config: NatsConfig) -> (Arc<Self>, Driver) {
        let (tell, state) = watch::channel(State::Down(format!("{} was not asked yet", config.server)));
        let (orders, taken) = mpsc::channel(MAX_ORDERS);
        let counts = Arc::new(Counts::default());
        let prefix = config.prefix.clone();
        let driver = Driver::new(config, tell, taken, counts.clone());
        (Arc::new(Self { prefix, state, orders, counts }), driver)
    }

    /// Waits until it is up.
    pub async fn reached(&self) {
        let mut state = self.state.clone();
        // Without its driver it is never up.
        if state.wait_for(|state| matches!(state, State::Up(_))).await.is_err() {
            std::future::pending().await
        }
    }

    fn session(&self) -> Result<Arc<Session>, BusError> {
        match &*self.state.borrow() {
            State::Up(session) if session.is_connected() => Ok(session.clone()),
            State::Up(_) => Err(BusError::Down("the connection is lost".into())),
            State::Down(why) => Err(BusError::Down(why.clone())),
        }
    }

    /// The session to send so much with.
    fn session_for(&self, payload: &Bytes) -> Result<Arc<Session>, BusError> {
        if payload.len() > MAX_MESSAGE {
            return Err(BusError::TooLarge(payload.len()));
        }
        self.session()
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), BusError> {
        self.session_for(&payload)?.publish(self.prefix.subject(subject), payload).await?;
        self.counts.published.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn subscribe(&self, subject: &str) -> Result<Subscription, BusError> {
        let queue = Arc::new(Queue::default());
        let subscription = Subscription { queue: queue.clone(), gate: None };
        let (done, made) = oneshot::channel();
        let order = Order { subject: self.prefix.subject(subject), queue, done };
        let gone = |_| BusError::Down("nobody drives the bus".into());
        self.orders.send(order).await.map_err(gone)?;
        // Where the session is lost meanwhile, the driver makes it with the next one.
        let _later = made.await;
        Ok(subscription)
    }

    async fn respond(&self, reply: &Reply, payload: Bytes) -> Result<(), BusError> {
        self.session_for(&payload)?.publish(self.prefix.subject(&reply.subject), payload).await
    }

    async fn request(&self, subject: &str, payload: Bytes, timeout: Duration) -> Result<Bytes, BusError> {
        let session = self.session_for(&payload)?;
        let answer = session.request(subject, payload, timeout).await;
        if !matches!(answer, Err(BusError::Down(_) | BusError::TooLarge(_))) {
            self.counts.published.fetch_add(1, Relaxed);
        }
        answer
    }

    fn is_up(&self) -> bool {
        self.session().is_ok()
    }

    fn stats(&self) -> BusStats {
        BusStats {
            published: self.counts.published.load(Relaxed),
            delivered: self.counts.delivered.load(Relaxed),
            dropped: self.counts.dropped.load(Relaxed),
        }
    }
}
