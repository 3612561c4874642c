//! The stage page and the SDK, out of the binary (in debug builds: out of the folder `web/`).
//!
//! The policy lets the page load nothing that is not ours: no other host, no inline script.

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::app::Shared;
use crate::gzip::Gzip;
use crate::{answer, gzip};

/// Small copies of the files, for all connections.
static SMALL: LazyLock<Gzip> = LazyLock::new(Gzip::default);

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
    // Out of the binary there is no way up, but in debug builds there is a folder above.
    let file = Files::get(path).filter(|_| !path.split('/').any(|part| part == ".."));
    let Some(file) = file else {
        return answer::not_found().await.into_response();
    };
    let etag = etag(&file);
    let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| lists(known, &etag));
    let kind = content_type(path);
    let is_small = is_text(kind) && gzip::is_accepted(headers);
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else if is_small {
        let small = SMALL.pack(file.metadata.sha256_hash(), &file.data);
        ([(header::CONTENT_TYPE, kind), (header::CONTENT_ENCODING, "gzip")], small).into_response()
    } else {
        ([(header::CONTENT_TYPE, kind)], file.data).into_response()
    };
    let out = response.headers_mut();
    // Two encodings of the same: so the mark says that it means the content, not the bytes.
    let etag = if is_small { format!("W/{etag}") } else { etag };
    out.insert(header::ETAG, HeaderValue::from_str(&etag).expect("hexadecimal digits in quotes"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if path == "index.html" {
        protect(out, app);
    }
    response
}

/// Policies hold for documents. On each of its thirty files they would cost the first view a fifth more.
fn protect(out: &mut HeaderMap, app: &Shared) {
    if let Ok(policy) = HeaderValue::from_str(&policy(&app.config.allow_origins.frame_ancestors())) {
        out.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    let microphone = HeaderValue::from_static("microphone=(self), camera=(), geolocation=(), payment=()");
    out.insert("permissions-policy", microphone);
}

fn is_text(kind: &str) -> bool {
    kind.starts_with("text/")
        || matches!(kind, "application/json" | "application/manifest+json" | "image/svg+xml")
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
