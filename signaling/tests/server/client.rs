//! A participant's side of the WebSocket.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::venue::PATIENCE;

/// What a client's browser would say.
pub(crate) fn offer(lines: u8) -> Value {
    json!({
        "ufrag": "abcd", "pwd": "0123456789012345678901", "fingerprint": "A".repeat(43),
        "opus": 111, "lines": lines,
    })
}

pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) welcome: Value,
    asked: u64,
}

impl Client {
    /// A socket on which nothing has been said.
    pub(crate) async fn connect(address: std::net::SocketAddr) -> Self {
        Self::connect_through(address, None).await
    }

    /// The same, where a proxy says that somebody is called from elsewhere.
    pub(crate) async fn connect_through(address: std::net::SocketAddr, from: Option<&str>) -> Self {
        Self::connect_with(address, "", from.map(|from| ("x-forwarded-for", from))).await
    }

    /// The same with a query and a header.
    pub(crate) async fn connect_with(
        address: std::net::SocketAddr,
        query: &str,
        header: Option<(&'static str, &str)>,
    ) -> Self {
        let mut request = format!("ws://{address}/v1/join{query}").into_client_request().unwrap();
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        Self { socket, welcome: Value::Null, asked: 0 }
    }

    /// Joins, and must succeed.
    pub(crate) async fn join(address: std::net::SocketAddr, join: Value) -> Self {
        let mut client = Self::connect(address).await;
        client.say_join(join).await;
        assert_eq!(client.welcome["type"], "welcome", "{}", client.welcome);
        client
    }

    /// Joins; the `welcome` may be an error.
    pub(crate) async fn say_join(&mut self, join: Value) {
        self.send(join).await;
        self.welcome = self.next().await;
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn send_binary(&mut self, bytes: &[u8]) {
        self.socket.send(Message::binary(bytes.to_vec())).await.unwrap();
    }

    /// The next message; `Null` once the server has closed.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Value::Null,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message of this type; others are passed over.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            assert!(!message.is_null(), "closed before `{kind}`");
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Asks and waits for the answer; what comes in between is passed over.
    pub(crate) async fn ask(&mut self, mut message: Value) -> Value {
        self.asked += 1;
        message["id"] = self.asked.into();
        self.send(message).await;
        loop {
            let answer = self.next().await;
            assert!(!answer.is_null(), "closed before the answer");
            if answer["id"] == self.asked {
                return answer;
            }
        }
    }

    pub(crate) async fn media(&mut self, purpose: &str) -> Value {
        self.ask(json!({"type": "media", "purpose": purpose, "offer": offer(3)})).await
    }

    /// Why one was put out; the server has closed after it.
    pub(crate) async fn removed(&mut self) -> String {
        let removed = self.until("removed").await;
        assert!(self.next().await.is_null(), "the socket closes");
        removed["reason"].as_str().unwrap().to_owned()
    }

    /// Gone without a word, as in a tunnel.
    pub(crate) fn cut(self) {
        drop(self.socket);
    }

    pub(crate) fn resume(&self) -> Value {
        json!({"type": "join", "token": "", "resume": self.welcome["resume"]})
    }
}
