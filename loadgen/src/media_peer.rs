//! One person's media peer: the one that is wanted, on a node that works.
//!
//! As in the SDK it lives apart from the WebSocket, and asks for media by it. Whoever is moved, or hears nothing
//! for a second, asks again; the old peer stays until the new one has its first packet.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::backoff::Backoff;
use crate::clock::now_ns;
use crate::crowd::{Crowd, Why};
use crate::places::Via;
use crate::run::{Connection, Run, Wanted};
use crate::session::{Code, Session};
use crate::watch::Watch;

/// Pauses between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(400);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How often somebody who comes and does not get through asks before they give up.
const TRIES: u32 = 3;

/// What the media are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// To listen, at an edge.
    Listens,
    /// To speak, at the origin, with this number on stage: which of the talk's speakers it is, or somebody who
    /// was promoted and says nothing.
    Speaks {
        /// The CSRC.
        own: u32,
        /// Among the talk's speakers.
        index: Option<usize>,
    },
}

/// One person's.
pub(crate) struct MediaPeer {
    run: Arc<Run>,
    room: usize,
    /// Their number in the run: which crowd they are in.
    number: u64,
    part: Part,
    current: Option<(Part, Connection)>,
    /// When media are to be asked for, if they are.
    due: Option<Instant>,
    /// Why they connect, and since when they wait for it.
    why: Why,
    asked_ns: u64,
    backoff: Backoff,
}

/// How somebody came to hear.
pub(crate) struct Connected {
    pub(crate) why: Why,
    pub(crate) asked_ns: u64,
    /// When the keys were there.
    pub(crate) at_ns: u64,
}

impl MediaPeer {
    /// Of somebody who asked to join then. Media are to be asked for.
    pub(crate) fn new(run: Arc<Run>, room: usize, number: u64, part: Part, asked_ns: u64) -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let due = Some(Instant::now());
        Self { run, room, number, part, current: None, due, why: Why::Joins, asked_ns, backoff }
    }

    /// What is wanted.
    pub(crate) fn part(&self) -> Part {
        self.part
    }

    /// From now on this is wanted.
    pub(crate) fn want(&mut self, part: Part) {
        if part != self.part {
            self.part = part;
            self.renew();
        }
    }

    /// Another one of the same is wanted, at once.
    pub(crate) fn renew(&mut self) {
        self.backoff.reset();
        self.due = Some(Instant::now());
    }

    /// They were cut off from everything, and come back.
    pub(crate) fn cut(&mut self) {
        self.close();
        self.renew();
        (self.why, self.asked_ns) = (Why::Returns, now_ns());
    }

    /// They are at another signaling node, and hear on.
    pub(crate) fn signaled_by(&self, signaling: u16) {
        if let Some((part, connection)) = &self.current {
            let via = Via { media: connection.media, signaling };
            self.crowd(*part).moves(connection.place, via);
        }
    }

    /// Lets go of what there is.
    pub(crate) fn close(&mut self) {
        if let Some((part, connection)) = self.current.take() {
            self.crowd(part).remove(connection.place);
        }
    }

    /// Waits until media are to be asked for: because it is time, or because nothing is heard any more. Safe to
    /// drop and call again.
    pub(crate) async fn is_due(&mut self) {
        if self.due.is_none() {
            let why = lost(&mut self.current).await;
            self.run.failure(why);
            self.renew();
        }
        at(self.due).await;
    }

    /// Asks for media and connects; none where it is tried again later. An error where they give up.
    pub(crate) async fn connect(
        &mut self,
        signaling: u16,
        session: &mut Session,
        watch: &mut Watch,
    ) -> Result<Option<Connected>, Code> {
        self.due = None;
        let part = self.part;
        match self.run.connect(self.crowd(part), self.wanted(signaling), session, watch).await {
            Ok(connection) => {
                self.backoff.reset();
                let why = std::mem::replace(&mut self.why, Why::Moves);
                let connected = Connected { why, asked_ns: self.asked_ns, at_ns: connection.at_ns };
                // In the same crowd it has gone with the first packet.
                self.close();
                self.current = Some((part, connection));
                Ok(Some(connected))
            }
            Err(code) => self.failed(code, session),
        }
    }

    fn failed(&mut self, code: Code, session: &Session) -> Result<Option<Connected>, Code> {
        let pause = self.backoff.pause();
        if session.is_lost() {
            self.due = Some(Instant::now());
            return Ok(None);
        }
        let gets_through = !matches!(&*code, "ice_timeout" | "dtls_timeout" | "dtls" | "no_audio");
        if self.why == Why::Joins && (gets_through || self.backoff.tries() >= TRIES) {
            return Err(code);
        }
        self.run.failure(&code);
        self.due = Some(Instant::now() + pause);
        Ok(None)
    }

    fn wanted(&self, signaling: u16) -> Wanted {
        let (own, speaks) = match self.part {
            Part::Listens => (None, None),
            Part::Speaks { own, index } => (Some(own), Some(index)),
        };
        let in_same_crowd = |part: &Part| (*part == Part::Listens) == (self.part == Part::Listens);
        let current = self.current.as_ref().filter(|(part, _)| in_same_crowd(part));
        Wanted {
            room: self.room,
            place: self.crowd(self.part).place().0,
            signaling,
            asked_ns: self.asked_ns,
            why: self.why,
            instead_of: current.map(|(_, connection)| connection.place),
            own,
            speaks,
        }
    }

    fn crowd(&self, part: Part) -> &Crowd {
        match part {
            Part::Listens => self.run.crowd(self.number),
            Part::Speaks { .. } => &self.run.stage,
        }
    }
}

/// Waits until the connection is lost; for ever where there is none.
async fn lost(current: &mut Option<(Part, Connection)>) -> &'static str {
    let why = match current {
        Some((_, Connection { lost: Some(lost), .. })) => lost.await.ok(),
        _ => None,
    };
    if let Some((_, connection)) = current {
        connection.lost = None;
    }
    match why {
        Some(why) => why,
        // Whoever drops the sender has let us go on purpose.
        None => std::future::pending().await,
    }
}

/// Waits until then; for ever where there is no such time.
pub(crate) async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
