//! What one packet to one listener costs, against the least it could cost.
//!
//! Ways to send the same packets to N addresses, in one run and in CPU time of this thread:
//!
//! 1. bare `sendmmsg` of single packets that are ready;
//! 2. the same, each packet copied and sealed with AES-128-GCM under its listener's key first: the floor;
//! 3. the edge's own path: relay frame → room → framing → header, number, seal → batch → kernel;
//! 4. the same without GSO, where several voices sound and a listener gets several packets at once.
//!
//! `ratio` is the third to the second: what the edge adds to what cannot be saved, or what sharing sends
//! saves of it. Loopback makes each send pay for its receive path too, in all alike; there the kernel
//! cuts shared sends up again, which a network card might do for nothing. Blocks of the ways alternate,
//! and the medians of the blocks count, so that other work on the machine disturbs all or none.
//!
//! `cargo bench -p edge --bench fanout [-- LISTENERS]`

#![allow(unsafe_code, reason = "the bare system call is what everything is compared with")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nobody to tell but the shell")]

mod edge;
mod floor;
mod network;

use edge::Edge;
use floor::{Bare, Sealed};
use network::Network;

/// Blocks of each way. Together they stay below the 30 s of media after which consent expires.
const BLOCKS: usize = 40;

/// What all listeners hear.
#[derive(Clone, Copy)]
struct Setting {
    framing_ms: u8,
    /// Voices that sound at once.
    voices: usize,
}

const SETTINGS: [Setting; 3] = [
    Setting { framing_ms: 20, voices: 1 },
    Setting { framing_ms: 60, voices: 1 },
    Setting { framing_ms: 60, voices: 3 },
];

fn main() {
    let listeners = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(1_000);
    let network = Network::new(listeners);
    println!("fanout: {listeners} listeners, ns of CPU per packet, medians of {BLOCKS} blocks");
    for setting in SETTINGS {
        println!("{}", measure(&network, setting));
    }
}

/// Measures all ways of one setting; what to print.
fn measure(network: &Network, setting: Setting) -> String {
    let mut edge = Edge::new(network, setting);
    let mut single = Edge::without_gso(network, setting);
    let len = edge.packet_len(network);
    single.packet_len(network);
    let (mut bare, mut sealed) = (Bare::new(network, len), Sealed::new(network, len));
    let mut costs: [Vec<f64>; 4] = Default::default();
    for _ in 0..BLOCKS {
        costs[0].push(network.measure(1, &mut || bare.round()));
        costs[1].push(network.measure(1, &mut || sealed.round()));
        costs[2].push(network.measure(setting.voices, &mut || edge.round()));
        if setting.voices > 1 {
            costs[3].push(network.measure(setting.voices, &mut || single.round()));
        }
    }
    let [bare, sealed, edge] = [0, 1, 2].map(|way: usize| median(&mut costs[way]));
    let gso = if setting.voices > 1 { saved(edge, median(&mut costs[3])) } else { String::new() };
    let Setting { framing_ms, voices } = setting;
    format!(
        "framing_ms={framing_ms} voices={voices} packet_bytes={len} sendmmsg_ns={bare:.0} \
         sendmmsg_aes_gcm_ns={sealed:.0} edge_ns={edge:.0} ratio={:.3}{gso}",
        edge / sealed
    )
}

fn saved(edge: f64, without_gso: f64) -> String {
    let percent = 100.0 * (1.0 - edge / without_gso);
    format!(" edge_without_gso_ns={without_gso:.0} gso_saves_percent={percent:.0}")
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
