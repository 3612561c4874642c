use proptest::prelude::*;

use super::*;

const CELT_20_MS: Toc = Toc(0xF8);

fn frames_of(packet: &[u8]) -> Result<Vec<Vec<u8>>, OpusError> {
    Ok(Packet::parse(packet)?.frames().iter().map(|frame| frame.to_vec()).collect())
}

fn written(toc: Toc, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    write(toc, frames.iter().map(Vec::as_slice), &mut out);
    out
}

#[test]
fn every_configuration_has_its_length() {
    let ms = |config: u8| f64::from(Toc(config << 3).frame_ticks()) / 48.0;
    assert_eq!([0, 1, 2, 3].map(ms), [10.0, 20.0, 40.0, 60.0]);
    assert_eq!([12, 13, 14, 15].map(ms), [10.0, 20.0, 10.0, 20.0]);
    assert_eq!([28, 29, 30, 31].map(ms), [2.5, 5.0, 10.0, 20.0]);
}

#[test]
fn all_four_codes_are_read() {
    let two = vec![vec![1, 2], vec![3, 4]];
    assert_eq!(frames_of(&[0xF8, 1, 2]).unwrap(), [vec![1, 2]]);
    assert_eq!(frames_of(&[0xF9, 1, 2, 3, 4]).unwrap(), two);
    assert_eq!(frames_of(&[0xFA, 2, 1, 2, 3, 4]).unwrap(), two);
    assert_eq!(frames_of(&[0xFB, 0x02, 1, 2, 3, 4]).unwrap(), two);
    assert_eq!(frames_of(&[0xFB, 0x82, 2, 1, 2, 3, 4]).unwrap(), two);
    assert_eq!(frames_of(&[0xFB, 0xC2, 3, 2, 1, 2, 3, 4, 0, 0, 0]).unwrap(), two);
}

#[test]
fn what_breaks_the_rules_is_named() {
    assert_eq!(frames_of(&[]), Err(OpusError::Truncated));
    assert_eq!(frames_of(&[0xF9, 1, 2, 3]), Err(OpusError::Unequal));
    assert_eq!(frames_of(&[0xFA, 9, 1]), Err(OpusError::Truncated));
    assert_eq!(frames_of(&[0xFA, 252]), Err(OpusError::Truncated));
    assert_eq!(frames_of(&[0xFB]), Err(OpusError::Truncated));
    assert_eq!(frames_of(&[0xFB, 0]), Err(OpusError::Count));
    assert_eq!(frames_of(&[0xFB, 7, 1, 2, 3, 4, 5, 6, 7]), Err(OpusError::Count));
    assert_eq!(frames_of(&[0xFB, 0x41, 9, 1]), Err(OpusError::Truncated));
    assert_eq!(frames_of(&[&[0xF8][..], &[0; 1_276]].concat()), Err(OpusError::FrameLength));
}

#[test]
fn dtx_keeps_the_coding_and_lasts_20_ms() {
    for toc in 0..=255 {
        let dtx = [Toc(toc).dtx().0];
        let packet = Packet::parse(&dtx).unwrap();
        assert!(is_dtx(&dtx));
        assert_eq!(packet.ticks(), FRAME_TICKS, "{toc:#x}");
        assert_eq!(dtx[0] & 0x04, toc & 0x04);
    }
}

#[test]
fn a_long_packet_is_cut_into_20_ms() {
    let sixty = Bytes::from(written(CELT_20_MS, &[vec![1; 300], vec![], vec![3]]));
    let cut: Vec<_> = split(&sixty).unwrap();
    assert_eq!(
        cut.iter().map(|(p, ticks)| (p.len(), *ticks)).collect::<Vec<_>>(),
        [(301, 960), (1, 960), (2, 960)]
    );

    let ten_ms = Toc(30 << 3);
    let thirty = Bytes::from(written(ten_ms, &[vec![1], vec![2], vec![3]]));
    let cut = split(&thirty).unwrap();
    assert_eq!(frames_of(&cut[0].0).unwrap(), [vec![1], vec![2]]);
    assert_eq!((cut[0].1, cut[1].1), (960, 480));

    let forty_ms = Toc(2 << 3);
    let eighty = Bytes::from(written(forty_ms, &[vec![1], vec![2]]));
    assert_eq!(split(&eighty).unwrap().iter().map(|(_, ticks)| *ticks).collect::<Vec<_>>(), [1_920, 1_920]);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(packet) = Packet::parse(&bytes) {
            prop_assert!((1..=MAX_FRAMES).contains(&packet.frames().len()));
            prop_assert!(packet.ticks() <= MAX_TICKS);
        }
    }

    #[test]
    fn what_is_split_and_joined_again_is_what_it_was(bytes in prop::collection::vec(any::<u8>(), 1..300)) {
        let bytes = Bytes::from(bytes);
        let Ok(cut) = split(&bytes) else { return Ok(()) };
        let whole = Packet::parse(&bytes).unwrap();
        prop_assert_eq!(cut.iter().map(|(_, ticks)| *ticks).sum::<u32>(), whole.ticks());

        let parts: Vec<_> = cut.iter().map(|(packet, _)| Packet::parse(packet).unwrap()).collect();
        let mut joined = Vec::new();
        write(whole.toc, parts.iter().flat_map(|part| part.frames().iter().copied()), &mut joined);
        prop_assert_eq!(frames_of(&joined).unwrap(), frames_of(&bytes).unwrap());
    }

    #[test]
    fn frames_of_any_length_survive_a_packet(lengths in prop::collection::vec(0usize..=1_275, 1..=6)) {
        let frames: Vec<_> = lengths.iter().enumerate().map(|(i, &len)| vec![i as u8; len]).collect();
        prop_assert_eq!(frames_of(&written(CELT_20_MS, &frames)).unwrap(), frames);
    }
}
