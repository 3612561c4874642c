//! Datagrams that nobody should send: of strangers, and of a speaker whose network or whose mind is not
//! sound. Each is counted by its name, and nobody else notices.

use std::net::SocketAddr;

use protocol::token::Role;
use reqwest::Method;
use serde_json::json;
use tokio::net::UdpSocket;

use crate::bad_input::{TownHall, bad_input, joined};
use crate::tone::Tone;
use crate::town::ROOM;
use crate::webrtc_peer::speak_through;
use crate::wire::Wire;

async fn throw(datagram: &[u8], at: SocketAddr) {
    let stranger = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    stranger.send_to(datagram, at).await.expect("loopback takes it");
}

/// A binding request for a peer, signed with anything but its password (RFC 8489 §5, §14.5).
fn wrongly_signed(username: &str) -> Vec<u8> {
    let padded = username.len().next_multiple_of(4);
    let attributes = 4 + padded + 4 + 20;
    let mut request = vec![0, 1];
    request.extend((attributes as u16).to_be_bytes());
    request.extend([0x21, 0x12, 0xA4, 0x42]);
    request.extend([7; 12]);
    request.extend([0, 6]);
    request.extend((username.len() as u16).to_be_bytes());
    request.extend(username.as_bytes());
    request.resize(20 + 4 + padded, 0);
    request.extend([0, 8, 0, 20]);
    request.extend([0xBA; 20]);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_datagrams_of_strangers() {
    let hall = TownHall::begin().await;
    let [origin, hub, _] = hall.town.media();
    hall.goes_on_when("garbage", bad_input("garbage"), async |_| throw(&[0xFF; 60], origin).await).await;
    hall.goes_on_when("garbage at an edge", bad_input("garbage"), async |_| throw(&[0x7F; 60], hub).await)
        .await;
    hall.goes_on_when("a truncated STUN request", bad_input("stun_malformed"), async |_| {
        throw(&wrongly_signed("a:b")[..30], origin).await;
    })
    .await;
    hall.goes_on_when("STUN for nobody", bad_input("stun_unknown"), async |_| {
        throw(&wrongly_signed("nobody:abcd"), origin).await;
    })
    .await;
    hall.goes_on_when("STUN with a wrong password", bad_input("stun_password"), async |town| {
        let mut socket = joined(town).await;
        let offer = json!({
            "ufrag": "abcd", "pwd": "a".repeat(24), "fingerprint": "A".repeat(43), "opus": 111, "lines": 3,
        });
        let media = socket.ask(json!({"type": "media", "purpose": "listen", "offer": offer})).await;
        let candidate = &media["answer"]["candidates"][0];
        let ufrag = media["answer"]["ufrag"].as_str().expect("a ufrag");
        let node = format!("{}:{}", candidate["ip"].as_str().expect("an address"), candidate["port"]);
        throw(&wrongly_signed(&format!("{ufrag}:abcd")), node.parse().expect("an address")).await;
    })
    .await;
    hall.goes_on_when("DTLS from a stranger", bad_input("dtls_stranger"), async |_| {
        let hello = [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, 1][..], &[0; 39]].concat();
        throw(&hello, origin).await;
    })
    .await;
    hall.goes_on_when("RTP from a stranger", bad_input("srtp_stranger"), async |_| {
        throw(&[0x80; 40], origin).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_packets_of_a_speaker() {
    let hall = TownHall::begin().await;
    let mut wire = None;
    let _mallory = speak_through(&hall.town, "mallory", Tone::High, |answer| {
        let (answer, laid) = Wire::into_answer(answer);
        wire = Some(laid);
        answer
    })
    .await;
    let wire = wire.expect("just laid");
    // Muted, so that what becomes of the own packets is nobody else's business.
    let path = format!("/v1/rooms/{ROOM}/mute");
    let mute = hall.town.request(Method::POST, &path, &hall.town.token(Role::Host, Some("hanna")));
    let mute = mute.header("content-type", "application/json").body(r#"{"identity":"mallory"}"#);
    assert!(mute.send().await.expect("an answer").status().is_success());

    hall.goes_on_when("truncated RTP", bad_input("srtp_malformed"), async |_| {
        wire.forge(&[0x80, 111, 0]).await
    })
    .await;
    hall.goes_on_when("truncated RTCP", bad_input("srtp_malformed"), async |_| {
        wire.forge(&[0x80, 200, 0, 6]).await
    })
    .await;
    hall.goes_on_when("RTP cut on its way", bad_input("srtp_auth"), async |_| {
        wire.tamper(|packet| vec![packet[..packet.len() - 1].to_vec()]);
    })
    .await;
    hall.goes_on_when("RTP changed on its way", bad_input("srtp_auth"), async |_| {
        wire.tamper(|packet| {
            let mut packet = packet.to_vec();
            packet[20] ^= 1;
            vec![packet]
        });
    })
    .await;
    hall.goes_on_when("a replayed packet", bad_input("srtp_replay"), async |_| {
        wire.tamper(|packet| vec![packet.to_vec(), packet.to_vec()]);
    })
    .await;
    hall.goes_on_when("garbage within a session", bad_input("garbage"), async |_| {
        wire.forge(&[0xFF; 60]).await
    })
    .await;
    hall.goes_on_when("DTLS that is none", bad_input("dtls_malformed"), async |_| {
        wire.forge(&[22, 254, 253]).await
    })
    .await;
}
