//! One WebSocket: the upgrade, its first message, and then a reader and a writer side by side.
//!
//! ```text
//!   client ──▶ reader ──▶ room (one inbox)         media requests wait for a node beside the reader
//!   client ◀── writer ◀── lanes (control, presence)
//! ```
//!
//! Everything that a participant may do is decided in the room; here are only the limits of a
//! connection. The reader never waits for the writer.

mod reader;
mod writer;

use std::net::SocketAddr;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use protocol::message::{self, ClientMessage, Reply, Request, RequestId, ServerMessage};
use protocol::{ApiError, Code, Region};
use service::log::JOIN;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};

use crate::answer::Refused;
use crate::app::Shared;
use crate::entry;
use crate::lanes::Lanes;
use crate::rooms::Entered;
use crate::{address, encode};
use reader::Reader;
use writer::Writer;

/// A message that is this many times too large is not even read: the connection ends.
const TOO_LARGE_TO_ANSWER: usize = 4;

/// Bytes read from a socket at once: each connection keeps so many. What clients say is shorter, and
/// whatever is longer gets more for as long as it takes.
const READ_BUFFER: usize = 1024;

/// Bytes that may wait for a socket: more than the largest `welcome`.
const WRITE_BUFFER: usize = 1024 * 1024;

/// `GET /v1/join`.
pub(crate) async fn upgrade(
    State(app): State<Shared>,
    ConnectInfo(socket): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !app.config.allow_origins.allow(&headers) {
        let says = "pages of this origin may not connect (option: allow-origin)";
        return Refused(ApiError::new(Code::Forbidden, says)).into_response();
    }
    let Ok(permit) = app.connections.clone().try_acquire_owned() else {
        let says = "this node has as many connections as it may (limit: connections)";
        return Refused(ApiError::new(Code::Unavailable, says).retry_after_ms(5_000)).into_response();
    };
    let address = address::of_request(socket, &headers, &app.config.trusted_proxies);
    let region = address::region_of_request(&uri, socket, &headers, &app.config);
    let largest = app.config.limits.message_bytes.saturating_mul(TOO_LARGE_TO_ANSWER);
    // The buffers of ten thousand connections: small, for messages that are small.
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let upgrade = upgrade.max_write_buffer_size(WRITE_BUFFER);
    upgrade.max_message_size(largest).max_frame_size(largest).on_upgrade(async move |socket| {
        let tasks = app.tasks.clone();
        let (sink, stream) = socket.split();
        let mut connection = Connection { app, address, region, sink, stream, _permit: permit };
        tasks.errand("connection", async move { connection.run().await });
    })
}

/// One socket. Of ten thousand such futures most only serve: what else they do is boxed meanwhile.
struct Connection {
    app: Shared,
    address: std::net::IpAddr,
    /// Where they say they are.
    region: Option<Region>,
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(&mut self) {
        let joined = Box::pin(self.join()).await;
        match joined {
            Ok(Some((entered, lanes))) => self.serve(entered, lanes).await,
            Ok(None) => {}
            Err(refused) => Box::pin(self.refuse(&refused)).await,
        }
    }

    /// Serves a participant until they leave, are put out, or their connection is cut.
    async fn serve(&mut self, entered: Entered, lanes: Lanes) {
        let Self { app, sink, stream, .. } = self;
        let Entered { member, presence, .. } = entered;
        let session = app.session(member.who.number);
        tracing::debug!(target: JOIN, %session, room = %member.room, "is in");
        let mut writer = Writer { app, sink, lanes: &lanes, presence };
        let mut reader = Reader::new(app, stream, &lanes, &member);
        tokio::select! {
            () = writer.run() => {}
            () = reader.run() => {}
        }
        tracing::debug!(target: JOIN, %session, "the connection is over");
        member.cut().await;
    }

    /// Waits for a `join` that succeeds. Nothing where the client went away.
    async fn join(&mut self) -> Result<Option<(Entered, Lanes)>, Reply> {
        let deadline = Instant::now() + self.app.config.times.join;
        loop {
            let Ok(received) = timeout_at(deadline, next_text(&mut self.stream)).await else {
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
        let since = Instant::now();
        let door = entry::Door { app: &self.app, address: self.address, region: self.region.clone() };
        let entered = door.join(entry::Join { token, name, resume, id: request.id }, &lanes).await?;
        self.app.counters.answered("join", since.elapsed());
        Ok((entered, lanes))
    }

    async fn refuse(&mut self, refusal: &Reply) {
        self.say(refusal).await;
        let frame = close(close_code::POLICY, "not joined");
        let _ = timeout(self.app.config.times.write, self.sink.send(frame)).await;
    }

    async fn say(&mut self, reply: &Reply) {
        self.app.counters.sent(&reply.body);
        let text = Message::Text(encode::reply(reply));
        let _ = timeout(self.app.config.times.write, self.sink.send(text)).await;
    }
}

/// The next text from a client; nothing where it went away, an error where it sent something else.
async fn next_text(stream: &mut SplitStream<WebSocket>) -> Result<Option<Utf8Bytes>, ApiError> {
    loop {
        match stream.next().await {
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
