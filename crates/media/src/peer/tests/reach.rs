//! Where a peer is, and who may say so.

use super::*;

/// A client that is connected, and whose `Connected` has been seen.
fn connected(world: &mut World) -> Client {
    let mut client = Client::new();
    world.admit(&mut client, true);
    world.connect(&mut client);
    assert!(matches!(world.peers.poll(), Some(PeerChange::Connected { .. })));
    client
}

fn moved(client: &Client) -> Option<PeerChange> {
    Some(PeerChange::Moved { peer: client.id, addr: client.addr })
}

#[test]
fn a_peer_moves_once_it_has_answered_from_its_new_address() {
    for nominates in [true, false] {
        let mut world = World::new();
        let mut client = connected(&mut world);
        if !nominates {
            // As aiortc does, which nominates once.
            let answers = world.send(&client, &client.plain_request());
            client.assert_success(&answers[0]);
        }
        client.addr = addr(50_001);
        let request = if nominates { client.request() } else { client.plain_request() };
        let answers = world.send(&client, &request);
        assert_eq!(world.peers.poll(), None, "asking moves nobody");

        let forged = client.answer(&answers[0], "not the client's password");
        world.send(&client, &forged);
        let answer = client.answer(&answers[0], client.offer.pwd.as_str());
        world.send_from(addr(50_002), &answer);
        assert_eq!(world.peers.poll(), None, "wrong password, wrong address");

        let owed = world.send(&client, &answer);
        client.assert_success(&owed[0]);
        assert_eq!(world.peers.poll(), moved(&client));
        world.send(&client, &answer);
        assert_eq!(world.peers.poll(), None, "an answer is good once");
        world.check(&client);
        let stats = world.peers.stats();
        assert_eq!((stats.moved, stats.stun_password, stats.checks_unknown), (1, 1, 2));
    }
}

/// Firefox asks, asks again because we ask, and misses any answer.
#[test]
fn all_requests_of_a_moving_peer_are_answered() {
    let mut world = World::new();
    let mut client = connected(&mut world);
    client.addr = addr(50_001);
    let check = world.send(&client, &client.request());
    assert_eq!(check.len(), 1);
    client.transaction = *b"second of it";
    let answers = world.send(&client, &client.request());
    client.assert_success(&answers[0]);
    let answers = world.send(&client, &client.answer(&check[0], client.offer.pwd.as_str()));
    client.transaction = *b"by a client.";
    client.assert_success(&answers[0]);
    assert_eq!(world.peers.poll(), moved(&client));
}

#[test]
fn a_speaker_is_heard_from_a_new_address_as_soon_as_the_check_is_answered() {
    let mut world = World::new();
    let mut client = connected(&mut world);
    let sealer = crate::srtp::Sealer::new(client.keys(Profile::AeadAes128Gcm).client());
    let packet = |index: u8| {
        let mut bytes = rtp(index);
        sealer.seal(&mut bytes, 0, 12, 5, index.into());
        bytes
    };
    client.addr = addr(50_001);
    world.send(&client, &packet(1));
    assert_eq!(world.peers.stats().srtp_stranger, 1);
    let answers = world.send(&client, &client.request());
    world.send(&client, &client.answer(&answers[0], client.offer.pwd.as_str()));
    let mut second = packet(2);
    let received = world.peers.receive(world.now, client.addr, &mut second, &mut world.out);
    assert_eq!(received, Some(Received::Rtp { peer: client.id, packet: &rtp(2) }));
}

#[test]
fn a_pair_in_reserve_is_answered_but_not_followed() {
    let mut world = World::new();
    let mut client = connected(&mut world);
    world.check(&client);
    let used = std::mem::replace(&mut client.addr, addr(50_001));
    let answers = world.send(&client, &client.plain_request());
    assert_eq!(answers.len(), 1);
    client.assert_success(&answers[0]);

    // When the pair in use has gone silent, the other one is better than nothing.
    world.now += 6 * SECOND;
    let answers = world.send(&client, &client.plain_request());
    world.send(&client, &client.answer(&answers[0], client.offer.pwd.as_str()));
    assert_eq!(world.peers.poll(), moved(&client));

    // And back, when the client says so.
    client.addr = used;
    let answers = world.send(&client, &client.request());
    world.send(&client, &client.answer(&answers[0], client.offer.pwd.as_str()));
    assert_eq!(world.peers.poll(), moved(&client));
}

#[test]
fn a_recorded_request_makes_us_send_a_victim_no_more_than_it_was_charged() {
    let mut world = World::new();
    let client = connected(&mut world);
    let request = client.request();
    let victim = addr(1);
    let (mut received, mut sent) = (0, 0);
    for step in 0..200 {
        world.now += Duration::from_millis(step);
        received += request.len();
        sent += world.send_from(victim, &request).iter().map(Vec::len).sum::<usize>();
        assert!(sent <= received, "{sent} of {received} bytes after {step}");
    }
    assert_eq!(world.peers.poll(), None);
    assert!(world.peers.stats().checks_sent > 0);
}

#[test]
fn nobody_takes_an_address_from_another_without_being_there() {
    let mut world = World::new();
    let client = connected(&mut world);
    let mut thief = Client::new();
    thief.id = PeerId(8);
    world.admit(&mut thief, true);
    thief.addr = client.addr;
    let answers = world.send(&thief, &thief.request());
    assert_eq!(world.peers.stats().checks_sent, 1);

    let sealer = crate::srtp::Sealer::new(client.keys(Profile::AeadAes128Gcm).client());
    let mut sealed = rtp(1);
    sealer.seal(&mut sealed, 0, 12, 5, 1);
    let received = world.peers.receive(world.now, client.addr, &mut sealed, &mut world.out);
    assert_eq!(received, Some(Received::Rtp { peer: client.id, packet: &rtp(1) }));

    // Whoever is there, as after a NAT has given the port to somebody else, has it.
    world.send(&thief, &thief.answer(&answers[0], thief.offer.pwd.as_str()));
    world.connect(&mut thief);
    assert!(matches!(
        world.peers.poll(),
        Some(PeerChange::Connected { peer: PeerId(8), addr, .. }) if addr == client.addr
    ));
}

#[test]
fn an_address_is_not_proven_by_a_cookie_that_went_elsewhere() {
    let mut world = World::new();
    let mut client = Client::new();
    world.admit(&mut client, true);
    let (dead, live) = (addr(1), client.addr);
    for from in [dead, live] {
        client.addr = from;
        world.check(&client);
    }
    client.addr = dead;
    client.hello(world.now);
    let hello = client.datagrams();
    let lost = world.send_all(&client, &hello);
    assert_eq!(lost.len(), 1);

    // The client tries the other pair. At once, nothing comes of it; after a second it begins anew.
    world.peers.receive(world.now, live, &mut hello[0].clone(), &mut world.out);
    assert!(world.out.datagrams().all(|(to, _)| to == dead));
    world.out.clear();
    world.now += SECOND;
    client.addr = live;
    let cookie = world.send_all(&client, &hello);
    assert_eq!(cookie.len(), 1);
    assert_ne!(cookie, lost, "a cookie of its own");
    client.take(world.now, &cookie);
    world.converse(&mut client);
    assert!(matches!(world.peers.poll(), Some(PeerChange::Connected { addr, .. }) if addr == live));
}

#[test]
fn only_so_many_addresses_are_remembered() {
    let mut world = World::new();
    let mut client = connected(&mut world);
    let used = client.addr;
    world.check(&client);
    for port in 1..100 {
        client.addr = addr(port);
        assert_eq!(world.send(&client, &client.plain_request()).len(), 1);
    }
    assert_eq!(world.peers.stats().addresses_dropped, 100 - 16);
    client.addr = used;
    world.send(&client, &rtp(1));
    assert_eq!(world.peers.stats().srtp_auth + world.peers.stats().srtp_malformed, 1, "not a stranger");
}

#[test]
fn an_attribute_that_must_be_understood_is_refused_by_name() {
    let mut world = World::new();
    let mut client = Client::new();
    world.admit(&mut client, true);
    let node = client.credentials.clone().unwrap();
    let mut request = client.request();
    // PRIORITY becomes something else; then it must be signed again.
    let at = request.windows(4).position(|window| window == [0, 0x24, 0, 4]).unwrap();
    request[at..at + 2].copy_from_slice(&0x7abc_u16.to_be_bytes());
    let signed = crate::stun::resign(&request, node.pwd.as_str().as_bytes());
    let answers = world.send(&client, &signed);
    let message = crate::stun::Message::parse(&answers[0]).unwrap();
    assert_eq!(message.kind, crate::stun::Kind::Error);
}
