//! Before a run: whether it can be, its rooms, and the crowds that wait for people.

use std::sync::{Arc, mpsc};

use anyhow::ensure;
use protocol::{MAX_SEATS, RoomId};

use crate::clock::now_ns;
use crate::crowd::{Crowd, CrowdPlan, Identity as Certificate, Seconds, TalkPlan};
use crate::home::{MAX_CROWDS, Part};
use crate::run::Run;
use crate::target::Target;
use crate::{Options, garbage};

/// Listeners of one thread, where nobody says how many threads: what it reads in half of its time.
const LISTENERS_PER_THREAD: u32 = 5_000;

/// How long a seat is taken by somebody who was promoted, in minutes, with the way there and back.
const PROMOTED_MINUTES: f64 = 0.25;

/// Open files beside those of the people: sockets, the terminal, libraries.
const SPARE_FILES: u64 = 64;

/// Whether the options fit together.
pub(super) fn check(options: &Options) -> anyhow::Result<()> {
    ensure!(options.rooms > 0, "--rooms must be at least 1");
    ensure!(options.speakers > 0, "--speakers must be at least 1: without one there is nothing to hear");
    let probes_fit = u64::from(options.probes) <= u64::from(options.listeners) * u64::from(options.rooms);
    ensure!(probes_fit, "--probes cannot be more than the listeners");
    ensure!(options.ramp > 0.0, "--ramp must be more than 0: nobody would ever be in");
    Ok(())
}

/// Whether they fit the server.
pub(super) fn check_against(options: &Options, target: &Target) -> anyhow::Result<()> {
    if options.garbage > 0 {
        target.nodes.iter().try_for_each(|node| garbage::check(node.address.ip()))?;
    }
    check_files(options, target)
}

/// Everybody is an open file, their WebSocket; towards another machine a UDP socket too.
fn check_files(options: &Options, target: &Target) -> anyhow::Result<()> {
    let people = u64::from(options.rooms) * u64::from(options.listeners + options.speakers);
    let each = if options.home.is_some() || target.is_on_loopback() { 1 } else { 2 };
    // A probe has sockets and timers of its own.
    let needed = each * people + 4 * u64::from(options.probes) + SPARE_FILES;
    let allowed = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let says = "raise it with `ulimit -n` (or LimitNOFILE), or take fewer listeners";
    let enough = allowed.is_none_or(|allowed| allowed >= needed);
    ensure!(enough, "{needed} open files are needed, the limit is {}: {says}", allowed.unwrap_or_default());
    Ok(())
}

pub(super) async fn make_rooms(options: &Options, target: &Target) -> anyhow::Result<Vec<RoomId>> {
    // A room of an earlier run may still hold what its hosts decided; a new name holds nothing.
    let run = now_ns() / 1_000_000_000;
    let mut rooms = Vec::new();
    for number in 0..options.rooms {
        let room = RoomId::new(&format!("load-{run}-{number}"))?;
        target.make_room(options, &room, seats(options)).await?;
        rooms.push(room);
    }
    Ok(rooms)
}

/// Seats for the speakers and for those who are promoted, of whom chance may take many to one room. More speakers than a
/// room has seats are asked for all the same: then the server says which limit it is.
fn seats(options: &Options) -> u32 {
    let spare =
        if options.promote > 0.0 { 2 + (2.0 * options.promote * PROMOTED_MINUTES).ceil() as u32 } else { 0 };
    (options.speakers + spare).min(u32::from(MAX_SEATS).max(options.speakers))
}

/// Starts the crowds.
pub(super) fn assemble(
    options: Options,
    target: Target,
    rooms: Vec<RoomId>,
    seconds: &Arc<Seconds>,
) -> anyhow::Result<Run> {
    let identity = Arc::new(Certificate::generate()?);
    let threads = threads(&options);
    let (tell, mut notes): (Vec<_>, Vec<_>) = (0..=threads).map(|_| mpsc::channel()).unzip();
    let talk = TalkPlan { pattern: options.talk, rooms: options.rooms, speakers: options.speakers, tell };
    let (home, is_routed) = (options.home, options.home.is_some());
    let start = |number, notes, talk| {
        let (identity, seconds) = (Arc::clone(&identity), Arc::clone(seconds));
        let addresses = home.map_or(Part::on_loopback(number), |home| home.part(number, threads + 1));
        Crowd::start(CrowdPlan { number, addresses, is_routed, identity, notes, seconds, talk })
    };
    let stage = start(0, notes.remove(0), Some(talk))?;
    let audience = notes.into_iter().enumerate().map(|(index, notes)| start(index + 1, notes, None));
    let audience: Vec<Crowd> = audience.collect::<anyhow::Result<_>>()?;
    warn_of_buffers(&options, &audience);
    Ok(Run::new(options, target, identity, rooms, stage, audience))
}

fn threads(options: &Options) -> usize {
    let listeners = options.rooms.saturating_mul(options.listeners);
    let wanted = match options.threads {
        0 => {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            (listeners.div_ceil(LISTENERS_PER_THREAD) as usize).min(cores)
        }
        threads => threads,
    };
    wanted.clamp(1, MAX_CROWDS - 1)
}

/// One voice's packets to everybody may arrive within one tick, at 800 bytes of the kernel's memory each.
fn warn_of_buffers(options: &Options, audience: &[Crowd]) {
    let each = options.rooms as usize * options.listeners as usize / audience.len() * 800;
    if let Some(small) = audience.iter().find(|crowd| crowd.granted < each) {
        tracing::warn!(
            "the kernel grants {} KB for received packets, {} KB are wanted: raise net.core.rmem_max, or \
             packets may be lost here that the server has sent (they are counted as socket_drops)",
            small.granted >> 10,
            each >> 10,
        );
    }
}
