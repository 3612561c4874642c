//! Whatever comes in, a clear error goes out or a counter goes up, and the town hall that runs meanwhile
//! does not notice: a listener decodes a tone all the while, and nothing of it is concealed.

use protocol::RoomId;
use protocol::token::{Claims, Keys, Role};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::socket::Socket;
use crate::tone::Tone;
use crate::town::{Town, eventually, now_s};
use crate::webrtc_peer::{Peer, Speaker, listen, speak};

/// A town hall that goes on while somebody misbehaves.
pub(crate) struct TownHall {
    pub(crate) town: Town,
    listener: Peer,
    _speaker: Speaker,
}

/// A counter in `/metrics`, and the label that picks the one.
pub(crate) struct Counter(pub(crate) &'static str, pub(crate) &'static str, pub(crate) &'static str);

/// Messages and requests answered with an error, by its code.
const fn refused(code: &'static str) -> Counter {
    Counter("dais_signaling_refused_total", "reason", code)
}

/// Bytes that could not be used, by what is wrong with them.
pub(crate) const fn bad_input(what: &'static str) -> Counter {
    Counter("dais_bad_input_total", "what", what)
}

impl TownHall {
    pub(crate) async fn begin() -> Self {
        Self::begin_in(Town::start().await).await
    }

    /// The same in a system that runs.
    pub(crate) async fn begin_in(town: Town) -> Self {
        let speaker = speak(&town, "anna", Tone::Low).await;
        let listener = listen(&town, 3).await;
        listener.hears(Tone::Low).await;
        Self { town, listener, _speaker: speaker }
    }

    /// Somebody does `act`: the counter goes up by one, and the tone goes on.
    pub(crate) async fn goes_on_when(&self, what: &str, counter: Counter, act: impl AsyncFnOnce(&Town)) {
        let Counter(name, label, value) = counter;
        let label = format!("{label}=\"{value}\"");
        let count = async || self.town.metric(name, &label).await;
        let (counted, heard) = (count().await, self.listener.heard());
        act(&self.town).await;
        eventually(&format!("{what} is counted as {name}{{{label}}}"), async || count().await > counted)
            .await;
        self.listener.hears(Tone::Low).await;
        assert_eq!(count().await, counted + 1.0, "{what}: {name}{{{label}}}");
        let after = self.listener.heard();
        assert_eq!((after.concealed(), after.noise), (heard.concealed(), heard.noise), "{what}: {after:?}");
        println!("unnoticed: {what}");
    }
}

pub(crate) async fn joined(town: &Town) -> Socket {
    Socket::join(town, &town.token(Role::Listener, None)).await.0
}

/// Says `text` after joining: the answer is an error of this code whose message contains `says`.
async fn answered(town: &Town, text: String, code: &str, says: &str) {
    let mut socket = joined(town).await;
    socket.say_text(text).await;
    let error = socket.next_of("error").await;
    assert_eq!(error["code"], code, "{error}");
    assert!(error["message"].as_str().is_some_and(|message| message.contains(says)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages() {
    let hall = TownHall::begin().await;
    let malformed = "{\"type\": \"raise_hand\"";
    hall.goes_on_when("a malformed message", refused("bad_request"), async |town| {
        answered(town, malformed.into(), "bad_request", "EOF").await;
    })
    .await;
    hall.goes_on_when("a malformed message", bad_input("message"), async |town| {
        answered(town, malformed.into(), "bad_request", "EOF").await;
    })
    .await;
    hall.goes_on_when("a message of unknown type", refused("bad_request"), async |town| {
        answered(town, r#"{"type":"dance"}"#.into(), "bad_request", "dance").await;
    })
    .await;
    hall.goes_on_when("a message that is too large", refused("too_large"), async |town| {
        let name = "x".repeat(protocol::message::MAX_MESSAGE);
        answered(town, json!({"type": "kick", "identity": name}).to_string(), "too_large", "message_bytes")
            .await;
    })
    .await;
    hall.goes_on_when("a first message that is no join", refused("bad_request"), async |town| {
        let mut socket = Socket::open(town).await;
        socket.say(&json!({"type": "raise_hand"})).await;
        assert_eq!(socket.next_of("error").await["code"], "bad_request");
        assert_eq!(socket.next().await, None, "and the door closes");
    })
    .await;
    hall.goes_on_when("a listener who plays host", refused("forbidden"), async |town| {
        answered(town, r#"{"type":"kick","identity":"anna"}"#.into(), "forbidden", "host").await;
    })
    .await;
}

/// `join` with this token is answered with this code.
async fn turned_away(town: &Town, token: &str, code: &str) {
    let mut socket = Socket::open(town).await;
    let error = socket.ask(json!({"type": "join", "token": token})).await;
    assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!(code)), "{error}");
    assert_eq!(socket.next().await, None, "and the door closes");
}

fn unsigned(claims: &Claims) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = serde_json::to_value(claims).expect("they are JSON");
    format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(&claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_tokens() {
    let hall = TownHall::begin().await;
    let good = hall.town.claims(Role::Host, Some("mallory"));
    let expired = Claims { exp: now_s() - 60, ..good.clone() };
    let unauthorized = refused("unauthorized");
    hall.goes_on_when("an expired token", unauthorized, async |town| {
        turned_away(town, &town.sign(&expired), "unauthorized").await;
    })
    .await;
    hall.goes_on_when("a token without a signature", refused("unauthorized"), async |town| {
        turned_away(town, &unsigned(&good), "unauthorized").await;
    })
    .await;
    hall.goes_on_when("a token signed with another key", refused("unauthorized"), async |town| {
        let mut keys = Keys::default();
        keys.add(&good.iss, b"another secret, which is long enough").expect("a valid key");
        turned_away(town, &keys.sign(&good).expect("the key is there"), "unauthorized").await;
    })
    .await;
    hall.goes_on_when("a token for another room", refused("forbidden"), async |town| {
        let room = Some(RoomId::new("another").expect("a room"));
        let other = town.sign(&Claims { room, ..good.clone() });
        let sdp = include_str!("../../../crates/protocol/src/sdp/samples/chromium-whip.sdp");
        assert_eq!(town.offer("whip", &other, sdp.into()).await.status(), StatusCode::FORBIDDEN);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_session_descriptions() {
    let hall = TownHall::begin().await;
    let good = json!({
        "ufrag": "abcd", "pwd": "a".repeat(24), "fingerprint": "A".repeat(43), "opus": 111, "lines": 3,
        "red": 63, "level_ext": 1, "nack": true, "framing": 20,
    });
    for (field, nonsense) in [
        ("ufrag", json!("a\r\nb")),
        ("pwd", json!("short")),
        ("fingerprint", json!("AB:CD")),
        ("opus", json!(300)),
        ("red", json!(200)),
        ("level_ext", json!(15)),
        ("nack", json!("yes")),
        ("lines", json!(2)),
        ("framing", json!(33)),
    ] {
        let mut offer = good.clone();
        offer[field] = nonsense;
        let message = json!({"type": "media", "purpose": "listen", "offer": offer});
        hall.goes_on_when(
            &format!("an offer with nonsense as `{field}`"),
            refused("bad_offer"),
            async |town| {
                answered(town, message.to_string(), "bad_offer", field).await;
            },
        )
        .await;
    }
    hall.goes_on_when("SDP that is none", bad_input("sdp"), async |town| {
        let answer = town
            .offer("whip", &town.token(Role::Speaker, Some("mallory")), "v=0\r\nm=nonsense\r\n".into())
            .await;
        let error = http_error(answer, StatusCode::BAD_REQUEST).await;
        assert_eq!(error["code"], "bad_offer", "{error}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains("line 2")), "{error}");
    })
    .await;
}

/// The error in an HTTP answer, after its status was looked at.
async fn http_error(answer: Response, status: StatusCode) -> Value {
    assert_eq!(answer.status(), status);
    serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests() {
    let hall = TownHall::begin().await;
    let post = async |town: &Town, body: String| {
        let request = town.request(Method::POST, "/v1/rooms", &town.token(Role::Host, Some("mallory")));
        request.header("content-type", "application/json").body(body).send().await.expect("an answer")
    };
    hall.goes_on_when("a malformed body", refused("bad_request"), async |town| {
        let error = http_error(post(town, "{".into()).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(error["code"], "bad_request", "{error}");
    })
    .await;
    hall.goes_on_when("a body that is too large", refused("too_large"), async |town| {
        let error = http_error(post(town, " ".repeat(1 << 20)).await, StatusCode::PAYLOAD_TOO_LARGE).await;
        assert_eq!(error["code"], "too_large", "{error}");
    })
    .await;
    hall.goes_on_when("SDP that is too large", refused("too_large"), async |town| {
        let sdp = format!("v=0\r\n{}", "a=x\r\n".repeat(20_000));
        let answer = town.offer("whip", &town.token(Role::Speaker, Some("mallory")), sdp).await;
        let error = http_error(answer, StatusCode::PAYLOAD_TOO_LARGE).await;
        assert_eq!(error["code"], "too_large", "{error}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_is_there_already() {
    let hall = TownHall::begin().await;
    hall.goes_on_when("a resume token whose successor was shown", refused("resume_invalid"), async |town| {
        let (socket, welcome) = Socket::join(town, &town.token(Role::Listener, Some("lea"))).await;
        drop(socket);
        let resume = |welcome: &Value| json!({"type": "join", "resume": welcome["resume"]});
        let again = Socket::open(town).await.ask(resume(&welcome)).await;
        assert_eq!(
            (&again["type"], &again["you"]["identity"]),
            (&json!("welcome"), &json!("lea")),
            "{again}"
        );
        let newest = Socket::open(town).await.ask(resume(&again)).await;
        assert_eq!(newest["resumed"], true, "{newest}");
        let spent = Socket::open(town).await.ask(resume(&welcome)).await;
        assert_eq!(spent["code"], "resume_invalid", "{spent}");
    })
    .await;
    let (mut first, _) = Socket::join(&hall.town, &hall.town.token(Role::Listener, Some("ben"))).await;
    let heard = hall.listener.heard();
    let (_second, welcome) = Socket::join(&hall.town, &hall.town.token(Role::Listener, Some("ben"))).await;
    assert_eq!(welcome["you"]["identity"], "ben");
    assert_eq!(first.next_of("removed").await["reason"], "replaced");
    hall.listener.hears(Tone::Low).await;
    assert_eq!(hall.listener.heard().concealed(), heard.concealed());
}
