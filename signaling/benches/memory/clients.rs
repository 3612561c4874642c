//! The listeners' side, in a process of its own: WebSockets that join, ask for media, and read on.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use protocol::Identity;
use protocol::token::{Claims, Role};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Brings so many, tells on the standard output when all have seen that all are there, and stays.
pub(crate) async fn run(address: SocketAddr, listeners: usize) {
    let (seen, mut all_seen) = mpsc::channel(listeners);
    for number in 0..listeners {
        let mut client = Client::join(address, &format!("{listeners}-{number}")).await;
        let seen = seen.clone();
        tokio::spawn(async move {
            client.see(listeners).await;
            seen.send(()).await.unwrap();
            client.stay().await;
        });
    }
    for _ in 0..listeners {
        all_seen.recv().await.unwrap();
    }
    println!("{}", crate::ALL_ARE_IN);
    std::future::pending().await
}

struct Client {
    socket: Socket,
    /// The most listeners that it was told of.
    told: usize,
}

impl Client {
    async fn join(address: SocketAddr, identity: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/v1/join")).await.unwrap();
        let mut client = Self { socket, told: 0 };
        client.say(json!({ "type": "join", "token": token(identity) })).await;
        client.until("welcome").await;
        client.say(json!({ "type": "media", "id": 1, "purpose": "listen", "offer": offer() })).await;
        client.until("media").await;
        client
    }

    async fn say(&mut self, message: Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Reads on until a message of this type.
    async fn until(&mut self, kind: &str) {
        while self.next().await["type"] != kind {}
    }

    /// Reads on until it was told of so many.
    async fn see(&mut self, listeners: usize) {
        while self.told < listeners {
            self.next().await;
        }
    }

    async fn stay(&mut self) {
        loop {
            self.next().await;
        }
    }

    async fn next(&mut self) -> Value {
        loop {
            let Some(Ok(message)) = self.socket.next().await else {
                // The server has ended, however it did: nobody is to be left behind.
                std::process::exit(1);
            };
            let Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_str(&text).unwrap();
            let counted = message["counts"]["listeners"].as_u64().unwrap_or_default();
            self.told = self.told.max(counted as usize);
            return message;
        }
    }
}

fn token(identity: &str) -> String {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = Claims {
        iss: "bench".into(),
        sub: Some(Identity::new(identity).unwrap()),
        name: None,
        room: Some(crate::room()),
        role: Role::Listener,
        exp: now_s + 3_600,
        nbf: None,
        iat: None,
        hidden: false,
        region: None,
    };
    crate::keys().sign(&claims).unwrap()
}

fn offer() -> Value {
    json!({
        "ufrag": "abcd", "pwd": "0123456789012345678901", "fingerprint": "A".repeat(43),
        "opus": 111, "lines": 3,
    })
}
