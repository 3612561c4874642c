//! Whole operations on the rooms of a store, one after another: load, decide, commit, and again where somebody
//! was faster. So the contract says what a store does to a room without a live one.

use std::sync::Arc;
use std::time::Duration;

use protocol::id::{Epoch, Identity, NodeId, RoomId};
use protocol::message::{Person, RoomState};
use rand::Rng;
use room::hall::{Conflict, Decision, HallError, Loaded, Operation, View};
use room::{
    Action, Actor, Arrival, Change, Gone, Outcome, Owner, Plan, Refusal, Room, Secret, Session, Ticket,
};

use crate::store::{Listed, Orphan, SharedStore, StoreError};

/// How often an operation is decided again because somebody was faster. Each time somebody was.
const TRIES: u32 = 100;

/// From which try on one waits a moment, so that not all come at once again.
const PATIENT: u32 = 3;

/// Longest such moment.
const MOMENT: Duration = Duration::from_millis(5);

/// Sessions of nodes that are gone which are cut at a time.
const PORTION: usize = 200;

/// Why one did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(transparent)]
    Hall(#[from] HallError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Hall(refusal.into())
    }
}

/// What came of an operation.
///
/// Whoever made it tells the others. Versions let them notice what they missed: `outcome.before` is
/// the version on which the changes build, and equals `outcome.version` where the room did not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// The room as it is now.
    pub room: Arc<Room>,
    /// What happened.
    pub outcome: Outcome,
    /// Sessions that ended by it: replaced, kicked, banned, left. Not listed when the room ended,
    /// which ends all.
    pub gone: Vec<Gone>,
}

impl Acted {
    /// Whether the room ended by it, and so everybody's session.
    pub fn ended(&self) -> bool {
        let over = |change: &Change| matches!(change, Change::Room { state: RoomState::Ended, .. });
        self.outcome.changes.iter().any(over)
    }
}

/// Somebody came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// Who, as the room knows them.
    pub arrival: Arrival,
    /// What came of it. The answer is `Seated`, `StageFull` (they would have had a seat) or `Done`.
    pub acted: Acted,
    /// Opens the door again while they are here and for 60 s after they were cut, until the ticket that
    /// it brings has been shown.
    pub ticket: String,
    /// How many are here and not hidden, this one included.
    pub present: usize,
}

/// The rooms of a store.
pub struct Halls {
    store: SharedStore,
    participants: usize,
}

/// What was done.
struct Done {
    acted: Acted,
    arrival: Option<Arrival>,
    present: usize,
}

impl Halls {
    /// Of this store, with at most so many participants each.
    pub fn new(store: SharedStore, participants: usize) -> Arc<Self> {
        Arc::new(Self { store, participants })
    }

    /// Makes a room, or a new one in place of one that has ended.
    pub async fn create(&self, room: &RoomId, actor: &Actor, plan: &Plan) -> Result<Acted, Refused> {
        self.run(room, &Operation::Create { actor: actor.clone(), plan: plan.clone() }).await
    }

    /// Lets somebody in, making the room if there is none.
    pub async fn enter(
        &self,
        room: &RoomId,
        arrival: &Arrival,
        session: &Session,
    ) -> Result<Entered, Refused> {
        let secret = Secret(rand::random());
        let (arrival, session) = (arrival.clone(), session.clone());
        self.let_in(room, secret, &Operation::Enter { arrival, session, secret }).await
    }

    /// Lets somebody in again by a ticket, as who they were. Whoever was kicked or banned meanwhile is told
    /// [`HallError::Over`] until the room ends, and whoever joined somewhere else while they are there.
    pub async fn resume(&self, room: &RoomId, ticket: &str, session: &Session) -> Result<Entered, Refused> {
        let ticket: Ticket = ticket.parse().map_err(|_| HallError::Ticket)?;
        let secret = Secret(rand::random());
        self.let_in(room, secret, &Operation::Resume { ticket, session: session.clone(), secret }).await
    }

    /// A session's socket is gone without a word; `had_media` says that they had asked for media.
    pub async fn cut(
        &self,
        room: &RoomId,
        who: &Identity,
        session: &Session,
        had_media: bool,
    ) -> Result<Acted, Refused> {
        let (identity, session) = (who.clone(), session.clone());
        self.run(room, &Operation::Cut { identity, session, had_media, if_lapsed: false }).await
    }

    /// Somebody goes for good.
    pub async fn leave(&self, room: &RoomId, who: &Identity, session: &Session) -> Result<Acted, Refused> {
        self.run(room, &Operation::Leave { identity: who.clone(), session: session.clone() }).await
    }

    /// Somebody does something.
    pub async fn act(&self, room: &RoomId, actor: &Actor, action: &Action) -> Result<Acted, Refused> {
        self.run(room, &Operation::Act { actor: actor.clone(), action: action.clone() }).await
    }

    /// Gives the room the origin `node` if it has none, or if the one it has is that of the epoch
    /// `lost`. Either way `acted.room.origin()` says which holds. Epochs only grow, over all rooms.
    pub async fn assign_origin(
        &self,
        room: &RoomId,
        node: &NodeId,
        lost: Option<Epoch>,
    ) -> Result<Acted, Refused> {
        let epoch = self.store.next_epoch(Epoch::default()).await?;
        self.run(room, &Operation::Origin { node: node.clone(), epoch, lost }).await
    }

    /// Does what is due in all rooms: invitations, people who did not come back, empty rooms. Any
    /// number of signaling nodes may call it; each thing happens once, and to one of them.
    pub async fn expire(&self) -> Result<Vec<Acted>, Refused> {
        let mut happened = Vec::new();
        for (room, due) in self.store.due().await? {
            for due in due {
                match self.run(&room, &Operation::Lapse(due)).await {
                    Ok(acted) if acted.outcome.changes.is_empty() && acted.gone.is_empty() => {}
                    Ok(acted) => happened.push(acted),
                    // Somebody else has done it, or the room is over.
                    Err(Refused::Hall(_)) => {}
                    // What has happened must be told, even where what follows must wait.
                    Err(error) if happened.is_empty() => return Err(error),
                    Err(_) => return Ok(happened),
                }
            }
        }
        Ok(happened)
    }

    /// Lets the sessions of a signaling node live on; whether they did until now.
    pub async fn renew(&self, owner: &Owner) -> Result<bool, Refused> {
        Ok(self.store.renew(owner).await?.good)
    }

    /// Cuts the sessions of signaling nodes that are gone, some at a time; how many. A cut changes nothing that
    /// others must know.
    pub async fn reap(&self) -> Result<usize, Refused> {
        let mut done = 0;
        for Orphan { room, identity, session } in self.store.orphans(PORTION).await? {
            let cut = Operation::Cut { identity, session, had_media: true, if_lapsed: true };
            match self.run(&room, &cut).await {
                Ok(_) => done += 1,
                // They are gone by themselves.
                Err(Refused::Hall(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// A session was there all the time although its node was taken for gone: whose entry it is now, if there
    /// still is one.
    pub async fn put_back(
        &self,
        room: &RoomId,
        who: &Identity,
        session: &Session,
    ) -> Result<Option<Session>, Refused> {
        match self
            .run(room, &Operation::Return { identity: who.clone(), session: session.clone(), lost: None })
            .await
        {
            Ok(_) | Err(Refused::Hall(HallError::NoRoom)) => {}
            Err(error) => return Err(error),
        }
        let loaded = self.store.load(room, None, &[who]).await?;
        Ok(loaded.people.get(who).map(|person| person.value.session.clone()))
    }

    /// A room as it is.
    pub async fn room(&self, room: &RoomId) -> Result<Option<Arc<Room>>, StoreError> {
        Ok(self.store.load(room, None, &[]).await?.room)
    }

    /// Rooms in the order of their ids, from behind `after` on.
    pub async fn rooms(&self, after: Option<&RoomId>, limit: usize) -> Result<Vec<Listed>, Refused> {
        Ok(self.store.rooms(after, limit).await?)
    }

    /// Those in a room who are not hidden, on stage or not, in the order of identities from behind
    /// `after` on.
    pub async fn people(
        &self,
        room: &RoomId,
        after: Option<&Identity>,
        limit: usize,
    ) -> Result<Vec<Person>, Refused> {
        Ok(self.store.people(room, after, limit).await?)
    }

    /// What comes of an operation on what was loaded. Nothing is set.
    pub fn decide(&self, id: &RoomId, loaded: &Loaded, operation: &Operation) -> Result<Decision, HallError> {
        let view = View {
            id,
            room: loaded.room.as_deref(),
            tombstone: loaded.tombstone.as_ref(),
            people: &loaded.people,
            present: loaded.present,
            participants: self.participants,
        };
        operation.decide(loaded.now, view)
    }

    async fn let_in(&self, room: &RoomId, secret: Secret, operation: &Operation) -> Result<Entered, Refused> {
        let Done { acted, arrival, present } = self.done(room, operation).await?;
        let arrival = arrival.expect("whoever enters arrives");
        let ticket = Ticket { identity: arrival.identity.clone(), secret }.to_string();
        Ok(Entered { arrival, acted, ticket, present })
    }

    /// Does this, as often as it takes.
    pub async fn run(&self, room: &RoomId, operation: &Operation) -> Result<Acted, Refused> {
        Ok(self.done(room, operation).await?.acted)
    }

    async fn done(&self, room: &RoomId, operation: &Operation) -> Result<Done, Refused> {
        let concerns = operation.concerns();
        for attempt in 0..TRIES {
            let loaded = self.store.load(room, None, &concerns).await?;
            let decision = self.decide(room, &loaded, operation)?;
            let Some(commit) = &decision.commit else {
                return nothing_happened(&loaded, decision);
            };
            match self.store.commit(room, commit).await? {
                Ok(committed) => {
                    let room = self.after(room, &loaded, &decision, &committed).await?;
                    let Decision { answer, changes, gone, arrival, .. } = decision;
                    let (before, version) = (committed.before, committed.version);
                    let outcome = Outcome { before, version, answer, changes };
                    let acted = Acted { room, outcome, gone };
                    return Ok(Done { acted, arrival, present: committed.present });
                }
                Err(Conflict::Full) => return Err(Refusal::RoomFull(self.participants).into()),
                Err(Conflict::PartyFull) => return Err(Refusal::PartyFull.into()),
                Err(Conflict::Changed(_)) if attempt >= PATIENT => {
                    let moment = rand::rng().random_range(Duration::ZERO..MOMENT);
                    tokio::time::sleep(moment).await;
                }
                Err(Conflict::Changed(_)) => {}
                Err(Conflict::Alive(_)) => return nothing_happened(&loaded, decision),
            }
        }
        Err(Refused::Store(StoreError::Unavailable("too many change the same thing at once".into())))
    }

    /// The room as the commit left it.
    async fn after(
        &self,
        id: &RoomId,
        loaded: &Loaded,
        decision: &Decision,
        committed: &room::hall::Committed,
    ) -> Result<Arc<Room>, Refused> {
        let Some(commit) = decision.commit.as_ref().filter(|commit| commit.is_news()) else {
            return loaded.room.clone().ok_or(Refused::Hall(HallError::NoRoom));
        };
        let before = loaded.room.as_ref();
        let is_next = committed.before == before.map_or(committed.before, |room| room.version());
        // Of a room that is forgotten by it, nothing newer can be had.
        if (is_next || commit.forget.is_some())
            && let Some(room) = commit.apply(before.map(|room| &**room), committed.number)
        {
            return Ok(Arc::new(room));
        }
        // Somebody else changed something beside it.
        self.store.load(id, None, &[]).await?.room.ok_or(Refused::Hall(HallError::NoRoom))
    }
}

fn nothing_happened(loaded: &Loaded, decision: Decision) -> Result<Done, Refused> {
    let room = loaded.room.clone().ok_or(HallError::NoRoom)?;
    let version = room.version();
    let Decision { answer, changes, gone, arrival, .. } = decision;
    let outcome = Outcome { before: version, version, answer, changes };
    Ok(Done { acted: Acted { room, outcome, gone }, arrival, present: loaded.present })
}
