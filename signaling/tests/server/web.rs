//! The stage page, the SDK, and who may use them from where.

use protocol::token::Role;

use crate::venue::{Http, Venue};

fn get<'a>(path: &'a str, headers: &'a [(&'a str, &'a str)]) -> Http<'a> {
    Http { method: "GET", path, headers, ..Default::default() }
}

#[tokio::test]
async fn the_page_and_the_sdk_come_with_type_policy_and_etag() {
    let venue = Venue::open().await;
    let page = venue.http(get("/", &[])).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors *"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));

    let sdk = venue.http(get("/sdk/v1/dais.js", &[])).await;
    assert_eq!((sdk.status, sdk.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(sdk.header("access-control-allow-origin"), Some("*"), "other sites import it");
    let etag = sdk.header("etag").unwrap();
    assert_eq!(venue.http(get("/sdk/v1/dais.js", &[("If-None-Match", etag)])).await.status, 304);

    for path in
        ["/sdk/v1/../../package.json", "/page/%2e%2e/package.json", "/package.json", "/sdk/v1/protocol.d.ts"]
    {
        assert_eq!(venue.http(get(path, &[])).await.status, 404, "{path}");
    }
    venue.close().await;
}

#[tokio::test]
async fn an_origin_list_narrows_cors_the_socket_and_the_frame_together() {
    let venue = Venue::with(|config| {
        config.allow_origins = vec!["https://example.org".parse().unwrap()].into();
    })
    .await;
    let preflight =
        |origin| Http { method: "OPTIONS", path: "/v1/rooms", headers: origin, ..Default::default() };
    let (good, bad) = (
        [("Origin", "https://example.org"), ("Access-Control-Request-Method", "POST")],
        [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")],
    );
    let answer = venue.http(preflight(&good)).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://example.org"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("Authorization"));
    assert_eq!(venue.http(preflight(&bad)).await.header("access-control-allow-origin"), None);

    let page = venue.http(get("/", &[])).await;
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("frame-ancestors 'self' https://example.org")
    );

    let socket = |origin| {
        let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(
            format!("ws://{}/v1/join", venue.address),
        )
        .unwrap();
        request.headers_mut().insert("origin", String::from(origin).parse().unwrap());
        tokio_tungstenite::connect_async(request)
    };
    assert!(socket("https://evil.example").await.is_err());
    assert!(socket("https://example.org").await.is_ok());
    venue.join(Role::Listener, "anna").await;
    venue.close().await;
}
