//! Ours against rtc-srtp: what one seals, the other opens, in both directions and with both ciphers.

use proptest::prelude::*;
use rtc_srtp::context::Context;
use rtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

use super::*;

const PROFILES: [Profile; 2] = [Profile::AeadAes128Gcm, Profile::Aes128CmSha1_80];
const SSRC: u32 = 0x0DA1_5001;

fn keys(profile: Profile) -> SessionKeys {
    let exported: Vec<u8> = (0..profile.exported_len() as u8).map(|byte| byte.wrapping_mul(37)).collect();
    SessionKeys::from_exported(profile, &exported).unwrap()
}

fn theirs(keys: &SendKeys) -> Context {
    let (profile, salt) = match keys.profile {
        Profile::AeadAes128Gcm => (ProtectionProfile::AeadAes128Gcm, &keys.master.salt[..12]),
        Profile::Aes128CmSha1_80 => (ProtectionProfile::Aes128CmHmacSha1_80, &keys.master.salt[..]),
    };
    let (rtp, rtcp) = (srtp_replay_protection(64), srtcp_replay_protection(64));
    let provider = rtc_srtp::crypto::default_provider().unwrap();
    Context::new(&keys.master.key, salt, profile, Some(rtp), Some(rtcp), provider.crypto()).unwrap()
}

/// A packet with a CSRC and a header extension, and the length of its header.
fn packet(sequence: u16, payload: &[u8]) -> (Vec<u8>, usize) {
    let mut bytes = vec![0x91, 111];
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 3, 192]);
    bytes.extend_from_slice(&SSRC.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 9, 0xBE, 0xDE, 0, 1, 0x10, 0x55, 0, 0]);
    let header = bytes.len();
    bytes.extend_from_slice(payload);
    (bytes, header)
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut bytes = vec![0x80, 201, 0, 1];
    bytes.extend_from_slice(&ssrc.to_be_bytes());
    bytes
}

#[test]
fn a_standard_receiver_opens_what_is_sealed_across_two_rollovers() {
    for profile in PROFILES {
        let keys = keys(profile);
        let sealer = Sealer::new(keys.server());
        let mut receiver = theirs(&keys.server());
        let mut bytes = Vec::new();
        for index in 60_000..140_000_u64 {
            let (plain, header) = packet(index as u16, &index.to_be_bytes());
            bytes.clear();
            bytes.extend_from_slice(b"datagrams before");
            let start = bytes.len();
            bytes.extend_from_slice(&plain);
            sealer.seal(&mut bytes, start, header, SSRC, index);
            assert_eq!(bytes.len(), start + plain.len() + sealer.tag_len());
            assert_eq!(receiver.decrypt_rtp(&bytes[start..]).unwrap(), plain, "{profile:?} {index}");
        }
        assert!(bytes.starts_with(b"datagrams before"));
    }
}

#[test]
fn what_a_standard_sender_seals_is_opened_across_two_rollovers() {
    for profile in PROFILES {
        let keys = keys(profile);
        let mut sender = theirs(&keys.client());
        let mut opener = Opener::new(keys.client());
        for index in 60_000..140_000_u64 {
            let (plain, _) = packet(index as u16, &index.to_be_bytes());
            let mut sealed = sender.encrypt_rtp(&plain).unwrap();
            assert_eq!(opener.open_rtp(&mut sealed).unwrap(), plain, "{profile:?} {index}");
        }
    }
}

#[test]
fn reports_are_sealed_and_opened_both_ways() {
    for profile in PROFILES {
        let keys = keys(profile);
        let mut sealer = Sealer::new(keys.server());
        let mut receiver = theirs(&keys.server());
        let mut sender = theirs(&keys.client());
        let mut opener = Opener::new(keys.client());
        for round in 0..100 {
            let plain = [report(SSRC), vec![0x81, 205, 0, 0, round]].concat();
            let mut bytes = b"before".to_vec();
            bytes.extend_from_slice(&plain);
            sealer.seal_rtcp(&mut bytes, 6);
            assert_eq!(receiver.decrypt_rtcp(&bytes[6..]).unwrap(), plain, "{profile:?}");

            let mut sealed = sender.encrypt_rtcp(&plain).unwrap();
            let again = sealed.clone();
            assert_eq!(opener.open_rtcp(&mut sealed).unwrap(), plain, "{profile:?}");
            assert_eq!(opener.open_rtcp(&mut again.clone()), Err(OpenError::Replay));
        }
        let mut stub = b"before\x80\xc9".to_vec();
        sealer.seal_rtcp(&mut stub, 6);
        assert_eq!(stub, b"before");
    }
}

#[test]
fn no_byte_of_a_sealed_packet_can_be_changed() {
    for profile in PROFILES {
        let keys = keys(profile);
        let mut opener = Opener::new(keys.client());
        let (mut rtp, header) = packet(7, b"speech");
        Sealer::new(keys.client()).seal(&mut rtp, 0, header, SSRC, 7);
        let mut rtcp = report(SSRC);
        Sealer::new(keys.client()).seal_rtcp(&mut rtcp, 0);

        for at in 0..rtp.len() {
            let mut forged = rtp.clone();
            forged[at] ^= 0x40;
            assert!(opener.open_rtp(&mut forged).is_err(), "{profile:?} {at}");
        }
        for at in 0..rtcp.len() {
            let mut forged = rtcp.clone();
            forged[at] ^= 0x80;
            assert!(opener.open_rtcp(&mut forged).is_err(), "{profile:?} {at}");
        }
        assert!(opener.open_rtp(&mut rtp).is_ok());
        assert!(opener.open_rtcp(&mut rtcp).is_ok());
    }
}

#[test]
fn reports_that_say_they_are_not_encrypted_are_refused() {
    let mut opener = Opener::new(keys(Profile::Aes128CmSha1_80).client());
    let plain = [report(SSRC), vec![0, 0, 0, 1], vec![0; 10]].concat();
    assert_eq!(opener.open_rtcp(&mut plain.clone()), Err(OpenError::Auth));
}

#[test]
fn late_packets_are_opened_once_and_old_ones_never() {
    let keys = keys(Profile::AeadAes128Gcm);
    let sealer = Sealer::new(keys.client());
    let mut opener = Opener::new(keys.client());
    let mut open = |index: u64| {
        let (mut bytes, header) = packet(index as u16, b"speech");
        sealer.seal(&mut bytes, 0, header, SSRC, index);
        opener.open_rtp(&mut bytes).map(|plain| plain.len())
    };
    let opened = Ok(packet(0, b"speech").0.len());
    assert_eq!(open(65_530), opened);
    assert_eq!(open(65_540), opened, "over the rollover");
    assert_eq!(open(65_535), opened, "late, from before it");
    assert_eq!(open(65_535), Err(OpenError::Replay));
    assert_eq!(open(65_540), Err(OpenError::Replay));
    assert_eq!(open(65_540 - 63), opened, "the last of the window");
    assert_eq!(open(65_540 - 64), Err(OpenError::Replay));
    assert_eq!(open(65_540 + 5_000), opened, "a leap");
    assert_eq!(open(65_541), Err(OpenError::Replay));
}

/// A sealed packet of an SSRC of its own.
fn of_ssrc(sealer: &Sealer, ssrc: u32, index: u64) -> Vec<u8> {
    let (mut bytes, header) = packet(index as u16, b"speech");
    bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
    sealer.seal(&mut bytes, 0, header, ssrc, index);
    bytes
}

#[test]
fn as_many_ssrcs_as_a_peer_may_have_are_opened_and_no_packet_of_any_twice() {
    let keys = keys(Profile::AeadAes128Gcm);
    let (sealer, mut opener) = (Sealer::new(keys.client()), Opener::new(keys.client()));
    let most = MAX_STREAMS as u32;
    let packets: Vec<_> = (0..most).flat_map(|ssrc| [7, 65_540].map(|index| (ssrc, index))).collect();
    for &(ssrc, index) in &packets[..] {
        // The second is after the rollover: only who remembers the first can open it.
        let way: &[u64] = if index == 7 { &[7] } else { &[30_000, 60_000, index] };
        for &index in way {
            assert!(opener.open_rtp(&mut of_ssrc(&sealer, ssrc, index)).is_ok(), "{ssrc} {index}");
        }
    }
    for &(ssrc, index) in &packets {
        assert!(opener.open_rtp(&mut of_ssrc(&sealer, ssrc, index)).is_err(), "again: {ssrc} {index}");
    }
    assert!(opener.open_rtp(&mut of_ssrc(&sealer, 0, 65_541)).is_ok(), "the oldest goes on");
    assert_eq!(opener.open_rtp(&mut of_ssrc(&sealer, most, 1)), Err(OpenError::Streams));
    let mut forged = of_ssrc(&sealer, most, 1);
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(opener.open_rtp(&mut forged), Err(OpenError::Auth), "no forger gets a peer ended");
}

#[test]
fn reports_have_their_own_ssrcs_and_as_many() {
    let keys = keys(Profile::AeadAes128Gcm);
    let (mut sealer, mut opener) = (Sealer::new(keys.client()), Opener::new(keys.client()));
    let mut open = |ssrc: u32| {
        let mut bytes = report(ssrc);
        sealer.seal_rtcp(&mut bytes, 0);
        opener.open_rtcp(&mut bytes).map(|plain| plain.len())
    };
    assert!((0..MAX_STREAMS as u32).all(|ssrc| open(ssrc).is_ok()));
    assert_eq!(open(MAX_STREAMS as u32), Err(OpenError::Streams));
    assert!(open(0).is_ok());
}

#[test]
fn keys_are_never_printed() {
    let keys = keys(Profile::AeadAes128Gcm);
    assert_eq!(format!("{keys:?}"), "SessionKeys(AeadAes128Gcm)");
    assert_eq!(format!("{:?}", keys.server()), "SendKeys(AeadAes128Gcm)");
}

proptest! {
    #[test]
    fn anything_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120), rtp: bool) {
        for profile in PROFILES {
            let mut opener = Opener::new(keys(profile).client());
            let mut bytes = bytes.clone();
            if rtp && !bytes.is_empty() {
                bytes[0] = bytes[0] & 0x3f | 0x80;
            }
            prop_assert!(opener.open_rtp(&mut bytes.clone()).is_err());
            prop_assert!(opener.open_rtcp(&mut bytes).is_err());
        }
    }
}
