//! Real offers of every stack that we say works, and then nonsense.

use proptest::prelude::*;

use super::*;
use crate::session::{Candidate, CandidateProtocol, Fingerprint, IceText, PayloadType};

macro_rules! sample {
    ($name:literal) => {
        ($name, include_str!(concat!("samples/", $name, ".sdp")))
    };
}

/// An offer's name and its text.
type Sample = (&'static str, &'static str);

/// Speakers, with payload type, level extension and whether RED and NACK are there.
const WHIP: [(Sample, u8, Option<u8>, bool); 10] = [
    (sample!("chromium-whip"), 111, Some(1), true),
    (sample!("chromium-whip-video"), 111, Some(14), true),
    (sample!("firefox-whip"), 109, Some(1), false),
    (sample!("firefox-whip-video"), 109, Some(1), false),
    (sample!("aiortc-whip"), 96, Some(2), false),
    (sample!("aiortc-whip-video"), 96, Some(2), false),
    (sample!("gstreamer-whip"), 97, None, false),
    (sample!("obs-whip"), 111, None, false),
    (sample!("obs30-whip"), 111, None, false),
    (sample!("webrtc-rs-whip"), 111, Some(1), false),
];

/// Listeners, with payload type, level extension and lines.
const WHEP: [(Sample, u8, Option<u8>, u8); 11] = [
    (sample!("chromium-whep1"), 111, Some(1), 1),
    (sample!("chromium-whep3"), 111, Some(1), 3),
    (sample!("chromium-whep-video"), 111, Some(14), 1),
    (sample!("firefox-whep1"), 109, Some(1), 1),
    (sample!("firefox-whep3"), 109, Some(1), 3),
    (sample!("firefox-whep-video"), 109, Some(1), 1),
    (sample!("aiortc-whep1"), 96, Some(2), 1),
    (sample!("aiortc-whep3"), 96, Some(2), 3),
    (sample!("gstreamer-whep1"), 97, None, 1),
    (sample!("webrtc-rs-whep1"), 111, Some(1), 1),
    (sample!("webrtc-rs-whep3"), 111, Some(1), 3),
];

fn answer() -> Answer {
    let candidate =
        |ip: &str| Candidate { protocol: CandidateProtocol::Udp, ip: ip.parse().unwrap(), port: 7100 };
    Answer {
        ufrag: IceText::new("nodeUfrag").unwrap(),
        pwd: IceText::new("nodePasswordOf24Bytes000").unwrap(),
        fingerprint: Fingerprint([0xAB; 32]),
        candidates: vec![candidate("192.0.2.7"), candidate("2001:db8::7")],
        ssrcs: vec![11, 12, 13],
        red: true,
    }
}

fn sections(sdp: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = sdp.lines().collect();
    let starts: Vec<usize> = (0..lines.len()).filter(|&i| lines[i].starts_with("m=")).collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    starts.iter().zip(ends).map(|(&start, end)| lines[start..end].to_vec()).collect()
}

fn has(section: &[&str], line: &str) -> bool {
    section.contains(&line)
}

#[test]
fn every_stack_can_speak() {
    for ((name, sdp), opus, level, red) in WHIP {
        let offered = Offered::parse(sdp, Kind::Whip).unwrap_or_else(|error| panic!("{name}: {error}"));
        let offer = offered.offer();
        assert_eq!(offer.opus.value(), opus, "{name}");
        assert_eq!(offer.level_ext.map(ExtensionId::value), level, "{name}");
        assert_eq!(offer.red.map(PayloadType::value), red.then_some(63), "{name}");
        assert_eq!(offer.lines.value(), 0, "{name}");

        let answer = offered.answer(&answer());
        let ours: Vec<_> = sections(&answer).into_iter().filter(|s| has(s, "a=recvonly")).collect();
        assert_eq!(ours.len(), 1, "{name}");
        assert!(has(&ours[0], &format!("a=rtpmap:{opus} opus/48000/2")), "{name}");
        assert_eq!(ours[0][0].contains(" 63 111"), red, "{name}: RED first");
        assert_mirrors(name, sdp, &answer);
    }
}

#[test]
fn every_stack_can_listen() {
    for ((name, sdp), opus, level, lines) in WHEP {
        let offered = Offered::parse(sdp, Kind::Whep).unwrap_or_else(|error| panic!("{name}: {error}"));
        let offer = offered.offer();
        assert_eq!(offer.opus.value(), opus, "{name}");
        assert_eq!(offer.level_ext.map(ExtensionId::value), level, "{name}");
        assert_eq!(offer.lines.value(), lines, "{name}");
        assert_eq!((offer.red, offer.nack, offer.framing), (None, false, None), "{name}");

        let answer = offered.answer(&answer());
        let ours: Vec<_> = sections(&answer).into_iter().filter(|s| has(s, "a=sendonly")).collect();
        assert_eq!(ours.len(), usize::from(lines), "{name}");
        for (voice, section) in ours.iter().enumerate() {
            assert!(has(section, &format!("a=ssrc:{} cname:dais", 11 + voice)), "{name}");
            assert!(has(section, &format!("a=msid:dais voice-{voice}")), "{name}");
        }
        assert_mirrors(name, sdp, &answer);
    }
}

/// As many lines in the same order with the same mids, and in each that is served all that any client
/// looks for.
fn assert_mirrors(name: &str, offer: &str, answer: &str) {
    let (asked, answered) = (sections(offer), sections(answer));
    assert_eq!(asked.len(), answered.len(), "{name}");
    for (asked, answered) in asked.iter().zip(&answered) {
        let mid = |section: &[&str]| {
            section.iter().find(|line| line.starts_with("a=mid:")).map(|mid| mid.to_string())
        };
        assert_eq!(mid(asked), mid(answered), "{name}");
        let refused = answered[0].split(' ').nth(1) == Some("0");
        assert_eq!(refused, has(answered, "a=inactive"), "{name}");
        for line in [
            "a=ice-ufrag:nodeUfrag",
            "a=setup:passive",
            "a=rtcp-mux",
            "a=candidate:1 1 udp 2130706431 192.0.2.7 7100 typ host",
            "a=candidate:2 1 udp 2130706175 2001:db8::7 7100 typ host",
        ] {
            assert_eq!(has(answered, line), !refused, "{name}: {line}");
        }
    }
}

#[test]
fn video_and_data_are_refused_and_leave_the_bundle() {
    let offered = Offered::parse(sample!("chromium-whip-video").1, Kind::Whip).unwrap();
    let answer = offered.answer(&answer());
    assert!(answer.contains("a=group:BUNDLE 1\r\n"), "{answer}");
    assert!(answer.contains("m=video 0 UDP/TLS/RTP/SAVPF "), "{answer}");
    assert!(answer.contains("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"), "{answer}");
}

/// An offer as short as it can be, for one line.
const SMALL: &str = "v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0
m=audio 9 UDP/TLS/RTP/SAVPF 111
a=mid:0
a=sendrecv
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuv
a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F
a=setup:actpass
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
";

fn small_with(from: &str, to: &str) -> Result<Offered, SdpError> {
    assert!(SMALL.contains(from), "{from}");
    Offered::parse(&SMALL.replace(from, to), Kind::Whip)
}

#[test]
fn nonsense_in_any_field_is_an_error_that_names_it() {
    let long = "x".repeat(65);
    for (from, to, says) in [
        ("v=0", "v=1", "v="),
        ("s=-", "nonsense", "line 3 (line)"),
        ("s=-", "s=\u{7}", "control character"),
        ("BUNDLE 0", "BUNDLE 7", "a=group"),
        ("m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=audio", "line 6 (m=)"),
        ("m=audio 9 ", "m=audio 99999 ", "line 6 (m=)"),
        ("m=audio 9 ", "m=a<b 9 ", "line 6 (m=)"),
        ("a=mid:0", "a=mid:", "line 7 (a=mid)"),
        ("abcd\n", "abc\n", "line 9 (a=ice-ufrag)"),
        ("a=ice-ufrag:abcd", "a=x", "needs a=ice-ufrag"),
        ("uv\n", &long, "line 10 (a=ice-pwd)"),
        ("sha-256", "sha-512", "needs a=fingerprint:sha-256"),
        ("sha-256 00:01:", "sha-256 00:", "line 11 (a=fingerprint)"),
        ("sha-256 00:01:", "sha-256 0:001:", "line 11 (a=fingerprint)"),
        ("sha-256 00:", "sha-256 +0:", "line 11 (a=fingerprint)"),
        ("sha-256 00:", "00:", "line 11 (a=fingerprint)"),
        ("actpass", "passive", "line 12 (a=setup)"),
        ("actpass", "backwards", "line 12 (a=setup)"),
        ("a=rtcp-mux", "a=x", "needs a=rtcp-mux"),
        ("a=rtpmap:111 opus", "a=rtpmap:300 opus", "line 14 (a=rtpmap)"),
        ("a=rtpmap:111 opus", "a=rtpmap:opus", "line 14 (a=rtpmap)"),
        ("opus/48000/2", "opus/8000/1", "needs Opus"),
        ("111\n", "5\n", "needs Opus"),
        ("a=extmap:1 ", "a=extmap:0 ", "line 15 (a=extmap)"),
        ("a=extmap:1 ", "a=extmap:one ", "line 15 (a=extmap)"),
        ("a=extmap:1 ", "a=extmap:1/up ", "line 15 (a=extmap)"),
        ("a=sendrecv", "a=ptime:soon", "a=ptime"),
        ("s=-", "a=ice-lite", "a=ice-lite"),
    ] {
        let error = small_with(from, to).expect_err(to).to_string();
        assert!(error.contains(says), "{to}: {error}");
    }
}

#[test]
fn an_offer_without_a_line_for_us_is_an_error() {
    for (from, to) in [
        ("a=sendrecv", "a=recvonly"),
        ("a=sendrecv", "a=inactive"),
        ("m=audio 9", "m=audio 0"),
        ("m=audio 9", "m=video 9"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
    ] {
        assert!(matches!(small_with(from, to), Err(SdpError::NoAudio(_))), "{to}");
    }
}

#[test]
fn whatever_is_too_large_says_which_limit() {
    let lines = "m=audio 0 RTP/AVP 0\n".repeat(MAX_LINES);
    let long_line = format!("s={}", "x".repeat(MAX_LINE));
    for (more, what) in
        [("\n".repeat(MAX_SDP), "bytes"), (lines, "media lines"), (long_line, "bytes in a line")]
    {
        let error = Offered::parse(&format!("{SMALL}{more}"), Kind::Whip).unwrap_err();
        assert!(matches!(error, SdpError::TooLarge { what: w, .. } if w == what), "{error}");
        assert_eq!(ApiError::from(error).code, Code::TooLarge);
    }
}

#[test]
fn two_lines_of_one_mid_are_refused() {
    let doubled = format!("{SMALL}m=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:0\n");
    assert!(matches!(Offered::parse(&doubled, Kind::Whip), Err(SdpError::Lacks { line: 6, .. })));
}

#[test]
fn without_a_bundle_one_line_is_served() {
    let three = SMALL.replace("a=group:BUNDLE 0\n", "");
    let more: String =
        (1..3).map(|i| three[three.find("m=").unwrap()..].replace("mid:0", &format!("mid:{i}"))).collect();
    let offered = Offered::parse(&format!("{three}{more}"), Kind::Whep).unwrap();
    assert_eq!(offered.offer().lines.value(), 1);
    assert!(!offered.answer(&answer()).contains("BUNDLE"));
}

#[test]
fn voices_that_disagree_about_numbers_are_refused() {
    let sdp = sample!("firefox-whep3").1;
    let last = sdp.rfind("m=audio").unwrap();
    for (from, to) in [("extmap:1 ", "extmap:9 "), ("rtpmap:109", "rtpmap:110")] {
        let bad = format!("{}{}", &sdp[..last], sdp[last..].replace(from, to));
        assert!(matches!(Offered::parse(&bad, Kind::Whep), Err(SdpError::Lacks { .. })), "{to}");
    }
}

#[test]
fn an_extension_that_may_not_flow_towards_us_is_not_used() {
    let level = |to| small_with("a=extmap:1 ", to).unwrap();
    assert_eq!(level("a=extmap:1/recvonly ").offer().level_ext, None);
    assert_eq!(level("a=extmap:200 ").offer().level_ext, None, "needs two-byte headers");
    let mirrored = level("a=extmap:1/sendonly ").answer(&answer());
    assert!(mirrored.contains("a=extmap:1/recvonly urn"), "{mirrored}");
}

#[test]
fn short_packets_are_granted_to_whom_long_ones_are_too_long() {
    for (says, framing) in
        [("a=maxptime:40", Some(20)), ("a=ptime:20", Some(20)), ("a=ptime:60", Some(60)), ("a=x", None)]
    {
        let sdp = SMALL.replace("a=mid:0", &format!("a=mid:0\n{says}"));
        let offered = Offered::parse(&sdp, Kind::Whep).unwrap();
        assert_eq!(offered.offer().framing.map(|framing| framing.value()), framing, "{says}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(sdp in "\\PC*", whip: bool) {
        let _ = Offered::parse(&sdp, if whip { Kind::Whip } else { Kind::Whep });
    }

    /// A real offer with one stretch of it replaced: an error, or an answer that fits the offer.
    #[test]
    fn a_damaged_offer_is_refused_or_answered(
        sample in 0..WHEP.len(), at in 0.0..1.0f64, length in 0..40usize, junk in "[ -~\r\n]{0,20}",
    ) {
        let sdp = WHEP[sample].0.1;
        let start = (sdp.len() as f64 * at) as usize;
        let damaged = format!("{}{junk}{}", &sdp[..start], &sdp[(start + length).min(sdp.len())..]);
        for kind in [Kind::Whip, Kind::Whep] {
            if let Ok(offered) = Offered::parse(&damaged, kind) {
                let answer = offered.answer(&answer());
                prop_assert_eq!(sections(&answer).len(), offered.sections.len());
                let small = serde_json::to_string(offered.offer()).unwrap();
                prop_assert_eq!(&serde_json::from_str::<Offer>(&small).unwrap(), offered.offer());
            }
        }
    }
}
