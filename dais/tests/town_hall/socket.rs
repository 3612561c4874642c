//! A client of the WebSocket that says whatever the test wants.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::town::Town;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens it; nobody has joined yet.
    pub(crate) async fn open(town: &Town) -> Self {
        Self(connect_async(town.socket_url()).await.expect("the program takes connections").0)
    }

    /// Opens it and joins with a token; gives the `welcome` too.
    pub(crate) async fn join(town: &Town, token: &str) -> (Self, Value) {
        let mut socket = Self::open(town).await;
        socket.say(&json!({"type": "join", "token": token, "name": "Somebody"})).await;
        let welcome = socket.next().await.expect("an answer");
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        (socket, welcome)
    }

    /// Sends an object.
    pub(crate) async fn say(&mut self, message: &Value) {
        self.say_text(message.to_string()).await;
    }

    /// Sends any text.
    pub(crate) async fn say_text(&mut self, text: String) {
        self.0.send(Message::Text(text.into())).await.expect("the connection stands");
    }

    /// The next message; nothing once the server has closed.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("the server says something") {
                Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message of this type; others are passed over.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await.unwrap_or_else(|| panic!("closed before any `{kind}`"));
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Sends a request and gives its answer.
    pub(crate) async fn ask(&mut self, mut request: Value) -> Value {
        request["id"] = json!("asked");
        self.say(&request).await;
        loop {
            let message = self.next().await.expect("an answer");
            if message["id"] == "asked" {
                return message;
            }
        }
    }
}
