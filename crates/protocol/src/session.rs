//! The small session description: what a client and a media node must tell each other before the
//! first packet, and nothing that either can work out alone.
//!
//! ```text
//!   SDK ── Offer ──▶ signaling ── Offer ──▶ node          both together stay below 1,200 bytes
//!   SDK ◀─ Answer ── signaling ◀─ Answer ── node          of JSON; a browser's SDP alone is 5,000
//! ```
//!
//! The browser SDK writes SDP from it, `sdp` translates for WHIP and WHEP. Types check themselves
//! while they are deserialized, so what has been parsed is within its limits.

use std::fmt;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::VOICES;

/// What the client tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// ICE user name fragment of the client: 4 to 32 ice-chars (RFC 8839 §5.4; the RFC allows 256).
    pub ufrag: IceText<4, 32>,
    /// ICE password of the client: 22 to 64 ice-chars.
    pub pwd: IceText<22, 64>,
    /// SHA-256 of the client's DTLS certificate.
    pub fingerprint: Fingerprint,
    /// Payload type on which Opus is sent and received.
    pub opus: PayloadType,
    /// Payload type of RED (RFC 2198) around that Opus, where the client has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub red: Option<PayloadType>,
    /// Id of the header extension ssrc-audio-level (RFC 6464), where the client has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level_ext: Option<ExtensionId>,
    /// The client retransmits Opus when asked (`a=rtcp-fb nack`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nack: bool,
    /// Receive-only lines: 0 (send only), 1 (the loudest voice of each moment) or 3 (all voices).
    pub lines: Lines,
    /// Framing in ms that the listener asks for; none leaves it to the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framing: Option<FramingMs>,
}

/// What the node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// ICE user name fragment of the node: it names the peer.
    pub ufrag: IceText<4, 32>,
    /// ICE password of the node.
    pub pwd: IceText<22, 64>,
    /// SHA-256 of the node's DTLS certificate. The node is always the DTLS server (`a=setup:passive`).
    pub fingerprint: Fingerprint,
    /// Where the node listens, best first.
    pub candidates: Vec<Candidate>,
    /// SSRC of each receive line, in order; it stays the line's for good.
    pub ssrcs: Vec<u32>,
    /// Whether the node takes RED from this client.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub red: bool,
}

/// One address of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// How it is reached.
    pub protocol: CandidateProtocol,
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
}

/// How a candidate is reached. Clients skip what they do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CandidateProtocol {
    /// UDP, a host candidate.
    Udp,
}

/// A text of ice-chars (RFC 8839 §5.4) whose length is within `MIN` and `MAX`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct IceText<const MIN: usize, const MAX: usize>(Box<str>);

impl<const MIN: usize, const MAX: usize> IceText<MIN, MAX> {
    /// Checks length and characters.
    pub fn new(text: &str) -> Option<Self> {
        let is_ice = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
        ((MIN..=MAX).contains(&text.len()) && text.bytes().all(is_ice)).then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Debug for IceText<MIN, MAX> {
    /// Never prints the text: passwords end up here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceText({} bytes)", self.0.len())
    }
}

impl<'de, const MIN: usize, const MAX: usize> Deserialize<'de> for IceText<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| {
            de::Error::custom(format_args!("must be {MIN} to {MAX} characters of a-z A-Z 0-9 + /"))
        })
    }
}

/// SHA-256 of a certificate in DER; written as 43 characters of unpadded base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(&text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| de::Error::custom("must be 32 bytes in unpadded base64url"))
    }
}

macro_rules! limited {
    ($(#[$doc:meta])* $name:ident, $ok:expr, $says:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(u8);

        impl $name {
            /// Checks the range.
            pub fn new(value: u8) -> Option<Self> {
                let ok: fn(u8) -> bool = $ok;
                ok(value).then_some(Self(value))
            }

            /// The number.
            pub fn value(self) -> u8 {
                self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = u8::deserialize(deserializer)?;
                Self::new(value).ok_or_else(|| de::Error::custom($says))
            }
        }
    };
}

limited! {
    /// An RTP payload type of the dynamic ranges that can be told from RTCP (RFC 5761 §4).
    PayloadType, |v| (35..=63).contains(&v) || (96..=127).contains(&v), "must be 35 to 63 or 96 to 127"
}
limited! {
    /// Id of a one-byte header extension (RFC 8285 §4.2).
    ExtensionId, |v| (1..=14).contains(&v), "must be 1 to 14"
}
limited! {
    /// How many receive lines the client has.
    Lines, |v| v <= 1 || usize::from(v) == VOICES, "must be 0, 1 or 3"
}
limited! {
    /// A framing that a listener may ask for, in ms.
    FramingMs, |v| v == 20 || v == 60, "must be 20 or 60"
}
