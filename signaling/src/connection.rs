//! One WebSocket: the upgrade, its first message, and then a reader and a writer side by side.
//!
//! ```text
//!   client ──▶ reader ──▶ room (one inbox)         media requests wait for a node beside the reader
//!   client ◀── writer ◀── lanes (control, presence)
//! ```
//!
//! Everything that a participant may do is decided in the room; here are only the limits of a
//! connection. The reader never waits for the writer.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{FuturesUnordered, SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use protocol::message::{self, ClientMessage, RemoveReason, Reply, Request, RequestId, ServerMessage};
use protocol::{ApiError, Code};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use crate::app::Shared;
use crate::entry;
use crate::lanes::{End, Lanes, Next};
use crate::limits::Pace;
use crate::media::{self, Asked};
use crate::rooms::Entered;
use crate::{address, encode};

/// A message that is this many times too large is not even read: the connection ends.
const TOO_LARGE_TO_ANSWER: usize = 4;

/// Bytes read from a socket at once.
const READ_BUFFER: usize = 4 * 1024;

/// Bytes that may wait for a socket: more than the largest `welcome`.
const WRITE_BUFFER: usize = 1024 * 1024;

/// Media requests of one connection that may wait for a node: one for each purpose, and its successor.
const MEDIA_AT_ONCE: usize = 4;

/// `GET /v1/join`.
pub(crate) async fn upgrade(
    State(app): State<Shared>,
    ConnectInfo(socket): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !app.config.allow_origins.allow(&headers) {
        let says = "pages of this origin may not connect (option: allow-origin)";
        return app.refuse(ApiError::new(Code::Forbidden, says)).into_response();
    }
    let Ok(permit) = app.connections.clone().try_acquire_owned() else {
        let says = "this node has as many connections as it may (limit: connections)";
        return app.refuse(ApiError::new(Code::Unavailable, says).retry_after_ms(5_000)).into_response();
    };
    let address = address::of_request(socket, &headers, &app.config.trusted_proxies);
    let largest = app.config.limits.message_bytes.saturating_mul(TOO_LARGE_TO_ANSWER);
    // The buffers of ten thousand connections: small, for messages that are small.
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let upgrade = upgrade.max_write_buffer_size(WRITE_BUFFER);
    upgrade.max_message_size(largest).max_frame_size(largest).on_upgrade(async move |socket| {
        let tasks = app.tasks.clone();
        tasks.errand("connection", async move {
            Connection { app, address, socket }.run().await;
            drop(permit);
        });
    })
}

struct Connection {
    app: Shared,
    address: std::net::IpAddr,
    socket: WebSocket,
}

impl Connection {
    async fn run(mut self) {
        match self.join().await {
            Ok(Some((entered, lanes))) => serve(&self.app, self.socket, entered, lanes).await,
            Ok(None) => {}
            Err(refused) => self.refuse(&refused).await,
        }
    }

    /// Waits for a `join` that succeeds. Nothing where the client went away.
    async fn join(&mut self) -> Result<Option<(Entered, Lanes)>, Reply> {
        let deadline = Instant::now() + self.app.config.times.join;
        loop {
            let Ok(received) = timeout_at(deadline, next_text(&mut self.socket)).await else {
                let says = format!("`join` must come within {:?}", self.app.config.times.join);
                return Err(refusal(None, ApiError::new(Code::JoinTimeout, says)));
            };
            let text = match received {
                Ok(Some(text)) => text,
                Ok(None) => return Ok(None),
                Err(error) => return Err(refusal(None, error)),
            };
            let request = read(&self.app, &text).map_err(|unreadable| *unreadable)?;
            let id = request.id.clone();
            match self.enter(request).await {
                Ok(entered) => return Ok(Some(entered)),
                // The token may still be good, and the client tries it next.
                Err(error) if error.code == Code::ResumeInvalid => {
                    self.app.counters.refused(&error);
                    self.say(&refusal(id, error)).await;
                }
                Err(error) => {
                    self.app.counters.refused(&error);
                    return Err(refusal(id, error));
                }
            }
        }
    }

    async fn enter(&mut self, request: Request) -> Result<(Entered, Lanes), ApiError> {
        let ClientMessage::Join { token, name, resume, .. } = request.body else {
            return Err(ApiError::new(Code::BadRequest, "the first message must be `join`"));
        };
        let lanes = Lanes::new(self.app.config.limits.control_lane);
        let door = entry::Door { app: &self.app, address: self.address };
        let entered = door.join(entry::Join { token, name, resume, id: request.id }, &lanes).await?;
        Ok((entered, lanes))
    }

    async fn refuse(&mut self, refusal: &Reply) {
        self.say(refusal).await;
        let frame = close(close_code::POLICY, "not joined");
        let _ = timeout(self.app.config.times.write, self.socket.send(frame)).await;
    }

    async fn say(&mut self, reply: &Reply) {
        self.app.counters.sent(&reply.body);
        let text = Message::Text(encode::reply(reply));
        let _ = timeout(self.app.config.times.write, self.socket.send(text)).await;
    }
}

/// The next text from a client; nothing where it went away, an error where it sent something else.
async fn next_text(socket: &mut WebSocket) -> Result<Option<Utf8Bytes>, ApiError> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(Some(text)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Binary(_))) => return Err(not_text()),
            Some(Ok(Message::Close(_))) | None => return Ok(None),
            Some(Err(error)) => return too_large(&error).map_or(Ok(None), Err),
        }
    }
}

fn not_text() -> ApiError {
    ApiError::new(Code::BadRequest, "messages are JSON in text frames")
}

/// The error to answer, where it is about the size.
fn too_large(error: &axum::Error) -> Option<ApiError> {
    let says = error.to_string();
    let is_size = says.contains("too long") || says.contains("too big") || says.contains("Space limit");
    is_size.then(|| ApiError::new(Code::TooLarge, "the message is too large (limit: message_bytes)"))
}

fn read(app: &Shared, text: &str) -> Result<Request, Box<Reply>> {
    let most = app.config.limits.message_bytes;
    let read = if text.len() > most {
        let says = format!("a message may have {most} bytes (limit: message_bytes)");
        Err((None, ApiError::new(Code::TooLarge, says)))
    } else {
        message::read(text).map_err(|unreadable| (unreadable.id, unreadable.error))
    };
    match &read {
        Ok(request) => app.counters.received(&request.body),
        Err((_, error)) => {
            app.counters.bad("message");
            app.counters.refused(error);
        }
    }
    read.map_err(|(id, error)| Box::new(refusal(id, error)))
}

fn refusal(id: Option<RequestId>, error: ApiError) -> Reply {
    Reply { body: ServerMessage::Error(error), id }
}

fn close(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }))
}

/// Serves a participant until they leave, are put out, or their connection is cut.
async fn serve(app: &Shared, socket: WebSocket, entered: Entered, lanes: Lanes) {
    let (sink, stream) = socket.split();
    let member = entered.member.clone();
    let writer = Writer { app, sink, lanes: &lanes, entered };
    let reader = Reader { app, stream, lanes: &lanes, pace: Pace::new(&app.config.limits), member: &member };
    tokio::select! {
        () = writer.run() => {}
        () = reader.run() => {}
    }
    member.cut().await;
}

struct Writer<'a> {
    app: &'a Shared,
    sink: SplitSink<WebSocket, Message>,
    lanes: &'a Lanes,
    entered: Entered,
}

impl Writer<'_> {
    async fn run(mut self) {
        let mut pings = interval(self.app.config.times.ping);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.tick().await;
        loop {
            let written = tokio::select! {
                next = self.lanes.next(&mut self.entered.presence) => match next {
                    Next::End(end) => return self.goodbye(end).await,
                    next => self.write(next).await,
                },
                _ = pings.tick() => self.send(Message::Ping(Default::default())).await,
            };
            if !written {
                return;
            }
        }
    }

    async fn write(&mut self, next: Next) -> bool {
        match next {
            Next::Text(text) => self.send(Message::Text(text)).await,
            Next::Presence(news) => {
                let sent = self.send(Message::Text(news.text.clone())).await;
                self.app.counters.presence_sent(&news);
                sent
            }
            Next::End(_) => false,
        }
    }

    async fn goodbye(&mut self, end: End) {
        let frame = match end {
            End::Closed => close(close_code::SIZE, "too large"),
            End::Removed(reason) => {
                let body = ServerMessage::Removed { reason };
                self.app.counters.sent(&body);
                if !self.send(Message::Text(encode::message(&body))).await {
                    return;
                }
                let is_shutdown = reason == RemoveReason::Shutdown;
                close(if is_shutdown { close_code::RESTART } else { close_code::NORMAL }, "removed")
            }
        };
        self.send(frame).await;
    }

    /// Says whether it was written in time.
    async fn send(&mut self, message: Message) -> bool {
        matches!(timeout(self.app.config.times.write, self.sink.send(message)).await, Ok(Ok(())))
    }
}

struct Reader<'a> {
    app: &'a Shared,
    stream: SplitStream<WebSocket>,
    lanes: &'a Lanes,
    pace: Pace,
    member: &'a crate::rooms::Member,
}

impl Reader<'_> {
    /// Returns when the client is gone or has left; whoever is put out is waited for by the writer.
    async fn run(mut self) {
        let silence = self.app.config.times.ping * 2 + Duration::from_secs(5);
        let mut admissions = FuturesUnordered::new();
        let mut asked = 0;
        loop {
            let message = tokio::select! {
                message = timeout(silence, self.stream.next()) => message,
                Some(reply) = admissions.next() => { self.answer(reply); continue }
            };
            let text = match message {
                Ok(Some(Ok(Message::Text(text)))) => text,
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                Ok(Some(Ok(Message::Binary(_)))) => {
                    self.answer(refusal(None, not_text()));
                    continue;
                }
                Ok(Some(Err(error))) => return self.broken(&error).await,
                _ => return,
            };
            let Some(request) = self.request(&text) else { continue };
            match request.body {
                ClientMessage::Media { purpose, offer } => {
                    let busy = admissions.len() >= MEDIA_AT_ONCE;
                    if let Err(error) = if busy { Err(too_many_at_once()) } else { self.pace.media() } {
                        self.answer(refusal(request.id, error));
                        continue;
                    }
                    asked += 1;
                    let asked = Asked { purpose, offer: *offer, turn: asked };
                    let admission = media::admit(self.app, self.member, asked);
                    admissions.push(async move {
                        let body = admission.await.unwrap_or_else(ServerMessage::Error);
                        Reply { body, id: request.id }
                    });
                }
                body => self.member.say(body, request.id).await,
            }
        }
    }

    fn request(&self, text: &str) -> Option<Request> {
        let request = match read(self.app, text) {
            Ok(request) => request,
            Err(refusal) => {
                self.answer(*refusal);
                return None;
            }
        };
        match self.pace.message() {
            Ok(()) => Some(request),
            Err(error) => {
                self.app.counters.refused(&error);
                self.answer(refusal(request.id, error));
                None
            }
        }
    }

    fn answer(&self, reply: Reply) {
        self.app.counters.sent(&reply.body);
        if self.lanes.control(encode::reply(&reply)) {
            self.app.counters.lane_full();
        }
    }

    /// The connection cannot be read any further; where the client is to blame it is told so.
    async fn broken(&self, error: &axum::Error) {
        let Some(error) = too_large(error) else { return };
        self.app.counters.bad("message");
        self.app.counters.refused(&error);
        self.answer(refusal(None, error));
        self.lanes.close(End::Closed);
        // The writer ends the connection.
        std::future::pending().await
    }
}

fn too_many_at_once() -> ApiError {
    let says = format!("{MEDIA_AT_ONCE} requests for media are under way");
    ApiError::new(Code::RateLimited, says).retry_after_ms(1_000)
}
