//! Keeps a bus connected for as long as the process lives, and carries what comes to the subscriptions.
//!
//! It owns all subscriptions that there are and makes them on each new session before anybody may speak on
//! it. So a subscription is never deaf for good, and whoever has one learns of each gap.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_nats::{ConnectError, ConnectErrorKind, Subscriber};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, FuturesUnordered, SelectAll};
use rand::Rng;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{interval, sleep};

use super::session::Session;
use super::{Counts, NatsConfig, Prefix, Queue, State};
use crate::bus::Reply;
use crate::bus::queue::Pushed;
use crate::{BusError, Message};

/// First wait before connecting again, at most.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Longest wait: a server that is back has everybody within this.
const LONGEST: Duration = Duration::from_secs(2);

/// How often it is looked whether a session is still connected, in case its end was not told.
const LOOK: Duration = Duration::from_millis(250);

/// A subscription that is to be made.
pub(super) struct Order {
    /// With the prefix.
    pub(super) subject: String,
    pub(super) queue: Arc<Queue>,
    /// Told once what is published is heard, or cannot be now.
    pub(super) done: oneshot::Sender<()>,
}

/// What has to run for a bus to be up.
pub struct Driver {
    config: NatsConfig,
    tell: watch::Sender<State>,
    orders: mpsc::Receiver<Order>,
    counts: Arc<Counts>,
    /// Every subscription that is read. As many as the process has rooms, and a few.
    readers: Vec<Reader>,
    /// What was last said about the server.
    said: String,
}

struct Reader {
    subject: String,
    queue: Arc<Queue>,
}

/// What comes from the server, with the queue that it is for.
type Ears = SelectAll<BoxStream<'static, (Arc<Queue>, async_nats::Message)>>;

impl Driver {
    pub(super) fn new(
        config: NatsConfig,
        tell: watch::Sender<State>,
        orders: mpsc::Receiver<Order>,
        counts: Arc<Counts>,
    ) -> Self {
        Self { config, tell, orders, counts, readers: Vec::new(), said: String::new() }
    }

    /// Runs for ever; the bus is gone when this is dropped.
    pub async fn run(mut self) -> Infallible {
        let mut failures = 0;
        loop {
            let config = self.config.clone();
            let opening = async {
                sleep(back_off(failures)).await;
                Session::open(&config).await
            };
            match self.meanwhile(opening).await {
                Ok(session) => {
                    failures = 1;
                    self.serve(Arc::new(session)).await;
                }
                Err(error) => {
                    failures += 1;
                    self.wait_for(&why(&error));
                }
            }
        }
    }

    /// Takes orders that cannot be carried out until `work` is done.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some(order) = self.orders.recv() => {
                    self.remember(&order);
                    let _gone = order.done.send(());
                }
            }
        }
    }

    /// Carries what comes until the session is lost.
    async fn serve(&mut self, session: Arc<Session>) {
        let mut ears = match self.listen_again(&session).await {
            Ok(ears) => ears,
            Err(error) => {
                session.end();
                return self.wait_for(&error.to_string());
            }
        };
        self.up(&session);
        let mut look = interval(LOOK);
        let mut dropped = 0;
        let mut confirming = FuturesUnordered::new();
        while session.is_connected() {
            tokio::select! {
                Some((queue, message)) = ears.next() => self.deliver(&queue, message),
                Some(order) = self.orders.recv() => {
                    self.remember(&order);
                    if let Ok(subscriber) = session.subscribe(&order.subject).await {
                        ears.push(ear(subscriber, order.queue.clone()));
                    }
                    confirming.push(confirm(session.clone(), order));
                }
                Some(()) = confirming.next() => {}
                more = session.dropped_more(dropped) => {
                    self.counts.dropped.fetch_add(more - dropped, Relaxed);
                    dropped = more;
                    self.readers.iter().for_each(|reader| reader.queue.missed());
                }
                () = session.lost() => {}
                _ = look.tick() => {}
            }
        }
        session.end();
        self.wait_for("the connection is lost");
    }

    /// Makes all subscriptions on a new session, and tells their readers that there was a gap.
    async fn listen_again(&mut self, session: &Session) -> Result<Ears, BusError> {
        self.readers.retain(|reader| !reader.queue.is_closed());
        let mut ears = Ears::new();
        for reader in &self.readers {
            let subscriber = session.subscribe(&reader.subject).await?;
            ears.push(ear(subscriber, reader.queue.clone()));
        }
        session.confirm().await?;
        self.readers.iter().for_each(|reader| reader.queue.missed());
        Ok(ears)
    }

    fn remember(&mut self, order: &Order) {
        // Subscriptions end by being dropped, which nobody tells us: tidied up as others come.
        self.readers.retain(|reader| !reader.queue.is_closed());
        self.readers.push(Reader { subject: order.subject.clone(), queue: order.queue.clone() });
    }

    fn deliver(&self, queue: &Queue, message: async_nats::Message) {
        let Some(message) = read(&self.config.prefix, message) else { return };
        match queue.push(message) {
            Pushed::Closed => return,
            Pushed::Overtook => self.counts.dropped.fetch_add(1, Relaxed),
            Pushed::Queued => 0,
        };
        self.counts.delivered.fetch_add(1, Relaxed);
    }

    fn up(&mut self, session: &Arc<Session>) {
        tracing::info!("the bus is up: {}", self.config.server);
        self.said.clear();
        self.tell.send_replace(State::Up(session.clone()));
    }

    /// Says why the bus is down, and in the log once for each reason.
    fn wait_for(&mut self, why: &str) {
        let says = format!("{}: {why}", self.config.server);
        if self.said != says {
            tracing::warn!("the bus is down, and waits for {says}");
            self.said.clone_from(&says);
        }
        self.tell.send_replace(State::Down(says));
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            order.queue.close();
        }
        self.readers.iter().for_each(|reader| reader.queue.close());
        self.tell.send_replace(State::Down("it has ended here".into()));
    }
}

/// Tells whoever ordered a subscription when the server has taken it.
async fn confirm(session: Arc<Session>, order: Order) {
    if session.confirm().await.is_err() {
        order.queue.missed();
    }
    let _gone = order.done.send(());
}

/// A subscription of a session, for as long as anybody reads it.
fn ear(subscriber: Subscriber, queue: Arc<Queue>) -> BoxStream<'static, (Arc<Queue>, async_nats::Message)> {
    let reader = queue.clone();
    let unread = async move { reader.closed().await };
    subscriber.map(move |message| (queue.clone(), message)).take_until(unread).boxed()
}

/// None for what is not of this system.
fn read(prefix: &Prefix, message: async_nats::Message) -> Option<Message> {
    let subject = prefix.strip(&message.subject)?.to_owned();
    let reply = message.reply.and_then(|reply| prefix.strip(&reply).map(str::to_owned));
    let reply = reply.map(|subject| Reply { subject, to: None });
    Some(Message { subject, payload: message.payload, reply })
}

fn why(error: &ConnectError) -> String {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => "it refuses the credentials".into(),
        _ => error.to_string(),
    }
}

/// Doubles from failure to failure; a random part keeps nodes from coming all at once.
fn back_off(failures: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let most = LONGEST.min(BACK_OFF * 2u32.pow(doublings.min(8)));
    most.mul_f64(rand::rng().random_range(0.5..1.0))
}
