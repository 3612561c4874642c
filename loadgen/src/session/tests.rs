use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;

use super::*;
use crate::target::Target;

/// A door with an appointment in it: what it answers to each message, WebSocket by WebSocket.
type Script = Vec<Vec<Value>>;

/// Plays the server; what it was asked, in order.
async fn serve(listener: TcpListener, script: Script) -> Vec<Value> {
    let mut asked = Vec::new();
    for answers in script {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        for mut answer in answers {
            let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
            let request: Value = serde_json::from_str(&text).unwrap();
            answer["id"] = request["id"].clone();
            asked.push(request);
            socket.send(Message::text(answer.to_string())).await.unwrap();
        }
    }
    asked
}

async fn door() -> (Node, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut target = Target::find(&[url.parse().unwrap()]).await.unwrap();
    (target.nodes.remove(0), listener)
}

fn later(ms: u64) -> Value {
    json!({ "type": "error", "code": "unavailable", "message": "many are coming in", "retry_after_ms": ms })
}

fn welcome() -> Value {
    json!({
        "type": "welcome", "you": { "identity": "anna", "name": "Anna", "role": "listener", "muted": false, "hand": false },
        "room": { "room": "hall", "title": "Hall", "state": "live", "since": 0, "seats": 8 },
        "stage_version": 1, "stage": [], "presence_version": 7, "people": [],
        "counts": { "listeners": 1, "speakers": 0, "hands": 0 },
        "resume": "r2", "media": { "voices": 3, "ice_servers": [] }, "now": 0,
    })
}

fn pass() -> Pass {
    Pass { token: "t".into(), resume: Some("r1".into()) }
}

const HOME: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);

#[tokio::test]
async fn whoever_is_told_to_come_back_does_and_it_is_counted() {
    let (node, listener) = door().await;
    let expired = json!({ "type": "error", "code": "resume_invalid", "message": "too late" });
    let joining = vec![expired, welcome(), later(2), later(1), json!({ "type": "ok" })];
    let server = tokio::spawn(serve(listener, vec![vec![later(1)], joining]));

    let board = std::sync::Arc::new(crate::watch::Board::new(1));
    let mut watch = Watch::new(std::sync::Arc::clone(&board));
    let (mut session, welcome) = Session::enter(&node, Some(HOME), &mut pass(), &mut watch).await.unwrap();
    assert_eq!((welcome.presence_version, welcome.resume.as_str()), (7, "r2"));
    let answer = session.ask_patiently(ClientMessage::RaiseHand, &mut watch).await.unwrap();
    assert_eq!(answer.kind(), "ok");

    let asked = server.await.unwrap();
    let resumes: Vec<_> = asked[..3].iter().map(|join| join["resume"].as_str()).collect();
    assert_eq!(resumes, [Some("r1"), Some("r1"), None], "what is too late for the ticket, the token opens");
    assert_eq!(asked.len(), 6);
    assert_eq!(board.told_to_wait.load(std::sync::atomic::Ordering::Relaxed), 3);
}

#[tokio::test]
async fn an_appointment_that_is_too_far_off_is_a_no() {
    let (node, listener) = door().await;
    let server = tokio::spawn(serve(listener, vec![vec![later(121_000)]]));
    let mut watch = Watch::new(std::sync::Arc::new(crate::watch::Board::new(1)));
    let refused = Session::enter(&node, Some(HOME), &mut pass(), &mut watch).await;
    assert_eq!(refused.err().map(|refusal| refusal.code), Some("unavailable".to_owned()));
    assert_eq!(server.await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_no_without_an_appointment_is_one_at_once() {
    let (node, listener) = door().await;
    let no = json!({ "type": "error", "code": "banned", "message": "not here" });
    let server = tokio::spawn(serve(listener, vec![vec![no]]));
    let mut watch = Watch::new(std::sync::Arc::new(crate::watch::Board::new(1)));
    let refused = Session::enter(&node, Some(HOME), &mut pass(), &mut watch).await;
    assert_eq!(refused.err().map(|refusal| refusal.code), Some("banned".to_owned()));
    server.await.unwrap();
}
