//! Everything is bounded, and each error says by what.

use protocol::token::Role;
use serde_json::json;

use crate::venue::{Http, Venue};

#[tokio::test]
async fn a_dead_resume_token_beside_a_good_one_is_no_failure_however_many_share_an_address() {
    let venue = Venue::with(|config| config.limits.failed_joins_per_minute = 2).await;
    for person in 0..20 {
        let token = venue.token(Role::Listener, None);
        let resume = format!("hall:{person:032x}");
        let back = venue.join_with(json!({"type": "join", "token": token, "resume": resume})).await;
        assert_eq!(back.welcome["resumed"], false, "somebody new, and they are told");
    }
    venue.close().await;
}

#[tokio::test]
async fn rooms_that_are_only_named_take_no_place() {
    let venue = Venue::with(|config| config.limits.rooms = 1).await;
    for room in 0..5 {
        let named = json!({"type": "join", "resume": format!("hall-{room}:{:032x}", 0)});
        assert_eq!(venue.refused(named).await["code"], "resume_invalid");
    }
    venue.join(Role::Host, "hanna").await;
    venue.close().await;
}

#[tokio::test]
async fn a_bad_message_is_answered_and_disturbs_nobody() {
    let venue = Venue::open().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let mut ben = venue.join(Role::Listener, "ben").await;

    assert_eq!(ben.ask(json!({"type": "dance"})).await["code"], "bad_request");
    ben.send_text("{").await;
    assert_eq!(ben.until("error").await["code"], "bad_request");
    ben.send_binary(&[1, 2, 3]).await;
    assert_eq!(ben.until("error").await["code"], "bad_request");
    assert_eq!(ben.ask(json!({"type": "join", "token": "x"})).await["code"], "conflict");
    let nonsense = json!({"ufrag": "", "pwd": 7, "fingerprint": "x", "opus": 1, "lines": 9});
    let answer = ben.ask(json!({"type": "media", "purpose": "listen", "offer": nonsense})).await;
    assert_eq!(answer["code"], "bad_offer");
    assert!(answer["message"].as_str().unwrap().contains("offer."), "{answer}");
    assert_eq!(venue.metric("dais_bad_input_total", &["what=\"message\""]), 3.0);

    // Both are still there, and the room goes on.
    ben.ask(json!({"type": "raise_hand"})).await;
    host.until("hands").await;
    venue.close().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_a_huge_one_ends_the_connection() {
    let venue = Venue::with(|config| config.limits.message_bytes = 1_000).await;
    let mut ben = venue.join(Role::Listener, "ben").await;
    ben.send_text(&" ".repeat(1_001)).await;
    let error = ben.until("error").await;
    assert_eq!(error["code"], "too_large");
    assert!(error["message"].as_str().unwrap().contains("message_bytes"));
    assert_eq!(ben.ask(json!({"type": "raise_hand"})).await["type"], "ok", "the connection goes on");

    ben.send_text(&" ".repeat(10_000)).await;
    assert_eq!(ben.until("error").await["code"], "too_large");
    assert!(ben.next().await.is_null(), "closed");
    venue.close().await;
}

#[tokio::test]
async fn failed_joins_are_limited_by_address_and_valid_ones_are_not_refused_for_them() {
    let venue = Venue::with(|config| config.limits.failed_joins_per_minute = 2).await;
    let bad = json!({"type": "join", "token": "bad"});
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(venue.refused(bad.clone()).await);
    }
    assert_eq!([&codes[0]["code"], &codes[2]["code"]], ["unauthorized", "rate_limited"]);
    assert!(codes[2]["message"].as_str().unwrap().contains("failed_joins_per_minute"));
    assert!(codes[2]["retry_after_ms"].as_u64() > Some(0));
    venue.join(Role::Listener, "anna").await;
    venue.close().await;
}

#[tokio::test]
async fn hands_are_limited_by_person_and_messages_by_connection() {
    let venue = Venue::with(|config| {
        config.limits.hands_per_minute = 1;
        config.limits.messages_per_second = 2;
    })
    .await;
    let mut ben = venue.join(Role::Listener, "ben").await;
    assert_eq!(ben.ask(json!({"type": "raise_hand"})).await["type"], "ok");
    ben.ask(json!({"type": "lower_hand"})).await;
    let again = ben.ask(json!({"type": "raise_hand"})).await;
    assert_eq!(again["code"], "rate_limited");
    assert!(again["message"].as_str().unwrap().contains("hands_per_minute"));

    let mut last = json!(null);
    for _ in 0..10 {
        last = ben.ask(json!({"type": "lower_hand"})).await;
    }
    assert_eq!(last["code"], "rate_limited");
    assert!(last["message"].as_str().unwrap().contains("messages_per_second"));
    venue.close().await;
}

#[tokio::test]
async fn rooms_participants_and_connections_are_limited() {
    let venue = Venue::with(|config| {
        config.limits.rooms = 1;
        config.limits.room_participants = 2;
        config.limits.connections = 3;
    })
    .await;
    let join = |token| json!({"type": "join", "token": token});
    let pass = venue.token(Role::Listener, None);
    let _anna = venue.join_with(join(pass.clone())).await;
    let _ben = venue.join_with(join(pass.clone())).await;

    let full = venue.refused(join(pass)).await;
    assert_eq!(full["code"], "room_full");
    assert!(full["retry_after_ms"].as_u64() > Some(0));
    let mut other = crate::venue::claims(Role::Listener, Some("carl"));
    other.room = Some(protocol::RoomId::new("other").unwrap());
    let rooms = venue.refused(join(venue.signed(other))).await;
    assert_eq!(rooms["code"], "unavailable");
    assert!(rooms["message"].as_str().unwrap().contains("limit: rooms"));

    let _third = venue.connect().await;
    let refused = tokio_tungstenite::connect_async(format!("ws://{}/v1/join", venue.address)).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(response)) = refused else {
        panic!("a fourth connection")
    };
    assert_eq!(response.status().as_u16(), 503);
    assert!(String::from_utf8_lossy(response.body().as_deref().unwrap()).contains("limit: connections"));
    venue.close().await;
}

#[tokio::test]
async fn names_and_bodies_are_limited() {
    let venue = Venue::with(|config| config.limits.body_bytes = 200).await;
    let token = venue.token(Role::Listener, Some("anna"));
    let long = venue.refused(json!({"type": "join", "token": token, "name": "n".repeat(65)})).await;
    assert_eq!(long["code"], "too_large");
    let host = venue.token(Role::Host, Some("hanna"));
    let body = format!(r#"{{"room":"hall","title":"{}"}}"#, "t".repeat(300));
    let request =
        Http { method: "POST", path: "/v1/rooms", token: Some(&host), body: &body, ..Default::default() };
    let answer = venue.http(request).await;
    assert_eq!(answer.status, 413);
    assert!(answer.body.contains("body_bytes"), "{answer:?}");
    venue.close().await;
}
