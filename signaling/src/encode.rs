//! Messages as text, encoded once and shared by everybody who gets them.

use axum::extract::ws::Utf8Bytes;
use protocol::message::{Reply, ServerMessage};
use serde::Serialize;

/// A message that answers nothing.
pub(crate) fn message(body: &ServerMessage) -> Utf8Bytes {
    text(body)
}

/// An answer, with the id of its request.
pub(crate) fn reply(reply: &Reply) -> Utf8Bytes {
    text(reply)
}

fn text(value: &impl Serialize) -> Utf8Bytes {
    let json = serde_json::to_string(value).expect("messages have text keys and finite numbers");
    Utf8Bytes::from(json)
}
