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
use media::speakers::{Speakers, SpeakersConfig, SpeakersEvent};
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
    let Surroundings { bus, credentials, certificate, metrics, tasks } = surroundings;
    let links = Links::bind(config.link, credentials)
        .with_context(|| format!("links of {} on {}", config.node, config.link))?;
    let (tell, changes) = mpsc::channel(MAX_CHANGES);
    let queue: Arc<RelayQueue> = Arc::new(Queue::new(Notify::new()));
    let (done, ended) = shutdown::channel();

    let shards = node::shards::start(&config, &tasks, |_, handle| {
        let peers = PeersConfig { certificate: certificate.clone(), max_peers: config.shard_capacity() };
        let plane = Speakers::new(SpeakersConfig { peers, max_rooms: MAX_ROOMS }, rng(), rng());
        let meters = Meters::new(&metrics, handle);
        (plane, Watcher { changes: tell.clone(), queue: queue.clone(), meters })
    })?;
    let reach = Reach::new(&config, &certificate, &shards);
    let origin = Origin { media: reach.shards.clone(), link: links.local_addr() };
    let told = config.link_addrs(origin.link);
    let connected = metrics.gauge("dais_origin_speakers", "Speakers who are connected.");
    let speaking = Speaking::new(config.node.clone(), shards.clone(), queue.clone());
    // An origin has no parents.
    let (_nobody, hears) = watch::channel(Vec::new());
    let name = config.node.clone();
    let counted = shards.clone();
    let opening = Opening {
        duty: speaking,
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
    tasks.part(format!("{name} desk"), desk.run(tasks.shutdown().clone(), done));

    let taken = queue.clone();
    let tell = move |id, child| relay::told(&taken, id, child);
    node::serve::children(&name, links.clone(), node::ids(), &tasks, &metrics, tell);
    tasks.part(format!("{name} relay"), async move {
        Relay::new(name, queue, metrics).run(ended).await;
        links.close().await;
        shards.iter().for_each(ShardHandle::stop);
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

    fn inspect(&mut self, plane: &mut Speakers, _load: Load) {
        self.meters.follow(plane);
    }
}

/// What an origin is.
const KIND: NodeKind = NodeKind::Origin;
