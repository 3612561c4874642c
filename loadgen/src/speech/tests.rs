use media::opus::Packet;
use protocol::FRAME_TICKS;

use super::*;

fn reel(bytes: &[u8]) -> Result<Reel, SpeechError> {
    Reel::parse(Vec::leak(bytes.to_vec()))
}

/// What a player sends in so many frames.
fn play(player: &mut Player, frames: u32, floor: bool) -> Vec<Option<Said>> {
    (0..frames).map(|_| player.step(floor)).collect()
}

#[test]
fn all_reels_hold_minutes_of_speech_in_20_ms_frames() {
    let frames: usize = REELS.iter().map(|reel| reel.frames.len()).sum();
    assert!(frames > 50 * 180, "{frames} frames");
    for payload in REELS.iter().flat_map(|reel| &reel.frames).map(|frame| frame.payload) {
        assert!(payload.is_empty() || Packet::parse(payload).unwrap().ticks() == FRAME_TICKS);
    }
}

#[test]
fn the_speech_is_at_32_kbit_per_s_and_has_pauses() {
    for reel in REELS.iter() {
        let spoken: Vec<_> = reel.frames.iter().filter(|frame| !is_dtx(frame.payload)).collect();
        let bytes: usize = spoken.iter().map(|frame| frame.payload.len()).sum();
        let bits_per_s = bytes * 8 * 50 / spoken.len();
        assert!((25_000..36_000).contains(&bits_per_s), "{bits_per_s}");
        assert!(reel.frames.iter().any(|frame| frame.payload.is_empty()), "no DTX");
        assert_eq!(reel.sentences.len(), 12);
    }
}

#[test]
fn all_reels_together_are_small() {
    let bytes: usize = REELS.iter().flat_map(|reel| &reel.frames).map(|frame| 3 + frame.payload.len()).sum();
    assert!(bytes < 1_000_000, "{bytes}");
}

#[test]
fn a_broken_reel_is_an_error() {
    assert_eq!(reel(b"RIFF").unwrap_err(), SpeechError::NotAReel);
    assert_eq!(reel(b"DSP1").unwrap_err(), SpeechError::Empty);
    assert_eq!(reel(b"DSP1\x02\x00\x10\x03\x00\x78ab").unwrap_err(), SpeechError::Truncated);
    assert_eq!(reel(b"DSP1\x01").unwrap_err(), SpeechError::Truncated);
    assert_eq!(reel(b"DSP1\x01\x00\x10\x03\x00\x78a").unwrap_err(), SpeechError::Truncated);
    assert_eq!(reel(b"DSP1\x01\x00\x10\x03\x00\x78ab").unwrap().frames.len(), 1);
}

#[test]
fn whoever_is_silent_sends_one_dtx_frame_every_400_ms() {
    let mut player = Player::new(0, 0);
    let sent: Vec<_> = (0..100).filter_map(|frame| player.step(false).map(|sound| (frame, sound))).collect();
    assert_eq!(sent.iter().map(|&(frame, _)| frame).collect::<Vec<_>>(), [0, 20, 40, 60, 80]);
    assert!(sent.iter().all(|(_, sound)| is_dtx(sound.payload) && sound.level == SILENT && !sound.starts));
}

#[test]
fn the_first_word_after_a_silence_is_marked() {
    let mut player = Player::new(1, 3);
    play(&mut player, 50, false);
    let said: Vec<_> = play(&mut player, 50, true).into_iter().flatten().collect();
    assert!(said[0].starts && !is_dtx(said[0].payload));
    assert!(said[1..].iter().all(|sound| !sound.starts));
}

#[test]
fn whoever_loses_the_floor_ends_the_word_and_then_falls_silent() {
    let mut player = Player::new(2, 0);
    play(&mut player, 60, true);
    let after = play(&mut player, 100, false);
    let end = after.iter().flatten().position(|sound| is_dtx(sound.payload)).unwrap();
    assert!(end as u32 <= LAST_WORD, "went on for {end} frames");
    assert_eq!(after.iter().flatten().filter(|sound| sound.level < SILENT).count(), end);
}

#[test]
fn the_next_time_another_sentence_is_said() {
    let mut player = Player::new(3, 0);
    let first = player.step(true);
    play(&mut player, 100, false);
    assert_ne!(player.step(true), first);
}

#[test]
fn a_monologue_outlasts_its_reel() {
    let mut player = Player::new(0, 11);
    let sent = play(&mut player, 10_000, true).iter().flatten().count();
    assert!(sent > 8_000, "{sent}");
}

#[test]
fn what_is_heard_of_one_speaker_is_never_the_same_twice_within_500_ms() {
    for number in 0..4 {
        let mut player = Player::new(number, 0);
        let said: Vec<_> = (0..4_000)
            .map(|_| player.step(true).map(|sound| sound.payload).filter(|payload| !is_dtx(payload)))
            .collect();
        for window in said.windows(25) {
            assert!(window[24].is_none() || !window[..24].contains(&window[24]));
        }
    }
}
