//! The HTTP API.

use protocol::token::Role;
use serde_json::json;

use crate::venue::{Http, Venue};

fn get<'a>(path: &'a str, token: &'a str) -> Http<'a> {
    Http { method: "GET", path, token: Some(token), ..Default::default() }
}

fn post<'a>(path: &'a str, token: &'a str, body: &'a str) -> Http<'a> {
    Http { method: "POST", path, token: Some(token), body, ..Default::default() }
}

#[tokio::test]
async fn a_room_is_made_looked_at_led_and_deleted() {
    let venue = Venue::open().await;
    let admin = venue.token(Role::Admin, None);
    let plan = r#"{"room":"hall","title":"All hands","seats":3,"live":false}"#;
    for _ in 0..2 {
        let made = venue.http(post("/v1/rooms", &admin, plan)).await;
        assert_eq!((made.status, made.json()["title"].as_str()), (201, Some("All hands")), "{made:?}");
    }
    let mut sam = venue.join(Role::Speaker, "sam").await;
    let shown = venue.http(get("/v1/rooms/hall", &admin)).await.json();
    assert_eq!((&shown["state"], &shown["seats"]), (&json!("backstage"), &json!(3)));
    assert_eq!(shown["stage"][0]["identity"], "sam");
    assert_eq!(venue.http(get("/v1/rooms", &admin)).await.json()["rooms"][0]["room"], "hall");
    let people = venue.http(get("/v1/rooms/hall/participants", &admin)).await.json();
    assert_eq!(people["participants"][0]["role"], "speaker");

    assert_eq!(venue.http(post("/v1/rooms/hall/go_live", &admin, "")).await.status, 200);
    assert_eq!(sam.until("room").await["state"], "live");
    let who = r#"{"identity":"sam"}"#;
    assert_eq!(venue.http(post("/v1/rooms/hall/mute", &admin, who)).await.status, 200);
    assert!(sam.until("muted").await["by"].is_null());
    assert_eq!(venue.http(post("/v1/rooms/hall/demote", &admin, who)).await.status, 200);
    sam.until("demoted").await;
    let invited = venue.http(post("/v1/rooms/hall/promote", &admin, who)).await.json();
    assert_eq!(invited["result"], "invited");
    assert_eq!(venue.http(post("/v1/rooms/hall/kick", &admin, who)).await.status, 200);
    assert_eq!(sam.removed().await, "kicked");

    let delete = Http { method: "DELETE", path: "/v1/rooms/hall", token: Some(&admin), ..Default::default() };
    assert_eq!(venue.http(delete).await.status, 204);
    assert_eq!(venue.http(get("/v1/rooms/hall", &admin)).await.json()["state"], "ended");
    venue.close().await;
}

#[tokio::test]
async fn every_error_has_its_status_and_code() {
    let venue = Venue::open().await;
    let (admin, host) = (venue.token(Role::Admin, None), venue.token(Role::Host, Some("hanna")));
    let listener = venue.token(Role::Listener, Some("anna"));
    let cases = [
        (Http { method: "GET", path: "/v1/rooms", ..Default::default() }, 401, "unauthorized"),
        (get("/v1/rooms", "nonsense"), 401, "unauthorized"),
        (get("/v1/rooms", &listener), 403, "forbidden"),
        (post("/v1/rooms/hall/end", &listener, ""), 403, "forbidden"),
        (get("/v1/rooms/other", &host), 403, "forbidden"),
        (get("/v1/rooms/nowhere", &admin), 404, "not_found"),
        (get("/v1/nothing", &admin), 404, "not_found"),
        (post("/v1/rooms/hall/promote", &host, r#"{"identity":"nobody"}"#), 404, "not_found"),
        (post("/v1/rooms/hall/dance", &host, "{}"), 404, "not_found"),
        (post("/v1/rooms", &admin, "{"), 400, "bad_request"),
        (post("/v1/rooms", &admin, r#"{"room":"a b"}"#), 400, "bad_request"),
        (post("/v1/rooms", &admin, r#"{"room":"x","seats":1000}"#), 400, "bad_request"),
        (Http { method: "PUT", path: "/v1/rooms", ..Default::default() }, 405, "bad_request"),
    ];
    for (request, status, code) in cases {
        let path = request.path;
        let answer = venue.http(request).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{path}");
    }
    venue.close().await;
}

#[tokio::test]
async fn a_full_stage_is_a_conflict() {
    let venue = Venue::open().await;
    let admin = venue.token(Role::Admin, None);
    venue.http(post("/v1/rooms", &admin, r#"{"room":"hall","seats":1}"#)).await;
    let _sam = venue.join(Role::Speaker, "sam").await;
    let _ben = venue.join(Role::Listener, "ben").await;
    let full = venue.http(post("/v1/rooms/hall/promote", &admin, r#"{"identity":"ben"}"#)).await;
    assert_eq!((full.status, full.json()["code"].as_str()), (409, Some("stage_full")));
    venue.close().await;
}

#[tokio::test]
async fn requests_are_limited_by_address() {
    let venue = Venue::with(|config| config.limits.requests_per_second = 1).await;
    let admin = venue.token(Role::Admin, None);
    venue.http(get("/v1/rooms", &admin)).await;
    let limited = venue.http(get("/v1/rooms", &admin)).await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("1")));
    venue.close().await;
}
