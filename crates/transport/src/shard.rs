//! A shard: one thread that owns one UDP port and the plane behind it, all `&mut`.
//!
//! ```text
//!   node ──▶ ShardHandle ──▶ queue ─┐
//!   clients ──▶ socket ─────────────┼──▶ plane ──▶ batch ──▶ socket ──▶ clients
//!   poll_timeout ───────────────────┘      └─────▶ events ──▶ node
//! ```
//!
//! A frame enters once, through the queue, as a shared buffer. The thread sleeps in `ppoll` and is
//! woken by a datagram, a command or its plane's timeout; it never blocks on anything else. In each
//! round it takes all frames that wait, before anything that is due leaves, and a bounded portion of
//! everything else: however much that is, audio waits for one portion at most.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use media::{Batch, Load, Plane};

use crate::queue::{self, Full, Queue, Wake};
use crate::socket::{self, BatchSocket, EventFd, Inbound};

/// Most calls to receive in a row, so that a flood from outside cannot starve the frames.
const RECEIVE_CALLS: usize = 4;

/// Most control commands in a row: a storm of joins has to wait for the frames, not they for it.
const COMMANDS: usize = 64;

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
    queue: Queue<C, C, EventFd>,
    local: SocketAddr,
    stopped: AtomicBool,
    stats: Stats,
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

    /// A chance to read what the plane counts and to tell it how the thread fares, every [`INSPECT`],
    /// and once at the end.
    fn inspect(&mut self, _plane: &mut P, _load: Load) {}
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
            control: VecDeque::new(),
            frames: VecDeque::new(),
            watch: Watch::new(Instant::now()),
        };
        let mut inbound = Inbound::default();
        while !self.shared.stopped.load(Relaxed) {
            let arrived = running.wait()?;
            running.take();
            running.commands(COMMANDS);
            running.on_timeout();
            if arrived {
                running.receive(&mut inbound)?;
            }
        }
        running.take();
        running.commands(usize::MAX);
        running.on_timeout();
        running.inspect(Instant::now());
        Ok(())
    }
}

impl<C> ShardHandle<C> {
    /// Hands over a command; refused while far too many wait.
    pub fn send(&self, command: C) -> Result<(), Full> {
        self.0.queue.push(command)
    }

    /// Hands over a command though far too many wait: for the end of a peer, or that a room has lost its origin,
    /// which nobody would say again. There are not many more of these than peers and rooms.
    pub fn send_always(&self, command: C) {
        self.0.queue.push_always(command);
    }

    /// Hands over a command that carries audio. The oldest makes room when the shard is behind.
    pub fn send_frame(&self, command: C) {
        self.0.queue.push_frame(command);
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
    /// Taken from the queue, and not done yet.
    control: VecDeque<P::Command>,
    frames: VecDeque<P::Command>,
    watch: Watch,
}

impl<P: Plane, O: Observer<P>> Running<'_, P, O> {
    /// Sleeps until there is something to do; whether datagrams have arrived.
    fn wait(&mut self) -> io::Result<bool> {
        let now = Instant::now();
        if self.watch.ends <= now {
            self.inspect(now);
        }
        let ends = self.watch.ends;
        let due = self.plane.poll_timeout().map_or(ends, |at| at.min(ends));
        let timeout =
            if self.control.is_empty() { due.saturating_duration_since(now) } else { Duration::ZERO };
        let arrived = socket::wait(self.socket, self.shared.queue.waker(), Some(timeout));
        self.watch.idle += now.elapsed();
        arrived
    }

    fn take(&mut self) {
        self.shared.queue.take(&mut self.control, &mut self.frames);
    }

    /// Hands over all frames, and at most so many other commands.
    fn commands(&mut self, most: usize) {
        for _ in 0..most {
            let Some(command) = self.control.pop_front() else { break };
            self.command(command);
        }
        while let Some(command) = self.frames.pop_front() {
            self.command(command);
        }
    }

    fn command(&mut self, command: P::Command) {
        self.plane.handle(Instant::now(), command, &mut self.batch);
        self.settle(FLUSH_BYTES);
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
            self.settle(0);
        }
        Ok(())
    }

    /// Does what is due. All frames that wait must have been handed over before: those that belong
    /// together leave together, and a shard that is behind does not take its own lateness for a loss.
    fn on_timeout(&mut self) {
        let now = Instant::now();
        if self.plane.poll_timeout().is_some_and(|at| at <= now) {
            self.plane.on_timeout(now, &mut self.batch);
        }
        self.settle(0);
    }

    /// Passes events on, and sends the batch if it has at least `bytes`.
    fn settle(&mut self, bytes: usize) {
        while let Some(event) = self.plane.poll() {
            self.observer.event(event);
        }
        if !self.batch.is_empty() && self.batch.bytes().len() >= bytes {
            self.watch.sends += self.batch.sends().len() as u64;
            self.shared.stats.add(self.socket.send(&self.batch));
            self.batch.clear();
        }
    }

    fn inspect(&mut self, now: Instant) {
        self.observer.inspect(&mut self.plane, self.watch.load(now));
        self.watch = Watch::new(now);
        self.settle(0);
    }
}

/// What is measured between two looks.
struct Watch {
    began: Instant,
    ends: Instant,
    idle: Duration,
    sends: u64,
}

impl Watch {
    fn new(now: Instant) -> Self {
        Self { began: now, ends: now + INSPECT, idle: Duration::ZERO, sends: 0 }
    }

    fn load(&self, now: Instant) -> Load {
        let span = now.saturating_duration_since(self.began);
        let idle = self.idle.as_secs_f32() / span.as_secs_f32().max(f32::MIN_POSITIVE);
        Load { now, busy: (1.0 - idle).clamp(0.0, 1.0), sends: self.sends, span }
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
