//! The people at both ends, played with other people's code: rtc-srtp seals and opens, rtc-rtp reads.
//!
//! What a [`Mouth`] says can be recognised: each 20 ms frame carries who said it and its count. An
//! [`Ear`] is as strict as a browser and stricter: whatever would make one fall silent fails the test.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::Credentials;
use media::srtp::{Profile, SessionKeys};
use media::stun::{Request, write_request};
use protocol::{FRAME_TICKS, Offer, SpeakerNumber, VOICES, VoiceId};
use rand::Rng;
use rand::rngs::StdRng;
use rtc_rtp::Packet;
use rtc_shared::marshal::{Marshal, Unmarshal};
use rtc_srtp::context::Context;
use rtc_srtp::option::srtp_replay_protection;
use rtc_srtp::protection_profile::ProtectionProfile;

/// Ids and payload type as the offers of this file name them.
const OPUS: u8 = 111;
const LEVEL_EXT: u8 = 1;

/// Configuration 15, 20 ms, mono, one frame (RFC 6716 §3.1).
const TOC: u8 = 0x78;

/// An offer as Chromium makes it.
pub(crate) fn offer(lines: u8, framing: Option<u8>) -> Offer {
    let json = serde_json::json!({
        "ufrag": "abcd", "pwd": "abcdefghijklmnopqrstuv",
        "fingerprint": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "opus": OPUS, "level_ext": LEVEL_EXT, "lines": lines, "framing": framing,
    });
    serde_json::from_value(json).expect("a valid offer")
}

/// Keys as a handshake exports them, for both sides.
pub(crate) struct Keys {
    exported: Vec<u8>,
    profile: Profile,
}

impl Keys {
    pub(crate) fn new(rng: &mut StdRng) -> Self {
        let profile = if rng.random() { Profile::AeadAes128Gcm } else { Profile::Aes128CmSha1_80 };
        let mut exported = vec![0; profile.exported_len()];
        rng.fill(&mut exported[..]);
        Self { exported, profile }
    }

    pub(crate) fn session(&self) -> SessionKeys {
        SessionKeys::from_exported(self.profile, &self.exported).expect("the right length")
    }

    fn context(&self, of_server: bool) -> Context {
        let (keys, salts) = self.exported.split_at(32);
        let of_server = usize::from(of_server);
        let key = &keys[16 * of_server..][..16];
        let salt = salts.chunks(salts.len() / 2).nth(of_server).expect("two salts");
        let profile = match self.profile {
            Profile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
            Profile::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        };
        let provider = rtc_srtp::crypto::default_provider().expect("ring");
        Context::new(key, salt, profile, Some(srtp_replay_protection(64)), None, provider.crypto())
            .expect("a context")
    }
}

/// The ICE check that keeps a peer (RFC 7675), as a browser of these offers sends it.
pub(crate) fn consent(credentials: &Credentials) -> Vec<u8> {
    let mut datagram = Vec::new();
    let request = Request {
        transaction: [7; 12],
        remote_ufrag: credentials.ufrag.as_str(),
        local_ufrag: "abcd",
        remote_pwd: credentials.pwd.as_str(),
        controlling: true,
        use_candidate: true,
    };
    write_request(&mut datagram, &request);
    datagram
}

/// What a browser sends of 20 ms.
pub(crate) struct Uttered {
    pub(crate) datagram: Vec<u8>,
    /// It is speech.
    pub(crate) audible: bool,
}

/// A speaker's microphone and browser.
pub(crate) struct Mouth {
    pub(crate) addr: SocketAddr,
    pub(crate) number: SpeakerNumber,
    context: Context,
    header: rtc_rtp::Header,
    count: u32,
    talking: bool,
    changes_at: Instant,
    next_dtx: Instant,
}

impl Mouth {
    pub(crate) fn new(
        now: Instant,
        addr: SocketAddr,
        number: SpeakerNumber,
        keys: &Keys,
        rng: &mut StdRng,
    ) -> Self {
        let header = rtc_rtp::Header {
            version: 2,
            payload_type: OPUS,
            ssrc: rng.random(),
            sequence_number: rng.random(),
            timestamp: rng.random(),
            ..Default::default()
        };
        let context = keys.context(false);
        Self { addr, number, context, header, count: 0, talking: false, changes_at: now, next_dtx: now }
    }

    /// The same person behind another session.
    pub(crate) fn reconnected(self, session: Self) -> Self {
        Self { count: self.count, talking: self.talking, changes_at: self.changes_at, ..session }
    }

    /// Says nothing until then, and then speaks.
    pub(crate) fn hush(&mut self, until: Instant) {
        (self.talking, self.changes_at) = (false, until);
    }

    /// What the browser sends every 20 ms: a frame, or in silence (DTX) mostly nothing.
    pub(crate) fn tick(&mut self, now: Instant, rng: &mut StdRng) -> Option<Uttered> {
        self.header.timestamp = self.header.timestamp.wrapping_add(FRAME_TICKS);
        self.count += 1;
        if now >= self.changes_at {
            self.talking = !self.talking;
            self.header.marker = self.talking;
            self.changes_at = now + Duration::from_millis(rng.random_range(100..4_000));
        }
        let payload = if self.talking {
            self.frame(rng)
        } else if now >= self.next_dtx {
            self.next_dtx = now + Duration::from_millis(400);
            vec![TOC]
        } else {
            return None;
        };
        let level = if self.talking { rng.random_range(15..45) } else { 127 };
        Some(Uttered { datagram: self.seal(level, &payload), audible: self.talking })
    }

    fn frame(&self, rng: &mut StdRng) -> Vec<u8> {
        let mut payload = vec![TOC, self.number.0 as u8];
        payload.extend(self.count.to_be_bytes());
        payload.resize(rng.random_range(30..130), 0x55);
        payload
    }

    fn seal(&mut self, level: u8, payload: &[u8]) -> Vec<u8> {
        self.header.sequence_number = self.header.sequence_number.wrapping_add(1);
        self.header.set_extension(LEVEL_EXT, vec![level].into()).expect("a one-byte extension");
        let packet = Packet { header: self.header.clone(), payload: payload.to_vec().into() };
        let plain = packet.marshal().expect("RTP");
        self.header.marker = false;
        self.context.encrypt_rtp(&plain).expect("sealed").to_vec()
    }
}

/// Who said a frame, and which of theirs it is.
pub(crate) type Said = (SpeakerNumber, u32);

/// A listener's browser.
pub(crate) struct Ear {
    pub(crate) framing_ms: u8,
    pub(crate) lines: u8,
    /// Everything heard, and when.
    pub(crate) heard: BTreeMap<Said, Instant>,
    context: Context,
    positions: [HashSet<u32>; VOICES],
    newest: [Option<u32>; VOICES],
    pub(crate) packets: u64,
}

impl Ear {
    pub(crate) fn new(framing_ms: u8, lines: u8, keys: &Keys) -> Self {
        let context = keys.context(true);
        let (heard, positions, newest) = (BTreeMap::new(), Default::default(), Default::default());
        Self { framing_ms, lines, heard, context, positions, newest, packets: 0 }
    }

    /// Takes a packet as it comes from the network.
    pub(crate) fn hear(&mut self, now: Instant, datagram: &[u8]) {
        if (200..=207).contains(&datagram[1]) {
            return; // RTCP, here too of those who are sent nothing else
        }
        let plain = self.context.decrypt_rtp(datagram).expect("authentic, no replay, rollover 0 at first");
        let packet = Packet::unmarshal(&mut plain.freeze()).expect("RTP");
        let header = &packet.header;
        assert_eq!(header.payload_type, OPUS);
        assert!(header.csrc.len() <= 1, "the speaker's number, or nobody's");
        assert!(header.get_extension(LEVEL_EXT).is_some(), "the audio level");
        let voice = VoiceId::all().find(|voice| voice.ssrc() == header.ssrc).expect("a voice's SSRC");
        assert!(voice.index() < usize::from(self.lines), "a line that was negotiated");
        self.packets += 1;

        let speaker = SpeakerNumber(header.csrc.first().copied().unwrap_or(0));
        let frames = frames_of(&packet.payload);
        assert!(frames.len() * 20 <= usize::from(self.framing_ms).max(20), "no more frames than asked for");
        for (index, frame) in frames.iter().enumerate() {
            let timestamp = header.timestamp.wrapping_add(index as u32 * FRAME_TICKS);
            self.hear_frame(now, voice, timestamp, speaker, frame);
        }
    }

    fn hear_frame(
        &mut self,
        now: Instant,
        voice: VoiceId,
        timestamp: u32,
        speaker: SpeakerNumber,
        frame: &[u8],
    ) {
        assert!(self.positions[voice.index()].insert(timestamp), "a moment of a voice comes once");
        let newest = self.newest[voice.index()].get_or_insert(timestamp);
        let ahead = timestamp.wrapping_sub(*newest) as i32;
        assert!(ahead > -48 * 500, "no timestamp falls back: {ahead}");
        if ahead > 0 {
            *newest = timestamp;
        }
        if frame.len() < 5 {
            return; // DTX
        }
        let said = SpeakerNumber(u32::from(frame[0]));
        let count = u32::from_be_bytes(frame[1..5].try_into().expect("four bytes"));
        assert_eq!(said, speaker, "the CSRC says who speaks");
        assert!(self.heard.insert((said, count), now).is_none(), "a frame is heard once");
    }
}

/// The frames of an Opus packet without their TOC: codes 0 to 3 (RFC 6716 §3.2), read on our own.
pub(crate) fn frames_of(packet: &[u8]) -> Vec<&[u8]> {
    let (toc, rest) = (packet[0], &packet[1..]);
    match toc & 3 {
        0 => vec![rest],
        1 => rest.chunks(rest.len() / 2).collect(),
        2 => {
            let (len, rest) = length(rest);
            vec![&rest[..len], &rest[len..]]
        }
        _ => {
            let count = usize::from(rest[0] & 0x3F);
            assert_eq!(rest[0] & 0x40, 0, "no Opus padding");
            let (is_vbr, mut rest) = (rest[0] & 0x80 != 0, &rest[1..]);
            let equal = rest.len() / count;
            let mut lengths = vec![equal; count];
            if is_vbr {
                for slot in &mut lengths[..count - 1] {
                    (*slot, rest) = length(rest);
                }
                lengths[count - 1] = rest.len() - lengths[..count - 1].iter().sum::<usize>();
            }
            lengths
                .iter()
                .map(|&len| {
                    let (frame, tail) = rest.split_at(len);
                    rest = tail;
                    frame
                })
                .collect()
        }
    }
}

fn length(bytes: &[u8]) -> (usize, &[u8]) {
    match usize::from(bytes[0]) {
        short @ 0..252 => (short, &bytes[1..]),
        long => (long + 4 * usize::from(bytes[1]), &bytes[2..]),
    }
}
