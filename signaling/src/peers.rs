//! Agrees with each media node, every second, which of its peers this node wants; and sees to those that nobody
//! wants (`room::peers` says what follows).
//!
//! ```text
//!   live rooms ── which peers they want ──▶ Wanted ── Want, Claim ──▶ media nodes
//!   live rooms ◀── orphans of their people, peers that are gone ◀── Compared, Lacks
//!   store      ◀── are their people in the list? ── orphans ──▶ Disown; a WHIP session goes on here
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use protocol::message::RoomState;
use protocol::node::{Claim, Event, Orphan, PeerEvent, Request, Response};
use protocol::{ApiError, Identity, NodeId, PeerId, RoomId};
use room::live::{By, Input, Live, Peer};
use room::peers::{Digests, bucket};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::app::Shared;
use crate::live::{Body, Enter};
use crate::media;

/// Between two times that all is compared, in ms.
const COMPARE_MS: u64 = 1_000;

/// How long the store must have been the same one before it is believed that somebody is in no list, in ms: one
/// that has lost something gets it back.
const STEADY_MS: u64 = 5_000;

/// How long it may take until it has said once more that it is.
const STEADY_PATIENCE: Duration = Duration::from_secs(5);

/// The peers of one room, by node.
type Peers = BTreeMap<NodeId, Vec<PeerId>>;

/// Which peers the rooms that are live here want.
#[derive(Default)]
pub(crate) struct Wanted(Mutex<HashMap<RoomId, List>>);

struct List {
    next_at: u64,
    peers: Arc<Peers>,
}

impl Wanted {
    /// Notes which ones a room wants, unless it is known from just now.
    pub(crate) fn set(&self, now: u64, room: &RoomId, live: &Live) {
        if self.lock().get(room).is_some_and(|list| now < list.next_at) {
            return;
        }
        let mut peers = Peers::new();
        for (node, peer) in live.peers() {
            match peers.get_mut(node) {
                Some(theirs) => theirs.push(peer),
                None => drop(peers.insert(node.clone(), vec![peer])),
            }
        }
        self.lock().insert(room.clone(), List { next_at: now + COMPARE_MS, peers: Arc::new(peers) });
    }

    /// A room is live here no longer.
    pub(crate) fn forget(&self, room: &RoomId) {
        self.lock().remove(room);
    }

    fn all(&self) -> Vec<(RoomId, Arc<Peers>)> {
        self.lock().iter().map(|(room, list)| (room.clone(), list.peers.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, List>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs until the process ends.
pub(crate) async fn run(app: &Shared) {
    let mut tick = interval(Duration::from_millis(COMPARE_MS));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut underway = FuturesUnordered::new();
    let mut busy = BTreeSet::new();
    loop {
        tokio::select! {
            Some(node) = underway.next(), if !underway.is_empty() => drop(busy.remove(&node)),
            _ = tick.tick() => {
                let wanted = Arc::new(app.wanted.all());
                for (node, _) in app.nodes.live().iter().filter(|(_, said)| said.kind.has_media()) {
                    if busy.insert(node.clone()) {
                        underway.push(compare(app, node.clone(), wanted.clone()));
                    }
                }
            }
        }
    }
}

/// Tells one node what is wanted there, and does what follows from its answer.
async fn compare(app: &Shared, node: NodeId, wanted: Arc<Vec<(RoomId, Arc<Peers>)>>) -> NodeId {
    let peers: Vec<PeerId> =
        wanted.iter().filter_map(|(_, peers)| peers.get(&node)).flatten().copied().collect();
    let digests: Digests = peers.iter().copied().collect();
    let want = Request::Want { owner: app.owner(), digests: digests.to_vec() };
    // Whoever does not answer is asked again in a second.
    let Ok(Response::Compared { differ, orphans, judge }) = media::ask(app, &node, &want).await else {
        return node;
    };
    for index in differ {
        let behind = peers.iter().filter(|peer| bucket(**peer) == usize::from(index)).copied().collect();
        let claim = Request::Claim { owner: app.owner(), bucket: index, peers: behind };
        if let Ok(Response::Lacks { peers: lacks }) = media::ask(app, &node, &claim).await {
            tell_gone(app, &node, &wanted, lacks).await;
        }
    }
    for orphan in &orphans {
        let input = Input::Orphan(node.clone(), orphan.clone());
        app.rooms.tell(&orphan.room, input).await;
    }
    if judge {
        self::judge(app, &node, orphans).await;
    }
    node
}

/// These are wanted and gone, and nobody has heard of it.
async fn tell_gone(app: &Shared, node: &NodeId, wanted: &[(RoomId, Arc<Peers>)], lacks: Vec<PeerId>) {
    let lacks: BTreeSet<PeerId> = lacks.into_iter().collect();
    for (room, peers) in wanted {
        let theirs = peers.get(node).into_iter().flatten().filter(|peer| lacks.contains(peer));
        for &peer in theirs {
            let event = Event { node: node.clone(), room: room.clone(), peer, what: PeerEvent::Gone };
            app.rooms.tell(room, Input::Event(event)).await;
        }
    }
}

/// Looks which of the orphans are of people who are in no list, and has those ended.
async fn judge(app: &Shared, node: &NodeId, orphans: Vec<Orphan>) {
    let mut steady = app.steady.subscribe();
    let since = *steady.borrow_and_update();
    if since.is_none_or(|since| app.elapsed_ms() < since + STEADY_MS) {
        return;
    }
    let mut rooms: BTreeMap<RoomId, Vec<Orphan>> = BTreeMap::new();
    for orphan in orphans {
        rooms.entry(orphan.room.clone()).or_default().push(orphan);
    }
    let mut strangers = Vec::new();
    for (room, orphans) in rooms {
        match look(app, node, &room, &orphans).await {
            Ok(found) => strangers.extend(found),
            Err(error) => tracing::debug!(%error, "whose peers some are is not known"),
        }
    }
    // Only a store that is still the one that it was has said something.
    let is_same = timeout(STEADY_PATIENCE, steady.changed()).await.is_ok() && *steady.borrow() == since;
    if is_same && !strangers.is_empty() {
        tracing::info!(%node, peers = strangers.len(), "peers of people who are gone are ended");
        let _again_in_a_while = media::ask(app, node, &Request::Disown { peers: strangers }).await;
    }
}

/// Those of one room whose people are in no list. WHIP and WHEP sessions among the rest go on here.
async fn look(
    app: &Shared,
    node: &NodeId,
    room: &RoomId,
    orphans: &[Orphan],
) -> Result<Vec<PeerId>, ApiError> {
    let people: Vec<&Identity> = orphans.iter().map(|orphan| &orphan.identity).collect();
    let loaded = app.store.load(room, None, &people).await.map_err(ApiError::from)?;
    let is_over = loaded.room.as_ref().is_none_or(|room| room.state() == RoomState::Ended);
    let mut strangers = Vec::new();
    for orphan in orphans {
        match loaded.people.get(&orphan.identity).filter(|_| !is_over) {
            None => strangers.push(orphan.peer),
            Some(person) if orphan.claim.whip.is_some() && person.value.session == orphan.claim.session => {
                adopt(app, node, orphan);
            }
            Some(_) => {}
        }
    }
    Ok(strangers)
}

/// Goes on with a WHIP or WHEP session, if its signaling node is gone for the store too.
fn adopt(app: &Shared, node: &NodeId, orphan: &Orphan) {
    let Ok(place) = app.whip_sessions.clone().try_acquire_owned() else { return };
    let Orphan { peer, purpose, room, identity, claim } = orphan.clone();
    let (app, node) = (app.clone(), node.clone());
    let held = Peer { node: node.clone(), peer, turn: 0 };
    let by = By::Peer { identity, from: claim.session, purpose, peer: held };
    let region = app.config.region.clone();
    let enter = Enter { by, body: Body::Whip { place: Arc::new(place) }, region };
    app.tasks.clone().errand("adoption", async move {
        match app.rooms.enter(&app, &room, enter).await {
            Ok(entered) => {
                let session = app.session(entered.member.who.number);
                let claim = Claim { session, whip: claim.whip };
                app.insist(&node, &Request::Adopt { peer, claim }).await;
            }
            Err(error) => tracing::debug!(%error, "a WHIP or WHEP session does not go on here"),
        }
    });
}
