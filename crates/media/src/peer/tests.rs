//! Peers against clients of rtc-dtls, in one thread, on a clock of our own.

mod backlog;
mod client;
mod reach;

use std::time::Duration;

use proptest::prelude::*;
use rtc_dtls::config::ExtendedMasterSecretType;
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;

use super::*;
use crate::srtp::Profile;
use client::{Client, GCM_LAST, ONLY_CM, World, addr, rtp};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_handshake_agrees_on_the_best_profile_and_the_same_keys() {
    for (offered, profile) in [(GCM_LAST, Profile::AeadAes128Gcm), (ONLY_CM, Profile::Aes128CmSha1_80)] {
        let mut world = World::new();
        let mut client = Client::offering(offered);
        world.admit(&mut client, true);
        world.connect(&mut client);

        let Some(PeerChange::Connected { peer, addr, keys }) = world.peers.poll() else { panic!() };
        assert_eq!((peer, addr, keys.profile()), (client.id, client.addr, profile));
        assert_eq!(keys, client.keys(profile).server());
        assert_eq!(world.peers.poll(), None);
        assert_eq!(world.peers.stats().handshakes_done, 1);
    }
}

#[test]
fn a_client_hello_in_several_datagrams_is_put_together_in_any_order() {
    for swapped in [false, true] {
        let mut world = World::new();
        let mut client = Client::with(GCM_LAST, |config| config.with_mtu(110));
        world.admit(&mut client, false);
        world.check(&client);
        client.hello(world.now);
        let mut hello = client.datagrams();
        assert_eq!(hello.len(), 2);
        if swapped {
            hello.swap(0, 1);
        }
        assert_eq!(world.send_all(&client, &hello[..1]), [] as [Vec<u8>; 0]);
        let answers = world.send_all(&client, &hello[1..]);
        assert_eq!(answers.len(), 1, "the cookie");
        client.take(world.now, &answers);
        world.converse(&mut client);
        assert!(matches!(world.peers.poll(), Some(PeerChange::Connected { .. })));
    }
}

#[test]
fn a_speaker_is_heard_once_and_a_listener_not_at_all() {
    for receives in [true, false] {
        let mut world = World::new();
        let mut client = Client::new();
        world.admit(&mut client, receives);
        world.connect(&mut client);
        let keys = client.keys(Profile::AeadAes128Gcm);
        let mut sealer = crate::srtp::Sealer::new(keys.client());
        let plain = rtp(7);
        let mut sealed = plain.clone();
        sealer.seal(&mut sealed, 0, 12, 5, 7);
        let report = [0x80, 201, 0, 1, 0, 0, 0, 5];
        let mut sealed_report = report.to_vec();
        sealer.seal_rtcp(&mut sealed_report, 0);

        let (from, id) = (client.addr, client.id);
        let (mut datagram, mut report_datagram) = (sealed.clone(), sealed_report.clone());
        let first = world.peers.receive(world.now, from, &mut datagram, &mut world.out);
        assert_eq!(first, receives.then_some(Received::Rtp { peer: id, packet: &plain }));
        let first = world.peers.receive(world.now, from, &mut report_datagram, &mut world.out);
        assert_eq!(first, receives.then_some(Received::Rtcp { peer: id, packet: &report }));
        for again in [&mut sealed, &mut sealed_report] {
            assert_eq!(world.peers.receive(world.now, from, again, &mut world.out), None);
        }
        let stats = *world.peers.stats();
        let expected = if receives { (2, 0) } else { (0, 4) };
        assert_eq!((stats.srtp_replay, stats.srtp_unwanted), expected);
    }
}

#[test]
fn the_right_password_with_the_wrong_certificate_is_a_stranger() {
    let mut world = World::new();
    let mut client = Client::new();
    client.offer.fingerprint.0[0] ^= 1;
    world.admit(&mut client, true);
    world.connect(&mut client);
    let gone = PeerChange::Gone { peer: client.id, why: GoneReason::Stranger };
    assert_eq!(world.peers.poll(), Some(gone));
    assert_eq!(world.peers.poll(), None);
    assert!(world.peers.is_empty());
    assert!(client.closed, "it is told");
    assert_eq!(world.peers.stats().handshakes_stranger, 1);
}

#[test]
fn what_comes_from_nobody_is_counted_and_never_answered() {
    let mut world = World::new();
    let mut client = Client::new();
    world.admit(&mut client, true);
    client.hello(world.now);
    let hello = client.datagrams().remove(0);
    let wrong = client.request_with_pwd("not the password of this node");
    let mut unknown = Client::new();
    unknown.credentials = client.credentials.clone();
    unknown.offer.ufrag = protocol::session::IceText::new("elsewhere").unwrap();
    let unknown = unknown.request();
    for datagram in [&hello[..], &rtp(1), &wrong, &unknown, &wrong[..20], b"GET / HTTP/1.1", b""] {
        assert_eq!(world.send(&client, datagram), [] as [Vec<u8>; 0]);
    }
    let expected = Stats {
        dtls_stranger: 1,
        srtp_stranger: 1,
        stun_password: 1,
        stun_unknown: 1,
        stun_malformed: 1,
        garbage: 2,
        ..Stats::default()
    };
    assert_eq!(*world.peers.stats(), expected);
    world.check(&client);
    let cookie = world.send(&client, &hello);
    client.take(world.now, &cookie);
    world.converse(&mut client);
    assert!(matches!(world.peers.poll(), Some(PeerChange::Connected { .. })));
}

#[test]
fn garbage_from_a_peers_own_address_disturbs_nothing() {
    let mut world = World::new();
    let mut client = Client::new();
    world.admit(&mut client, true);
    world.check(&client);
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    for junk in [&alert[..], &[22; 40], &[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1], &rtp(1)] {
        assert_eq!(world.send(&client, junk), [] as [Vec<u8>; 0]);
    }
    world.connect(&mut client);
    assert!(matches!(world.peers.poll(), Some(PeerChange::Connected { .. })));

    let sent: usize = (0..100).map(|n| world.send(&client, &junk_handshake(n)).len()).sum();
    assert!(sent <= 7, "{sent} repeats of the last flight");
    world.send(&client, &alert);
    world.send(&client, &rtp(1));
    assert_eq!(world.peers.poll(), None);
    assert_eq!(world.peers.len(), 1);
}

/// A plaintext handshake record of another message each time.
fn junk_handshake(n: u8) -> Vec<u8> {
    let mut record = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, n, 0, 13];
    record.extend_from_slice(&[20, 0, 0, 1, 0, n, 0, 0, 0, 0, 0, 1, 7]);
    record
}

#[test]
fn lost_flights_are_sent_again() {
    let mut world = World::new();
    let mut client = Client::new();
    world.admit(&mut client, true);
    world.check(&client);
    client.hello(world.now);
    let cookie = world.exchange(&mut client);
    client.take(world.now, &cookie);
    let _lost = world.exchange(&mut client);

    // The client repeats its hello: then it gets the flight at once, but not any number of times.
    client.on_timeout(world.now + SECOND);
    let hello = client.datagrams();
    let _lost_again = world.send_all(&client, &hello);
    assert_eq!(world.send_all(&client, &hello), [] as [Vec<u8>; 0]);
    world.now += SECOND;
    let flight = world.send_all(&client, &hello);
    assert!(!flight.is_empty());
    client.take(world.now, &flight);

    let _last_flight_lost = world.exchange(&mut client);
    assert!(matches!(world.peers.poll(), Some(PeerChange::Connected { .. })));
    assert!(!client.done);
    client.on_timeout(world.now + SECOND);
    world.converse(&mut client);
    assert!(client.done);
}

#[test]
fn a_handshake_that_nobody_answers_ends() {
    let mut world = World::new();
    let mut client = Client::new();
    world.admit(&mut client, true);
    world.check(&client);
    client.hello(world.now);
    let cookie = world.exchange(&mut client);
    client.take(world.now, &cookie);
    let mut flights = world.exchange(&mut client).len();
    let begun = world.now;
    while world.peers.len() == 1 {
        world.now = world.peers.poll_timeout().unwrap();
        flights += world.wake(&client).len();
    }
    let gone = PeerChange::Gone { peer: client.id, why: GoneReason::Handshake };
    assert_eq!(world.peers.poll(), Some(gone));
    assert!(world.now - begun < 25 * SECOND && flights < 12, "{flights} flights");
}

#[test]
fn a_client_cannot_begin_for_ever() {
    let mut world = World::new();
    let mut client = Client::new();
    world.admit(&mut client, true);
    world.check(&client);
    client.hello(world.now);
    let hello = client.datagrams().remove(0);
    let goodbye = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0];
    let mut begun = 0;
    while world.peers.len() == 1 {
        begun += usize::from(world.send(&client, &hello).iter().any(|answer| answer[0] == 22));
        world.send(&client, &goodbye);
    }
    assert!((2..1000).contains(&begun), "{begun} cookies");
    let gone = PeerChange::Gone { peer: client.id, why: GoneReason::Handshake };
    assert_eq!(world.peers.poll(), Some(gone));
}

#[test]
fn a_client_without_extended_master_secret_is_refused() {
    let mut world = World::new();
    let mut client = Client::with(GCM_LAST, |config| {
        config.with_extended_master_secret(ExtendedMasterSecretType::Disable)
    });
    world.admit(&mut client, true);
    world.connect(&mut client);
    assert_eq!(world.peers.poll(), None);
    assert!(world.peers.stats().dtls_refused > 0);
}

#[test]
fn goodbyes_are_heard_and_said() {
    let mut world = World::new();
    let mut leaver = Client::new();
    world.admit(&mut leaver, false);
    world.connect(&mut leaver);
    world.peers.poll();
    leaver.close(world.now);
    world.converse(&mut leaver);
    let gone = PeerChange::Gone { peer: leaver.id, why: GoneReason::Closed };
    assert_eq!(world.peers.poll(), Some(gone));

    let mut kicked = Client::new();
    world.admit(&mut kicked, false);
    world.connect(&mut kicked);
    world.peers.poll();
    let goodbye = world.remove(&kicked);
    kicked.take(world.now, &goodbye);
    assert!(kicked.closed);
    assert_eq!(world.peers.poll(), None, "whoever removes knows");
    assert!(world.peers.is_empty());
    assert_eq!(world.peers.poll_timeout(), None);
    world.send(&kicked, &rtp(1));
    assert_eq!(world.peers.stats().srtp_stranger, 1);
}

/// A connected client, so long after its handshake that only what a goodbye takes is kept of it.
fn settled(world: &mut World, profiles: &[SrtpProtectionProfile]) -> Client {
    let mut client = Client::offering(profiles);
    world.admit(&mut client, false);
    world.connect(&mut client);
    assert!(matches!(world.peers.poll(), Some(PeerChange::Connected { .. })));
    world.now += 11 * SECOND;
    assert_eq!(world.wake(&client), [] as [Vec<u8>; 0]);
    client
}

#[test]
fn goodbyes_are_heard_and_said_long_after_the_handshake() {
    for profiles in [GCM_LAST, ONLY_CM] {
        let mut world = World::new();
        let mut leaver = settled(&mut world, profiles);
        leaver.close(world.now);
        let replies = world.exchange(&mut leaver);
        assert!(matches!(&replies[..], [reply] if reply[0] == 21), "it is answered, once");
        let gone = PeerChange::Gone { peer: leaver.id, why: GoneReason::Closed };
        assert_eq!(world.peers.poll(), Some(gone));

        let mut kicked = settled(&mut world, profiles);
        let goodbye = world.remove(&kicked);
        kicked.take(world.now, &goodbye);
        assert!(kicked.closed);
        assert!(world.peers.is_empty());
    }
}

#[test]
fn forged_goodbyes_to_somebody_settled_are_looked_at_some_times_and_never_believed() {
    let mut world = World::new();
    let client = settled(&mut world, GCM_LAST);
    let plain = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0];
    let mut sealed = [21, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 26].to_vec();
    sealed.resize(13 + 26, 7);
    let hello = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1];
    for forged in [&plain[..], &sealed, &hello].into_iter().cycle().take(300) {
        assert_eq!(world.send(&client, forged), [] as [Vec<u8>; 0]);
    }
    assert_eq!((world.peers.poll(), world.peers.len()), (None, 1));
    let stats = world.peers.stats();
    assert!((1..20).contains(&stats.dtls_refused), "{} looked at", stats.dtls_refused);
    assert_eq!(stats.dtls_refused + stats.dtls_malformed, 300);
}

#[test]
fn the_last_flight_is_sent_again_for_as_long_as_a_client_may_ask() {
    let mut world = World::new();
    let mut client = Client::new();
    world.admit(&mut client, false);
    world.check(&client);
    client.hello(world.now);
    for _ in 0..2 {
        let answers = world.exchange(&mut client);
        client.take(world.now, &answers);
    }
    for _ in 0..3 {
        let _last_flight_lost = world.exchange(&mut client);
        world.now += 9 * SECOND;
        assert_eq!(world.wake(&client), [] as [Vec<u8>; 0]);
        client.on_timeout(world.now);
    }
    assert!(!client.done);
    world.converse(&mut client);
    assert!(client.done);
}

#[test]
fn consent_lasts_thirty_seconds_from_the_last_valid_request() {
    let mut world = World::new();
    let mut client = Client::new();
    world.admit(&mut client, false);
    world.connect(&mut client);
    world.peers.poll();
    for _ in 0..10 {
        world.now += 29 * SECOND;
        world.wake(&client);
        world.check(&client);
    }
    let silent_since = world.now;
    while world.peers.len() == 1 {
        world.send(&client, &client.request_with_pwd("not the password of this node"));
        world.now = world.peers.poll_timeout().unwrap();
        assert_eq!(world.wake(&client), [] as [Vec<u8>; 0], "nothing without consent");
    }
    assert_eq!((world.now - silent_since).as_secs(), 30);
    let gone = PeerChange::Gone { peer: client.id, why: GoneReason::ConsentExpired };
    assert_eq!(world.peers.poll(), Some(gone));
}

#[test]
fn a_peer_that_never_shakes_hands_is_not_kept() {
    let mut world = World::new();
    let mut client = Client::new();
    world.admit(&mut client, false);
    let admitted = world.now;
    while world.peers.len() == 1 {
        world.check(&client);
        world.now = world.peers.poll_timeout().unwrap().min(world.now + SECOND);
        world.wake(&client);
    }
    assert_eq!((world.now - admitted).as_secs(), 30);
    let gone = PeerChange::Gone { peer: client.id, why: GoneReason::NotConnected };
    assert_eq!(world.peers.poll(), Some(gone));
}

#[test]
fn no_more_peers_are_admitted_than_allowed_and_no_id_twice() {
    let mut world = World::new();
    let client = Client::new();
    let mut admit = |id| world.peers.admit(world.now, PeerId(id), &client.offer, false).map(|_| ());
    for id in 0..client::MAX_PEERS as u64 - 1 {
        assert_eq!(admit(id), Ok(()));
    }
    assert_eq!(admit(3), Err(AdmitError::Taken));
    assert_eq!(admit(1000), Ok(()));
    assert_eq!(admit(1001), Err(AdmitError::Full));
    assert_eq!(world.peers.stats().refused_full, 1);
}

#[test]
fn a_session_may_begin_with_its_keys() {
    let mut world = World::new();
    let mut client = Client::new();
    let exported = [9; Profile::AeadAes128Gcm.exported_len()];
    let keys = SessionKeys::from_exported(Profile::AeadAes128Gcm, &exported).unwrap();
    let session = Session { addr: client.addr, keys: &keys };
    let credentials =
        world.peers.admit_with_keys(world.now, client.id, &client.offer, true, session).unwrap();
    let connected = PeerChange::Connected { peer: client.id, addr: client.addr, keys: keys.server() };
    assert_eq!(world.peers.poll(), Some(connected));

    let mut sealed = rtp(1);
    crate::srtp::Sealer::new(keys.client()).seal(&mut sealed, 0, 12, 5, 1);
    let received = world.peers.receive(world.now, client.addr, &mut sealed, &mut world.out);
    assert_eq!(received, Some(Received::Rtp { peer: client.id, packet: &rtp(1) }));

    client.credentials = Some(credentials);
    world.now += 20 * SECOND;
    world.check(&client);
    world.now += 20 * SECOND;
    world.wake(&client);
    assert_eq!(world.peers.len(), 1);
}

#[test]
fn the_same_seed_draws_the_same_credentials() {
    let draw = || World::new().peers.admit(client::base(), PeerId(7), &Client::new().offer, true).unwrap();
    assert_eq!(draw(), draw());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn anything_from_anybody_is_survived(
        datagrams in proptest::collection::vec((any::<bool>(), any::<u8>(), proptest::collection::vec(any::<u8>(), 0..100)), 0..20)
    ) {
        let mut world = World::new();
        let mut client = Client::new();
        world.admit(&mut client, true);
        world.check(&client);
        for (stranger, first, mut datagram) in datagrams {
            datagram.insert(0, first);
            let from = if stranger { addr(1) } else { client.addr };
            let answers = world.send_from(from, &datagram);
            prop_assert!(answers.iter().map(Vec::len).sum::<usize>() <= datagram.len());
        }
        prop_assert_eq!(world.peers.len(), 1);
    }

    #[test]
    fn a_disturbed_handshake_never_panics(seed: u64) {
        let mut world = World::new();
        let mut client = Client::new();
        world.admit(&mut client, true);
        world.check(&client);
        client.hello(world.now);
        world.disturbed_conversation(&mut client, seed);
        while world.peers.poll().is_some() {}
    }
}
