//! One participant's WebSocket: joins, asks, and reads what comes.
//!
//! Buffers are small: there are ten thousand of these, and each hears a few hundred bytes a second.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use protocol::message::{ClientMessage, Reply, Request, RequestId, ServerMessage, Welcome};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig};

use crate::target::Target;
use crate::watch::Watch;

/// Bytes read at once: a presence message has a few hundred.
const BUFFER: usize = 2_048;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the server may take to close after a goodbye.
const FAREWELL: Duration = Duration::from_secs(5);

/// How often somebody comes back who was told to.
const TRIES: u32 = 20;

/// Why something did not work: the server's code, or a word of ours.
pub(crate) type Code = String;

/// An open WebSocket.
pub(crate) struct Session {
    socket: WebSocketStream<TcpStream>,
    asked: u64,
}

impl Session {
    /// Opens one, from an address of one's own where the server is on loopback.
    pub(crate) async fn open(target: &Target, local: Ipv4Addr) -> Result<Self, Code> {
        timeout(PATIENCE, Self::connect(target, local)).await.map_err(|_| "connect_timeout".to_owned())?
    }

    async fn connect(target: &Target, local: Ipv4Addr) -> Result<Self, Code> {
        let stream = dial(target, local).await.map_err(|error| explain(&error))?;
        let _ = stream.set_nodelay(true);
        let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(0);
        let url = format!("ws://{}/v1/join", target.authority);
        let opened = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await;
        let (socket, _) = opened.map_err(|_| "websocket".to_owned())?;
        Ok(Self { socket, asked: 0 })
    }

    /// Joins with a token or, after a cut, with what `welcome` brought.
    pub(crate) async fn join(
        &mut self,
        token: &str,
        resume: Option<String>,
        watch: &mut Watch,
    ) -> Result<Box<Welcome>, Code> {
        let join = ClientMessage::Join {
            token: token.to_owned(),
            name: None,
            resume,
            sdk: Some("dais-load".into()),
        };
        match self.ask_patiently(join, watch).await? {
            ServerMessage::Welcome(welcome) => Ok(welcome),
            other => Err(format!("unexpected_{}", other.kind())),
        }
    }

    /// Asks again for as long as the server says that waiting helps.
    pub(crate) async fn ask_patiently(
        &mut self,
        body: ClientMessage,
        watch: &mut Watch,
    ) -> Result<ServerMessage, Code> {
        for _ in 0..TRIES {
            match self.ask(body.clone(), watch).await? {
                ServerMessage::Error(error) => match error.retry_after_ms {
                    Some(pause_ms) => sleep(Duration::from_millis(pause_ms)).await,
                    None => return Err(code(&error)),
                },
                answer => return Ok(answer),
            }
        }
        Err("retries".into())
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
        timeout(PATIENCE, async {
            loop {
                let text = self.next().await?;
                match serde_json::from_str::<Reply>(&text) {
                    Ok(reply) if reply.id.as_ref() == Some(&id) => {
                        watch.count(text.len());
                        return Ok(reply.body);
                    }
                    _ => watch.hear(&text),
                }
            }
        })
        .await
        .map_err(|_| "answer_timeout".to_owned())?
    }

    async fn send(&mut self, request: &Request) -> Result<(), Code> {
        let text = serde_json::to_string(request).map_err(|_| "internal".to_owned())?;
        self.socket.send(Message::text(text)).await.map_err(|_| "closed".to_owned())
    }

    /// The next text. Pings are answered on the way. Safe to drop and call again.
    pub(crate) async fn next(&mut self) -> Result<Utf8Bytes, Code> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err("closed".into()),
                Some(Ok(Message::Ping(_))) => {
                    // The answer is queued already; it goes out with this.
                    let _ = self.socket.flush().await;
                }
                Some(Ok(_)) => {}
            }
        }
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

async fn dial(target: &Target, local: Ipv4Addr) -> std::io::Result<TcpStream> {
    let socket = match target.address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if target.is_on_loopback() {
        socket.bind((local, 0).into())?;
    }
    socket.connect(target.address).await
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
pub(crate) fn code(error: &protocol::ApiError) -> Code {
    let text = serde_json::to_value(error.code).ok();
    text.and_then(|text| text.as_str().map(Into::into)).unwrap_or_else(|| "internal".into())
}
