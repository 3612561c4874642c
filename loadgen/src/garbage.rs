//! Garbage: what strangers throw at the media ports while everybody listens.
//!
//! ```text
//!   answers that listeners got ─▶ ports ─▶ mix: a stock of datagrams for each ─▶ thread: every millisecond
//! ```
//!
//! The datagrams are made beforehand: throwing them must not cost what the server is measured by. They come
//! from addresses that no listener has. What the server answers to them is counted: it should be nothing.

mod mix;
mod pace;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::crowd::{CALL, CrowdSocket, Inbound, Letter, STRANGERS};
use crate::figures;

use mix::Mix;
use pace::Pace;

/// How often something is thrown.
const TICK: Duration = Duration::from_millis(1);

/// Bytes that the kernel is asked to hold: answers are few.
const BUFFER: usize = 256 << 10;

/// Media ports, each with the name of a peer there: forged checks name somebody whom the server knows.
pub(crate) type Ports = BTreeMap<SocketAddrV4, String>;

/// A thread that throws.
pub(crate) struct Garbage {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<figures::Garbage>>,
}

impl Garbage {
    /// Begins to throw so many datagrams a second, at all ports in turn.
    pub(crate) fn start(per_s: u64, ports: Ports) -> anyhow::Result<Self> {
        ensure!(!ports.is_empty(), "--garbage: no listener has a media port that it could be thrown at");
        ports.keys().try_for_each(|port| check((*port.ip()).into()))?;
        let socket = CrowdSocket::bind(BUFFER).context("no UDP socket for --garbage")?;
        let is_over = Arc::new(AtomicBool::new(false));
        let thrower = Thrower::new(socket, per_s, &ports, Arc::clone(&is_over));
        let thread = std::thread::Builder::new().name("garbage".into()).spawn(move || thrower.run());
        Ok(Self { is_over, thread: Some(thread.context("no thread for --garbage")?) })
    }

    /// Stops; what was thrown.
    pub(crate) fn end(mut self) -> figures::Garbage {
        self.is_over.store(true, Ordering::Relaxed);
        let thread = self.thread.take();
        thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Garbage is for one's own machine or network: elsewhere it would be an attack.
pub(crate) fn check(server: IpAddr) -> anyhow::Result<()> {
    let is_near = match server.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    ensure!(is_near, "--garbage is for servers on this machine or in a private network; {server} is neither");
    Ok(())
}

struct Thrower {
    socket: CrowdSocket,
    pace: Pace,
    mixes: Vec<(SocketAddrV4, Mix)>,
    /// Whose turn it was.
    turn: usize,
    is_over: Arc<AtomicBool>,
    rng: StdRng,
}

impl Thrower {
    fn new(socket: CrowdSocket, per_s: u64, ports: &Ports, is_over: Arc<AtomicBool>) -> Self {
        let mut rng = StdRng::from_rng(&mut rand::rng());
        let mixes = ports.iter().map(|(&port, known)| (port, Mix::new(known, &mut rng))).collect();
        Self { socket, pace: Pace::new(per_s), mixes, turn: 0, is_over, rng }
    }

    fn run(mut self) -> figures::Garbage {
        let mut inbound = Inbound::default();
        let began = Instant::now();
        let (mut sent, mut answers) = (0, 0);
        while !self.is_over.load(Ordering::Relaxed) {
            let mut due = self.pace.due(began.elapsed());
            while due > 0 {
                let now = due.min(CALL as u64);
                sent += self.throw(now as usize);
                due -= now;
            }
            answers += self.look(&mut inbound);
            std::thread::sleep(TICK);
        }
        figures::Garbage { sent, answers, seconds: began.elapsed().as_secs_f64() }
    }

    /// Throws so many at one port, the next time at the next one; how many of them the kernel took. At all
    /// ports in turn within one call, it would pay for waking every thread of the server each time.
    fn throw(&mut self, count: usize) -> u64 {
        self.turn = (self.turn + 1) % self.mixes.len();
        let ((to, mix), rng) = (&self.mixes[self.turn], &mut self.rng);
        let letter = |_| {
            let from = if to.ip().is_loopback() { stranger(rng) } else { Ipv4Addr::UNSPECIFIED };
            Letter { from, to: *to, bytes: mix.any(rng) }
        };
        let letters: Vec<Letter<'_>> = (0..count).map(letter).collect();
        self.socket.send_many(&letters) as u64
    }

    /// Counts what has come back.
    fn look(&mut self, inbound: &mut Inbound) -> u64 {
        if self.socket.receive(inbound, CALL).unwrap_or(0) == 0 {
            return 0;
        }
        inbound.messages().map(|(arrival, bytes)| bytes.chunks(arrival.segment).count() as u64).sum()
    }
}

fn stranger(rng: &mut StdRng) -> Ipv4Addr {
    Ipv4Addr::from(rng.random_range(STRANGERS))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, UdpSocket};

    use super::*;

    #[test]
    fn only_near_servers_may_be_thrown_at() {
        for near in
            ["127.0.0.1", "10.1.2.3", "192.168.0.9", "172.20.0.2", "::1", "fd00::1", "::ffff:10.0.0.1"]
        {
            assert!(check(near.parse().unwrap()).is_ok(), "{near}");
        }
        for far in ["203.0.113.7", "8.8.8.8", "172.32.0.1", "2001:db8::1"] {
            assert!(check(far.parse().unwrap()).unwrap_err().to_string().contains(far), "{far}");
        }
        let far = BTreeMap::from([("203.0.113.7:7100".parse().unwrap(), "abcd".into())]);
        assert!(Garbage::start(1, far).is_err());
        assert!(Garbage::start(1, Ports::new()).is_err());
    }

    #[test]
    fn it_comes_from_strangers_and_what_is_answered_is_counted() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let SocketAddr::V4(port) = server.local_addr().unwrap() else { panic!("IPv4 was asked for") };
        let garbage = Garbage::start(2_000, BTreeMap::from([(port, "abcd".into())])).unwrap();
        let mut bytes = [0; 2_048];
        for _ in 0..100 {
            let (_, SocketAddr::V4(from)) = server.recv_from(&mut bytes).unwrap() else { panic!("IPv4") };
            assert!(STRANGERS.contains(&u32::from(*from.ip())), "{from}");
            server.send_to(b"who are you?", from).unwrap();
        }
        let thrown = garbage.end();
        assert!(thrown.sent >= 100 && thrown.seconds > 0.0, "{thrown:?}");
        assert!(thrown.answers <= 100, "{thrown:?}");
    }
}
