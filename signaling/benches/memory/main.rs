//! What one listener costs signaling in memory.
//!
//! A real server in this process, and real WebSocket clients in another one, the same program started
//! again: so nothing of theirs is counted. Everybody joins one room, asks for media, and has seen that all
//! are there; then the heap is looked at. The media nodes only answer, and the room's truth (the store in
//! memory) is counted with the rest. What the kernel keeps for a socket is not.
//!
//! `cargo bench -p signaling --bench memory [-- LISTENERS]`

#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot start has nobody to tell but the shell")]

mod clients;
#[path = "../../../edge/benches/memory/counting.rs"]
mod counting;
mod nodes;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use cluster::store::{Limits, MemoryStore};
use cluster::{MemoryBus, Nodes};
use protocol::token::Keys;
use protocol::{NodeId, RoomId};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use service::{Registry, Tasks, shutdown};
use signaling::{Parts, Server, SignalingConfig};
use tokio::runtime::Runtime;

#[global_allocator]
static HEAP: counting::Counting = counting::Counting;

/// First argument of the process of the clients, and what it says when all are in.
const CLIENTS: &str = "clients";
const ALL_ARE_IN: &str = "all are in";

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let listeners = args.iter().filter_map(|arg| arg.parse().ok()).next().unwrap_or(2_000);
    let runtime = Runtime::new().unwrap();
    match &args[..] {
        [first, address, ..] if first == CLIENTS => {
            runtime.block_on(clients::run(address.parse().unwrap(), listeners));
        }
        _ => measure(&runtime, listeners),
    }
}

fn measure(runtime: &Runtime, listeners: usize) {
    raise_open_files();
    let address = runtime.block_on(serve());
    // The first one pays for the room and for whatever is made once.
    let mut first = bring(address, 1);
    let empty = counting::held();
    let mut others = bring(address, listeners);
    let full = counting::held();
    println!(
        "memory: signaling {} bytes per listener ({listeners} listeners in one room)",
        (full - empty) / listeners
    );
    for child in [&mut first, &mut others] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// Starts clients in a process of their own; they stay until it is killed.
fn bring(address: SocketAddr, listeners: usize) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([CLIENTS, &address.to_string(), &listeners.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.as_mut().unwrap()).lines().next();
    assert_eq!(said.unwrap().unwrap(), ALL_ARE_IN);
    child
}

/// A signaling node with an origin and two edges that make peers of nothing but numbers.
async fn serve() -> SocketAddr {
    let (bus, nodes) = (MemoryBus::new(), Nodes::new(1));
    let (trigger, shutdown) = shutdown::channel();
    // Dropping it would begin the shutdown.
    std::mem::forget(trigger);
    let hears = (bus.clone(), nodes.clone());
    tokio::spawn(async move { hears.1.run(&*hears.0).await });
    nodes::start(&bus, &nodes).await;
    let registry = Registry::default();
    let parts = Parts {
        store: MemoryStore::new(Limits::default()),
        bus,
        nodes,
        metrics: registry.node("signaling", "local"),
        tasks: Tasks::new(shutdown),
    };
    let node = NodeId::new("signaling").unwrap();
    let mut config = SignalingConfig::new(node, "127.0.0.1:0".parse().unwrap(), keys());
    config.limits.joins_per_second = u32::MAX;
    let server = Server::bind(config, parts).await.unwrap();
    let address = server.address();
    tokio::spawn(server.run());
    address
}

fn keys() -> Keys {
    let mut keys = Keys::default();
    keys.add("bench", &[7; 32]).unwrap();
    keys
}

fn room() -> RoomId {
    RoomId::new("bench").unwrap()
}

/// Each listener is an open file here, and one in the process of the clients, which inherits the limit.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}
