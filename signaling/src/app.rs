//! What every request and connection of a signaling node shares.

use std::sync::atomic::AtomicU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cluster::{Bus, Nodes, SharedStore, StoreError};
use protocol::node::{Announcement, NodeKind, Request, Response};
use protocol::{Epoch, NodeId, Owner, PeerId, RoomId, Session};
use room::limits::LAST_TO_GO_MS;
use room::live::Draining;
use room::waiting::Waiting;
use service::Tasks;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::config::SignalingConfig;
use crate::counters::Counters;
use crate::limits::Gates;
use crate::media;
use crate::origins::Origins;
use crate::peers::Wanted;
use crate::rooms::Rooms;

/// How often a node is asked to let go of something.
const TRIES: usize = 10;

pub(crate) type Shared = Arc<App>;

pub(crate) struct App {
    pub(crate) config: SignalingConfig,
    pub(crate) store: SharedStore,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) tasks: Tasks,
    pub(crate) counters: Counters,
    pub(crate) gates: Gates,
    /// Free WebSockets.
    pub(crate) connections: Arc<Semaphore>,
    /// Free WHIP and WHEP sessions.
    pub(crate) whip_sessions: Arc<Semaphore>,
    pub(crate) rooms: Rooms,
    pub(crate) origins: Origins,
    pub(crate) wanted: Wanted,
    /// Those for whom every edge is full.
    pub(crate) waiting: Mutex<Waiting>,
    /// The media nodes that let their people go.
    pub(crate) draining: Mutex<Arc<Draining>>,
    /// Since when the store has been the same one, and this node's lease held.
    pub(crate) steady: watch::Sender<Option<u64>>,
    /// Differs after each start, and only grows.
    pub(crate) boot: u64,
    pub(crate) start: Instant,
    /// How far presence is held back because there is more important work, in thousandths: see [`crate::load`].
    pub(crate) restraint: AtomicU16,
}

impl App {
    /// How long this process has run, in ms: a clock that only grows.
    pub(crate) fn elapsed_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Those for whom every edge is full.
    pub(crate) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The media nodes that let their people go.
    pub(crate) fn draining(&self) -> Arc<Draining> {
        self.draining.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// These do from now on, and no others.
    pub(crate) fn drain(&self, draining: Arc<Draining>) {
        *self.draining.lock().unwrap_or_else(PoisonError::into_inner) = draining;
    }

    /// How long people have to go elsewhere when this node stops: no time where there is nowhere to go.
    pub(crate) fn goodbye_ms(&self) -> u64 {
        let is_other = |said: &Announcement| {
            said.kind == NodeKind::Signaling && said.admits && said.node != self.config.node
        };
        let over_ms = (self.config.times.drain.as_millis() as u64).saturating_sub(LAST_TO_GO_MS);
        if self.nodes.live().values().any(is_other) { over_ms } else { 0 }
    }

    /// Returns once nobody is connected, or they have had the time to go.
    pub(crate) async fn emptied(&self) {
        let all = u32::try_from(self.config.limits.connections).unwrap_or(u32::MAX);
        let _gone = timeout(
            self.config.times.drain + Duration::from_millis(LAST_TO_GO_MS),
            self.connections.acquire_many(all),
        )
        .await;
    }

    /// Whether there is a room of this name.
    pub(crate) async fn has_room(&self, room: &RoomId) -> Result<bool, StoreError> {
        Ok(self.store.load(room, None, &[]).await?.room.is_some())
    }

    /// This life of this node.
    pub(crate) fn owner(&self) -> Owner {
        Owner { node: self.config.node.clone(), boot: self.boot }
    }

    /// A session of this node.
    pub(crate) fn session(&self, number: u64) -> Session {
        let Owner { node, boot } = self.owner();
        Session { node, boot, number }
    }

    /// Removes a peer at its node. Where that does not arrive, it is not wanted there: see [`crate::peers`].
    pub(crate) fn remove_peer(self: &Arc<Self>, node: NodeId, peer: PeerId) {
        let app = self.clone();
        self.tasks.errand("removal of a peer", async move {
            app.insist(&node, &Request::Remove { peer, by: Some(app.owner()) }).await;
        });
    }

    /// Has every node forget a room that ended in this version.
    pub(crate) fn close_room(self: &Arc<Self>, room: &RoomId, version: u64, epoch: Option<Epoch>) {
        for (node, said) in self.nodes.live().iter() {
            if !said.kind.has_media() {
                continue;
            }
            let (app, node, room) = (self.clone(), node.clone(), room.clone());
            self.tasks.errand("end of a room", async move {
                app.insist(&node, &Request::Close { room, version: Some(version), epoch }).await;
            });
        }
    }

    /// Asks a node until it has done it, or is gone.
    pub(crate) async fn insist(self: &Arc<Self>, node: &NodeId, request: &Request) {
        for _ in 0..TRIES {
            if matches!(media::ask(self, node, request).await, Ok(Response::Done)) {
                return;
            }
            if self.tasks.shutdown().has_begun() || !self.nodes.live().contains_key(node) {
                return;
            }
            tokio::time::sleep(self.config.times.node / 4).await;
        }
        tracing::warn!(%node, "a node does not do what it must");
    }
}

/// The clock that the outside sees, in ms of Unix time.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

/// The same in s, as tokens are dated.
pub(crate) fn now_s() -> u64 {
    now_ms() / 1_000
}
