//! What everybody in a run shares: where the server is, the crowds, and the counts of joins.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::message::{ClientMessage, Purpose, ServerMessage};
use protocol::{Answer, RoomId};
use tokio::sync::oneshot;

use crate::crowd::{Credentials, Crowd, Identity, Newcomer, Place, Why, remote_of};
use crate::garbage::Ports;
use crate::places::{Places, Via};
use crate::session::{Code, Session};
use crate::target::Target;
use crate::watch::{Board, Watch};
use crate::{Histogram, Options};

/// What everybody in a run shares.
pub(crate) struct Run {
    pub(crate) options: Options,
    pub(crate) target: Target,
    pub(crate) identity: Arc<Identity>,
    pub(crate) rooms: Vec<RoomId>,
    pub(crate) boards: Vec<Arc<Board>>,
    /// The speakers' crowd.
    pub(crate) stage: Crowd,
    /// The listeners' ones.
    pub(crate) audience: Vec<Crowd>,
    pub(crate) counts: Counts,
    pub(crate) join: Mutex<Histogram>,
    pub(crate) connected: Mutex<Histogram>,
    failures: Mutex<BTreeMap<String, u64>>,
    /// Where listeners were told to go, and as whom.
    ports: Mutex<Ports>,
    /// The media nodes that they were sent to.
    pub(crate) places: Places,
    /// From the end of a WebSocket to the next `welcome`.
    pub(crate) away: Mutex<Histogram>,
}

/// How many got how far.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) joined: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Probes that listen.
    pub(crate) probes: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) churned: AtomicU64,
    pub(crate) cut: AtomicU64,
    /// Of those who were cut: connected again.
    pub(crate) back: AtomicU64,
    /// Of those who were cut: given up.
    pub(crate) not_back: AtomicU64,
    pub(crate) promotions: AtomicU64,
    /// How often a listener's WebSocket ended without anybody's doing.
    pub(crate) lost: AtomicU64,
    /// Of these: back with the resume token, and back with the token.
    pub(crate) resumed: AtomicU64,
    pub(crate) anew: AtomicU64,
    /// How often a listener who was in has got another peer.
    pub(crate) renewed: AtomicU64,
    /// When the last of the first joins was done, in ns.
    pub(crate) last_join_ns: AtomicU64,
}

impl Counts {
    pub(crate) fn add(&self, which: fn(&Self) -> &AtomicU64) {
        which(self).fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection of somebody in a crowd.
pub(crate) struct Connection {
    pub(crate) place: Place,
    /// By the number of the media node.
    pub(crate) media: u16,
    /// Tells when it is lost, and why.
    pub(crate) lost: Option<oneshot::Receiver<&'static str>>,
    /// When its keys were there.
    pub(crate) at_ns: u64,
}

/// How somebody connects.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) room: usize,
    pub(crate) place: Place,
    /// At which signaling node they are, by its number.
    pub(crate) signaling: u16,
    /// When they asked to join, or were cut.
    pub(crate) asked_ns: u64,
    pub(crate) why: Why,
    /// Where they are in the same crowd until it flows.
    pub(crate) instead_of: Option<Place>,
    /// Their number on stage, if they have one.
    pub(crate) own: Option<u32>,
    /// For `speak`: which of the talk's speakers they are, if any.
    pub(crate) speaks: Option<Option<usize>>,
}

impl Run {
    pub(crate) fn new(
        options: Options,
        target: Target,
        identity: Arc<Identity>,
        rooms: Vec<RoomId>,
        stage: Crowd,
        audience: Vec<Crowd>,
    ) -> Self {
        let nodes = target.nodes.len();
        let boards = rooms.iter().map(|_| Arc::new(Board::new(nodes))).collect();
        Self {
            options,
            target,
            identity,
            rooms,
            boards,
            stage,
            audience,
            counts: Counts::default(),
            join: Mutex::default(),
            connected: Mutex::default(),
            failures: Mutex::default(),
            ports: Mutex::default(),
            places: Places::default(),
            away: Mutex::default(),
        }
    }

    /// The crowd of a listener.
    pub(crate) fn crowd(&self, number: u64) -> &Crowd {
        &self.audience[number as usize % self.audience.len()]
    }

    /// Asks for media and connects to what is answered.
    pub(crate) async fn connect(
        &self,
        crowd: &Crowd,
        wanted: Wanted,
        session: &mut Session,
        watch: &mut Watch,
    ) -> Result<Connection, Code> {
        let credentials = Credentials::new();
        let framing = self.options.framing;
        let offer = Box::new(credentials.offer(self.identity.fingerprint, framing));
        let purpose = if wanted.speaks.is_some() { Purpose::Speak } else { Purpose::Listen };
        let asked = session.ask_patiently(ClientMessage::Media { purpose, offer }, watch).await?;
        let ServerMessage::Media { answer, node, .. } = asked else { return Err("unexpected".into()) };
        if wanted.speaks.is_none() {
            self.note_port(&answer);
        }
        let via = Via { media: self.places.number(&node), signaling: wanted.signaling };
        let (place, (connected, mut result)) = (wanted.place, oneshot::channel());
        let (lost, lost_later) = oneshot::channel();
        crowd.add(newcomer(wanted, via, credentials, answer, connected, lost));
        let result = match session.listen(watch, &mut result).await {
            Ok(result) => result,
            // The media need the WebSocket no more.
            Err(_) => result.await,
        };
        let why = match result {
            Ok(Ok(at_ns)) => {
                return Ok(Connection { place, media: via.media, lost: Some(lost_later), at_ns });
            }
            Ok(Err(why)) => why,
            Err(_) => "ended",
        };
        crowd.remove(place);
        Err(why.into())
    }

    /// Ends the rooms: nobody will come back to them.
    pub(crate) async fn end_rooms(&self) {
        for room in &self.rooms {
            if let Err(error) = self.target.end_room(&self.options, room).await {
                tracing::warn!("{error:#}");
            }
        }
    }

    /// Only garbage wants to know.
    fn note_port(&self, answer: &Answer) {
        if let Some(port) = remote_of(answer).filter(|_| self.options.garbage > 0) {
            let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
            ports.insert(port, answer.ufrag.as_str().to_owned());
        }
    }

    /// Where listeners were told to go so far.
    pub(crate) fn ports(&self) -> Ports {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts why something failed.
    pub(crate) fn failure(&self, code: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry(code.to_owned()).or_default() += 1;
    }

    /// All failures so far.
    pub(crate) fn failures(&self) -> BTreeMap<String, u64> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn newcomer(
    wanted: Wanted,
    via: Via,
    credentials: Credentials,
    answer: Answer,
    connected: oneshot::Sender<Result<u64, &'static str>>,
    lost: oneshot::Sender<&'static str>,
) -> Newcomer {
    let Wanted { room, place, asked_ns, why, instead_of, own, speaks, .. } = wanted;
    Newcomer {
        place,
        room: room as u32,
        via,
        own,
        credentials,
        answer,
        asked_ns,
        why,
        instead_of,
        speaks,
        connected,
        lost: Some(lost),
    }
}

/// Records a time in µs.
pub(crate) fn record(histogram: &Mutex<Histogram>, from_ns: u64, until_ns: u64) {
    let us = until_ns.saturating_sub(from_ns) / 1_000;
    histogram.lock().unwrap_or_else(PoisonError::into_inner).record(us);
}
