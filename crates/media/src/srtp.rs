//! SRTP and SRTCP (RFC 3711, 7714) in place: keys from the handshake, [`Sealer`] for what a peer is
//! sent, [`Opener`] for what comes from it.
//!
//! ```text
//!   DTLS exporter ──▶ SessionKeys ──▶ SendKeys ──▶ Sealer     header ║ payload      ─▶ header ║ sealed ║ tag
//!                                └──────────────▶ Opener      header ║ sealed ║ tag ─▶ header ║ payload
//! ```
//!
//! Own rather than rtc-srtp's, which allocates for each packet, keeps state for each SSRC that anybody
//! makes up, and takes SRTCP whose encryption flag is off without looking at its tag.
//! Sealing must never see one index twice under one key: who counts the packets guarantees that.

mod cipher;
mod open;

use cipher::Cipher;
pub use open::{MAX_STREAMS, OpenError, Opener};

/// Bytes of a master key and of each key derived for encryption.
const KEY_LEN: usize = 16;

/// Bytes of the longest master salt; AEAD_AES_128_GCM uses the first twelve (RFC 7714 §12).
const SALT_LEN: usize = 14;

/// SRTCP's encryption flag before the index (RFC 3711 §3.4).
const ENCRYPTED: u32 = 1 << 31;

/// Bytes of an RTCP header with the sender's SSRC: they stay readable.
const RTCP_CLEAR: usize = 8;

/// A protection profile of RFC 5764 and 7714, the two that are in use between browsers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `SRTP_AEAD_AES_128_GCM`: three times as fast as the other, so the first choice.
    AeadAes128Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`: what every client must have (RFC 8827 §6.5).
    Aes128CmSha1_80,
}

impl Profile {
    /// Bytes that the tag adds to an RTP packet.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 16,
            Self::Aes128CmSha1_80 => 10,
        }
    }

    /// Bytes that the exporter must give for both directions (RFC 5764 §4.2).
    pub const fn exported_len(self) -> usize {
        2 * (KEY_LEN + self.salt_len())
    }

    const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 12,
            Self::Aes128CmSha1_80 => 14,
        }
    }
}

/// The keys of one association, both directions, as the handshake exported them.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKeys {
    profile: Profile,
    client: MasterKey,
    server: MasterKey,
}

impl SessionKeys {
    /// Splits what the DTLS exporter gave for `EXTRACTOR-dtls_srtp`; none where the length is not
    /// [`Profile::exported_len`].
    pub fn from_exported(profile: Profile, exported: &[u8]) -> Option<Self> {
        if exported.len() != profile.exported_len() {
            return None;
        }
        let (keys, salts) = exported.split_at(2 * KEY_LEN);
        let (client_key, server_key) = keys.split_at(KEY_LEN);
        let (client_salt, server_salt) = salts.split_at(profile.salt_len());
        let (client, server) =
            (MasterKey::new(client_key, client_salt), MasterKey::new(server_key, server_salt));
        Some(Self { profile, client, server })
    }

    /// What the DTLS server, which we are, seals with.
    pub fn server(&self) -> SendKeys {
        SendKeys { profile: self.profile, master: self.server.clone() }
    }

    /// What the DTLS client seals with: for [`Opener`], and for whoever plays a client.
    pub fn client(&self) -> SendKeys {
        SendKeys { profile: self.profile, master: self.client.clone() }
    }
}

impl std::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionKeys({:?})", self.profile)
    }
}

/// The keys of one direction. Whoever makes a [`Sealer`] of them uses them up, so that no two count
/// packets under one key.
#[derive(PartialEq, Eq)]
pub struct SendKeys {
    profile: Profile,
    master: MasterKey,
}

impl SendKeys {
    /// Which cipher.
    pub fn profile(&self) -> Profile {
        self.profile
    }
}

impl std::fmt::Debug for SendKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SendKeys({:?})", self.profile)
    }
}

#[derive(Clone, PartialEq, Eq)]
struct MasterKey {
    key: [u8; KEY_LEN],
    salt: [u8; SALT_LEN],
}

impl MasterKey {
    fn new(key: &[u8], salt: &[u8]) -> Self {
        let mut master = Self { key: [0; KEY_LEN], salt: [0; SALT_LEN] };
        master.key.copy_from_slice(key);
        master.salt[..salt.len()].copy_from_slice(salt);
        master
    }
}

/// Seals what one peer is sent.
pub struct Sealer {
    keys: SendKeys,
    rtp: Cipher,
    /// Made when first needed: a listener gets no RTCP, and 10,000 of them would keep 6 MB of it.
    rtcp: Option<Box<Cipher>>,
    next_rtcp_index: u32,
}

impl Sealer {
    /// Derives the session keys.
    pub fn new(keys: SendKeys) -> Self {
        let rtp = Cipher::derive(keys.profile, &keys.master, cipher::Kind::Rtp);
        Self { keys, rtp, rtcp: None, next_rtcp_index: 1 }
    }

    /// Bytes that [`seal`](Self::seal) appends.
    pub fn tag_len(&self) -> usize {
        self.keys.profile.tag_len()
    }

    /// Seals the RTP packet that lies from `start` to the end of `bytes`, in place, and appends its tag.
    ///
    /// `header_len` counts CSRCs and header extensions too: they stay readable. `index` is
    /// `rollover counter << 16 | sequence number`, below 2^48, and must be new for this `ssrc`.
    pub fn seal(&self, bytes: &mut Vec<u8>, start: usize, header_len: usize, ssrc: u32, index: u64) {
        self.rtp.seal_rtp(bytes, start, header_len, ssrc, index);
    }

    /// Seals the compound RTCP packet that lies from `start` to the end of `bytes`; its first SSRC is
    /// the sender's. What is too short to be one is taken away, and so is everything after 2^31
    /// packets: at one each second, after 68 years.
    pub fn seal_rtcp(&mut self, bytes: &mut Vec<u8>, start: usize) {
        let index = self.next_rtcp_index;
        if index >= ENCRYPTED || bytes.len() < start + RTCP_CLEAR {
            bytes.truncate(start);
            return;
        }
        self.next_rtcp_index += 1;
        let SendKeys { profile, master } = &self.keys;
        let cipher =
            self.rtcp.get_or_insert_with(|| Box::new(Cipher::derive(*profile, master, cipher::Kind::Rtcp)));
        cipher.seal_rtcp(bytes, start, index);
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer({:?})", self.keys.profile)
    }
}

#[cfg(test)]
mod tests;
