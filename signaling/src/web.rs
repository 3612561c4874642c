//! The stage page and the SDK, out of the binary (in debug builds: out of the folder `web/`).
//!
//! The policy lets the page load nothing that is not ours: no other host, no inline script.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::answer;
use crate::app::Shared;

#[derive(RustEmbed)]
#[folder = "../web/"]
#[include = "index.html"]
#[include = "page/*"]
#[include = "sdk/*"]
#[exclude = "*.d.ts"]
struct Files;

/// `GET /`.
pub(crate) async fn index(State(app): State<Shared>, headers: HeaderMap) -> Response {
    serve(&app, &headers, "index.html").await
}

/// `GET /sdk/v1/…`: the version stands in the address, not in the folder.
pub(crate) async fn sdk(State(app): State<Shared>, headers: HeaderMap, Path(path): Path<String>) -> Response {
    serve(&app, &headers, &format!("sdk/{path}")).await
}

/// `GET /page/…`: what the page is made of.
pub(crate) async fn page(
    State(app): State<Shared>,
    headers: HeaderMap,
    Path(path): Path<String>,
) -> Response {
    serve(&app, &headers, &format!("page/{path}")).await
}

async fn serve(app: &Shared, headers: &HeaderMap, path: &str) -> Response {
    let Some(file) = Files::get(path) else {
        return answer::not_found().await.into_response();
    };
    let etag = etag(&file);
    let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| lists(known, &etag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, content_type(path))], file.data).into_response()
    };
    let out = response.headers_mut();
    out.insert(header::ETAG, HeaderValue::from_str(&etag).expect("hexadecimal digits in quotes"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(policy) = HeaderValue::from_str(&policy(&app.config.allow_origins.frame_ancestors())) {
        out.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let microphone = HeaderValue::from_static("microphone=(self), camera=(), geolocation=(), payment=()");
    out.insert("permissions-policy", microphone);
    response
}

fn etag(file: &EmbeddedFile) -> String {
    let hash = file.metadata.sha256_hash();
    let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

fn lists(known: &HeaderValue, etag: &str) -> bool {
    known.to_str().is_ok_and(|known| {
        known.split(',').any(|one| matches!(one.trim(), "*") || one.trim().trim_start_matches("W/") == etag)
    })
}

/// What the page may load, and who may embed it.
fn policy(frame_ancestors: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         connect-src 'self' ws: wss:; media-src 'self' blob:; worker-src 'self'; manifest-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors {frame_ancestors}"
    )
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("mp3") => "audio/mpeg",
        _ => "application/octet-stream",
    }
}
