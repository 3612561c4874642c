//! `docs/openapi.json` says what the server does.

use protocol::Code;
use serde_json::Value;

use crate::venue::{Http, Venue};

fn document() -> Value {
    serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap()
}

#[tokio::test]
async fn every_path_of_the_document_is_served() {
    let venue = Venue::open().await;
    for (path, methods) in document()["paths"].as_object().unwrap() {
        let concrete = path.replace("{room}", "hall").replace("{session}", "key");
        for method in methods.as_object().unwrap().keys().filter(|key| *key != "parameters") {
            let request = Http { method: &method.to_uppercase(), path: &concrete, ..Default::default() };
            let answer = venue.http(request).await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(!answer.body.contains("nothing at this path"), "{method} {path}: {answer:?}");
        }
    }
    venue.close().await;
}

#[test]
fn the_document_knows_every_error_code() {
    let document = document();
    let known = document["components"]["schemas"]["Error"]["properties"]["code"]["enum"].as_array().unwrap();
    for code in known {
        serde_json::from_value::<Code>(code.clone()).unwrap();
    }
    let last = serde_json::to_value(Code::Internal).unwrap();
    assert_eq!((known.len(), known.last()), (Code::Internal as usize + 1, Some(&last)));
}
