use serde_json::json;

use super::*;

fn refused(text: &str) -> (Option<RequestId>, Code, String) {
    let unreadable = read(text).unwrap_err();
    (unreadable.id, unreadable.error.code, unreadable.error.message)
}

#[test]
fn a_request_is_read_with_its_id_and_unknown_fields_are_ignored() {
    let text = r#"{"type":"promote","id":7,"identity":"anna","later":true}"#;
    let identity = Identity::new("anna").unwrap();
    let request = Request { body: ClientMessage::Promote { identity }, id: Some(RequestId::Number(7)) };
    assert_eq!(read(text), Ok(request));
}

#[test]
fn an_unknown_type_is_named_and_answered_under_its_id() {
    let (id, code, says) = refused(r#"{"type":"dance","id":"x1"}"#);
    assert_eq!((id, code), (Some(RequestId::Text("x1".into())), Code::BadRequest));
    assert!(says.contains("dance"), "{says}");
}

#[test]
fn the_error_names_the_field_however_deep() {
    let fingerprint = "A".repeat(43);
    let offer = json!({"ufrag": "abcd", "pwd": "short", "fingerprint": fingerprint, "opus": 111, "lines": 3});
    let text = json!({"type": "media", "purpose": "listen", "offer": offer}).to_string();
    let (_, code, says) = refused(&text);
    assert_eq!(code, Code::BadOffer);
    assert!(says.contains("offer.pwd") && says.contains("22 to 64"), "{says}");

    let (_, code, says) = refused(r#"{"type":"kick","identity":""}"#);
    assert_eq!(code, Code::BadRequest);
    assert!(says.contains("identity"), "{says}");
}

#[test]
fn what_is_not_json_or_too_large_is_refused_shortly() {
    assert_eq!(refused("{").1, Code::BadRequest);
    assert_eq!(refused("[]").1, Code::BadRequest);
    assert_eq!(refused(&" ".repeat(MAX_MESSAGE + 1)).1, Code::TooLarge);
    let long = format!(r#"{{"type":"{}"}}"#, "y".repeat(9_000));
    assert!(refused(&long).2.len() < 2_000);
    let long_id = format!(r#"{{"type":"leave","id":"{}"}}"#, "y".repeat(MAX_REQUEST_ID + 1));
    assert_eq!(refused(&long_id).1, Code::BadRequest);
}

#[test]
fn a_reply_has_type_and_id_side_by_side() {
    let reply = Reply { body: ServerMessage::Ok, id: Some(RequestId::Number(3)) };
    assert_eq!(serde_json::to_value(&reply).unwrap(), json!({"type": "ok", "id": 3}));
    let error = ApiError::new(Code::StageFull, "full").retry_after_ms(500);
    let reply = Reply { body: ServerMessage::Error(error), id: None };
    let written = json!({"type": "error", "code": "stage_full", "message": "full", "retry_after_ms": 500});
    assert_eq!(serde_json::to_value(&reply).unwrap(), written);
}

#[test]
fn names_are_trimmed_and_limited() {
    assert_eq!(check_name("  Zoë "), Ok("Zoë"));
    assert_eq!(check_name("a\u{0}b").unwrap_err().code, Code::BadRequest);
    assert_eq!(check_name(&"n".repeat(MAX_NAME + 1)).unwrap_err().code, Code::TooLarge);
}
