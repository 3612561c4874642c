//! The listeners' side: addresses, sockets that take what comes, and the clock of what sending costs.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// Sockets that the listeners' addresses share: one alone would overflow.
const READERS: usize = 50;

/// Rounds that are measured together.
const BLOCK: usize = 10;

/// The listeners' side: an address for each, and sockets that take what comes.
pub(crate) struct Network {
    pub(crate) addresses: Vec<SocketAddr>,
    readers: Vec<UdpSocket>,
}

impl Network {
    pub(crate) fn new(listeners: usize) -> Self {
        let reader = |_| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        };
        let readers: Vec<_> = (0..READERS).map(reader).collect();
        let address = |index: usize| {
            let port = readers[index % READERS].local_addr().unwrap().port();
            SocketAddr::from(([127, 1, (index / 250) as u8, (index % 250) as u8 + 1], port))
        };
        Self { addresses: (0..listeners).map(address).collect(), readers }
    }

    /// CPU time of one packet over a block of rounds, of which each sends every listener so many. What
    /// arrives is thrown away between rounds, off the clock, so that no receive buffer is full.
    pub(crate) fn measure(&self, each: usize, round: &mut dyn FnMut()) -> f64 {
        let packets = each * self.addresses.len();
        let mut total = Duration::ZERO;
        for _ in 0..BLOCK {
            let start = cpu();
            round();
            total += cpu() - start;
            assert_eq!(self.drain(), packets, "every packet arrives");
        }
        total.as_nanos() as f64 / (BLOCK * packets) as f64
    }

    /// Throws away what has arrived; how many packets it was.
    pub(crate) fn drain(&self) -> usize {
        let mut buffer = [0; 2_048];
        let mut received = 0;
        for reader in &self.readers {
            received += std::iter::from_fn(|| reader.recv(&mut buffer).ok()).count();
        }
        received
    }
}

/// CPU time of this thread, the kernel's part included.
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
