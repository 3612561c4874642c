//! Who gets in, who does not, and who comes back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::RoomId;
use protocol::token::{Claims, Keys, Role};
use serde_json::json;

use crate::venue::{Http, Venue, claims, now_s};

fn changed(role: Role, change: impl FnOnce(&mut Claims)) -> Claims {
    let mut claims = claims(role, Some("mallory"));
    change(&mut claims);
    claims
}

#[tokio::test]
async fn a_token_that_is_not_valid_opens_nothing() {
    let venue = Venue::open().await;
    let good = venue.token(Role::Host, Some("mallory"));
    let parts: Vec<&str> = good.split('.').collect();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let mut others = Keys::default();
    others.add("main", &[8; 32]).unwrap();

    let bad = [
        format!("{header}.{}.", parts[1]),
        format!("{header}.{}.{}", parts[1], parts[2]),
        others.sign(&claims(Role::Host, Some("mallory"))).unwrap(),
        venue.signed(changed(Role::Host, |claims| claims.exp = now_s() - 60)),
        venue.signed(changed(Role::Host, |claims| claims.nbf = Some(now_s() + 60))),
        String::new(),
        "nonsense".into(),
    ];
    for token in &bad {
        let answer = venue.refused(json!({"type": "join", "token": token, "id": 1})).await;
        assert_eq!((&answer["code"], &answer["id"]), (&json!("unauthorized"), &json!(1)), "{answer}");
    }
    let refused = venue.metric("dais_signaling_refused_total", &["reason=\"unauthorized\""]);
    assert_eq!(refused, bad.len() as f64);
    venue.close().await;
}

#[tokio::test]
async fn a_token_opens_one_room_and_an_admin_token_none() {
    let venue = Venue::open().await;
    let mut client = venue.join(Role::Listener, "anna").await;
    let other = changed(Role::Listener, |claims| claims.room = Some(RoomId::new("other").unwrap()));
    let elsewhere = venue.join_with(json!({"type": "join", "token": venue.signed(other)})).await;
    assert_eq!(elsewhere.welcome["room"]["room"], "other");
    assert_eq!(client.until("presence").await["counts"]["listeners"], 1, "rooms do not mix");

    let host = venue.token(Role::Host, Some("hanna"));
    let answer = venue
        .http(Http { method: "POST", path: "/v1/rooms/other/end", token: Some(&host), ..Default::default() })
        .await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (403, Some("forbidden")));

    let admin = venue.token(Role::Admin, None);
    assert_eq!(venue.refused(json!({"type": "join", "token": admin})).await["code"], "forbidden");
    venue.close().await;
}

#[tokio::test]
async fn one_guest_pass_serves_any_number_of_people() {
    let venue = Venue::open().await;
    let pass = venue.token(Role::Listener, None);
    let one = venue.join_with(json!({"type": "join", "token": pass, "name": "Zoë"})).await;
    let two = venue.join_with(json!({"type": "join", "token": pass})).await;
    assert_ne!(one.welcome["you"]["identity"], two.welcome["you"]["identity"]);
    assert_eq!([&one.welcome["you"]["name"], &two.welcome["you"]["name"]], ["Zoë", "Guest"]);
    venue.close().await;
}

#[tokio::test]
async fn the_same_identity_replaces_itself_and_keeps_its_seat() {
    let venue = Venue::open().await;
    let mut first = venue.join(Role::Speaker, "sam").await;
    first.media("speak").await;
    let second = venue.join(Role::Speaker, "sam").await;
    assert_eq!(first.removed().await, "replaced");
    assert_eq!(second.welcome["you"]["number"], first.welcome["you"]["number"]);
    assert_eq!(venue.origin.removed().await, 1);
    venue.close().await;
}

#[tokio::test]
async fn after_a_cut_one_resumes_as_who_one_was_with_audio_untouched() {
    let venue = Venue::open().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let mut sam = venue.join(Role::Speaker, "sam").await;
    sam.media("listen").await;
    sam.media("speak").await;
    host.ask(json!({"type": "mute", "identity": "sam"})).await;
    let (before, resume) = (sam.welcome["you"].clone(), sam.resume());
    sam.cut();

    let mut sam = venue.join_with(resume.clone()).await;
    assert_eq!(sam.welcome["you"]["identity"], "sam");
    assert_eq!(sam.welcome["you"]["number"], before["number"]);
    assert_eq!((&sam.welcome["you"]["muted"], &sam.welcome["resumed"]), (&json!(true), &json!(true)));
    assert_ne!(sam.welcome["resume"], resume["resume"], "each welcome brings a new one");

    // The peer that was made before is still theirs: when it goes, it is they who are told.
    venue.origin.lose(1).await;
    assert_eq!(sam.until("moved").await["purpose"], "speak");
    assert_eq!(sam.media("listen").await["type"], "media", "and may be replaced");

    // Good until its successor has been shown, as after a reload before the answer came; then it is spent,
    // and the token still works, on the same socket.
    let sam = venue.join_with(resume.clone()).await;
    let sam = venue.join_with(sam.resume()).await;
    assert_eq!(sam.welcome["you"]["number"], before["number"]);
    let mut again = venue.connect().await;
    again.send(json!({"type": "join", "resume": resume["resume"]})).await;
    assert_eq!(again.next().await["code"], "resume_invalid");
    let token = venue.token(Role::Listener, Some("sam"));
    again.send(json!({"type": "join", "token": token})).await;
    assert_eq!(again.until("welcome").await["you"]["number"], before["number"]);
    venue.close().await;
}

#[tokio::test]
async fn a_resume_token_of_another_room_or_of_nobody_opens_nothing() {
    let venue = Venue::open().await;
    let anna = venue.join(Role::Listener, "anna").await;
    let ticket = anna.welcome["resume"].as_str().unwrap().split_once(':').unwrap().1.to_owned();
    for resume in [format!("other:{ticket}"), "hall:0".into(), "hall".into(), ":".into()] {
        let join = json!({"type": "join", "token": "", "resume": resume});
        assert_eq!(venue.refused(join).await["code"], "resume_invalid", "{resume}");
    }
    venue.close().await;
}

#[tokio::test]
async fn the_first_message_must_be_a_join_and_come_in_time() {
    let venue = Venue::with(|config| config.times.join = std::time::Duration::from_millis(300)).await;
    assert_eq!(venue.refused(json!({"type": "raise_hand"})).await["code"], "bad_request");
    assert_eq!(venue.refused(json!({"type": "dance", "id": "x"})).await["id"], "x");
    let mut silent = venue.connect().await;
    assert_eq!(silent.next().await["code"], "join_timeout");
    assert!(silent.next().await.is_null(), "closed");
    let mut binary = venue.connect().await;
    binary.send_binary(&[0, 159, 146]).await;
    assert_eq!(binary.next().await["code"], "bad_request");
    venue.close().await;
}

#[tokio::test]
async fn a_shutdown_says_goodbye_to_everybody() {
    let venue = Venue::open().await;
    let mut clients = Vec::new();
    for name in ["anna", "ben", "carl"] {
        clients.push(venue.join(Role::Listener, name).await);
    }
    venue.begin_shutdown();
    for client in &mut clients {
        assert_eq!(client.removed().await, "shutdown");
    }
    venue.close().await;
}
