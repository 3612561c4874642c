//! A room: who is on stage, whose hands are up, who is invited, and what hosts have decided about whom.
//!
//! ```text
//!   Room ─┬─ Head       state, seats, invitations, origin: small, one record
//!         ├─ hands      one entry for each
//!         └─ standing   one entry for each
//! ```
//!
//! It is kept in pieces, so that what a change reads and writes does not grow with what others have. The
//! audience is not in it: who is here stands with each person ([`Present`](crate::Present)), and the rules
//! ask for it through [`People`]. Times are the store's, in ms, and always come in as arguments.

use std::collections::BTreeMap;

use protocol::id::{Epoch, Identity, NodeId, RoomId, SpeakerNumber};
use protocol::message::{Hand, RoomInfo, RoomState, StageMember};
use protocol::node::{Stage, StageSpeaker};
use protocol::token::Role;
use serde::{Deserialize, Serialize};

use crate::limits::{DEFAULT_SEATS, MAX_SEATS, MAX_TITLE};
use crate::{Arrival, Party, Refusal};

/// A room's control state, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    pub(crate) head: Numbered<Head>,
    /// Of the change of state that whoever comes in must know about.
    pub(crate) door: u64,
    pub(crate) hands: BTreeMap<Identity, Numbered<RaisedHand>>,
    pub(crate) standing: BTreeMap<Identity, Numbered<Standing>>,
    pub(crate) version: u64,
}

/// What something is numbered that is not yet committed.
pub(crate) const PENDING: u64 = u64::MAX;

/// A value, and the number of the change that set it. Numbers only grow, over all that is kept of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered<T> {
    /// Of the change.
    pub number: u64,
    /// What it set.
    pub value: T,
}

/// The part of a room that is one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub(crate) id: RoomId,
    pub(crate) title: String,
    pub(crate) seats: u16,
    pub(crate) state: RoomState,
    /// Of the state.
    pub(crate) since: u64,
    /// A listener came before anybody who may speak: it goes live with the first of those.
    #[serde(default)]
    pub(crate) awaits: bool,
    /// In the order they sat down.
    pub(crate) stage: Vec<Seat>,
    pub(crate) invitations: Vec<Invitation>,
    /// The number given last; none is given twice.
    pub(crate) last_number: SpeakerNumber,
    pub(crate) origin: Option<NodeId>,
    pub(crate) epoch: Epoch,
}

/// A taken seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Whose.
    pub identity: Identity,
    /// Shown to others.
    pub name: String,
    /// CSRC of what they say.
    pub number: SpeakerNumber,
    /// They are a host.
    pub host: bool,
    /// They are not heard.
    pub muted: bool,
}

/// A seat held for somebody who was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// Who.
    pub identity: Identity,
    /// Shown to others.
    pub name: String,
    /// The host who asked; nobody where an admin did.
    pub by: Option<Identity>,
    /// Until when.
    pub expires: u64,
}

/// A hand that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedHand {
    /// Shown to hosts.
    pub name: String,
    /// It is a guest's: of this party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<Party>,
    /// Since when it is up, by the clock of whoever wrote it down: it is shown, and orders nothing.
    pub since: u64,
    /// Which it was of those that went up with the same change.
    #[serde(default)]
    pub place: u32,
    /// The change with which it went up, where a later one has set it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub went_up: Option<u64>,
}

/// What holds for an identity until the room ends, whatever token it shows.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Their role: of the first token, or what was decided since. None: what the token says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// They were taken off the stage or stepped down: no seat on entry, until they are promoted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offstage: bool,
    /// A host muted them, and they have not lifted it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted: bool,
    /// They may not enter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub banned: bool,
    /// What their tickets are told since they were put out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub farewell: Option<crate::Farewell>,
}

impl Standing {
    /// Whether it is whoever has these tickets that is out.
    pub(crate) fn is_out(&self, tickets: &crate::Tickets) -> bool {
        self.banned || self.farewell.as_ref().is_some_and(|farewell| farewell.is_of(tickets))
    }
}

/// How a room is to be made. What is absent is the default.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Shown to people; the room's id unless given.
    pub title: Option<String>,
    /// Places on stage.
    pub seats: Option<u16>,
    /// False: it starts backstage.
    pub live: Option<bool>,
}

/// What somebody is and has at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Host, or speaker while on stage, else listener.
    pub role: Role,
    /// On stage: their number.
    pub number: Option<SpeakerNumber>,
    /// On stage: not heard.
    pub muted: bool,
    /// Their hand is up.
    pub hand: bool,
}

/// Who is in the room; what the rules ask about people who are not on stage.
pub trait People {
    /// The name under which somebody is shown; none where they are not here, or hidden.
    fn name(&self, identity: &Identity) -> Option<&str>;

    /// Of which party somebody is; none where they are no guest.
    fn party(&self, identity: &Identity) -> Option<Party>;
}

/// What a change makes of a room: the pieces that are different. What one node has done to a room is brought
/// to the others by this.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// The new head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// Whoever comes in must know about it: the state is another one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub door: bool,
    /// Hands that went up, are different or (none) down.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hands: BTreeMap<Identity, Option<RaisedHand>>,
    /// What was decided about people, or (none) forgotten.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub standing: BTreeMap<Identity, Option<Standing>>,
}

/// What is remembered of a room that is over and forgotten, so that nobody who is late takes the next one
/// of the same id for it, and nobody who was banned comes in by making it anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Of the last change.
    pub number: u64,
    /// The number given last.
    pub last_number: SpeakerNumber,
    /// The epoch given last.
    pub epoch: Epoch,
    /// Who may not enter the next one either.
    #[serde(default)]
    pub banned: Vec<Identity>,
}

impl Head {
    /// What is kept of a room that is made at `now`. Refuses a title or seats outside the limits.
    pub(crate) fn new(id: RoomId, plan: &Plan, now: u64) -> Result<Self, Refusal> {
        let title = plan.title.clone().unwrap_or_else(|| id.to_string());
        let seats = plan.seats.unwrap_or(DEFAULT_SEATS);
        check_title(&title)?;
        check_seats(seats)?;
        Ok(Self {
            id,
            title,
            seats,
            state: if plan.live == Some(false) { RoomState::Backstage } else { RoomState::Live },
            since: now,
            awaits: false,
            stage: Vec::new(),
            invitations: Vec::new(),
            last_number: SpeakerNumber::NOBODY,
            origin: None,
            epoch: Epoch(0),
        })
    }

    /// A room that somebody's entry makes. One of a listener only waits for whoever may speak, or it would be
    /// the audience that opens an event, or goes on with it after its end.
    pub(crate) fn by_entry(id: RoomId, arrival: &Arrival, now: u64) -> Result<Self, Refusal> {
        let awaits = arrival.role == Role::Listener;
        let plan = Plan { live: Some(!awaits), ..Plan::default() };
        Ok(Self { awaits, ..Self::new(id, &plan, now)? })
    }

    pub(crate) fn seat(&self, identity: &Identity) -> Option<&Seat> {
        self.stage.iter().find(|seat| seat.identity == *identity)
    }

    pub(crate) fn invitation(&self, identity: &Identity) -> Option<&Invitation> {
        self.invitations.iter().find(|invitation| invitation.identity == *identity)
    }
}

impl Room {
    /// A room of these pieces. `version` is that of the last change to any of them, `door` that of the last
    /// one of its state.
    pub fn new(version: u64, door: u64, head: Numbered<Head>) -> Self {
        Self { head, door, hands: BTreeMap::new(), standing: BTreeMap::new(), version }
    }

    /// Adds a hand that is up.
    pub fn with_hand(&mut self, identity: Identity, hand: Numbered<RaisedHand>) {
        self.hands.insert(identity, hand);
    }

    /// Adds what was decided about somebody.
    pub fn with_standing(&mut self, identity: Identity, standing: Numbered<Standing>) {
        self.standing.insert(identity, standing);
    }

    /// Makes it what it is after a change with this number.
    pub fn apply(&mut self, number: u64, delta: Delta) {
        let Delta { head, door, hands, standing } = delta;
        if let Some(value) = head {
            if value.state == RoomState::Ended {
                self.hands.clear();
            }
            self.head = Numbered { number, value };
        }
        if door {
            self.door = number;
        }
        apply(&mut self.hands, number, hands);
        apply(&mut self.standing, number, standing);
        self.version = number;
    }

    /// What is remembered of it once it is over.
    pub fn tombstone(&self) -> Tombstone {
        let banned = self.standing.iter().filter(|(_, standing)| standing.value.banned);
        let banned = banned.map(|(identity, _)| identity.clone()).collect();
        let head = &self.head.value;
        Tombstone { number: self.version, last_number: head.last_number, epoch: head.epoch, banned }
    }

    /// Its id.
    pub fn id(&self) -> &RoomId {
        &self.head.value.id
    }

    /// What everybody may know about it.
    pub fn info(&self) -> RoomInfo {
        let head = &self.head.value;
        RoomInfo {
            room: head.id.clone(),
            title: head.title.clone(),
            state: head.state,
            since: head.since,
            seats: head.seats,
        }
    }

    /// How far it is.
    pub fn state(&self) -> RoomState {
        self.head.value.state
    }

    /// Of the last change to anything in it; only grows.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Everybody on stage, in the order they sat down.
    pub fn members(&self) -> Vec<StageMember> {
        self.stage().iter().map(Seat::member).collect()
    }

    /// The hands that are up, in the order they went up.
    pub fn hands(&self) -> Vec<Hand> {
        let mut hands: Vec<_> = self.hands.iter().collect();
        hands.sort_by_key(|(_, hand)| hand.turn());
        hands.into_iter().map(|(identity, hand)| hand.shown(identity)).collect()
    }

    /// How many hands are up.
    pub fn hand_count(&self) -> usize {
        self.hands.len()
    }

    /// The taken seats.
    pub fn stage(&self) -> &[Seat] {
        &self.head.value.stage
    }

    /// The seats held for invited people.
    pub fn invitations(&self) -> &[Invitation] {
        &self.head.value.invitations
    }

    /// The invitation that waits for somebody's answer.
    pub fn invitation(&self, identity: &Identity) -> Option<&Invitation> {
        self.head.value.invitation(identity)
    }

    /// Where the room's audio comes from.
    pub fn origin(&self) -> Option<(&NodeId, Epoch)> {
        let head = &self.head.value;
        head.origin.as_ref().map(|node| (node, head.epoch))
    }

    /// What somebody is and has; whoever the room does not know is a listener.
    pub fn place(&self, identity: &Identity) -> Place {
        let seat = self.head.value.seat(identity);
        let role = match seat {
            _ if self.is_host(identity) => Role::Host,
            Some(_) => Role::Speaker,
            None => Role::Listener,
        };
        Place {
            role,
            number: seat.map(|seat| seat.number),
            muted: seat.is_some_and(|seat| seat.muted),
            hand: self.hands.contains_key(identity),
        }
    }

    /// Whether somebody is a host, on stage or not.
    pub fn is_host(&self, identity: &Identity) -> bool {
        self.standing(identity).is_some_and(|standing| standing.role == Some(Role::Host))
    }

    /// Whether somebody may not enter.
    pub fn is_banned(&self, identity: &Identity) -> bool {
        self.standing(identity).is_some_and(|standing| standing.banned)
    }

    /// The state its origin must know; none before it has one.
    pub fn node_stage(&self) -> Option<Stage> {
        let head = &self.head.value;
        head.origin.as_ref()?;
        let speaker = |seat: &Seat| StageSpeaker {
            identity: seat.identity.clone(),
            number: seat.number,
            muted: seat.muted,
        };
        Some(Stage {
            room: head.id.clone(),
            epoch: head.epoch,
            version: self.head.number,
            state: head.state,
            speakers: head.stage.iter().map(speaker).collect(),
        })
    }

    pub(crate) fn standing(&self, identity: &Identity) -> Option<&Standing> {
        self.standing.get(identity).map(|standing| &standing.value)
    }
}

fn apply<T>(
    entries: &mut BTreeMap<Identity, Numbered<T>>,
    number: u64,
    changed: BTreeMap<Identity, Option<T>>,
) {
    for (identity, value) in changed {
        match value {
            Some(value) => drop(entries.insert(identity, Numbered { number, value })),
            None => drop(entries.remove(&identity)),
        }
    }
}

impl Seat {
    pub(crate) fn member(&self) -> StageMember {
        StageMember {
            identity: self.identity.clone(),
            name: self.name.clone(),
            number: self.number,
            host: self.host,
            muted: self.muted,
        }
    }
}

impl Numbered<RaisedHand> {
    /// Hands stand in the order of these.
    pub(crate) fn turn(&self) -> (u64, u32) {
        (self.value.went_up.unwrap_or(self.number), self.value.place)
    }

    /// It, to be set again: it keeps its turn.
    pub(crate) fn again(&self) -> RaisedHand {
        let number = Some(self.number).filter(|number| *number != PENDING);
        RaisedHand { went_up: self.value.went_up.or(number), ..self.value.clone() }
    }

    pub(crate) fn shown(&self, identity: &Identity) -> Hand {
        let RaisedHand { name, since, .. } = &self.value;
        Hand { identity: identity.clone(), name: name.clone(), since: *since, turn: self.turn() }
    }
}

pub(crate) fn check_title(title: &str) -> Result<(), Refusal> {
    let fits = (1..=MAX_TITLE).contains(&title.chars().count()) && !title.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("`title` must be 1 to {MAX_TITLE} characters without control characters")))
}

pub(crate) fn check_seats(seats: u16) -> Result<(), Refusal> {
    if (1..=MAX_SEATS).contains(&seats) {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("`seats` must be 1 to {MAX_SEATS}")))
}
