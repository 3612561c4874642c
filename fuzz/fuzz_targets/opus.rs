//! Opus packets: what is split is as long as the whole, and joining the pieces gives the same frames.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use media::opus::{Packet, split, write};

fuzz_target!(|bytes: &[u8]| {
    let Ok(packet) = Packet::parse(bytes) else {
        assert!(split(&Bytes::copy_from_slice(bytes)).is_err());
        return;
    };
    let pieces = split(&Bytes::copy_from_slice(bytes)).expect("what can be read can be split");
    assert_eq!(pieces.iter().map(|(_, ticks)| ticks).sum::<u32>(), packet.ticks());
    let read: Vec<Packet<'_>> =
        pieces.iter().map(|(piece, _)| Packet::parse(piece).expect("a piece is a packet")).collect();
    let frames: Vec<&[u8]> = read.iter().flat_map(|piece| piece.frames().iter().copied()).collect();
    assert_eq!(frames, packet.frames());

    let mut joined = Vec::new();
    write(packet.toc, frames.iter().copied(), &mut joined);
    assert_eq!(Packet::parse(&joined).expect("what was joined is a packet").frames(), packet.frames());
});
