use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::*;
use crate::clock::now_ns;

fn receive_one(socket: &mut CrowdSocket, inbound: &mut Inbound) -> Vec<(Arrival, Vec<u8>)> {
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until {
        if socket.receive(inbound, CALL).unwrap() > 0 {
            return inbound.messages().map(|(arrival, bytes)| (arrival, bytes.to_vec())).collect();
        }
        std::thread::yield_now();
    }
    panic!("nothing came");
}

#[test]
fn everybody_has_an_address_of_their_own_and_the_kernel_says_when() {
    let mut crowd = CrowdSocket::bind(BUFFER).unwrap();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let SocketAddr::V4(there) = server.local_addr().unwrap() else { panic!("IPv4 was asked for") };
    let (anna, ben) = (Ipv4Addr::new(127, 1, 0, 0), Ipv4Addr::new(127, 200, 3, 255));
    for (who, says) in [(anna, "anna"), (ben, "ben")] {
        assert!(crowd.send(who, there, says.as_bytes()));
        let mut bytes = [0; 16];
        let (length, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!((&bytes[..length], from), (says.as_bytes(), SocketAddr::from((who, crowd.port()))));
    }

    let before = now_ns();
    server.send_to(b"hello", (ben, crowd.port())).unwrap();
    let mut inbound = Inbound::default();
    let came = receive_one(&mut crowd, &mut inbound);
    let [(arrival, bytes)] = &came[..] else { panic!("{} messages", came.len()) };
    assert_eq!((arrival.to, arrival.from, arrival.segment, &bytes[..]), (ben, there, 5, &b"hello"[..]));
    assert!(arrival.at_ns >= before - 1_000_000 && arrival.at_ns <= now_ns());
    assert_eq!(crowd.dropped(), 0);
}
