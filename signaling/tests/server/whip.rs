//! Standard clients, by SDP over HTTP.

use std::time::Duration;

use protocol::token::Role;
use serde_json::json;

use crate::venue::{Http, HttpAnswer, Venue};

/// What aiortc would say, with one audio line.
fn sdp(direction: &str) -> String {
    [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 96",
        "c=IN IP4 0.0.0.0",
        &format!("a={direction}"),
        "a=mid:0",
        "a=rtcp-mux",
        "a=rtpmap:96 opus/48000/2",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789012345678901",
        &format!("a=fingerprint:sha-256 {}", ["AB"; 32].join(":")),
        "a=setup:actpass",
        "",
    ]
    .join("\r\n")
}

const SDP: &[(&str, &str)] = &[("Content-Type", "application/sdp")];

async fn post(venue: &Venue, path: &str, role: Role, identity: &str, body: &str) -> HttpAnswer {
    let token = venue.token(role, Some(identity));
    venue.http(Http { method: "POST", path, token: Some(&token), headers: SDP, body }).await
}

fn delete(path: &str) -> Http<'_> {
    Http { method: "DELETE", path, ..Default::default() }
}

#[tokio::test]
async fn a_publisher_takes_a_seat_and_leaves_it_by_delete() {
    let venue = Venue::with(|config| config.public_url = Some("https://dais.example".into())).await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let made = post(&venue, "/whip/hall", Role::Speaker, "obs", &sdp("sendonly")).await;
    assert_eq!((made.status, made.header("content-type")), (201, Some("application/sdp")), "{made:?}");
    assert!(made.body.contains("a=ice-lite") || made.body.contains("a=setup:passive"), "{}", made.body);
    let path = made.header("location").unwrap().strip_prefix("https://dais.example").unwrap().to_owned();
    assert!(path.starts_with("/whip/hall/"));
    assert_eq!(host.until("stage").await["set"][0]["identity"], "obs");

    let patch = Http { method: "PATCH", path: &path, ..Default::default() };
    assert_eq!(venue.http(patch).await.status, 405);
    assert_eq!(venue.http(delete(&path)).await.status, 200);
    assert_eq!(host.until("stage").await["gone"], json!(["obs"]));
    assert_eq!(venue.http(delete(&path)).await.status, 404);
    venue.close().await;
}

#[tokio::test]
async fn a_session_is_ended_by_delete_at_any_node() {
    let venue = Venue::open().await;
    let second = venue.another().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let made = post(&venue, "/whip/hall", Role::Speaker, "obs", &sdp("sendonly")).await;
    let path = made.header("location").unwrap();
    let key = "x".repeat(32);
    assert_eq!(delete("/whip/hall/nonsense").send(second).await.status, 404);
    for peer in ["signaling.1", "nobody.1", "edge-1.1", "origin-1.1", "origin-1.2"] {
        assert_eq!(delete(&format!("/whip/hall/{peer}.{key}")).send(second).await.status, 404, "{peer}");
    }
    assert_eq!(delete(path).send(second).await.status, 200);
    loop {
        if host.until("stage").await["gone"] == json!(["obs"]) {
            break;
        }
    }
    venue.close().await;
}

#[tokio::test]
async fn a_node_that_does_not_answer_may_have_the_session_still() {
    let venue = Venue::with(|config| config.times.node = Duration::from_millis(50)).await;
    let made = post(&venue, "/whip/hall", Role::Speaker, "obs", &sdp("sendonly")).await;
    let path = made.header("location").unwrap();
    venue.origin.kill();
    let _silent = venue.hears("node.origin-1").await;
    let answer = venue.http(delete(path)).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (503, Some("unavailable")));
    venue.close().await;
}

#[tokio::test]
async fn demote_kick_and_a_lost_peer_end_a_session() {
    let venue = Venue::open().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    for (peer, kind) in [(1, "demote"), (2, "kick")] {
        let made = post(&venue, "/whip/hall", Role::Speaker, kind, &sdp("sendonly")).await;
        assert_eq!(made.status, 201, "{made:?}");
        host.ask(json!({"type": kind, "identity": kind})).await;
        assert_eq!(venue.origin.removed().await, peer);
    }
    post(&venue, "/whip/hall", Role::Speaker, "lost", &sdp("sendonly")).await;
    venue.origin.lose(3).await;
    loop {
        if host.until("stage").await["gone"] == json!(["lost"]) {
            break;
        }
    }
    venue.close().await;
}

#[tokio::test]
async fn a_player_is_a_listener_at_an_edge() {
    let venue = Venue::open().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let made = post(&venue, "/whep/hall", Role::Speaker, "vlc", &sdp("recvonly")).await;
    assert_eq!(made.status, 201, "{made:?}");
    while host.until("presence").await["counts"]["listeners"] != 1 {}
    host.ask(json!({"type": "end"})).await;
    assert_eq!(host.removed().await, "ended");
    venue.close().await;
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_and_takes_no_seat() {
    let venue = Venue::open().await;
    let good = sdp("sendonly");
    assert_eq!(post(&venue, "/whip/hall", Role::Listener, "x", &good).await.status, 403);
    assert_eq!(post(&venue, "/whip/other", Role::Speaker, "x", &good).await.status, 403);
    assert_eq!(post(&venue, "/whip/hall", Role::Speaker, "x", "v=0\r\nnonsense").await.status, 400);
    let token = venue.token(Role::Speaker, Some("x"));
    let json = Http { method: "POST", path: "/whip/hall", token: Some(&token), headers: &[], body: &good };
    assert_eq!(venue.http(json).await.status, 400);
    let anonymous = Http { method: "POST", path: "/whip/hall", headers: SDP, body: &good, token: None };
    assert_eq!(venue.http(anonymous).await.status, 401);

    venue.origin.refuse();
    assert_eq!(post(&venue, "/whip/hall", Role::Speaker, "x", &good).await.status, 503);
    let host = venue.join(Role::Host, "hanna").await;
    assert_eq!(host.welcome["stage"].as_array().unwrap().len(), 1, "x has no seat");

    let options = venue.http(Http { method: "OPTIONS", path: "/whip/hall", ..Default::default() }).await;
    assert_eq!((options.status, options.header("accept-post")), (204, Some("application/sdp")));
    venue.close().await;
}

#[tokio::test]
async fn a_full_stage_refuses_a_publisher() {
    let venue = Venue::open().await;
    let admin = venue.token(Role::Admin, None);
    let body = r#"{"room":"hall","seats":1}"#;
    venue.http(Http { method: "POST", path: "/v1/rooms", token: Some(&admin), headers: &[], body }).await;
    let _sam = venue.join(Role::Speaker, "sam").await;
    let full = post(&venue, "/whip/hall", Role::Speaker, "obs", &sdp("sendonly")).await;
    assert_eq!((full.status, full.json()["code"].as_str()), (409, Some("stage_full")));
    venue.close().await;
}
