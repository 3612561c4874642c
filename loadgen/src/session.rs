//! One participant's WebSocket: joins, asks, and reads what comes.
//!
//! Buffers are small: there are ten thousand of these, and each hears a few hundred bytes a second.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use protocol::ApiError;
use protocol::message::{ClientMessage, Reply, Request, RequestId, ServerMessage, Welcome};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig};

use crate::target::Node;
use crate::watch::Watch;

/// Bytes read at once: a presence message has a few hundred.
const BUFFER: usize = 2_048;

/// How long opening or an answer may take, as with the SDK: after that nobody is there.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the server may take to close after a goodbye.
const FAREWELL: Duration = Duration::from_secs(5);

/// For how long in all somebody comes back who is told to: a storm of ten thousand is spread over less.
const APPOINTMENTS: Duration = Duration::from_secs(120);

/// Before asking again whoever says that one may at once.
const BREATH: Duration = Duration::from_millis(1);

/// Why something did not work: the server's code, or a word of ours.
pub(crate) type Code = String;

/// What opens the door.
pub(crate) struct Pass {
    pub(crate) token: String,
    /// After a cut: what `welcome` brought.
    pub(crate) resume: Option<String>,
}

/// A no, and when it may be a yes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    /// The server has said so; otherwise it has not answered.
    is_said: bool,
    retry_after: Option<Duration>,
}

/// An open WebSocket.
pub(crate) struct Session {
    socket: WebSocketStream<TcpStream>,
    asked: u64,
    /// Nobody is at the other end any more.
    is_lost: bool,
}

impl Session {
    /// Joins, `from` an address of one's own, where there is one. Whoever is told to come back does, with another WebSocket: the
    /// server has closed the one before.
    pub(crate) async fn enter(
        node: &Node,
        from: Option<Ipv4Addr>,
        pass: &mut Pass,
        watch: &mut Watch,
    ) -> Result<(Self, Box<Welcome>), Refusal> {
        let until = Instant::now() + APPOINTMENTS;
        loop {
            match Self::try_to_enter(node, from, pass, watch).await {
                Ok(entered) => return Ok(entered),
                Err(refusal) => match refusal.pause(until, watch) {
                    Some(pause) => sleep(pause).await,
                    None => return Err(refusal),
                },
            }
        }
    }

    async fn try_to_enter(
        node: &Node,
        from: Option<Ipv4Addr>,
        pass: &mut Pass,
        watch: &mut Watch,
    ) -> Result<(Self, Box<Welcome>), Refusal> {
        let opened = timeout(PATIENCE, Self::connect(node, from)).await;
        let mut session = opened.map_err(|_| Refusal::of("connect_timeout"))??;
        let welcome = match session.join(pass, watch).await {
            // It was too late for this one: then the token opens, on the same WebSocket.
            Err(refusal) if refusal.code == "resume_invalid" && pass.resume.take().is_some() => {
                session.join(pass, watch).await?
            }
            answer => answer?,
        };
        Ok((session, welcome))
    }

    async fn connect(node: &Node, from: Option<Ipv4Addr>) -> Result<Self, Refusal> {
        let stream = dial(node, from).await.map_err(|error| Refusal::of(explain(&error)))?;
        let _ = stream.set_nodelay(true);
        let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(0);
        let url = format!("ws://{}/v1/join", node.authority());
        let opened = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await;
        let (socket, _) = opened.map_err(|error| Refusal::of_upgrade(&error))?;
        Ok(Self { socket, asked: 0, is_lost: false })
    }

    async fn join(&mut self, pass: &Pass, watch: &mut Watch) -> Result<Box<Welcome>, Refusal> {
        let Pass { token, resume } = pass;
        let (token, resume) = (token.clone(), resume.clone());
        let join = ClientMessage::Join { token, name: None, resume, sdk: Some("dais-load".into()) };
        match self.ask(join, watch).await.map_err(Refusal::of)? {
            ServerMessage::Welcome(welcome) => Ok(welcome),
            ServerMessage::Error(error) => Err(Refusal::from(&error)),
            other => Err(Refusal::of(format!("unexpected_{}", other.kind()))),
        }
    }

    /// Asks, and again whenever the server says to, at that time.
    pub(crate) async fn ask_patiently(
        &mut self,
        body: ClientMessage,
        watch: &mut Watch,
    ) -> Result<ServerMessage, Code> {
        let until = Instant::now() + APPOINTMENTS;
        loop {
            match self.ask(body.clone(), watch).await? {
                ServerMessage::Error(error) => {
                    let refusal = Refusal::from(&error);
                    let pause = refusal.pause(until, watch).ok_or(refusal.code)?;
                    self.listen(watch, sleep(pause)).await?;
                }
                answer => return Ok(answer),
            }
        }
    }

    /// Reads on while something else goes on: who answers no ping is cut.
    pub(crate) async fn listen<T>(
        &mut self,
        watch: &mut Watch,
        meanwhile: impl Future<Output = T>,
    ) -> Result<T, Code> {
        let mut meanwhile = std::pin::pin!(meanwhile);
        loop {
            tokio::select! {
                done = &mut meanwhile => return Ok(done),
                text = self.next() => watch.hear(&text?),
            }
        }
    }

    /// Asks, and waits for the answer; what comes meanwhile goes to `watch`.
    pub(crate) async fn ask(
        &mut self,
        body: ClientMessage,
        watch: &mut Watch,
    ) -> Result<ServerMessage, Code> {
        self.asked += 1;
        let id = RequestId::Number(self.asked);
        self.send(&Request { body, id: Some(id.clone()) }).await?;
        let answer = timeout(PATIENCE, self.answer(&id, watch)).await;
        answer.unwrap_or_else(|_| {
            self.is_lost = true;
            Err("answer_timeout".into())
        })
    }

    async fn answer(&mut self, id: &RequestId, watch: &mut Watch) -> Result<ServerMessage, Code> {
        loop {
            let text = self.next().await?;
            match serde_json::from_str::<Reply>(&text) {
                Ok(reply) if reply.id.as_ref() == Some(id) => {
                    watch.count(text.len());
                    return Ok(reply.body);
                }
                _ => watch.hear(&text),
            }
        }
    }

    async fn send(&mut self, request: &Request) -> Result<(), Code> {
        let text = serde_json::to_string(request).map_err(|_| "internal".to_owned())?;
        let sent = self.socket.send(Message::text(text)).await;
        self.is_lost |= sent.is_err();
        sent.map_err(|_| "closed".to_owned())
    }

    /// Whether nobody is at the other end any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// The next text. Pings are answered on the way. Safe to drop and call again.
    pub(crate) async fn next(&mut self) -> Result<Utf8Bytes, Code> {
        while !self.is_lost {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(_)) | Err(_)) | None => self.is_lost = true,
                Some(Ok(Message::Ping(_))) => {
                    // The answer is queued already; it goes out with this.
                    let _ = self.socket.flush().await;
                }
                Some(Ok(_)) => {}
            }
        }
        Err("closed".into())
    }

    /// Leaves as people do, and reads until the server has closed: whoever closes with messages unread
    /// resets the connection, and what was said last is lost.
    pub(crate) async fn leave(mut self) {
        if self.send(&Request { body: ClientMessage::Leave, id: None }).await.is_ok() {
            let closed = async { while self.next().await.is_ok() {} };
            let _ = timeout(FAREWELL, closed).await;
        }
    }
}

impl Refusal {
    pub(crate) fn of(code: impl Into<Code>) -> Self {
        Self { code: code.into(), is_said: false, retry_after: None }
    }

    /// Of a WebSocket that was answered with an error of HTTP.
    fn of_upgrade(error: &tokio_tungstenite::tungstenite::Error) -> Self {
        let tokio_tungstenite::tungstenite::Error::Http(response) = error else {
            return Self::of("websocket");
        };
        let said = response.body().as_ref().and_then(|body| serde_json::from_slice::<ApiError>(body).ok());
        said.map_or_else(|| Self::of("websocket"), |error| Self::from(&error))
    }

    /// Whether another signaling node may say yes: this one has not answered, or cannot serve anybody.
    pub(crate) fn is_elsewhere_better(&self) -> bool {
        !self.is_said || self.code == "unavailable"
    }

    /// How long to wait before the next try; none where there is none any more.
    fn pause(&self, until: Instant, watch: &Watch) -> Option<Duration> {
        let pause = self.retry_after.filter(|&pause| Instant::now() + pause <= until)?;
        watch.told_to_wait();
        Some(pause.max(BREATH))
    }
}

impl From<&ApiError> for Refusal {
    fn from(error: &ApiError) -> Self {
        Self {
            code: code(error),
            is_said: true,
            retry_after: error.retry_after_ms.map(Duration::from_millis),
        }
    }
}

async fn dial(node: &Node, from: Option<Ipv4Addr>) -> std::io::Result<TcpStream> {
    let socket = match node.address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(from) = from {
        socket.bind((from, 0).into())?;
    }
    socket.connect(node.address).await
}

fn explain(error: &std::io::Error) -> Code {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => "open_files".into(),
        Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL) => "ports".into(),
        Some(libc::ECONNREFUSED) => "connect_refused".into(),
        _ => "connect".into(),
    }
}

/// The server's code as it is on the wire.
pub(crate) fn code(error: &ApiError) -> Code {
    let text = serde_json::to_value(error.code).ok();
    text.and_then(|text| text.as_str().map(Into::into)).unwrap_or_else(|| "internal".into())
}

#[cfg(test)]
mod tests;
