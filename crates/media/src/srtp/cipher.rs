//! The two ciphers with their session keys, and the bytes that each puts where.

use aes::Aes128Enc;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;

use super::{ENCRYPTED, KEY_LEN, MasterKey, OpenError, Profile, RTCP_CLEAR, SALT_LEN};

/// Bytes of the key for HMAC-SHA1 (RFC 3711 §5.2).
const AUTH_LEN: usize = 20;

/// Bytes of the 80-bit tag.
const CM_TAG: usize = Profile::Aes128CmSha1_80.tag_len();

/// Bytes of a GCM tag.
const GCM_TAG: usize = Profile::AeadAes128Gcm.tag_len();

/// What a key is for: the base of its derivation labels (RFC 3711 §4.3.1).
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Rtp = 0,
    Rtcp = 3,
}

/// Session keys of one direction and kind.
#[expect(clippy::large_enum_variant, reason = "the usual one lies where its sealer lies")]
pub(super) enum Cipher {
    Gcm {
        key: LessSafeKey,
        salt: [u8; 12],
    },
    /// Boxed: it is the larger one, and the rarer.
    Cm(Box<Cm>),
}

/// AES in counter mode and HMAC-SHA1.
pub(super) struct Cm {
    key: Aes128Enc,
    salt: [u8; SALT_LEN],
    mac: Hmac<Sha1>,
}

impl Cipher {
    pub(super) fn derive(profile: Profile, master: &MasterKey, kind: Kind) -> Self {
        let label = kind as u8;
        let key: [u8; KEY_LEN] = derive(master, label);
        let salt: [u8; SALT_LEN] = derive(master, label + 2);
        match profile {
            Profile::AeadAes128Gcm => {
                let key = UnboundKey::new(&AES_128_GCM, &key).expect("a key of 16 bytes");
                let (salt, _) = salt.split_first_chunk().expect("14 bytes begin with 12");
                Self::Gcm { key: LessSafeKey::new(key), salt: *salt }
            }
            Profile::Aes128CmSha1_80 => {
                let auth: [u8; AUTH_LEN] = derive(master, label + 1);
                let mac = <Hmac<Sha1> as Mac>::new_from_slice(&auth).expect("HMAC takes keys of any length");
                Self::Cm(Box::new(Cm { key: Aes128Enc::new(&key.into()), salt, mac }))
            }
        }
    }

    pub(super) fn seal_rtp(&self, bytes: &mut Vec<u8>, start: usize, header: usize, ssrc: u32, index: u64) {
        debug_assert!(index < 1 << 48, "an index has 48 bits");
        match self {
            Self::Gcm { key, salt } => {
                let (head, payload) = bytes.split_at_mut(start + header);
                let nonce = gcm_nonce(salt, ssrc, index);
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(&head[start..]), payload)
                    .expect("shorter than 64 GB");
                bytes.extend_from_slice(tag.as_ref());
            }
            Self::Cm(cm) => {
                cm.apply(ssrc, index, &mut bytes[start + header..]);
                let tag = cm.packet_mac(&bytes[start..], (index >> 16) as u32).finalize().into_bytes();
                bytes.extend_from_slice(&tag[..CM_TAG]);
            }
        }
    }

    pub(super) fn seal_rtcp(&self, bytes: &mut Vec<u8>, start: usize, index: u32) {
        let ssrc = rtcp_ssrc(&bytes[start..]);
        let word = (index | ENCRYPTED).to_be_bytes();
        match self {
            Self::Gcm { key, salt } => {
                let (head, body) = bytes.split_at_mut(start + RTCP_CLEAR);
                let tag = key
                    .seal_in_place_separate_tag(
                        gcm_nonce(salt, ssrc, index.into()),
                        rtcp_aad(&head[start..], word),
                        body,
                    )
                    .expect("shorter than 64 GB");
                bytes.extend_from_slice(tag.as_ref());
                bytes.extend_from_slice(&word);
            }
            Self::Cm(cm) => {
                cm.apply(ssrc, index.into(), &mut bytes[start + RTCP_CLEAR..]);
                bytes.extend_from_slice(&word);
                let tag = cm.mac.clone().chain_update(&bytes[start..]).finalize().into_bytes();
                bytes.extend_from_slice(&tag[..CM_TAG]);
            }
        }
    }

    /// Opens an RTP packet whose header has been measured; what comes back is header and payload.
    pub(super) fn open_rtp<'d>(
        &self,
        packet: &'d mut [u8],
        header: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<&'d mut [u8], OpenError> {
        match self {
            Self::Gcm { key, salt } => {
                let plain = packet.len().checked_sub(GCM_TAG).ok_or(OpenError::Malformed)?;
                let (head, sealed) = packet.split_at_mut_checked(header).ok_or(OpenError::Malformed)?;
                key.open_in_place(gcm_nonce(salt, ssrc, index), Aad::from(&head), sealed)
                    .map_err(|_| OpenError::Auth)?;
                Ok(&mut packet[..plain])
            }
            Self::Cm(cm) => {
                let (body, tag) = split_tag(packet, CM_TAG)?;
                cm.packet_mac(body, (index >> 16) as u32)
                    .verify_truncated_left(tag)
                    .map_err(|_| OpenError::Auth)?;
                let sealed = body.get_mut(header..).ok_or(OpenError::Malformed)?;
                cm.apply(ssrc, index, sealed);
                Ok(body)
            }
        }
    }

    /// The index that an SRTCP packet says it has. Packets that are not encrypted are not taken:
    /// WebRTC has none (RFC 8834 §4.2, RFC 5764 §4.1.2).
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Result<u32, OpenError> {
        let after = match self {
            Self::Gcm { .. } => 0,
            Self::Cm(_) => CM_TAG,
        };
        let end = packet.len().checked_sub(after).ok_or(OpenError::Malformed)?;
        let word = packet[..end].last_chunk().map(|word| u32::from_be_bytes(*word));
        match word {
            Some(word) if word & ENCRYPTED != 0 => Ok(word & !ENCRYPTED),
            Some(_) => Err(OpenError::Auth),
            None => Err(OpenError::Malformed),
        }
    }

    /// Opens an SRTCP packet of at least [`RTCP_CLEAR`] bytes; what comes back is the plain compound.
    pub(super) fn open_rtcp<'d>(&self, packet: &'d mut [u8], index: u32) -> Result<&'d mut [u8], OpenError> {
        let ssrc = rtcp_ssrc(packet);
        let word = (index | ENCRYPTED).to_be_bytes();
        match self {
            Self::Gcm { key, salt } => {
                let (sealed, _) = split_tag(packet, word.len())?;
                let plain = sealed.len().checked_sub(GCM_TAG).ok_or(OpenError::Malformed)?;
                let (head, body) = sealed.split_at_mut_checked(RTCP_CLEAR).ok_or(OpenError::Malformed)?;
                key.open_in_place(gcm_nonce(salt, ssrc, index.into()), rtcp_aad(head, word), body)
                    .map_err(|_| OpenError::Auth)?;
                sealed.get_mut(..plain).ok_or(OpenError::Malformed)
            }
            Self::Cm(cm) => {
                let (body, tag) = split_tag(packet, CM_TAG)?;
                cm.mac
                    .clone()
                    .chain_update(&*body)
                    .verify_truncated_left(tag)
                    .map_err(|_| OpenError::Auth)?;
                let (plain, _) = split_tag(body, word.len())?;
                let sealed = plain.get_mut(RTCP_CLEAR..).ok_or(OpenError::Malformed)?;
                cm.apply(ssrc, index.into(), sealed);
                Ok(plain)
            }
        }
    }
}

impl Cm {
    /// AES in counter mode over `data` (RFC 3711 §4.1.1).
    fn apply(&self, ssrc: u32, index: u64, data: &mut [u8]) {
        let mut iv = [0; 16];
        iv[..SALT_LEN].copy_from_slice(&self.salt);
        xor(&mut iv[4..8], &ssrc.to_be_bytes());
        xor(&mut iv[8..14], &index.to_be_bytes()[2..]);
        keystream(&self.key, iv).apply_keystream(data);
    }

    /// The MAC over an RTP packet and its rollover counter (RFC 3711 §4.2).
    fn packet_mac(&self, packet: &[u8], roc: u32) -> Hmac<Sha1> {
        self.mac.clone().chain_update(packet).chain_update(roc.to_be_bytes())
    }
}

/// AES-CM key derivation with a rate of zero (RFC 3711 §4.3.3); GCM derives in the same way, its
/// shorter salt followed by zeros (RFC 7714 §11).
fn derive<const N: usize>(master: &MasterKey, label: u8) -> [u8; N] {
    let mut iv = [0; 16];
    iv[..SALT_LEN].copy_from_slice(&master.salt);
    iv[7] ^= label;
    let mut out = [0; N];
    keystream(&Aes128Enc::new(&master.key.into()), iv).apply_keystream(&mut out);
    out
}

fn keystream(key: &Aes128Enc, iv: [u8; 16]) -> StreamCipherCoreWrapper<CtrCore<&Aes128Enc, Ctr128BE>> {
    StreamCipherCoreWrapper::from_core(CtrCore::inner_iv_init(key, &iv.into()))
}

/// The nonce of RTP, and with an index of 31 bits that of RTCP (RFC 7714 §8.1, §9.1).
fn gcm_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[6..], &index.to_be_bytes()[2..]);
    Nonce::assume_unique_for_key(nonce)
}

/// What is authenticated with RTCP beside its body (RFC 7714 §9.2).
fn rtcp_aad(head: &[u8], word: [u8; 4]) -> Aad<[u8; RTCP_CLEAR + 4]> {
    let mut aad = [0; RTCP_CLEAR + 4];
    aad[..RTCP_CLEAR].copy_from_slice(head);
    aad[RTCP_CLEAR..].copy_from_slice(&word);
    Aad::from(aad)
}

fn rtcp_ssrc(packet: &[u8]) -> u32 {
    packet.get(4..8).and_then(|ssrc| ssrc.try_into().ok()).map_or(0, u32::from_be_bytes)
}

fn split_tag(packet: &mut [u8], tag: usize) -> Result<(&mut [u8], &mut [u8]), OpenError> {
    let at = packet.len().checked_sub(tag).ok_or(OpenError::Malformed)?;
    Ok(packet.split_at_mut(at))
}

fn xor(to: &mut [u8], with: &[u8]) {
    for (to, with) in to.iter_mut().zip(with) {
        *to ^= with;
    }
}
