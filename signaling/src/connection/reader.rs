//! Reads from one client: requests go to the room, media requests to a node beside it.
//!
//! It never waits for the writer, and for the room only as long as the room's inbox is full.

use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, SplitStream};
use protocol::message::{ClientMessage, Purpose, Reply, Request, RequestId, ServerMessage};
use protocol::{ApiError, Code, Offer};
use tokio::time::{Instant, timeout};

use super::{not_text, read, refusal, too_large};
use crate::app::Shared;
use crate::encode;
use crate::lanes::{End, Lanes};
use crate::limits::Pace;
use crate::media::{self, Asked, Got};
use crate::rooms::Member;

/// Media requests of one connection that may wait for a node: one for each purpose, and its successor.
const MEDIA_AT_ONCE: usize = 4;

/// Beyond two pings: how long an answer may be on its way.
const GRACE: Duration = Duration::from_secs(5);

pub(super) struct Reader<'a> {
    app: &'a Shared,
    stream: &'a mut SplitStream<WebSocket>,
    lanes: &'a Lanes,
    pace: Pace,
    member: &'a Member,
    /// Media requests that wait for a node.
    admissions: FuturesUnordered<BoxFuture<'a, Reply>>,
    /// Media requests so far.
    turns: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        app: &'a Shared,
        stream: &'a mut SplitStream<WebSocket>,
        lanes: &'a Lanes,
        member: &'a Member,
    ) -> Self {
        let pace = Pace::new(&app.config.limits);
        Self { app, stream, lanes, pace, member, admissions: FuturesUnordered::new(), turns: 0 }
    }

    /// Returns when the client is gone; whoever is put out is waited for by the writer.
    pub(super) async fn run(&mut self) {
        let silence = self.app.config.times.ping * 2 + GRACE;
        loop {
            let received = tokio::select! {
                received = timeout(silence, self.stream.next()) => received,
                Some(reply) = self.admissions.next() => {
                    self.answer(&reply);
                    continue;
                }
            };
            match received {
                Ok(Some(Ok(Message::Text(text)))) => self.take(&text).await,
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(Some(Ok(Message::Binary(_)))) => self.answer(&refusal(None, not_text())),
                Ok(Some(Err(error))) => return self.broken(&error).await,
                Ok(Some(Ok(Message::Close(_))) | None) | Err(_) => return,
            }
        }
    }

    async fn take(&mut self, text: &str) {
        let Request { body, id } = match self.request(text) {
            Ok(request) => request,
            Err(refused) => return self.answer(&refused),
        };
        match body {
            ClientMessage::Media { purpose, offer } => self.media(purpose, *offer, id),
            body => self.member.say(body, id).await,
        }
    }

    fn request(&self, text: &str) -> Result<Request, Box<Reply>> {
        let request = read(self.app, text)?;
        match self.pace.message() {
            Ok(()) => Ok(request),
            Err(error) => {
                self.app.counters.refused(&error);
                Err(Box::new(refusal(request.id, error)))
            }
        }
    }

    fn media(&mut self, purpose: Purpose, offer: Offer, id: Option<RequestId>) {
        if let Err(error) = self.check_media() {
            self.app.counters.refused(&error);
            return self.answer(&refusal(id, error));
        }
        self.turns += 1;
        let asked = Asked { purpose, offer, turn: self.turns, whip: None };
        let (app, admission) = (self.app, media::admit(self.app, self.member, asked));
        let since = Instant::now();
        self.admissions.push(Box::pin(async move {
            let body = match admission.await {
                Ok(Got { node, answer, .. }) => {
                    app.counters.answered("media", since.elapsed());
                    ServerMessage::Media { purpose, node, answer }
                }
                Err(error) => {
                    app.counters.refused(&error);
                    ServerMessage::Error(error)
                }
            };
            Reply { body, id }
        }));
    }

    fn check_media(&self) -> Result<(), ApiError> {
        if self.admissions.len() >= MEDIA_AT_ONCE {
            let says = format!("{MEDIA_AT_ONCE} requests for media are under way");
            return Err(ApiError::new(Code::RateLimited, says).retry_after_ms(1_000));
        }
        self.pace.media()
    }

    fn answer(&self, reply: &Reply) {
        self.app.counters.sent(&reply.body);
        if self.lanes.control(encode::reply(reply)) {
            self.app.counters.lane_full();
        }
    }

    /// The connection cannot be read any further; where the client is to blame it is told so.
    async fn broken(&mut self, error: &axum::Error) {
        let Some(error) = too_large(error) else { return };
        self.app.counters.bad("message");
        self.app.counters.refused(&error);
        self.answer(&refusal(None, error));
        self.lanes.close(End::Closed);
        // The writer ends the connection.
        std::future::pending().await
    }
}
