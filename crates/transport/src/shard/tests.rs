use std::net::UdpSocket;
use std::sync::mpsc;
use std::thread;

use super::*;

/// Sends back what it receives, and says so; sends what it is commanded; ticks when asked to.
#[derive(Default)]
struct Echo {
    said: VecDeque<String>,
    due: Option<Instant>,
}

enum Command {
    Send(SocketAddr, &'static str),
    TickAfter(Duration),
}

impl Plane for Echo {
    type Command = Command;
    type Event = String;

    fn receive(&mut self, _now: Instant, from: SocketAddr, datagram: &mut [u8], out: &mut Batch) {
        datagram.reverse();
        out.push(from, datagram);
        self.said.push_back("echoed".into());
    }

    fn handle(&mut self, now: Instant, command: Command, out: &mut Batch) {
        match command {
            Command::Send(to, text) => out.push(to, text.as_bytes()),
            Command::TickAfter(delay) => self.due = Some(now + delay),
        }
    }

    fn on_timeout(&mut self, _now: Instant, _out: &mut Batch) {
        self.due = None;
        self.said.push_back("ticked".into());
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn poll(&mut self) -> Option<String> {
        self.said.pop_front()
    }
}

struct Tell(mpsc::Sender<String>);

impl Observer<Echo> for Tell {
    fn event(&mut self, event: String) {
        self.0.send(event).unwrap();
    }
}

#[test]
fn a_shard_echoes_obeys_ticks_and_stops() {
    let (shard, handle) = Shard::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || shard.run(Echo::default(), Tell(tell)));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut buffer = [0; 100];

    client.send_to(b"abc", handle.local_addr()).unwrap();
    let (length, from) = client.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"cba"[..], handle.local_addr()));
    assert_eq!(told.recv().unwrap(), "echoed");

    handle.send_frame(Command::Send(client.local_addr().unwrap(), "frame"));
    assert_eq!(client.recv_from(&mut buffer).unwrap().0, 5);

    handle.send(Command::TickAfter(Duration::from_millis(1))).unwrap();
    assert_eq!(told.recv().unwrap(), "ticked");

    handle.send(Command::Send(client.local_addr().unwrap(), "bye")).unwrap();
    handle.stop();
    assert_eq!(client.recv_from(&mut buffer).unwrap().0, 3);
    thread.join().unwrap().unwrap();
    let stats = handle.stats();
    assert_eq!((stats.ingress_packets.load(Relaxed), stats.egress_packets.load(Relaxed)), (1, 3));
}
