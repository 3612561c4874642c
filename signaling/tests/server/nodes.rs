//! Two signaling nodes of one system: whoever is at either of them is in the same room.

use protocol::token::Role;
use serde_json::json;

use crate::client::Client;
use crate::venue::Venue;

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
