use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::srtp::{Opener, Profile, SessionKeys};
use crate::{rtp, testing};

const PAYLOAD: &[u8] = &[0x78, 1, 2, 3];

fn voice(index: usize) -> VoiceId {
    VoiceId::new(index).unwrap()
}

fn head(index: usize, speaker: u32) -> Head {
    Head { marker: true, timestamp: 960, voice: voice(index), speaker: SpeakerNumber(speaker), level: 30 }
}

fn packets(of: &[(usize, u32, &[u8])]) -> Packets {
    let mut packets = Packets::default();
    for &(index, speaker, payload) in of {
        packets.push(head(index, speaker), testing::start(), |bytes| bytes.extend_from_slice(payload));
    }
    packets
}

fn keys(seed: u8) -> SessionKeys {
    let profile = Profile::AeadAes128Gcm;
    SessionKeys::from_exported(profile, &vec![seed; profile.exported_len()]).unwrap()
}

fn receiver(seed: u8, negotiated: Negotiated) -> Receiver {
    let to = SocketAddr::from(([127, 0, 0, seed], 9));
    Receiver::new(PeerId(u64::from(seed)), to, keys(seed).server(), negotiated, &mut StdRng::seed_from_u64(1))
}

/// Every datagram, opened by whom it was sent to.
fn opened(out: &Batch) -> Vec<(u8, Vec<u8>)> {
    let mut openers: Vec<_> = (0..=9).map(|seed| Opener::new(keys(seed).server())).collect();
    let open = |(to, bytes): (SocketAddr, &[u8])| {
        let SocketAddr::V4(to) = to else { panic!("all are IPv4") };
        let seed = to.ip().octets()[3];
        (seed, openers[usize::from(seed)].open_rtp(&mut bytes.to_vec()).unwrap().to_vec())
    };
    out.datagrams().map(open).collect()
}

const CHROMIUM: Negotiated = Negotiated { payload_type: 111, level_ext: 1 };
const BARE: Negotiated = Negotiated { payload_type: 96, level_ext: 0 };

#[test]
fn each_receiver_gets_what_they_negotiated() {
    let mut audience = Audience::default();
    audience.add(receiver(1, CHROMIUM));
    audience.add(receiver(2, BARE));
    let mut out = Batch::default();
    let sent = audience.serve(usize::MAX, &packets(&[(2, 7, PAYLOAD)]), &mut out);
    assert_eq!(sent.packets, 2);
    assert_eq!(sent.bytes as usize, out.bytes().len());

    let opened = opened(&out);
    let [first, second] = [0, 1].map(|i| rtp::Packet::parse(&opened[i].1).unwrap());
    assert_eq!((first.payload_type, first.level(1), first.marker), (111, Some(30), true));
    assert_eq!((second.payload_type, second.level(1)), (96, None));
    for packet in [first, second] {
        assert_eq!(packet.csrcs().collect::<Vec<_>>(), [7]);
        assert_eq!((packet.ssrc, packet.timestamp, packet.payload), (voice(2).ssrc(), 960, PAYLOAD));
        assert!(packet.sequence < 1 << 15);
    }
}

#[test]
fn silence_has_no_speaker() {
    let mut audience = Audience::default();
    audience.add(receiver(1, CHROMIUM));
    let mut out = Batch::default();
    audience.serve(usize::MAX, &packets(&[(0, 0, &[0x78])]), &mut out);
    let opened = opened(&out);
    let packet = rtp::Packet::parse(&opened[0].1).unwrap();
    assert_eq!((packet.csrcs().count(), packet.level(1), packet.payload), (0, Some(30), &[0x78][..]));
}

#[test]
fn own_packets_are_left_out_without_a_gap_in_numbers() {
    let mut speaker = receiver(1, CHROMIUM).without(SpeakerNumber(5));
    let mut out = Batch::default();
    for from in [4, 5, 5, 6] {
        speaker.send(&packets(&[(0, from, PAYLOAD)]), &mut out);
    }
    let opened = opened(&out);
    let sequences: Vec<_> =
        opened.iter().map(|(_, bytes)| rtp::Packet::parse(bytes).unwrap().sequence).collect();
    assert_eq!(sequences.len(), 2);
    assert_eq!(sequences[1], sequences[0] + 1);
}

#[test]
fn whoever_leaves_gives_their_place_to_the_last() {
    let mut audience = Audience::default();
    let places = [1, 2, 3].map(|seed| audience.add(receiver(seed, BARE)));
    let (removed, moved) = audience.remove(places[0]);
    assert_eq!((removed.peer, moved), (PeerId(1), [None, Some((PeerId(3), places[0]))]));
    assert_eq!(audience.get_mut(places[0]).map(|receiver| receiver.peer), Some(PeerId(3)));
    assert_eq!(audience.remove(1).1, [None, None]);
}

#[test]
fn whoever_leaves_in_the_middle_takes_nothing_from_anybody() {
    for leaver in 1..=6u8 {
        let mut audience = Audience::default();
        (1..=6).for_each(|seed| _ = audience.add(receiver(seed, BARE)));
        let (together, mut out) = (packets(&[(0, 1, PAYLOAD)]), Batch::default());
        audience.begin();
        audience.serve(3, &together, &mut out);
        audience.remove(usize::from(leaver) - 1);
        while !audience.is_served() {
            audience.serve(2, &together, &mut out);
        }
        let mut served: Vec<_> = opened(&out).iter().map(|&(seed, _)| seed).collect();
        served.sort_unstable();
        let stayed = (1..=6).filter(|&seed| seed != leaver || leaver <= 3);
        assert_eq!(served, stayed.collect::<Vec<_>>(), "{leaver} left after the first three were served");
    }
}

#[test]
fn packets_of_different_voices_share_one_send() {
    let mut audience = Audience::default();
    audience.add(receiver(1, CHROMIUM));
    audience.add(receiver(2, BARE));
    let payloads: [&[u8]; 3] = [&[0x78; 50], &[0x78; 90], &[0x78; 70]];
    let mut together = packets(&[(0, 1, payloads[0]), (1, 2, payloads[1]), (2, 3, payloads[2])]);
    together.arrange();
    let mut out = Batch::default();
    audience.serve(usize::MAX, &together, &mut out);
    assert_eq!(out.sends().len(), 2);
    for (_, bytes) in opened(&out) {
        let packet = rtp::Packet::parse(&bytes).unwrap();
        let index = VoiceId::all().position(|voice| voice.ssrc() == packet.ssrc).unwrap();
        assert_eq!(packet.payload, payloads[index], "padding is not payload");
    }
}

#[test]
fn packets_of_one_voice_stay_in_order_and_share_a_send_too() {
    let payloads: [&[u8]; 3] = [&[0x78; 50], &[0x78; 90], &[0x78; 70]];
    let mut together = packets(&payloads.map(|payload| (0, 1, payload)));
    together.arrange();
    let (mut audience, mut out) = (Audience::default(), Batch::default());
    audience.add(receiver(1, CHROMIUM));
    audience.serve(usize::MAX, &together, &mut out);
    assert_eq!(out.sends().len(), 1);
    let opened = opened(&out);
    let heard = opened.iter().map(|(_, bytes)| rtp::Packet::parse(bytes).unwrap());
    let (sequences, lengths): (Vec<_>, Vec<_>) = heard.map(|p| (p.sequence, p.payload.len())).unzip();
    assert_eq!(lengths, payloads.map(<[u8]>::len));
    assert!(sequences.windows(2).all(|pair| pair[1] == pair[0] + 1));
}
