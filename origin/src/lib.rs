//! The speakers' SFU and the root of the relay tree.
//!
//! ```text
//!   signaling ──▶ desk ──▶ shard: Speakers ──▶ frames ──▶ relay ──▶ links ──▶ edges
//!   speakers  ◀────────▶ socket ┘
//! ```
//!
//! A room is served by one shard, so that its stage is one thing in one thread. Only who is named in the
//! room's stage is heard, and only here is that decided.

mod desk;
mod meters;
mod relay;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use media::PeersConfig;
use media::speakers::{Speakers, SpeakersConfig, SpeakersEvent};
use node::desk::{MAX_CHANGES, Opening};
use node::{Change, Config, Desk, Reach, Surroundings};
use protocol::node::NodeKind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use service::shutdown;
use tokio::sync::{Notify, mpsc};
use transport::shard::Observer;
use transport::{Links, Queue, Shard};

use desk::Speaking;
use meters::Meters;
use relay::{Audio, Relay, RelayQueue};

/// Most rooms of one shard. A speaker or two each, and a core has more than enough to do.
const MAX_ROOMS: usize = 4_096;

/// An origin at work: its parts run under the tasks that it was given.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Where speakers reach each shard.
    pub media: Vec<SocketAddr>,
    /// Where edges link.
    pub link: SocketAddr,
}

/// Starts an origin. It runs until the shutdown of its tasks begins and its speakers have left.
pub async fn start(config: Config, surroundings: Surroundings) -> anyhow::Result<Origin> {
    let Surroundings { bus, identity, certificate, metrics, tasks } = surroundings;
    let links = Links::bind(config.link, &identity)
        .with_context(|| format!("links of {} on {}", config.node, config.link))?;
    let (tell, changes) = mpsc::channel(MAX_CHANGES);
    let queue: Arc<RelayQueue> = Arc::new(Queue::new(Notify::new()));
    let (done, ended) = shutdown::channel();

    let mut handles = Vec::new();
    for index in 0..config.shards.max(1) {
        let addr = config.shard_addr(index);
        let (shard, handle) =
            Shard::bind(addr).with_context(|| format!("media of {} on {addr}", config.node))?;
        let max_peers = (config.capacity as usize).div_ceil(config.shards.max(1)) * 2;
        let peers = PeersConfig { certificate: certificate.clone(), max_peers };
        let plane = Speakers::new(SpeakersConfig { peers, max_rooms: MAX_ROOMS }, rng(), rng());
        let meters = Meters::new(&metrics, handle.clone());
        let watcher = Watcher { changes: tell.clone(), queue: queue.clone(), meters };
        tasks.thread(format!("{} shard {index}", config.node), move || Ok(shard.run(plane, watcher)?));
        handles.push(handle);
    }

    let reach = Reach {
        fingerprint: certificate.fingerprint(),
        ips: config.media_ips.clone(),
        shards: handles.iter().map(|handle| handle.local_addr()).collect(),
    };
    let origin = Origin { media: reach.shards.clone(), link: links.local_addr() };
    let link = config.link_addr(origin.link);
    let connected = metrics.gauge("dais_origin_speakers", "Speakers who are connected.");
    let speaking = Speaking { shards: handles.clone(), queue: queue.clone() };
    let name = config.node.clone();
    let opening =
        Opening { duty: speaking, config, reach, bus, changes, link, metrics: metrics.clone(), connected };
    let desk = Desk::open(opening).await?;
    tasks.part(format!("{name} desk"), desk.run(tasks.shutdown().clone(), done));

    let taken = queue.clone();
    let refused = metrics.counters("dais_link_refused_total", "Links that were not taken.", &["reason"]);
    let tell = move |id, child| relay::told(&taken, id, child);
    tasks.part(format!("{name} links"), {
        let (links, tasks) = (links.clone(), tasks.clone());
        async move {
            node::serve::children(links, node::ids(), tasks, refused, tell).await;
            Ok(())
        }
    });
    tasks.part(format!("{name} relay"), async move {
        Relay::new(name, queue, metrics).run(ended).await;
        links.close().await;
        handles.iter().for_each(|handle| handle.stop());
        Ok(())
    });
    Ok(origin)
}

fn rng() -> StdRng {
    StdRng::from_seed(rand::rng().random())
}

/// Passes on what one shard says, on the shard's thread.
struct Watcher {
    changes: mpsc::Sender<Change>,
    queue: Arc<RelayQueue>,
    meters: Meters,
}

impl Observer<Speakers> for Watcher {
    fn event(&mut self, event: SpeakersEvent) {
        let change = match event {
            SpeakersEvent::Frame { room, frame } => {
                return self.queue.push_frame(Audio::Frame { room, frame });
            }
            SpeakersEvent::Admitted { peer, result } => Change::Admitted { peer, result },
            SpeakersEvent::Connected { peer, .. } => Change::Connected { peer },
            SpeakersEvent::Gone { peer, .. } => Change::Gone { peer },
        };
        if self.changes.try_send(change).is_err() {
            self.meters.change_lost();
        }
    }

    fn inspect(&mut self, plane: &Speakers) {
        self.meters.follow(plane);
    }
}

/// What an origin is.
const KIND: NodeKind = NodeKind::Origin;
