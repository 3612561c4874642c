//! Which edge somebody hears at: by where they are, and by where there is room.

use protocol::Region;
use protocol::token::Role;
use serde_json::{Value, json};
use signaling::{SignalingConfig, SpillOrder};

use crate::client::Client;
use crate::venue::{Venue, claims};

fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

/// `edge-1` is in region eu, where signaling is too, `edge-2` in region us.
async fn two_regions(change: impl FnOnce(&mut SignalingConfig)) -> Venue {
    let venue = Venue::with(|config| {
        config.region = region("eu");
        change(config);
    })
    .await;
    for (edge, name) in venue.edges.iter().zip(["eu", "us"]) {
        edge.says(|said| said.region = region(name));
    }
    let is_known = |name| {
        move |live: &cluster::nodes::Live| {
            live.values().any(|said| said.region == region(name) && said.kind.has_media())
        }
    };
    venue.until_heard(is_known("eu")).await;
    venue.until_heard(is_known("us")).await;
    venue
}

/// Where somebody hears who comes like this.
async fn node(venue: &Venue, claimed: Option<&str>, query: &str, header: Option<&str>) -> Value {
    let token =
        venue.signed(protocol::token::Claims { region: claimed.map(region), ..claims(Role::Listener, None) });
    let header = header.map(|value| ("x-region", value));
    let mut client = Client::connect_with(venue.address, query, header).await;
    client.say_join(json!({"type": "join", "token": token})).await;
    client.media("listen").await["node"].clone()
}

#[tokio::test]
async fn the_region_is_what_token_query_or_a_trusted_proxy_says_in_this_order_or_else_our_own() {
    let proxied = |config: &mut SignalingConfig| {
        config.region_header = Some("x-region".parse().unwrap());
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    };
    let venue = two_regions(proxied).await;
    assert_eq!(node(&venue, None, "", None).await, "edge-1");
    assert_eq!(node(&venue, Some("us"), "", None).await, "edge-2");
    assert_eq!(node(&venue, Some("eu"), "?region=us", None).await, "edge-1");
    assert_eq!(node(&venue, None, "?region=us", None).await, "edge-2");
    assert_eq!(node(&venue, None, "?region=eu", Some("us")).await, "edge-1");
    assert_eq!(node(&venue, None, "", Some("us")).await, "edge-2");
    assert_eq!(node(&venue, Some("mars"), "", None).await, "edge-1", "no edge is there");
    assert_eq!(node(&venue, None, "?region=%00", None).await, "edge-1", "no region");
    venue.close().await;

    let direct = two_regions(|config| config.region_header = Some("x-region".parse().unwrap())).await;
    assert_eq!(node(&direct, None, "", Some("us")).await, "edge-1", "anybody could say so");
    direct.close().await;
}

#[tokio::test]
async fn a_full_region_spills_and_where_nothing_is_left_people_are_told_when_to_come_back() {
    let venue = two_regions(|config| {
        config.spill = ["us="].map(|order| order.parse::<SpillOrder>().unwrap()).into_iter().collect();
    })
    .await;
    let [eu, us] = &venue.edges;
    eu.says(|said| said.headroom = Some(0));
    venue.until_heard(|live| live.values().any(|said| said.headroom == Some(0))).await;
    assert_eq!(node(&venue, None, "", None).await, "edge-2");
    assert_eq!(venue.metric("dais_signaling_spilled_total", &["wanted=\"eu\""]), 1.0);

    us.says(|said| said.headroom = Some(0));
    let is_full =
        |live: &cluster::nodes::Live| live.values().filter(|said| said.headroom == Some(0)).count() == 2;
    venue.until_heard(is_full).await;
    let mut anna = venue.join(Role::Listener, "anna").await;
    let told = anna.media("listen").await;
    assert_eq!(told["code"], "full", "{told}");
    let wait = told["retry_after_ms"].as_u64().unwrap();
    assert!((2_000..=60_000).contains(&wait), "{told}");
    assert_eq!(venue.metric("dais_signaling_full_total", &["wanted=\"eu\""]), 1.0);

    us.says(|said| said.headroom = Some(5));
    venue.until_heard(|live| !is_full(live)).await;
    assert_eq!(anna.media("listen").await["node"], "edge-2", "there is room for all");
    eu.says(|said| said.headroom = Some(7));
    us.says(|said| said.headroom = Some(0));
    let both = |live: &cluster::nodes::Live| {
        let says = |headroom| live.values().any(|said| said.headroom == Some(headroom));
        says(7) && says(0)
    };
    venue.until_heard(both).await;
    let token =
        venue.signed(protocol::token::Claims { region: Some(region("us")), ..claims(Role::Listener, None) });
    let mut ben = venue.join_with(json!({"type": "join", "token": token})).await;
    assert_eq!(ben.media("listen").await["code"], "full", "nobody leaves that region");
    venue.close().await;
}

#[tokio::test]
async fn a_room_comes_from_an_origin_where_its_host_is() {
    let venue = two_regions(|_| {}).await;
    venue.origin.says(|said| said.region = region("us"));
    let far = crate::node::Node::start(venue.bus(), "origin-2", protocol::node::NodeKind::Origin).await;
    far.says(|said| said.region = region("eu"));
    venue
        .until_heard(|live| {
            live.values()
                .filter(|said| said.node.as_str().starts_with("origin") && said.region.as_str() != "local")
                .count()
                == 2
        })
        .await;
    let token = venue
        .signed(protocol::token::Claims { region: Some(region("us")), ..claims(Role::Host, Some("hanna")) });
    let mut hanna = venue.join_with(json!({"type": "join", "token": token})).await;
    assert_eq!(hanna.media("speak").await["node"], "origin-1", "signaling is in eu");
    venue.close().await;
}
