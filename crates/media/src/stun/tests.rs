//! The parser against the RFC's own messages, ours, and anything.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

/// RFC 5769 §2.1, with USERNAME, PRIORITY, ICE-CONTROLLED, MESSAGE-INTEGRITY and FINGERPRINT.
const SAMPLE: [u8; 108] = *b"\
\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
\x80\x22\x00\x10STUN test client\
\x00\x24\x00\x04\x6e\x00\x01\xff\
\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
\x00\x06\x00\x09\x65\x76\x74\x6a\x3a\x68\x36\x76\x59\x20\x20\x20\
\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
\x80\x28\x00\x04\xe5\x7a\x3b\xcf";

/// How much of it MESSAGE-INTEGRITY protects, with itself.
const SIGNED: usize = SAMPLE.len() - FINGERPRINT_LEN;

const SAMPLE_PWD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

fn request() -> Request<'static> {
    Request {
        transaction: *b"twelve bytes",
        remote_ufrag: "node",
        local_ufrag: "client7",
        remote_pwd: "a password of 22 chars",
        controlling: true,
        use_candidate: true,
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = b"other datagrams".to_vec();
    write(&mut out);
    out.split_off(b"other datagrams".len())
}

#[test]
fn the_sample_of_the_rfc_is_understood() {
    let message = Message::parse(&SAMPLE).unwrap();
    assert_eq!(message.kind, Kind::Request);
    assert_eq!(message.ufrags(), Some((&b"evtj"[..], &b"h6vY"[..])));
    assert_eq!(message.unknown, None);
    assert!(message.is_signed_with(SAMPLE_PWD));
    assert!(!message.is_signed_with(b"VOkJxbRl1RmTxUk/WvJxBT"));
}

#[test]
fn no_bit_of_a_signed_message_can_be_changed() {
    for bit in 0..SIGNED * 8 {
        let mut changed = SAMPLE;
        changed[bit / 8] ^= 1 << (bit % 8);
        let taken = Message::parse(&changed).is_ok_and(|message| message.is_signed_with(SAMPLE_PWD));
        assert!(!taken, "bit {bit}");
    }
}

#[test]
fn what_is_written_can_be_read() {
    let bytes = written(|out| write_request(out, &request()));
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.kind, message.use_candidate), (Kind::Request, true));
    assert_eq!(message.transaction, request().transaction);
    assert_eq!(message.username, Some(&b"node:client7"[..]));
    assert!(message.is_signed_with(request().remote_pwd.as_bytes()));
}

#[test]
fn an_answer_tells_the_address_it_was_sent_to() {
    // RFC 5769 §2.2 and §2.3: the transaction of the sample, and what the attribute must be.
    let transaction = *Message::parse(&SAMPLE).unwrap().transaction.first_chunk().unwrap();
    let cases: [(&str, &[u8]); 3] = [
        ("192.0.2.1:32853", b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"),
        ("[::ffff:192.0.2.1]:32853", b"\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43"),
        (
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
            b"\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9",
        ),
    ];
    for (from, attribute) in cases {
        let from: SocketAddr = from.parse().unwrap();
        let bytes = written(|out| write_success(out, &transaction, from, SAMPLE_PWD));
        assert_eq!(&bytes[HEADER..HEADER + attribute.len()], attribute, "{from}");
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.kind, Kind::Success);
        assert!(message.is_signed_with(SAMPLE_PWD));
    }
}

#[test]
fn an_attribute_that_must_be_understood_is_named_in_the_error() {
    let mut strange = SAMPLE.to_vec();
    strange[HEADER..HEADER + 2].copy_from_slice(&0x7abc_u16.to_be_bytes());
    assert_eq!(Message::parse(&strange).unwrap().unknown, Some(0x7abc));

    let bytes = written(|out| write_unknown_attribute(out, b"twelve bytes", 0x7abc, SAMPLE_PWD));
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.kind, Kind::Error);
    assert!(message.is_signed_with(SAMPLE_PWD));
    assert!(bytes.windows(2).any(|pair| pair == [0x7a, 0xbc]));
}

#[test]
fn what_follows_the_signature_is_not_believed() {
    let mut forged = written(|out| write_request(out, &Request { use_candidate: false, ..request() }));
    let fingerprint = forged.split_off(forged.len() - FINGERPRINT_LEN);
    forged.extend_from_slice(&[0, 0x25, 0, 0]);
    let length = (forged.len() + fingerprint.len() - HEADER) as u16;
    forged[2..4].copy_from_slice(&length.to_be_bytes());
    let crc = crc::fingerprint(&forged);
    forged.extend_from_slice(&fingerprint[..4]);
    forged.extend_from_slice(&crc);
    let message = Message::parse(&forged).unwrap();
    assert!(message.is_signed_with(request().remote_pwd.as_bytes()));
    assert!(!message.use_candidate);
}

#[test]
fn other_methods_and_broken_lengths_are_refused() {
    let mut allocate = SAMPLE;
    allocate[1] = 3;
    assert_eq!(Message::parse(&allocate), Err(StunError::Method));
    for len in 0..SAMPLE.len() {
        assert_eq!(Message::parse(&SAMPLE[..len]), Err(StunError::Header), "{len} bytes");
    }
    let mut overrun = SAMPLE;
    overrun[HEADER + 2] = 1;
    assert_eq!(Message::parse(&overrun), Err(StunError::Attribute));
}

proptest! {
    #[test]
    fn anything_is_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::parse(&bytes);
    }

    #[test]
    fn any_attributes_are_parsed_or_refused(attributes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = SAMPLE[..HEADER].to_vec();
        bytes.extend_from_slice(&attributes);
        bytes[2..4].copy_from_slice(&(attributes.len() as u16).to_be_bytes());
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert!(!message.is_signed_with(SAMPLE_PWD));
            message.ufrags();
        }
    }

    #[test]
    fn a_changed_sample_never_panics(at in 0..SAMPLE.len(), to in any::<u8>()) {
        let mut bytes = SAMPLE;
        bytes[at] = to;
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert!(!message.is_signed_with(SAMPLE_PWD) || bytes[..SIGNED] == SAMPLE[..SIGNED]);
        }
    }
}
