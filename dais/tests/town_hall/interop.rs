//! WHIP and WHEP with the `webrtc` crate.

use protocol::token::Role;
use reqwest::{Method, StatusCode};

use crate::tone::Tone;
use crate::town::{ROOM, Town, eventually};
use crate::webrtc_peer::{listen, speak};

#[tokio::test(flavor = "multi_thread")]
async fn a_whip_speaker_is_heard_by_whep_listeners_of_one_line_and_of_three() {
    let town = Town::start().await;
    let speaker = speak(&town, "anna", Tone::Low).await;
    let (one, three) = (listen(&town, 1).await, listen(&town, 3).await);
    one.hears(Tone::Low).await;
    three.hears(Tone::Low).await;

    let other = speak(&town, "ben", Tone::High).await;
    three.hears(Tone::High).await;
    three.hears(Tone::Low).await;

    speaker.peer.leave(&town).await;
    one.hears(Tone::High).await;
    drop(other);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hosts_do_reaches_whip_speakers() {
    let town = Town::start().await;
    let speaker = speak(&town, "anna", Tone::Low).await;
    let listener = listen(&town, 3).await;
    listener.hears(Tone::Low).await;

    let host = town.token(Role::Host, Some("hanna"));
    let decide = async |what: &str| {
        let path = format!("/v1/rooms/{ROOM}/{what}");
        let request = town.request(Method::POST, &path, &host).header("content-type", "application/json");
        request.body(r#"{"identity":"anna"}"#).send().await.expect("an answer").status()
    };
    assert_eq!(decide("mute").await, StatusCode::OK);
    eventually("nothing but silence comes", async || {
        let before = listener.heard();
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let after = listener.heard();
        after.packets > before.packets && after.of(Tone::Low) == before.of(Tone::Low)
    })
    .await;
    assert_eq!(decide("kick").await, StatusCode::OK);
    speaker.peer.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whip_answers_as_its_rfc_says() {
    let town = Town::start().await;
    let token = town.token(Role::Speaker, Some("anna"));
    let path = format!("/whip/{ROOM}");
    let options = town.request(Method::OPTIONS, &path, &token).send().await.expect("an answer");
    assert!(options.status().is_success());
    let listener = town.token(Role::Listener, None);
    let sdp = include_str!("../../../crates/protocol/src/sdp/samples/chromium-whip.sdp");
    assert_eq!(town.offer("whip", &listener, sdp.into()).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(town.offer("whip", "no.token.atall", sdp.into()).await.status(), StatusCode::UNAUTHORIZED);

    let made = town.offer("whip", &token, sdp.into()).await;
    assert_eq!(made.status(), StatusCode::CREATED);
    assert_eq!(made.headers()["content-type"], "application/sdp");
    let location = made.headers()["location"].to_str().expect("ASCII").to_owned();
    let patch = town.request(Method::PATCH, &location, &token).send().await.expect("an answer");
    assert_eq!(patch.status(), StatusCode::METHOD_NOT_ALLOWED);
    let delete =
        async || town.request(Method::DELETE, &location, &token).send().await.expect("an answer").status();
    assert!(delete().await.is_success());
    assert_eq!(delete().await, StatusCode::NOT_FOUND);
}
