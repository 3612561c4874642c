//! Two signaling nodes of one system: whoever is at either of them is in the same room.

use std::time::Duration;

use protocol::token::Role;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::client::Client;
use crate::venue::{PATIENCE, Venue};

#[tokio::test]
async fn stage_hands_and_presence_are_the_same_at_both() {
    let venue = Venue::open().await;
    let second = venue.another().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let token = venue.token(Role::Listener, Some("ben"));
    let mut ben = Client::join(second, json!({"type": "join", "token": token})).await;
    assert_eq!(ben.welcome["stage"][0]["identity"], "hanna");
    while host.until("presence").await["counts"]["listeners"] != 1 {}

    ben.ask(json!({"type": "raise_hand"})).await;
    assert_eq!(host.until("hands").await["up"][0]["identity"], "ben");
    assert_eq!(host.ask(json!({"type": "promote", "identity": "ben"})).await["type"], "seated");
    assert_eq!(ben.until("promoted").await["by"], "hanna");
    host.ask(json!({"type": "kick", "identity": "ben"})).await;
    assert_eq!(ben.removed().await, "kicked");
    venue.close().await;
}

#[tokio::test]
async fn whoever_is_first_at_a_node_is_told_at_once_of_everybody_at_the_others() {
    let venue = Venue::open().await;
    let second = venue.another().await;
    let _anna = venue.join(Role::Listener, "anna").await;
    let token = venue.token(Role::Listener, Some("ben"));
    let mut ben = Client::join(second, json!({"type": "join", "token": token})).await;
    let mut presence = ben.until("presence").await;
    while presence["counts"]["listeners"] != 2 {
        presence = ben.until("presence").await;
    }
    assert!(presence["joined"].as_array().unwrap().iter().any(|person| person["identity"] == "anna"));
    assert!(presence["age_ms"].is_u64(), "{presence}");

    // What is shown, and what the store counts: the same, at either node.
    let shown = venue.metric_is("dais_presence_people", &["node=\"signaling\""], 2.0);
    let counted = venue.metric_is("dais_store_people", &["node=\"signaling\""], 2.0);
    tokio::join!(shown, counted);
    assert!(venue.metric("dais_presence_interval_seconds", &["people=\"named\""]) >= 2.0 * 0.25);
    venue.close().await;
}

#[tokio::test]
async fn a_node_that_ends_in_order_says_that_nobody_is_there_any_more() {
    let venue = Venue::open().await;
    let mut words = venue.overhear().await;
    let (second, trigger, tasks) = venue.another_that_ends().await;
    let mut host = venue.join(Role::Host, "hanna").await;
    let token = venue.token(Role::Listener, Some("ben"));
    let mut ben = Client::join(second, json!({"type": "join", "token": token})).await;
    while host.until("presence").await["counts"]["listeners"] != 1 {}
    trigger.begin();
    assert_eq!(ben.removed().await, "shutdown");
    timeout(PATIENCE, tasks.watch()).await.expect("everything ends").unwrap();

    // Nothing of it comes after this.
    let mut last = Value::Null;
    while last["part"]["people"] != 0 {
        let word = timeout(PATIENCE, words.recv()).await.expect("a last share").unwrap();
        let word: Value = serde_json::from_slice(&word.payload).unwrap();
        let share = &word["share"];
        if share["node"] == "signaling-2" && share["version"] != last["version"] {
            last = share.clone();
        }
    }
    while host.until("presence").await["counts"]["listeners"] != 0 {}
    venue.close().await;
}

#[tokio::test]
async fn one_resumes_at_the_other_node_and_keeps_seat_and_audio() {
    let venue = Venue::open().await;
    let second = venue.another().await;
    let mut sam = venue.join(Role::Speaker, "sam").await;
    sam.media("speak").await;
    let mut there = Client::join(second, sam.resume()).await;
    assert_eq!(sam.removed().await, "replaced");
    assert_eq!(there.welcome["you"]["number"], sam.welcome["you"]["number"]);

    // The peer goes along: it ends when they leave, and not before.
    there.send(json!({"type": "leave"})).await;
    assert_eq!(there.removed().await, "left");
    assert_eq!(venue.origin.removed().await, 1);
    venue.close().await;
}

/// Twenty listeners at an edge, as sockets of one signaling node.
async fn listeners(address: std::net::SocketAddr, venue: &Venue) -> Vec<Client> {
    let mut listeners = Vec::new();
    for number in 0..20 {
        let token = venue.token(Role::Listener, Some(&format!("listener-{number}")));
        let mut client = Client::join(address, json!({"type": "join", "token": token})).await;
        client.media("listen").await;
        listeners.push(client);
    }
    listeners
}

#[tokio::test]
async fn a_media_node_that_drains_lets_its_people_go_one_after_another() {
    let venue = Venue::open().await;
    let [gone, stays] = &venue.edges;
    stays.says(|said| said.headroom = Some(0));
    venue.until_heard(|live| live.values().any(|said| said.headroom == Some(0))).await;
    let mut clients = listeners(venue.address, &venue).await;
    stays.says(|said| said.headroom = None);
    let began = Instant::now();
    gone.says(|said| (said.admits, said.drain_ms) = (false, Some(2_000)));
    let mut moved = Vec::new();
    for client in &mut clients {
        let told = client.until("moved").await;
        assert_eq!((&told["why"], &told["purpose"]), (&json!("drain"), &json!("listen")));
        moved.push(began.elapsed());
    }
    // They are read in turn: the last of them was told no earlier than all before.
    assert!(moved[19] >= Duration::from_millis(1_000), "{moved:?}");
    for client in &mut clients {
        assert_eq!(client.media("listen").await["node"], "edge-2");
    }
    venue.close().await;
}

#[tokio::test]
async fn a_signaling_node_that_stops_lets_its_people_go_one_after_another_and_they_go_on_at_another() {
    let venue = Venue::open().await;
    let (second, trigger, tasks) = venue.another_that_ends_over(Duration::from_secs(7)).await;
    venue.until_heard(|live| live.values().filter(|said| !said.kind.has_media()).count() == 2).await;
    let mut clients = listeners(second, &venue).await;
    let began = Instant::now();
    trigger.begin();
    let mut gone = Vec::new();
    for client in &mut clients {
        assert_eq!(client.removed().await, "shutdown");
        gone.push(began.elapsed());
        let there = Client::join(venue.address, client.resume()).await;
        assert_eq!(there.welcome["resumed"], true, "{}", there.welcome);
        there.cut();
    }
    assert!(gone[19] >= Duration::from_millis(1_000) && gone[19] < Duration::from_secs(4), "{gone:?}");
    timeout(PATIENCE, tasks.watch()).await.expect("everything ends").unwrap();
    venue.close().await;
}
