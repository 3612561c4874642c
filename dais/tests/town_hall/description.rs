//! What a join costs in description.

use protocol::sdp::{Kind, Offered};
use protocol::token::Role;
use serde_json::{Value, json};

use crate::socket::Socket;
use crate::town::Town;

/// Both ways together, in bytes.
const MOST: usize = 1_200;

/// A real browser's offer, made as long as the rules allow.
fn longest_offer() -> Value {
    let sdp = include_str!("../../../crates/protocol/src/sdp/samples/chromium-whep3.sdp");
    let offered = Offered::parse(sdp, Kind::Whep).expect("a real offer");
    let mut offer = serde_json::to_value(offered.offer()).expect("it is JSON");
    let more =
        json!({"ufrag": "u".repeat(32), "pwd": "p".repeat(64), "red": 63, "nack": true, "framing": 60});
    offer.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    offer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_joins_description_costs_at_most_1200_bytes_both_ways_together() {
    let town = Town::start().await;
    for (purpose, role, identity) in [("listen", Role::Listener, None), ("speak", Role::Host, Some("hanna"))]
    {
        let (mut socket, _) = Socket::join(&town, &town.token(role, identity)).await;
        let request = json!({"type": "media", "purpose": purpose, "offer": longest_offer()});
        let answer = socket.ask(request.clone()).await;
        assert_eq!(answer["type"], "media", "{answer}");
        // Each with the message around it.
        let cost = request.to_string().len() + answer.to_string().len();
        println!("{purpose}: {cost} bytes");
        assert!(cost <= MOST, "{cost} bytes: {request} {answer}");
    }
}
