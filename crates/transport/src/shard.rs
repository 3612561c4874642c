//! A shard: one thread that owns one UDP port and the plane behind it, all `&mut`.
//!
//! ```text
//!   node ──▶ ShardHandle ──▶ queue ─┐
//!   clients ──▶ socket ─────────────┼──▶ plane ──▶ batch ──▶ socket ──▶ clients
//!   poll_timeout ───────────────────┘      └─────▶ events ──▶ node
//! ```
//!
//! A frame enters once, through the queue, as a shared buffer. The thread sleeps in `ppoll` and is
//! woken by a datagram, a command or its plane's timeout; it never blocks on anything else.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use media::{Batch, Plane};

use crate::queue::{self, Full, Queue, Wake};
use crate::socket::{self, BatchSocket, EventFd, Inbound};

/// Most calls to receive in a row, so that a flood from outside cannot starve the frames.
const RECEIVE_CALLS: usize = 4;

/// Bytes in the batch above which it is sent before the next command is handled: what fits a core's
/// cache, and the first listeners do not wait for the last room.
const FLUSH_BYTES: usize = 256 << 10;

/// Between two looks at the plane's counts.
pub const INSPECT: Duration = Duration::from_millis(250);

/// What the node holds of a shard. Clones share it.
#[derive(Debug)]
pub struct ShardHandle<C>(Arc<Shared<C>>);

/// One UDP port, not yet running.
#[derive(Debug)]
pub struct Shard<C> {
    socket: BatchSocket,
    shared: Arc<Shared<C>>,
}

#[derive(Debug)]
struct Shared<C> {
    queue: Queue<C, Arrived<C>, EventFd>,
    local: SocketAddr,
    stopped: AtomicBool,
    stats: Stats,
}

/// A command that carries audio, and when that reached the node.
#[derive(Debug)]
struct Arrived<C> {
    at: Instant,
    command: C,
}

/// Counts since the shard was bound. They only grow.
#[derive(Debug, Default)]
pub struct Stats {
    /// Datagrams received.
    pub ingress_packets: AtomicU64,
    /// Their bytes.
    pub ingress_bytes: AtomicU64,
    /// Datagrams that the kernel took.
    pub egress_packets: AtomicU64,
    /// Their bytes.
    pub egress_bytes: AtomicU64,
    /// Datagrams that the kernel refused.
    pub egress_failed: AtomicU64,
    /// Datagrams dropped because the send buffer was full.
    pub egress_full: AtomicU64,
    /// Datagrams received that were too long to be anything of ours.
    pub oversized: AtomicU64,
}

/// What a running shard tells the node, on the shard's thread: it must not block.
pub trait Observer<P: Plane> {
    /// The plane has said something.
    fn event(&mut self, event: P::Event);

    /// A frame was handed to the kernel for everybody who gets it now, this long after it had arrived.
    fn forwarded(&mut self, _after: Duration) {}

    /// A chance to read what the plane counts, every [`INSPECT`], and once at the end.
    fn inspect(&mut self, _plane: &P) {}
}

impl<C> Shard<C> {
    /// Binds the port. The plane comes later, so that it can be told where it is.
    pub fn bind(addr: SocketAddr) -> io::Result<(Self, ShardHandle<C>)> {
        let socket = BatchSocket::bind(addr)?;
        let shared = Arc::new(Shared {
            queue: Queue::new(EventFd::new()?),
            local: socket.local_addr(),
            stopped: AtomicBool::new(false),
            stats: Stats::default(),
        });
        Ok((Self { socket, shared: shared.clone() }, ShardHandle(shared)))
    }

    /// Runs until [`ShardHandle::stop`]. What was commanded before that is still done.
    pub fn run<P, O>(self, plane: P, observer: O) -> io::Result<()>
    where
        P: Plane<Command = C>,
        O: Observer<P>,
    {
        let mut running = Running {
            socket: &self.socket,
            shared: &self.shared,
            plane,
            observer,
            batch: Batch::default(),
            waiting: Vec::new(),
        };
        let (mut inbound, mut control, mut frames) = (Inbound::default(), Vec::new(), VecDeque::new());
        let mut inspect = Instant::now();
        while !self.shared.stopped.load(Relaxed) {
            let now = Instant::now();
            if inspect <= now {
                running.observer.inspect(&running.plane);
                inspect = now + INSPECT;
            }
            let due = running.plane.poll_timeout().map_or(inspect, |at| at.min(inspect));
            let timeout = due.saturating_duration_since(now);
            let arrived = socket::wait(&self.socket, self.shared.queue.waker(), Some(timeout))?;
            self.shared.queue.take(&mut control, &mut frames);
            running.handle(&mut control, &mut frames);
            if arrived {
                running.receive(&mut inbound)?;
            }
        }
        self.shared.queue.take(&mut control, &mut frames);
        running.handle(&mut control, &mut frames);
        running.observer.inspect(&running.plane);
        Ok(())
    }
}

impl<C> ShardHandle<C> {
    /// Hands over a command; refused while far too many wait.
    pub fn send(&self, command: C) -> Result<(), Full> {
        self.0.queue.push(command)
    }

    /// Hands over a command that carries audio and had arrived at `at`. The oldest makes room when the
    /// shard is behind.
    pub fn send_frame(&self, at: Instant, command: C) {
        self.0.queue.push_frame(Arrived { at, command });
    }

    /// Makes [`Shard::run`] return.
    pub fn stop(&self) {
        self.0.stopped.store(true, Relaxed);
        self.0.queue.waker().wake();
    }

    /// The port that clients are told.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local
    }

    /// What went through.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    /// What did not fit into the queue.
    pub fn queue_counts(&self) -> queue::Counts {
        self.0.queue.counts()
    }
}

impl<C> Clone for ShardHandle<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A shard at work.
struct Running<'a, P: Plane, O> {
    socket: &'a BatchSocket,
    shared: &'a Shared<P::Command>,
    plane: P,
    observer: O,
    batch: Batch,
    /// When the frames in the batch had arrived.
    waiting: Vec<Instant>,
}

impl<P: Plane, O: Observer<P>> Running<'_, P, O> {
    /// Hands over everything that waits before the plane looks at its timeouts: frames that are here
    /// together leave together.
    fn handle(&mut self, control: &mut Vec<P::Command>, frames: &mut VecDeque<Arrived<P::Command>>) {
        for command in control.drain(..) {
            self.plane.handle(Instant::now(), command, &mut self.batch);
            self.settle(FLUSH_BYTES);
        }
        for Arrived { at, command } in frames.drain(..) {
            self.plane.handle(Instant::now(), command, &mut self.batch);
            self.waiting.push(at);
            self.settle(FLUSH_BYTES);
        }
        self.on_timeout();
        self.settle(0);
        let now = Instant::now();
        for at in self.waiting.drain(..) {
            self.observer.forwarded(now.saturating_duration_since(at));
        }
    }

    fn receive(&mut self, inbound: &mut Inbound) -> io::Result<()> {
        let stats = &self.shared.stats;
        for _ in 0..RECEIVE_CALLS {
            if !self.socket.receive(inbound)? {
                break;
            }
            stats.oversized.fetch_add(inbound.oversized() as u64, Relaxed);
            let now = Instant::now();
            for (from, datagram) in inbound.datagrams() {
                stats.ingress_packets.fetch_add(1, Relaxed);
                stats.ingress_bytes.fetch_add(datagram.len() as u64, Relaxed);
                self.plane.receive(now, from, datagram, &mut self.batch);
            }
            self.on_timeout();
            self.settle(0);
        }
        Ok(())
    }

    fn on_timeout(&mut self) {
        let now = Instant::now();
        if self.plane.poll_timeout().is_some_and(|at| at <= now) {
            self.plane.on_timeout(now, &mut self.batch);
        }
    }

    /// Passes events on, and sends the batch if it has at least `bytes`.
    fn settle(&mut self, bytes: usize) {
        while let Some(event) = self.plane.poll() {
            self.observer.event(event);
        }
        if !self.batch.is_empty() && self.batch.bytes().len() >= bytes {
            self.shared.stats.add(self.socket.send(&self.batch));
            self.batch.clear();
        }
    }
}

impl Stats {
    fn add(&self, sent: socket::Sent) {
        self.egress_packets.fetch_add(sent.datagrams, Relaxed);
        self.egress_bytes.fetch_add(sent.bytes, Relaxed);
        self.egress_failed.fetch_add(sent.failed, Relaxed);
        self.egress_full.fetch_add(sent.full, Relaxed);
    }
}

#[cfg(test)]
mod tests;
