//! A crowd: one thread, one UDP socket, and everybody who shares them, each a peer with an address of
//! their own (towards another machine: with a socket, and so a port, of their own).
//!
//! ```text
//!   guests ── Command ──▶ thread: every millisecond ── commands, notes, datagrams, timers, talk
//!                              └──▶ Tally at the end, Seconds on the way
//! ```
//!
//! Speakers have a crowd to themselves, so that what they send is never late because ten thousand
//! listeners have to be read.

mod backlog;
mod credentials;
mod dtls;
mod hearing;
mod peer;
mod socket;
mod talk;
mod tally;
mod thread;
mod wire;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::Context;
use protocol::Answer;
use tokio::sync::oneshot;

use crate::home::{MAX_CROWDS, Part};
use crate::ledger::Said;
use crate::places::Via;

pub(crate) use credentials::Credentials;
pub(crate) use dtls::Identity;
pub(crate) use peer::remote_of;
pub(crate) use socket::{CALL, CrowdSocket, Inbound, Letter};
pub(crate) use talk::TalkPlan;
pub(crate) use tally::{Seconds, Tally};

/// Addresses on loopback that nobody in a crowd has.
pub(crate) const STRANGERS: std::ops::Range<u32> = Part::on_loopback(MAX_CROWDS).half();

/// Who somebody is within their crowd: never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place(u32);

/// Why somebody connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// To be in.
    Joins,
    /// They were cut.
    Returns,
    /// To another node, or to the stage and back.
    Moves,
}

/// Somebody whose session is described, and who now connects.
pub(crate) struct Newcomer {
    /// Where they are.
    pub(crate) place: Place,
    /// In which room, by its number in this run.
    pub(crate) room: u32,
    /// By which nodes.
    pub(crate) via: Via,
    /// The CSRC that they will not hear: their own.
    pub(crate) own: Option<u32>,
    /// What they have told the server.
    pub(crate) credentials: Credentials,
    /// What it has answered.
    pub(crate) answer: Answer,
    /// When they asked to join, or were cut.
    pub(crate) asked_ns: u64,
    /// Why they connect: which figure their first frame is for.
    pub(crate) why: Why,
    /// Where they are until the first packet comes here: then the one there goes, and its account goes on here.
    pub(crate) instead_of: Option<Place>,
    /// They speak: which of the talk's speakers they are; none for somebody who was promoted and says
    /// nothing.
    pub(crate) speaks: Option<Option<usize>>,
    /// Told once the first packet has come, with the time of the keys, or why they do not get that far.
    pub(crate) connected: oneshot::Sender<Result<u64, &'static str>>,
    /// Told when they hear nothing any more, and why. They stay until they are removed or replaced.
    pub(crate) lost: Option<oneshot::Sender<&'static str>>,
}

pub(crate) enum Command {
    Add(Box<Newcomer>),
    /// They leave or are cut: the account is closed, nothing is sent any more.
    Remove(Place),
    /// They are with other nodes now.
    Move(Place, Via),
    /// What is measured ends now: all accounts are closed, the people stay.
    Close,
    /// The run is over: all accounts are closed, and the thread ends.
    End,
}

/// The handle of a crowd.
pub(crate) struct Crowd {
    commands: mpsc::Sender<Command>,
    next: AtomicU32,
    addresses: Part,
    thread: std::sync::Mutex<Option<JoinHandle<Tally>>>,
    /// Bytes that the kernel lets wait for this crowd.
    pub(crate) granted: usize,
}

/// What a crowd's thread is made of.
pub(crate) struct CrowdPlan {
    /// Its number, for whoever looks at the threads.
    pub(crate) number: usize,
    /// Which addresses its people have.
    pub(crate) addresses: Part,
    /// These lead to them from wherever the server is, and not from loopback alone.
    pub(crate) is_routed: bool,
    /// What everybody shows as their certificate.
    pub(crate) identity: Arc<Identity>,
    /// What was said comes here.
    pub(crate) notes: mpsc::Receiver<Arc<Said>>,
    /// Where the seconds are collected.
    pub(crate) seconds: Arc<Seconds>,
    /// Who speaks here, if anybody does.
    pub(crate) talk: Option<TalkPlan>,
}

impl Crowd {
    /// Starts the thread.
    pub(crate) fn start(plan: CrowdPlan) -> anyhow::Result<Self> {
        let wire = wire::Wire::bind(plan.is_routed).context("no UDP socket for the simulated people")?;
        let addresses = plan.addresses;
        let granted = wire.granted();
        let (commands, inbox) = mpsc::channel();
        let name = format!("crowd-{}", plan.number);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || thread::Worker::new(wire, inbox, plan).run())
            .context("no thread for the simulated people")?;
        Ok(Self {
            commands,
            next: AtomicU32::new(0),
            addresses,
            thread: std::sync::Mutex::new(Some(thread)),
            granted,
        })
    }

    /// A place that nobody has had yet, and its address.
    pub(crate) fn place(&self) -> (Place, Ipv4Addr) {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % self.addresses.count;
        (Place(number), self.addresses.address(number))
    }

    /// Lets somebody connect.
    pub(crate) fn add(&self, newcomer: Newcomer) {
        // A crowd that has ended drops them, and with them the sender that would have told the outcome.
        let _ = self.commands.send(Command::Add(Box::new(newcomer)));
    }

    /// Lets somebody go.
    pub(crate) fn remove(&self, place: Place) {
        let _ = self.commands.send(Command::Remove(place));
    }

    /// Somebody has come to another signaling node, and hears on.
    pub(crate) fn moves(&self, place: Place, via: Via) {
        let _ = self.commands.send(Command::Move(place, via));
    }

    /// Closes all accounts; what comes from now on does not count.
    pub(crate) fn close(&self) {
        let _ = self.commands.send(Command::Close);
    }

    /// Closes all accounts that are open and ends the thread.
    pub(crate) fn end(&self) -> anyhow::Result<Tally> {
        let _ = self.commands.send(Command::End);
        let thread = self.thread.lock().expect("nobody panics with it").take();
        let thread = thread.context("the crowd has ended already")?;
        thread.join().map_err(|_| anyhow::anyhow!("a thread of the load generator has panicked"))
    }
}
