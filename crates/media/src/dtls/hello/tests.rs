//! ClientHellos whole, in pieces, out of order, and none.

use proptest::prelude::*;

use super::*;

/// A ClientHello of this length or more with these SRTP profiles, `use_srtp` last.
fn hello(profiles: &[u16], at_least: usize) -> Vec<u8> {
    let mut hello = vec![0xfe, 0xfd];
    hello.resize(SESSION_ID, 7);
    hello.extend_from_slice(&[0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let list: Vec<u8> = profiles.iter().flat_map(|profile| profile.to_be_bytes()).collect();
    let padding = at_least.saturating_sub(hello.len() + 2 + 4 + 4 + list.len() + 3);
    let mut extensions = vec![0, 21];
    extensions.extend_from_slice(&(padding as u16).to_be_bytes());
    extensions.resize(4 + padding, 0);
    extensions.extend_from_slice(&[0, 14, 0, list.len() as u8 + 3, 0, list.len() as u8]);
    extensions.extend_from_slice(&list);
    extensions.push(0);
    hello.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
    hello.extend_from_slice(&extensions);
    hello
}

/// The datagram with these bytes of the message.
fn datagram(hello: &[u8], from: usize, to: usize) -> Vec<u8> {
    let u24 = |n: usize| [(n >> 16) as u8, (n >> 8) as u8, n as u8];
    let mut message = vec![1];
    for part in [&u24(hello.len())[..], &[0, 0], &u24(from), &u24(to - from), &hello[from..to]] {
        message.extend_from_slice(part);
    }
    let mut record = vec![22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
    record.extend_from_slice(&(message.len() as u16).to_be_bytes());
    record.extend_from_slice(&message);
    record
}

fn whole(hello: &[u8]) -> Vec<u8> {
    datagram(hello, 0, hello.len())
}

#[test]
fn gcm_is_chosen_wherever_it_stands_in_the_list() {
    for (profiles, best) in [
        (&[1, 8, 7][..], Some(Profile::AeadAes128Gcm)),
        (&[7, 8, 1], Some(Profile::AeadAes128Gcm)),
        (&[8, 2, 1], Some(Profile::Aes128CmSha1_80)),
        (&[8, 2], None),
        (&[], None),
    ] {
        let datagram = whole(&hello(profiles, 0));
        let offered = Hello::default().push(&datagram);
        let expected = best.map_or(Offered::Nothing, |best| Offered::Whole(best, vec![datagram]));
        assert_eq!(offered, expected, "{profiles:?}");
    }
}

#[test]
fn a_hello_in_two_datagrams_is_waited_for_in_any_order() {
    let hello = hello(&[1, 7], 1400);
    let (first, second) = (datagram(&hello, 0, 1150), datagram(&hello, 1150, hello.len()));
    for order in [[&first, &second], [&second, &first]] {
        let mut held = Hello::default();
        assert_eq!(held.push(order[0]), Offered::Incomplete);
        assert_eq!(held.push(order[0]), Offered::Incomplete, "a repeat");
        let datagrams = vec![order[0].clone(), order[0].clone(), order[1].clone()];
        assert_eq!(held.push(order[1]), Offered::Whole(Profile::AeadAes128Gcm, datagrams));
    }
}

#[test]
fn only_so_much_is_held_and_then_it_starts_again() {
    let hello = hello(&[7], 1400);
    let mut held = Hello::default();
    for _ in 0..MAX_HELD {
        assert_eq!(held.push(&datagram(&hello, 0, 100)), Offered::Incomplete);
    }
    assert_eq!(held.push(&datagram(&hello, 0, 100)), Offered::Nothing);
    assert!(matches!(held.push(&whole(&hello)), Offered::Whole(..)));

    let long = self::hello(&[7], MAX_HELLO + 1);
    assert_eq!(held.push(&datagram(&long, 0, 1000)), Offered::Nothing);
}

#[test]
fn a_hello_without_srtp_or_of_another_turn_is_nothing() {
    let mut plain = hello(&[7], 0);
    let at = plain.len() - 2 - 1 - 2 - 4;
    plain[at + 1] = 99;
    assert_eq!(Hello::default().push(&whole(&plain)), Offered::Nothing);
    let mut second = whole(&hello(&[7], 0));
    second[13 + 5] = 1;
    assert_eq!(Hello::default().push(&second), Offered::Nothing);
}

proptest! {
    #[test]
    fn anything_is_taken_or_left(datagrams in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..80), 0..6)
    ) {
        let mut held = Hello::default();
        for datagram in datagrams {
            held.push(&datagram);
            prop_assert!(held.held.len() <= MAX_HELD);
        }
    }

    #[test]
    fn any_hello_is_read_to_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        best_profile(&bytes);
    }

    #[test]
    fn a_hello_may_be_cut_anywhere(cut in 1..699_usize, swapped: bool) {
        let hello = hello(&[1, 7], 700);
        let mut pieces = [datagram(&hello, 0, cut), datagram(&hello, cut, hello.len())];
        if swapped {
            pieces.swap(0, 1);
        }
        let mut held = Hello::default();
        prop_assert_eq!(held.push(&pieces[0]), Offered::Incomplete);
        prop_assert!(matches!(held.push(&pieces[1]), Offered::Whole(Profile::AeadAes128Gcm, _)));
    }
}
