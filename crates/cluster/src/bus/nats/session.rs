//! One connection to the server, from its beginning to its end.
//!
//! The client library must not connect again by itself: it would send what waited since. It cannot be told
//! not to; so credentials are given once to each client, and whoever lost the connection gets none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::client::{PublishErrorKind, RequestErrorKind};
use async_nats::connection::State;
use async_nats::{AuthError, Client, ConnectError, ConnectOptions, Event, Request, Subscriber};
use bytes::Bytes;
use tokio::sync::watch;

use super::{INBOX, NatsConfig, Prefix};
use crate::BusError;

/// Between two pings where nothing comes. The library takes the third without an answer for the end: a
/// server that stops is noticed after 1.5 s. Shorter, and a busy machine looks like a dead one.
const PING: Duration = Duration::from_millis(500);

/// For name, connection, TLS and greeting.
const CONNECT: Duration = Duration::from_secs(2);

/// For the server to say that it has taken a subscription.
const CONFIRM: Duration = Duration::from_secs(2);

/// Messages between us and the socket. Whoever publishes more waits, and no longer than the session lives.
const IN_FLIGHT: usize = 1_024;

/// Messages between the socket and our queues, for each subscription. The library drops the newest beyond
/// it, which is a gap for everybody.
const BACKLOG: usize = 65_536;

/// One connection.
pub(super) struct Session {
    pub(super) client: Client,
    prefix: Prefix,
    fate: Arc<watch::Sender<Fate>>,
}

/// What became of it.
#[derive(Debug, Default, Clone, Copy)]
struct Fate {
    lost: bool,
    /// Messages that the library dropped.
    dropped: u64,
}

impl Session {
    /// Connects, once.
    pub(super) async fn open(config: &NatsConfig) -> Result<Self, ConnectError> {
        let fate = Arc::new(watch::Sender::default());
        let spent = Arc::new(AtomicBool::new(false));
        let client = options(config, spent.clone(), fate.clone()).connect(config.server.address()).await?;
        spent.store(true, Ordering::Release);
        Ok(Self { client, prefix: config.prefix.clone(), fate })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected && !self.fate.borrow().lost
    }

    /// Returns once the connection is gone.
    pub(super) async fn lost(&self) {
        // It cannot fail: the sender is ours.
        let _ = self.fate.subscribe().wait_for(|fate| fate.lost).await;
    }

    /// Has everybody who waits for something on this session give up.
    pub(super) fn end(&self) {
        self.fate.send_modify(|fate| fate.lost = true);
    }

    /// How many messages the library has dropped, once that are more than `known`.
    pub(super) async fn dropped_more(&self, known: u64) -> u64 {
        let mut fate = self.fate.subscribe();
        fate.wait_for(|fate| fate.dropped > known).await.map_or(known, |fate| fate.dropped)
    }

    pub(super) async fn publish(&self, subject: String, payload: Bytes) -> Result<(), BusError> {
        let bytes = payload.len();
        let published = self.unless_lost(self.client.publish(subject, payload)).await?;
        published.map_err(|error| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => BusError::TooLarge(bytes),
            _ => BusError::Down(error.to_string()),
        })
    }

    /// `subject` without the prefix, as errors name it.
    pub(super) async fn request(
        &self,
        subject: &str,
        payload: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, BusError> {
        let bytes = payload.len();
        // With an inbox for each: the library's common one remembers each request without an answer for good.
        let inbox = self.prefix.subject(&format!("{INBOX}{}", unique()));
        let request = Request::new().payload(payload).timeout(Some(timeout)).inbox(inbox);
        let answer = self.client.send_request(self.prefix.subject(subject), request);
        match self.unless_lost(answer).await? {
            Ok(answer) => Ok(answer.payload),
            Err(error) => Err(match error.kind() {
                RequestErrorKind::TimedOut => BusError::Timeout(subject.into()),
                RequestErrorKind::NoResponders => BusError::NoResponder(subject.into()),
                RequestErrorKind::MaxPayloadExceeded => BusError::TooLarge(bytes),
                _ => BusError::Down(error.to_string()),
            }),
        }
    }

    /// Subscribes; the server learns of it before anything that is sent later. `subject` has the prefix.
    pub(super) async fn subscribe(&self, subject: &str) -> Result<Subscriber, BusError> {
        let made = self.unless_lost(self.client.subscribe(subject.to_owned())).await?;
        made.map_err(|error| BusError::Down(error.to_string()))
    }

    /// Returns once the server has taken all subscriptions so far: it answers in order, also that nobody
    /// is there to answer.
    pub(super) async fn confirm(&self) -> Result<(), BusError> {
        match self.request("_confirm", Bytes::new(), CONFIRM).await {
            Ok(_) | Err(BusError::NoResponder(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn unless_lost<T>(&self, work: impl Future<Output = T>) -> Result<T, BusError> {
        tokio::select! {
            done = work => Ok(done),
            () = self.lost() => Err(BusError::Down("the connection was lost".into())),
        }
    }
}

fn options(config: &NatsConfig, spent: Arc<AtomicBool>, fate: Arc<watch::Sender<Fate>>) -> ConnectOptions {
    let asked = config.clone();
    ConnectOptions::with_auth_callback(move |nonce| {
        let auth = match spent.load(Ordering::Acquire) {
            true => Err(AuthError::new("a session connects once")),
            false => asked.auth(&nonce).map_err(AuthError::new),
        };
        std::future::ready(auth)
    })
    .event_callback(move |event| {
        follow(&fate, event);
        std::future::ready(())
    })
    .name("dais")
    .max_reconnects(1)
    .ignore_discovered_servers()
    .connection_timeout(CONNECT)
    .ping_interval(PING)
    .client_capacity(IN_FLIGHT)
    .subscription_capacity(BACKLOG)
}

fn follow(fate: &watch::Sender<Fate>, event: Event) {
    match event {
        Event::Disconnected | Event::Closed => fate.send_modify(|fate| fate.lost = true),
        Event::SlowConsumer(_) => fate.send_modify(|fate| fate.dropped += 1),
        // Such as a subject that these credentials may not use.
        Event::ServerError(error) => tracing::warn!(%error, "the bus complains"),
        _ => {}
    }
}

fn unique() -> String {
    format!("{:032x}", rand::random::<u128>())
}
