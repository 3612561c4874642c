//! The way in, and back in, as the SDK goes it: the first time at each signaling node once; after a cut with
//! the resume token, for ever, at the next node where one does not answer.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use protocol::Identity;
use protocol::message::Welcome;
use protocol::token::Role;
use tokio::time::sleep;

use crate::backoff::Backoff;
use crate::run::Run;
use crate::session::{Code, Pass, Refusal, Session};
use crate::target::sign;
use crate::watch::Watch;

/// Pauses between two rounds of tries.
const FIRST_PAUSE: Duration = Duration::from_millis(800);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// After these nothing is gained by asking again.
const FINAL: [&str; 8] =
    ["unauthorized", "forbidden", "banned", "kicked", "replaced", "ended", "not_found", "bad_request"];

/// Reasons to be put out after which one comes back.
const PASSING: [&str; 2] = ["shutdown", "too_slow"];

/// One person's door.
pub(crate) struct Door {
    run: Arc<Run>,
    room: usize,
    pub(crate) identity: Identity,
    role: Role,
    /// Where they come from, on loopback or where a network is this machine's.
    local: Ipv4Addr,
    /// The signaling node that is theirs, by its number.
    node: usize,
    resume: Option<String>,
}

impl Door {
    /// The door of whoever has this number: people are spread over the signaling nodes.
    pub(crate) fn new(
        run: Arc<Run>,
        room: usize,
        identity: Identity,
        role: Role,
        local: Ipv4Addr,
        number: u64,
    ) -> Self {
        let node = (number % run.target.nodes.len() as u64) as usize;
        Self { run, room, identity, role, local, node, resume: None }
    }

    /// The signaling node that they are at, by its number.
    pub(crate) fn node(&self) -> u16 {
        self.node as u16
    }

    /// The first time.
    pub(crate) async fn enter(&mut self, watch: &mut Watch) -> Result<(Session, Box<Welcome>), Code> {
        self.round(watch).await.map_err(|refusal| refusal.code)
    }

    /// After a cut; an error only where trying again cannot help. Safe to drop.
    pub(crate) async fn come_back(
        &mut self,
        watch: &mut Watch,
        is_at_once: bool,
    ) -> Result<(Session, Box<Welcome>), Code> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut pause = if is_at_once { Duration::ZERO } else { backoff.pause() };
        loop {
            sleep(pause).await;
            match self.round(watch).await {
                Ok(entered) => return Ok(entered),
                Err(refusal) if FINAL.contains(&refusal.code.as_str()) => return Err(refusal.code),
                Err(_) => pause = backoff.pause(),
            }
        }
    }

    /// Tries each signaling node once, one's own first.
    async fn round(&mut self, watch: &mut Watch) -> Result<(Session, Box<Welcome>), Refusal> {
        let nodes = self.run.target.nodes.len();
        for _ in 1..nodes {
            match self.try_to_enter(watch).await {
                Err(refusal) if refusal.is_elsewhere_better() => self.node = (self.node + 1) % nodes,
                outcome => return outcome,
            }
        }
        let outcome = self.try_to_enter(watch).await;
        if outcome.is_err() {
            self.node = (self.node + 1) % nodes;
        }
        outcome
    }

    async fn try_to_enter(&mut self, watch: &mut Watch) -> Result<(Session, Box<Welcome>), Refusal> {
        let run = &self.run;
        let token = sign(&run.options, Some(&run.rooms[self.room]), Some(&self.identity), self.role);
        let token = token.map_err(|_| Refusal::of("token"))?;
        let mut pass = Pass { token, resume: self.resume.clone() };
        let node = &run.target.nodes[self.node];
        let from = (run.options.home.is_some() || node.is_on_loopback()).then_some(self.local);
        let entered = Session::enter(node, from, &mut pass, watch).await;
        self.resume = pass.resume;
        let (session, mut welcome) = entered?;
        self.resume = Some(std::mem::take(&mut welcome.resume));
        watch.welcomed(self.node, welcome.presence_version);
        Ok((session, welcome))
    }
}

/// Whether whoever is put out for this reason comes back.
pub(crate) fn is_passing(reason: &str) -> bool {
    PASSING.contains(&reason)
}
