//! Handshakes wait for their turn, and so audio never waits for them.

use super::super::backlog::{PORTION, Waiting};
use super::*;
use crate::dtls::Holds;

/// As many clients as there may be, each admitted and known by its address.
fn crowd(world: &mut World) -> Vec<Client> {
    let mut crowd: Vec<_> = (0..client::MAX_PEERS).map(|_| Client::new()).collect();
    for (client, number) in crowd.iter_mut().zip(0u16..) {
        (client.id, client.addr) = (PeerId(number.into()), addr(50_000 + number));
        world.admit(client, false);
        world.check(client);
        client.hello(world.now);
    }
    crowd
}

/// Hands over datagrams in one pass, as a shard does.
fn receive(world: &mut World, client: &Client, datagrams: &[Vec<u8>]) {
    for datagram in datagrams {
        world.peers.receive(world.now, client.addr, &mut datagram.clone(), &mut world.out);
    }
}

/// Who is sent something by the next portion.
fn portion(world: &mut World) -> Vec<SocketAddr> {
    world.peers.on_timeout(world.now, &mut world.out);
    let to = world.out.datagrams().map(|(to, _)| to).collect();
    world.out.clear();
    to
}

#[test]
fn a_portion_of_the_handshakes_is_worked_off_at_a_time_in_the_order_they_came() {
    let mut world = World::new();
    let mut crowd = crowd(&mut world);
    for client in &mut crowd {
        let hello = client.datagrams();
        receive(&mut world, client, &hello);
    }
    assert!(world.out.is_empty(), "what comes is only noted");
    let everybody: Vec<_> = crowd.iter().map(|client| client.addr).collect();
    for some in everybody.chunks(PORTION) {
        assert!(world.peers.poll_timeout().is_some_and(|due| due <= world.now), "at once");
        assert_eq!(portion(&mut world), some);
    }
    assert!(world.peers.poll_timeout().is_some_and(|due| due > world.now));
}

#[test]
fn one_peer_does_not_crowd_out_the_others() {
    let mut world = World::new();
    let mut crowd = crowd(&mut world);
    let [pest, meek] = &mut crowd[..2] else { panic!() };
    let flood = vec![pest.datagrams().remove(0); 1_000];
    receive(&mut world, pest, &flood);
    let hello = meek.datagrams();
    receive(&mut world, meek, &hello);
    assert_eq!(world.peers.stats().handshakes_dropped, 992);
    let portions = (1..).find(|_| portion(&mut world).contains(&meek.addr));
    assert_eq!(portions, Some(3));

    receive(&mut world, pest, &flood[..8]);
    assert_eq!(world.peers.stats().handshakes_dropped, 992, "what is worked off counts no more");
}

#[test]
fn what_waits_for_a_peer_that_is_gone_is_forgotten() {
    let mut world = World::new();
    let mut crowd = crowd(&mut world);
    let hello = crowd[0].datagrams();
    receive(&mut world, &crowd[0], &hello);
    assert_eq!(world.remove(&crowd[0]), [] as [Vec<u8>; 0]);
    assert!(portion(&mut world).is_empty());
    assert_eq!(world.peers.stats().dtls_stranger, 0);
}

#[test]
fn what_is_no_dtls_or_from_nobody_never_waits() {
    let mut world = World::new();
    let mut crowd = crowd(&mut world);
    let hello = crowd[0].datagrams();
    let due = world.peers.poll_timeout();
    crowd[0].addr = addr(1);
    receive(&mut world, &crowd[0], &hello);
    receive(&mut world, &crowd[1], &[vec![22; 200], vec![0; 3], vec![0xff; 60]]);
    assert_eq!(world.peers.poll_timeout(), due);
}

#[test]
fn altogether_no_more_waits_than_there_is_room_for() {
    let mut backlog = Backlog::default();
    let mut push = |id| {
        let (id, from, since) = (PeerId(id), addr(1), client::base());
        let waiting = Waiting { id, from, since, holds: Holds::default(), datagram: [22].into() };
        backlog.push(&mut 0, waiting).is_ok()
    };
    assert!((0..4_096).all(&mut push));
    assert!(!push(4_096));
    assert_eq!(backlog.pop().map(|first| first.id), Some(PeerId(0)));
}
