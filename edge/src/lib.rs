//! A relay node and the listeners' SFU.
//!
//! ```text
//!   signaling ──▶ desk ──▶ shard: Listeners ◀── frames ── relay ◀── links ◀── parent
//!   listeners ◀────────▶ socket ┘                          └──▶ links ──▶ children
//! ```
//!
//! A datagram from the parent goes to the relay's task, and from there to each shard's queue and each
//! child's link: nothing else is on its way.

mod desk;
mod meters;
mod parents;
mod relay;
mod rooms;

use std::net::SocketAddr;
use std::sync::Arc;

use ::room::tree::Member;
use anyhow::Context;
use cluster::nodes::Live;
pub use media::listeners::FramingChoice;
use media::listeners::{Listeners, ListenersConfig, ListenersEvent};
use media::{Load, PeersConfig};
use node::desk::{MAX_CHANGES, Opening};
use node::{Change, Config, Desk, Reach, Surroundings};
use protocol::node::NodeKind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use service::shutdown;
use tokio::sync::{Notify, mpsc, watch};
use transport::shard::Observer;
use transport::{Links, Queue, ShardHandle};

use desk::Listening;
use meters::{RelayMeters, ShardMeters};
use relay::{Input, Relay, RelayQueue, Tools};
use rooms::Rooms;

/// Most rooms of one shard.
const MAX_ROOMS: usize = 8_192;

/// What an edge is.
const KIND: NodeKind = NodeKind::Edge;

/// An edge at work: its parts run under the tasks that it was given.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Where listeners reach each shard.
    pub media: Vec<SocketAddr>,
    /// Where other edges link.
    pub link: SocketAddr,
}

/// Starts an edge. It runs until the shutdown of its tasks begins and its listeners have left. `live`
/// tells which nodes there are; `framing` is for listeners who ask
/// for none.
pub async fn start(
    config: Config,
    surroundings: Surroundings,
    live: watch::Receiver<Live>,
    framing: FramingChoice,
) -> anyhow::Result<Edge> {
    let Surroundings { bus, credentials, certificate, metrics, tasks } = surroundings;
    let links = Links::bind(config.link, credentials)
        .with_context(|| format!("links of {} on {}", config.node, config.link))?;
    let (tell, changes) = mpsc::channel(MAX_CHANGES);
    let queue: Arc<RelayQueue> = Arc::new(Queue::new(Notify::new()));
    let (done, ended) = shutdown::channel();

    let shards = node::shards::start(&config, &tasks, |index, handle| {
        let peers = PeersConfig { certificate: certificate.clone(), max_peers: config.shard_capacity() };
        let plane = Listeners::new(ListenersConfig { peers, max_rooms: MAX_ROOMS, framing }, rng(), rng());
        let meters = ShardMeters::new(&metrics, handle);
        (plane, Watcher { index, changes: tell.clone(), queue: queue.clone(), meters })
    })?;
    let reach = Reach::new(&config, &certificate, &shards);
    let edge = Edge { media: reach.shards.clone(), link: links.local_addr() };
    let told = config.link_addrs(edge.link);
    let connected = metrics.gauge("dais_edge_listeners", "Listeners who are connected.");
    let me = Member { node: config.node.clone(), region: config.region.clone() };
    let listening = Listening { shards: shards.clone(), queue: queue.clone() };
    let (tell_heard, hears) = watch::channel(Vec::new());
    let counted = shards.clone();
    let opening = Opening {
        duty: listening,
        config,
        reach,
        bus,
        changes,
        links: told,
        sent: Box::new(move || node::shards::sent(&counted)),
        metrics: metrics.clone(),
        connected,
        hears,
    };
    let desk = Desk::open(opening).await?;
    let name = me.node.clone();
    tasks.part(format!("{name} desk"), desk.run(tasks.shutdown().clone(), done));

    let ids = node::ids();
    let taken = queue.clone();
    let child_told = move |id, child| relay::child_told(&taken, id, child);
    node::serve::children(&name, links.clone(), ids.clone(), &tasks, &metrics, child_told);
    let tools = Tools {
        queue,
        shards: shards.clone(),
        links: links.clone(),
        ids,
        tasks: tasks.clone(),
        live,
        hears: tell_heard,
        changes: tell,
    };
    tasks.part(format!("{name} relay"), async move {
        Relay::new(tools, Rooms::new(me, rng()), RelayMeters::new(metrics)).run(ended).await;
        links.close().await;
        shards.iter().for_each(ShardHandle::stop);
        Ok(())
    });
    Ok(edge)
}

fn rng() -> StdRng {
    StdRng::from_seed(rand::rng().random())
}

/// Passes on what one shard says, on the shard's thread.
struct Watcher {
    index: usize,
    changes: mpsc::Sender<Change>,
    queue: Arc<RelayQueue>,
    meters: ShardMeters,
}

impl Observer<Listeners> for Watcher {
    fn event(&mut self, event: ListenersEvent) {
        let change = match event {
            ListenersEvent::Wanted(room) => return self.tell_relay(Input::Wanted(self.index, room)),
            ListenersEvent::Unwanted(room) => return self.tell_relay(Input::Unwanted(self.index, room)),
            ListenersEvent::Admitted { peer, result } => Change::Admitted { peer, result },
            ListenersEvent::Connected { peer, .. } => Change::Connected { peer },
            ListenersEvent::Gone { peer, .. } => Change::Gone { peer },
        };
        if self.changes.try_send(change).is_err() {
            self.meters.change_lost();
        }
    }

    fn inspect(&mut self, plane: &mut Listeners, load: Load) {
        plane.adapt(load);
        self.meters.follow(plane, load);
    }
}

impl Watcher {
    fn tell_relay(&self, input: Input) {
        // Full is counted by the queue.
        let _ = self.queue.push(input);
    }
}
