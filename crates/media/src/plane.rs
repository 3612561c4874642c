//! What drives a plane: a shard's thread with a real socket, or a test with a virtual clock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Batch;

/// The media of one UDP port.
///
/// Whoever drives it calls [`receive`](Self::receive), [`handle`](Self::handle) and
/// [`on_timeout`](Self::on_timeout) with a `now` that never goes back, and after each of them sends
/// what is in `out`, takes every event from [`poll`](Self::poll), and asks
/// [`poll_timeout`](Self::poll_timeout) when to come back at the latest.
pub trait Plane {
    /// What the node tells it.
    type Command;
    /// What it tells the node.
    type Event;

    /// Takes a datagram from the socket. It may be anything, from anybody; it is changed in place.
    fn receive(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8], out: &mut Batch);

    /// Takes a command.
    fn handle(&mut self, now: Instant, command: Self::Command, out: &mut Batch);

    /// Does what is due at `now`.
    fn on_timeout(&mut self, now: Instant, out: &mut Batch);

    /// When [`on_timeout`](Self::on_timeout) is due; in the past: at once.
    fn poll_timeout(&self) -> Option<Instant>;

    /// The next event. Call until there is none.
    fn poll(&mut self) -> Option<Self::Event>;
}

/// How whoever drives a plane has fared since the last look.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Now.
    pub now: Instant,
    /// How long it was looked at.
    pub span: Duration,
    /// Share of that in which there was something to do, 0 to 1; what others took of the core meanwhile
    /// is in it.
    pub busy: f32,
    /// Sends that the kernel was asked for: of one datagram, or of several to one address.
    pub sends: u64,
}
