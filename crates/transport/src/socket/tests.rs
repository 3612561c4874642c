use super::sys::MAX_DATAGRAM;
use super::*;

fn pair() -> (BatchSocket, BatchSocket) {
    let any = "127.0.0.1:0".parse().unwrap();
    (BatchSocket::bind(any).unwrap(), BatchSocket::bind(any).unwrap())
}

/// Everything that `count` datagrams brought, in order of arrival.
fn receive(socket: &BatchSocket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let waker = EventFd::new().unwrap();
    let mut inbound = Inbound::default();
    let mut received = Vec::new();
    while received.len() < count {
        wait(socket, &waker, None).unwrap();
        while socket.receive(&mut inbound).unwrap() {
            received.extend(inbound.datagrams().map(|(from, datagram)| (from, datagram.to_vec())));
        }
    }
    received
}

/// More than one call's worth, with neighbours that ride together and the last of them shorter.
fn mixed(to: SocketAddr) -> Batch {
    let mut batch = Batch::default();
    for index in 0..3 * CALL {
        (0..index % 5).for_each(|_| batch.push(to, &vec![index as u8; 40 + index % 7]));
        batch.push(to, &[index as u8; 5]);
    }
    batch
}

#[test]
fn a_batch_arrives_whole_and_in_order_with_and_without_segments() {
    for gso in [true, false] {
        let (from, to) = pair();
        if !gso {
            from.set_gso(false);
        }
        let batch = mixed(to.local_addr());
        let expected: Vec<_> =
            batch.datagrams().map(|(_, datagram)| (from.local_addr(), datagram.to_vec())).collect();
        let bytes = batch.bytes().len() as u64;
        let sent = from.send(&batch);
        assert_eq!(sent, Sent { datagrams: expected.len() as u64, bytes, failed: 0, full: 0 });
        assert_eq!(receive(&to, expected.len()), expected);
    }
}

#[test]
fn a_datagram_that_cannot_be_sent_does_not_hold_up_the_others() {
    let (from, to) = pair();
    let mut batch = Batch::default();
    // Port 0 takes nothing, and a socket of IPv4 cannot reach IPv6.
    batch.push("127.0.0.1:0".parse().unwrap(), b"nowhere");
    batch.push("[::1]:9".parse().unwrap(), b"another family");
    batch.push(to.local_addr(), b"here");
    let sent = from.send(&batch);
    assert_eq!((sent.datagrams, sent.failed), (1, 2));
    assert_eq!(receive(&to, 1), [(from.local_addr(), b"here".to_vec())]);
}

#[test]
fn ipv4_and_ipv6_share_a_dual_socket_and_addresses_are_canonical() {
    let Ok(dual) = BatchSocket::bind("[::]:0".parse().unwrap()) else { return };
    let v4 = BatchSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = dual.local_addr().port();
    let mut batch = Batch::default();
    batch.push(SocketAddr::new("127.0.0.1".parse().unwrap(), port), b"ping");
    assert_eq!(v4.send(&batch).datagrams, 1);
    assert_eq!(receive(&dual, 1), [(v4.local_addr(), b"ping".to_vec())]);
    batch.clear();
    batch.push(v4.local_addr(), b"pong");
    assert_eq!(dual.send(&batch).datagrams, 1);
    assert_eq!(receive(&v4, 1)[0].1, b"pong");
}

#[test]
fn oversized_datagrams_are_left_out_and_counted() {
    let (from, to) = pair();
    let mut batch = Batch::default();
    batch.push(to.local_addr(), &[7; MAX_DATAGRAM + 1]);
    batch.push(to.local_addr(), b"ok");
    assert_eq!(from.send(&batch).failed, 0);
    let mut inbound = Inbound::default();
    wait(&to, &EventFd::new().unwrap(), None).unwrap();
    assert!(to.receive(&mut inbound).unwrap());
    assert_eq!(inbound.oversized(), 1);
    assert_eq!(inbound.datagrams().map(|(_, datagram)| datagram.to_vec()).collect::<Vec<_>>(), [b"ok"]);
}

#[test]
fn a_wake_ends_the_wait_even_when_it_came_before() {
    let (socket, _) = pair();
    let waker = EventFd::new().unwrap();
    waker.wake();
    assert!(!wait(&socket, &waker, None).unwrap());
}

#[test]
fn where_the_kernel_cannot_cut_segments_they_are_sent_one_by_one_from_then_on() {
    let (from, to) = pair();
    let bytes: Vec<u8> = (0..30_000).map(|byte| (byte / 100) as u8).collect();
    // More segments than any kernel takes, as if it took none.
    let send = Send { to: to.local_addr(), start: 0, len: bytes.len(), segment: 100 };
    let mut sent = Sent::default();
    from.send_call(&bytes, &[send], &mut sent);
    assert_eq!(sent, Sent { datagrams: 300, bytes: 30_000, failed: 0, full: 0 });
    assert!(!from.gso.load(Ordering::Relaxed));
    let received = receive(&to, 300).into_iter().map(|(_, datagram)| datagram);
    assert!(received.eq(bytes.chunks(100).map(<[u8]>::to_vec)));
}
