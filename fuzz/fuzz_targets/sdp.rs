//! SDP of WHIP and WHEP clients: an error, or an answer that has as many media lines as the offer.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use protocol::sdp::{Kind, Offered};
use protocol::session::{Answer, Candidate, CandidateProtocol, Fingerprint, IceText};

fn answer() -> Answer {
    let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    Answer {
        ufrag: IceText::new("ufrag").expect("valid"),
        pwd: IceText::new("a-password/of+24/bytes+0".replace('-', "x").as_str()).expect("valid"),
        fingerprint: Fingerprint([7; 32]),
        candidates: vec![Candidate { protocol: CandidateProtocol::Udp, ip, port: 7100 }],
        ssrcs: vec![1, 2, 3],
        red: true,
    }
}

fuzz_target!(|sdp: &str| {
    for kind in [Kind::Whip, Kind::Whep] {
        if let Ok(offered) = Offered::parse(sdp, kind) {
            let media = |sdp: &str| sdp.split('\n').filter(|line| line.starts_with("m=")).count();
            let answer = offered.answer(&answer());
            assert_eq!(media(sdp), media(&answer), "{answer}");
        }
    }
});
