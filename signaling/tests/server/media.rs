//! Who gets media from where, and what happens when it is lost.

use protocol::node::{ORIGINS, Origins, Request};
use protocol::token::Role;
use serde_json::json;

use crate::client::offer;
use crate::venue::{ROOM, Venue};

#[tokio::test]
async fn listeners_are_spread_over_the_edges_and_need_no_origin_and_speakers_go_to_it() {
    let venue = Venue::open().await;
    let (mut anna, mut ben) =
        (venue.join(Role::Listener, "anna").await, venue.join(Role::Listener, "ben").await);
    let (one, two) = (anna.media("listen").await, ben.media("listen").await);
    let mut nodes = [one["node"].as_str().unwrap(), two["node"].as_str().unwrap()];
    nodes.sort_unstable();
    assert_eq!(nodes, ["edge-1", "edge-2"]);
    assert_eq!(one["answer"]["ssrcs"].as_array().unwrap().len(), 3);
    let admit = |request| if let Request::Admit(admit) = request { Some(admit) } else { None };
    let told = venue.edges[0].asked(admit).await;
    assert_eq!((&told.root, told.speaker), (&None, None));
    let of_anna = told.version;

    let mut sam = venue.join(Role::Speaker, "sam").await;
    let media = sam.media("speak").await;
    assert_eq!(media["node"], "origin-1");
    let told = venue.origin.asked(admit).await;
    assert_eq!(told.speaker.map(|number| json!(number)), Some(sam.welcome["you"]["number"].clone()));
    assert!(told.version > of_anna, "the room goes by versions, with or without an origin");
    let root = told.root.unwrap();
    assert_eq!(root.origin.as_str(), "origin-1");

    let mut carl = venue.join(Role::Listener, "carl").await;
    let media = carl.media("listen").await;
    let told =
        venue.edge_of(&media).asked(|request| admit(request).filter(|admit| admit.root.is_some())).await;
    assert_eq!(told.root, Some(root), "now it is known");
    venue.close().await;
}

#[tokio::test]
async fn a_description_costs_at_most_1200_bytes_both_ways_together() {
    let venue = Venue::open().await;
    let mut anna = venue.join(Role::Listener, "anna").await;
    let ask = json!({"type": "media", "purpose": "listen", "offer": offer(3), "id": 1}).to_string();
    let answer = anna.media("listen").await.to_string();
    assert!(ask.len() + answer.len() <= 1_200, "{}", ask.len() + answer.len());
    venue.close().await;
}

#[tokio::test]
async fn only_those_on_stage_may_speak() {
    let venue = Venue::open().await;
    let mut anna = venue.join(Role::Listener, "anna").await;
    assert_eq!(anna.media("speak").await["code"], "forbidden");
    let none = anna.ask(json!({"type": "media", "purpose": "listen", "offer": offer(0)})).await;
    assert_eq!(none["code"], "bad_offer");
    venue.close().await;
}

#[tokio::test]
async fn an_edge_that_refuses_is_passed_over() {
    let venue = Venue::open().await;
    venue.edges[0].refuse();
    for name in ["anna", "ben", "carl"] {
        let mut client = venue.join(Role::Listener, name).await;
        assert_eq!(client.media("listen").await["node"], "edge-2");
    }
    venue.edges[1].refuse();
    let mut dora = venue.join(Role::Listener, "dora").await;
    let answer = dora.media("listen").await;
    assert_eq!(answer["code"], "unavailable");
    assert!(answer["retry_after_ms"].is_u64(), "{answer}");
    venue.close().await;
}

#[tokio::test]
async fn a_busy_edge_makes_an_appointment_and_no_other_is_asked() {
    let venue = Venue::open().await;
    venue.edges.iter().for_each(|edge| edge.be_busy(1_234));
    let mut anna = venue.join(Role::Listener, "anna").await;
    let answer = anna.media("listen").await;
    assert_eq!((&answer["code"], &answer["retry_after_ms"]), (&json!("busy"), &json!(1_234)));
    let [one, two] = &venue.edges;
    assert_eq!(one.admissions().await + two.admissions().await, 1);
    venue.close().await;
}

#[tokio::test]
async fn a_peer_that_is_made_too_late_is_removed() {
    let venue = Venue::with(|config| config.times.admit = std::time::Duration::from_millis(50)).await;
    let [first, second] = &venue.edges;
    first.hold();
    let mut anna = venue.join(Role::Listener, "anna").await;
    assert_eq!(anna.media("listen").await["node"], second.name);
    first.release();
    assert_eq!(first.removed().await, 1);
    venue.close().await;
}

#[tokio::test]
async fn whoever_goes_while_a_peer_is_made_leaves_none_behind() {
    let venue = Venue::open().await;
    venue.edges.iter().for_each(|edge| edge.hold());
    let mut anna = venue.join(Role::Listener, "anna").await;
    anna.send(json!({"type": "media", "purpose": "listen", "offer": offer(3)})).await;
    let admit = |request| matches!(request, Request::Admit(_)).then_some(());
    venue.edges[0].asked(admit).await;
    anna.send(json!({"type": "leave"})).await;
    assert_eq!(anna.removed().await, "left");
    venue.edges[0].release();
    assert_eq!(venue.edges[0].removed().await, 1);
    venue.close().await;
}

#[tokio::test]
async fn an_edge_that_does_not_answer_is_passed_over() {
    let venue = Venue::with(|config| config.times.node = std::time::Duration::from_millis(200)).await;
    venue.edges[0].kill();
    for name in ["anna", "ben"] {
        let mut client = venue.join(Role::Listener, name).await;
        assert_eq!(client.media("listen").await["node"], "edge-2");
    }
    venue.close().await;
}

#[tokio::test]
async fn whose_peer_is_lost_is_asked_to_come_again() {
    let venue = Venue::open().await;
    let mut anna = venue.join(Role::Listener, "anna").await;
    let media = anna.media("listen").await;
    venue.edge_of(&media).lose(1).await;
    let moved = anna.until("moved").await;
    assert_eq!((&moved["purpose"], &moved["why"]), (&json!("listen"), &json!("peer_lost")));
    assert_eq!(anna.media("listen").await["type"], "media");
    venue.close().await;
}

#[tokio::test]
async fn whose_node_falls_silent_is_moved() {
    let venue = Venue::open().await;
    let mut anna = venue.join(Role::Listener, "anna").await;
    let node = anna.media("listen").await["node"].clone();
    venue.edges.iter().find(|edge| node == edge.name).unwrap().kill();
    let moved = anna.until("moved").await;
    assert_eq!(moved["why"], "node_lost");
    assert_ne!(anna.media("listen").await["node"], node);
    venue.close().await;
}

#[tokio::test]
async fn a_replaced_peer_goes_once_its_successor_is_up() {
    let day = std::time::Duration::from_secs(86_400);
    let venue = Venue::with(|config| config.times.replaced = day).await;
    let mut anna = venue.join(Role::Listener, "anna").await;
    let (old, new) = (anna.media("listen").await, anna.media("listen").await);
    assert_ne!(old["node"], new["node"]);
    venue.edge_of(&new).connect(1).await;
    assert_eq!(venue.edge_of(&old).removed().await, 1);

    anna.send(json!({"type": "leave"})).await;
    assert_eq!(venue.edge_of(&new).removed().await, 1, "the new one stayed");
    venue.close().await;
}

#[tokio::test]
async fn whoever_left_the_stage_hears_the_origin_until_an_edge_serves_them() {
    let venue = Venue::open().await;
    let mut sam = venue.join(Role::Speaker, "sam").await;
    sam.media("speak").await;
    sam.ask(json!({"type": "demote"})).await;
    let media = sam.media("listen").await;
    venue.edge_of(&media).connect(1).await;
    assert_eq!(venue.origin.removed().await, 1);
    venue.close().await;
}

#[tokio::test]
async fn whoever_leaves_takes_their_peers_along() {
    let venue = Venue::open().await;
    let mut sam = venue.join(Role::Speaker, "sam").await;
    sam.media("speak").await;
    sam.media("listen").await;
    sam.send(json!({"type": "leave"})).await;
    assert_eq!(sam.removed().await, "left");
    assert_eq!(venue.origin.removed().await, 1);
    venue.close().await;
}

#[tokio::test]
async fn a_lost_origin_is_replaced_by_a_higher_epoch() {
    let venue = Venue::open().await;
    let mut sam = venue.join(Role::Speaker, "sam").await;
    sam.media("speak").await;
    let first = venue.origin.stage(|_| true).await;
    let mut told = venue.hears(ORIGINS).await;
    venue.origin.restart();
    assert_eq!(sam.until("moved").await["why"], "node_lost");
    let second = venue.origin.stage(|stage| stage.epoch > first.epoch).await;
    assert_eq!(second.speakers, first.speakers);
    let mut epoch = first.epoch;
    while epoch < second.epoch {
        let message = told.recv().await.unwrap();
        let origins: Origins = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!(origins.rooms[0].room.as_str(), ROOM);
        epoch = origins.rooms[0].root.epoch;
    }
    venue.close().await;
}
