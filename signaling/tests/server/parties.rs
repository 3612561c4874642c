//! One pass, shown again and again from one address: others find room all the same.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use protocol::token::Role;
use room::limits::MAX_HANDS;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::client::Client;
use crate::venue::Venue;

/// Of those who join at the same moment, as many as are under way at once.
const AT_ONCE: usize = 50;

const ATTACKER: &str = "203.0.113.1";
const HONEST: &str = "198.51.100.1";

/// A venue behind a proxy, which tells where people are, and the pass of its audience.
async fn open(participants: usize) -> (Venue, Value) {
    let venue = Venue::with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.limits.room_participants = participants;
        // Nobody is taken for gone while the others come.
        config.times.ping = Duration::from_secs(600);
    })
    .await;
    let pass = json!({"type": "join", "token": venue.token(Role::Listener, None)});
    (venue, pass)
}

/// Somebody from there tries to join; how that went is their `welcome`.
async fn come(venue: &Venue, from: &str, join: &Value) -> Client {
    let mut client = Client::connect_through(venue.address, Some(from)).await;
    client.say_join(join.clone()).await;
    client
}

/// A thousand clients and their server have more sockets than a process may have unasked.
fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

#[tokio::test]
async fn two_thousand_joins_and_hang_ups_leave_places_to_others() {
    // So few that the last to come are refused, however slowly all come.
    let (venue, pass) = open(50).await;
    let attempts = stream::iter(0..2_000).map(async |_| {
        let client = come(&venue, ATTACKER, &pass).await;
        let answer = client.welcome.clone();
        client.cut();
        answer
    });
    let answers: Vec<Value> = attempts.buffer_unordered(AT_ONCE).collect().await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer["type"] == "error").collect();
    assert!(!refused.is_empty());
    for answer in refused {
        assert_eq!(answer["code"], "room_full");
        assert!(answer["retry_after_ms"].as_u64() > Some(0));
    }
    venue.join(Role::Listener, "anna").await;
    let guest = come(&venue, HONEST, &pass).await;
    assert_eq!(guest.welcome["type"], "welcome", "{}", guest.welcome);
    venue.close().await;
}

#[tokio::test]
async fn a_thousand_hands_make_room_for_an_honest_one_and_a_host_lowers_them_all() {
    let (venue, pass) = open(20_000).await;
    allow_files();
    let raised = stream::iter(0..MAX_HANDS).map(async |_| {
        let mut client = come(&venue, ATTACKER, &pass).await;
        assert_eq!(client.ask(json!({"type": "raise_hand"})).await["type"], "ok");
        client
    });
    let _there: Vec<Client> = raised.buffer_unordered(AT_ONCE).collect().await;
    let mut one_more = come(&venue, ATTACKER, &pass).await;
    let refused = one_more.ask(json!({"type": "raise_hand"})).await;
    assert_eq!(refused["code"], "hands_full", "{refused}");
    assert!(refused["retry_after_ms"].as_u64() > Some(0));

    let mut guest = come(&venue, HONEST, &pass).await;
    let mut anna = venue.join(Role::Listener, "anna").await;
    for honest in [&mut guest, &mut anna] {
        assert_eq!(honest.ask(json!({"type": "raise_hand"})).await["type"], "ok");
    }
    let mut host = venue.join(Role::Host, "hanna").await;
    assert_eq!(host.welcome["hands"].as_array().unwrap().len(), MAX_HANDS);
    assert_eq!(host.ask(json!({"type": "lower_all_hands"})).await["type"], "ok");
    for honest in [&mut guest, &mut anna] {
        assert_eq!(honest.until("hands").await["down"].as_array().unwrap().len(), 1);
    }
    assert_eq!(one_more.ask(json!({"type": "raise_hand"})).await["type"], "ok");
    venue.close().await;
}
