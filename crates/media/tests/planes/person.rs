//! Somebody with a browser: keys, a microphone, and an SRTP receiver that begins like every other,
//! with its rollover counter at 0.

use std::net::SocketAddr;

use media::Credentials;
use media::rtp::Packet;
use media::srtp::{Profile, Sealer, SessionKeys};
use media::stun::{Request, write_request};
use protocol::session::{ExtensionId, Fingerprint, FramingMs, IceText, Lines, PayloadType};
use protocol::{Offer, PeerId};
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

pub(crate) const OPUS: u8 = 111;
pub(crate) const RED: u8 = 63;
pub(crate) const LEVEL_EXT: u8 = 1;

pub(crate) struct Person {
    pub(crate) peer: PeerId,
    pub(crate) addr: SocketAddr,
    pub(crate) credentials: Option<Credentials>,
    exported: Vec<u8>,
    receiver: Context,
    sealer: Sealer,
    /// Index of the next packet they send.
    pub(crate) next: u64,
    pub(crate) ssrc: u32,
}

/// A packet as it was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) speaker: Option<u32>,
    pub(crate) level: Option<u8>,
    pub(crate) marker: bool,
    pub(crate) payload: Vec<u8>,
}

/// What a browser says of itself.
pub(crate) fn offer(lines: u8, framing: Option<u8>) -> Offer {
    Offer {
        ufrag: IceText::new("abcd").unwrap(),
        pwd: IceText::new("abcdefghijklmnopqrstuv").unwrap(),
        fingerprint: Fingerprint([0; 32]),
        opus: PayloadType::new(OPUS).unwrap(),
        red: PayloadType::new(RED),
        level_ext: ExtensionId::new(LEVEL_EXT),
        nack: true,
        lines: Lines::new(lines).unwrap(),
        framing: framing.map(|ms| FramingMs::new(ms).unwrap()),
    }
}

impl Person {
    pub(crate) fn new(number: u8) -> Self {
        let exported: Vec<u8> = (0..56u8).map(|byte| byte.wrapping_mul(31) ^ number).collect();
        let provider = rtc_srtp::crypto::default_provider().unwrap();
        let (key, salt) = (&exported[16..32], &exported[44..56]);
        let (rtp, rtcp) = (srtp_replay_protection(64), srtcp_replay_protection(64));
        let profile = ProtectionProfile::AeadAes128Gcm;
        Self {
            peer: PeerId(u64::from(number)),
            addr: SocketAddr::from(([10, 0, 0, number], 4_000)),
            credentials: None,
            receiver: Context::new(key, salt, profile, Some(rtp), Some(rtcp), provider.crypto()).unwrap(),
            sealer: Sealer::new(session(&exported).client()),
            exported,
            next: 65_000,
            ssrc: 0xABC0 + u32::from(number),
        }
    }

    pub(crate) fn session(&self) -> SessionKeys {
        session(&self.exported)
    }

    /// The ICE check that keeps a peer.
    pub(crate) fn check(&self) -> Vec<u8> {
        let credentials = self.credentials.as_ref().unwrap();
        let mut datagram = Vec::new();
        let request = Request {
            transaction: [self.peer.0 as u8; 12],
            remote_ufrag: credentials.ufrag.as_str(),
            local_ufrag: "abcd",
            remote_pwd: credentials.pwd.as_str(),
            controlling: true,
            use_candidate: true,
        };
        write_request(&mut datagram, &request);
        datagram
    }

    /// Opens a packet as a standard receiver does; none where it is not RTP.
    pub(crate) fn hear(&mut self, datagram: &[u8]) -> Option<Heard> {
        let is_rtp = (128..192).contains(&datagram[0]) && !(192..224).contains(&datagram[1]);
        if !is_rtp {
            return None;
        }
        let plain = self.receiver.decrypt_rtp(datagram).expect("a standard receiver opens it");
        let packet = Packet::parse(&plain).unwrap();
        assert_eq!(packet.payload_type, OPUS);
        Some(Heard {
            ssrc: packet.ssrc,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            speaker: packet.csrcs().next(),
            level: packet.level(LEVEL_EXT),
            marker: packet.marker,
            payload: packet.payload.to_vec(),
        })
    }

    /// Opens RTCP; none where it is something else.
    pub(crate) fn hear_feedback(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let is_rtcp = (128..192).contains(&datagram[0]) && (192..224).contains(&datagram[1]);
        is_rtcp.then(|| self.receiver.decrypt_rtcp(datagram).expect("a standard receiver opens it").to_vec())
    }

    /// A sealed packet of theirs with the next sequence number.
    pub(crate) fn packet(&mut self, payload_type: u8, timestamp: u32, level: u8, payload: &[u8]) -> Vec<u8> {
        let index = self.next;
        self.next += 1;
        self.packet_at(index, payload_type, timestamp, level, payload)
    }

    /// The same from a client that sends no levels.
    pub(crate) fn bare_packet(&mut self, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let index = self.next;
        self.next += 1;
        let mut bytes = vec![0x80, OPUS];
        bytes.extend((index as u16).to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        let header_len = bytes.len();
        bytes.extend(payload);
        self.sealer.seal(&mut bytes, 0, header_len, self.ssrc, index);
        bytes
    }

    pub(crate) fn packet_at(
        &self,
        index: u64,
        payload_type: u8,
        timestamp: u32,
        level: u8,
        payload: &[u8],
    ) -> Vec<u8> {
        let mut bytes = vec![0x90, payload_type];
        bytes.extend((index as u16).to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend([0xBE, 0xDE, 0, 1, LEVEL_EXT << 4, level, 0, 0]);
        let header_len = bytes.len();
        bytes.extend(payload);
        self.sealer.seal(&mut bytes, 0, header_len, self.ssrc, index);
        bytes
    }
}

fn session(exported: &[u8]) -> SessionKeys {
    SessionKeys::from_exported(Profile::AeadAes128Gcm, exported).unwrap()
}
