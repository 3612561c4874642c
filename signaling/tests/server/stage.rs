//! What happens around the stage: hands, promotions, mutes, kicks, the end.

use std::time::Duration;

use protocol::Epoch;
use protocol::token::Role;
use serde_json::{Value, json};

use crate::venue::Venue;

fn names(message: &Value, field: &str) -> Vec<String> {
    let list = message[field].as_array().unwrap();
    list.iter().map(|one| one["identity"].as_str().or(one.as_str()).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_hand_goes_up_the_host_promotes_and_everybody_sees_it() {
    let venue = Venue::open().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    assert_eq!(host.welcome["you"]["role"], "host");
    assert_eq!(names(&host.welcome, "stage"), ["hanna"]);
    let mut ben = venue.join(Role::Listener, "ben").await;
    let mut carl = venue.join(Role::Listener, "carl").await;
    assert_eq!(names(&carl.welcome, "stage"), ["hanna"]);

    assert_eq!(ben.ask(json!({"type": "raise_hand"})).await["type"], "ok");
    let hands = host.until("hands").await;
    assert_eq!(names(&hands, "up"), ["ben"]);

    let answer = host.ask(json!({"type": "promote", "identity": "ben"})).await;
    assert_eq!((&answer["type"], &answer["identity"]), (&json!("seated"), &json!("ben")));
    let promoted = ben.until("promoted").await;
    assert_eq!(promoted["by"], "hanna");
    let seen = carl.until("stage").await;
    assert_eq!(names(&seen, "set"), ["ben"]);
    assert_eq!(seen["set"][0]["number"], promoted["number"]);
    assert!(seen["version"].as_u64() > carl.welcome["stage_version"].as_u64());
    assert_eq!(names(&host.until("hands").await, "down"), ["ben"]);

    // Only hosts are told about hands.
    ben.ask(json!({"type": "demote"})).await;
    assert_eq!(names(&carl.until("stage").await, "gone"), ["ben"]);
    venue.close().await;
}

#[tokio::test]
async fn whose_hand_a_host_lowers_is_told_so() {
    let venue = Venue::open().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let mut ben = venue.join(Role::Listener, "ben").await;
    ben.ask(json!({"type": "raise_hand"})).await;
    assert_eq!(names(&host.until("hands").await, "up"), ["ben"]);
    host.send(json!({"type": "lower_hand", "identity": "ben"})).await;
    assert_eq!(names(&ben.until("hands").await, "down"), ["ben"]);
    assert_eq!(names(&host.until("hands").await, "down"), ["ben"]);
    venue.close().await;
}

#[tokio::test]
async fn a_host_lowers_all_hands_and_everybody_is_told_of_theirs() {
    let venue = Venue::open().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let mut listeners = [venue.join(Role::Listener, "ben").await, venue.join(Role::Listener, "carl").await];
    for listener in &mut listeners {
        listener.ask(json!({"type": "raise_hand"})).await;
        host.until("hands").await;
    }
    host.send(json!({"type": "lower_all_hands"})).await;
    assert_eq!(names(&host.until("hands").await, "down"), ["ben", "carl"]);
    for (listener, name) in listeners.iter_mut().zip(["ben", "carl"]) {
        assert_eq!(names(&listener.until("hands").await, "down"), [name]);
    }
    venue.close().await;
}

#[tokio::test]
async fn only_a_host_does_what_hosts_do() {
    let venue = Venue::open().await;
    let _host = venue.join(Role::Host, "hanna").await;
    let mut ben = venue.join(Role::Listener, "ben").await;
    for kind in ["promote", "demote", "mute", "kick", "ban", "unban", "lower_hand"] {
        let answer = ben.ask(json!({"type": kind, "identity": "hanna"})).await;
        assert_eq!(answer["code"], "forbidden", "{kind}: {answer}");
    }
    for kind in ["go_live", "end", "lower_all_hands"] {
        assert_eq!(ben.ask(json!({"type": kind})).await["code"], "forbidden", "{kind}");
    }
    venue.close().await;
}

#[tokio::test]
async fn an_invitation_can_be_accepted_or_declined() {
    let venue = Venue::open().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let mut ben = venue.join(Role::Listener, "ben").await;

    let answer = host.ask(json!({"type": "promote", "identity": "ben"})).await;
    assert_eq!((&answer["type"], &answer["expires_ms"]), (&json!("invited"), &json!(30_000)));
    assert_eq!(ben.until("invited").await["by"], "hanna");
    assert_eq!(ben.ask(json!({"type": "decline"})).await["type"], "ok");
    let declined = host.until("declined").await;
    assert_eq!((&declined["identity"], &declined["why"]), (&json!("ben"), &json!("declined")));

    host.ask(json!({"type": "promote", "identity": "ben"})).await;
    ben.until("invited").await;
    let resume = ben.resume();
    ben.cut();
    let mut ben = venue.join_with(resume).await;
    let asked = ben.welcome["you"]["invitation"].clone();
    assert_eq!(asked["by"], "hanna", "it outlives a reload: {asked}");
    assert!(asked["expires_ms"].as_u64().is_some_and(|ms| ms <= 30_000), "{asked}");
    assert_eq!(ben.until("invited").await["by"], "hanna");
    assert_eq!(ben.ask(json!({"type": "accept"})).await["type"], "ok");
    ben.until("promoted").await;
    venue.close().await;
}

#[tokio::test]
async fn two_promotions_at_once_never_seat_one_too_many() {
    let venue = Venue::open().await;
    let admin = venue.token(Role::Host, Some("hanna"));
    let made = venue
        .http(crate::venue::Http {
            method: "POST",
            path: "/v1/rooms",
            token: Some(&admin),
            body: r#"{"room":"hall","seats":2}"#,
            ..Default::default()
        })
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let (mut hanna, mut hilda) =
        (venue.join(Role::Host, "hanna").await, venue.join(Role::Host, "hilda").await);
    let mut people = Vec::new();
    for name in ["ben", "carl"] {
        let mut client = venue.join(Role::Listener, name).await;
        client.ask(json!({"type": "raise_hand"})).await;
        people.push(client);
    }
    assert_eq!(hanna.ask(json!({"type": "promote", "identity": "ben"})).await["code"], "stage_full");
    hilda.ask(json!({"type": "demote"})).await;
    let (one, two) = tokio::join!(
        hanna.ask(json!({"type": "promote", "identity": "ben"})),
        hilda.ask(json!({"type": "promote", "identity": "carl"})),
    );
    let mut kinds = [one["type"].as_str().unwrap(), two["type"].as_str().unwrap()];
    kinds.sort_unstable();
    assert_eq!(kinds, ["error", "seated"]);
    venue.close().await;
}

#[tokio::test]
async fn a_mute_reaches_the_muted_the_others_and_the_origin() {
    let venue = Venue::open().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let mut sam = venue.join(Role::Speaker, "sam").await;
    assert_eq!(sam.media("speak").await["type"], "media");

    host.ask(json!({"type": "mute", "identity": "sam"})).await;
    assert_eq!(sam.until("muted").await["by"], "hanna");
    let muted = |stage: &protocol::node::Stage| {
        stage.speakers.iter().any(|speaker| speaker.identity.as_str() == "sam" && speaker.muted)
    };
    let version = venue.origin.stage(|stage| muted(stage)).await.version;

    assert_eq!(sam.ask(json!({"type": "unmute"})).await["type"], "ok");
    venue.origin.stage(|stage| stage.version > version && !muted(stage)).await;
    venue.close().await;
}

#[tokio::test]
async fn an_origin_that_knows_less_is_told_again_and_one_that_knows_more_gets_a_later_epoch() {
    let venue = Venue::open().await;
    let mut sam = venue.join(Role::Speaker, "sam").await;
    sam.media("speak").await;
    let told = venue.origin.stage(|_| true).await;
    venue.origin.knows(told.epoch, 0).await;
    assert_eq!(venue.origin.stage(|_| true).await, told);

    let mut later = None;
    while later.is_none() {
        venue.origin.knows(Epoch(told.epoch.0 + 5), told.version).await;
        let next = venue.origin.stage(|stage| stage.epoch > told.epoch);
        later = tokio::time::timeout(Duration::from_millis(50), next).await.ok();
    }
    assert!(later.unwrap().epoch.0 > told.epoch.0 + 5, "nobody takes it for the one before");
    venue.close().await;
}

#[tokio::test]
async fn whoever_is_kicked_comes_back_only_to_listen() {
    let venue = Venue::open().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let mut sam = venue.join(Role::Speaker, "sam").await;
    sam.media("speak").await;
    host.ask(json!({"type": "kick", "identity": "sam"})).await;
    assert_eq!(sam.removed().await, "kicked");
    assert_eq!(venue.origin.removed().await, 1, "the peer goes too");

    let told = venue.refused(sam.resume()).await;
    assert_eq!(told["code"], "kicked", "whoever was cut when it happened must learn it");
    let sam = venue.join(Role::Speaker, "sam").await;
    assert_eq!(sam.welcome["you"]["role"], "listener");
    venue.close().await;
}

#[tokio::test]
async fn a_ban_holds_whatever_token_is_shown_until_it_is_lifted() {
    let venue = Venue::open().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let mut ben = venue.join(Role::Listener, "ben").await;
    host.ask(json!({"type": "ban", "identity": "ben"})).await;
    assert_eq!(ben.removed().await, "banned");
    let token = venue.token(Role::Speaker, Some("ben"));
    assert_eq!(venue.refused(json!({"type": "join", "token": token})).await["code"], "banned");
    host.ask(json!({"type": "unban", "identity": "ben"})).await;
    venue.join(Role::Listener, "ben").await;
    venue.close().await;
}

#[tokio::test]
async fn hosts_are_equal() {
    let venue = Venue::open().await;
    let mut one = venue.join(Role::Host, "hanna").await;
    let _two = venue.join(Role::Host, "hugo").await;
    assert_eq!(one.ask(json!({"type": "kick", "identity": "hugo"})).await["code"], "forbidden");
    venue.close().await;
}

#[tokio::test]
async fn presence_tells_who_comes_and_goes() {
    let venue = Venue::open().await;
    let mut anna = venue.join(Role::Listener, "anna").await;
    let mut ben = venue
        .join_with(json!({
            "type": "join", "token": venue.token(Role::Listener, Some("ben")), "name": " Ben B. ",
        }))
        .await;
    assert_eq!(ben.welcome["you"]["name"], "Ben B.");
    loop {
        let presence = anna.until("presence").await;
        let joined = presence["joined"].as_array().cloned().unwrap_or_default();
        if joined.iter().any(|person| person["name"] == "Ben B.") {
            assert_eq!(presence["counts"]["listeners"], 2);
            break;
        }
    }
    ben.send(json!({"type": "leave"})).await;
    assert_eq!(ben.removed().await, "left");
    let left = anna.until("presence").await;
    assert_eq!(names(&left, "left"), ["ben"]);
    assert_eq!(left["counts"]["listeners"], 1);
    venue.close().await;
}

#[tokio::test]
async fn the_hidden_are_counted_by_nobody_and_shown_to_nobody() {
    let venue = Venue::open().await;
    let mut recorder = crate::venue::claims(Role::Listener, Some("recorder"));
    recorder.hidden = true;
    let token = venue.signed(recorder);
    let mut recorder = venue.join_with(json!({"type": "join", "token": token})).await;
    let mut anna = venue.join(Role::Listener, "anna").await;
    let presence = anna.until("presence").await;
    assert_eq!(presence["counts"]["listeners"], 1);
    let page = anna.ask(json!({"type": "audience"})).await;
    assert_eq!(names(&page, "participants"), ["anna"]);
    assert_eq!(recorder.media("listen").await["type"], "media", "but it hears");
    venue.close().await;
}

#[tokio::test]
async fn the_audience_comes_in_pages() {
    let venue = Venue::open().await;
    let mut clients = Vec::new();
    for name in ["anna", "ben", "carl"] {
        clients.push(venue.join(Role::Listener, name).await);
    }
    let first = clients[0].ask(json!({"type": "audience", "limit": 2})).await;
    assert_eq!(names(&first, "participants"), ["anna", "ben"]);
    let rest = clients[0].ask(json!({"type": "audience", "limit": 2, "cursor": first["cursor"]})).await;
    assert_eq!(names(&rest, "participants"), ["carl"]);
    assert!(rest.get("cursor").is_none());
    venue.close().await;
}

#[tokio::test]
async fn backstage_goes_live_and_ends_for_everybody() {
    let venue = Venue::open().await;
    let host = venue.token(Role::Host, Some("hanna"));
    let made = venue
        .http(crate::venue::Http {
            method: "POST",
            path: "/v1/rooms",
            token: Some(&host),
            body: r#"{"room":"hall","live":false,"title":"All hands"}"#,
            ..Default::default()
        })
        .await;
    assert_eq!(made.json()["state"], "backstage");
    let mut hanna = venue.join(Role::Host, "hanna").await;
    let mut ben = venue.join(Role::Listener, "ben").await;
    assert_eq!(ben.welcome["room"]["title"], "All hands");
    ben.media("listen").await;
    hanna.media("speak").await;

    hanna.ask(json!({"type": "go_live"})).await;
    assert_eq!(ben.until("room").await["state"], "live");
    venue.origin.stage(|stage| stage.state == protocol::message::RoomState::Live).await;

    assert_eq!(hanna.ask(json!({"type": "end"})).await["type"], "ok");
    assert_eq!(ben.until("room").await["state"], "ended");
    assert_eq!([ben.removed().await, hanna.removed().await], ["ended", "ended"]);
    let closed = |request| matches!(request, protocol::node::Request::Close { .. }).then_some(());
    venue.origin.asked(closed).await;
    for edge in &venue.edges {
        edge.asked(closed).await;
    }
    let token = venue.token(Role::Listener, Some("ben"));
    assert_eq!(venue.refused(json!({"type": "join", "token": token})).await["code"], "ended");
    venue.close().await;
}
