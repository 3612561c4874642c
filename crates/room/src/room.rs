//! A room: who is on stage, whose hands are up, who is invited, and what hosts have decided about whom.
//!
//! The audience is not in it: ten thousand people would make every change of the stage expensive to
//! keep. Who is here stands in the [`Roster`](crate::Roster); the rules ask it through [`People`].
//! Times are ms of Unix time and always come in as arguments.

use std::collections::BTreeMap;

use protocol::id::{Epoch, Identity, NodeId, RoomId, SpeakerNumber};
use protocol::message::{Hand, RoomInfo, RoomState, StageMember};
use protocol::node::{Stage, StageSpeaker};
use protocol::token::Role;
use serde::{Deserialize, Serialize};

use crate::limits::{DEFAULT_SEATS, MAX_SEATS, MAX_TITLE};
use crate::{Arrival, Refusal};

/// A room's control state. Everything that changes it raises `version` by exactly one, so whoever
/// keeps it can compare and set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    pub(crate) id: RoomId,
    pub(crate) title: String,
    pub(crate) seats: u16,
    pub(crate) state: RoomState,
    /// Of the state.
    pub(crate) since: u64,
    /// A listener came before anybody who may speak: it goes live with the first of those.
    #[serde(default)]
    pub(crate) awaits: bool,
    pub(crate) version: u64,
    /// In the order they sat down.
    pub(crate) stage: Vec<Seat>,
    pub(crate) invitations: Vec<Invitation>,
    /// In the order they went up.
    pub(crate) hands: Vec<RaisedHand>,
    pub(crate) standing: BTreeMap<Identity, Standing>,
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
    /// They are not heard.
    pub muted: bool,
    /// Since when they have been cut off, if they are.
    pub away_since: Option<u64>,
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
    /// Whose.
    pub identity: Identity,
    /// Shown to hosts.
    pub name: String,
    /// Since when it is up.
    pub since: u64,
    /// Since when they have been cut off, if they are.
    pub away_since: Option<u64>,
}

/// What holds for an identity until the room ends, whatever token it shows.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Their role: of the first token, or what was decided since. None: what the token says.
    pub role: Option<Role>,
    /// They were taken off the stage or stepped down: no seat on entry, until they are promoted.
    pub offstage: bool,
    /// A host muted them, and they have not lifted it.
    pub muted: bool,
    /// They may not enter.
    pub banned: bool,
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
}

impl Room {
    /// A room that was made at `now`. Refuses a title or seats outside the limits.
    pub fn new(id: RoomId, plan: &Plan, now: u64) -> Result<Self, Refusal> {
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
            version: 1,
            stage: Vec::new(),
            invitations: Vec::new(),
            hands: Vec::new(),
            standing: BTreeMap::new(),
            last_number: SpeakerNumber::NOBODY,
            origin: None,
            epoch: Epoch(0),
        })
    }

    /// A room that somebody's entry makes. One of a listener only waits for whoever may speak, or it would be
    /// the audience that opens an event, or goes on with it after its end.
    pub fn by_entry(id: RoomId, arrival: &Arrival, now: u64) -> Result<Self, Refusal> {
        let awaits = arrival.role == Role::Listener;
        let plan = Plan { live: Some(!awaits), ..Plan::default() };
        Ok(Self { awaits, ..Self::new(id, &plan, now)? })
    }

    /// The next room of the same id, in place of this one that has ended. Versions, numbers and epochs
    /// go on from here, so that nobody who is late takes the one for the other.
    pub fn again(&self, plan: &Plan, now: u64) -> Result<Self, Refusal> {
        let (version, last_number, epoch) = (self.version + 1, self.last_number, self.epoch);
        Ok(Self { version, last_number, epoch, ..Self::new(self.id.clone(), plan, now)? })
    }

    /// Its id.
    pub fn id(&self) -> &RoomId {
        &self.id
    }

    /// What everybody may know about it.
    pub fn info(&self) -> RoomInfo {
        RoomInfo {
            room: self.id.clone(),
            title: self.title.clone(),
            state: self.state,
            since: self.since,
            seats: self.seats,
        }
    }

    /// How far it is.
    pub fn state(&self) -> RoomState {
        self.state
    }

    /// Of everything in it; only grows.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Everybody on stage, in the order they sat down.
    pub fn members(&self) -> Vec<StageMember> {
        self.stage.iter().map(|seat| self.member(seat)).collect()
    }

    /// The hands that are up, in the order they went up.
    pub fn hands(&self) -> Vec<Hand> {
        self.hands.iter().map(RaisedHand::shown).collect()
    }

    /// How many hands are up.
    pub fn hand_count(&self) -> usize {
        self.hands.len()
    }

    /// The taken seats.
    pub fn stage(&self) -> &[Seat] {
        &self.stage
    }

    /// The seats held for invited people.
    pub fn invitations(&self) -> &[Invitation] {
        &self.invitations
    }

    /// The invitation that waits for somebody's answer.
    pub fn invitation(&self, identity: &Identity) -> Option<&Invitation> {
        self.invitations.iter().find(|invitation| invitation.identity == *identity)
    }

    /// Where the room's audio comes from.
    pub fn origin(&self) -> Option<(&NodeId, Epoch)> {
        self.origin.as_ref().map(|node| (node, self.epoch))
    }

    /// What somebody is and has; whoever the room does not know is a listener.
    pub fn place(&self, identity: &Identity) -> Place {
        let seat = self.seat(identity);
        let role = match seat {
            _ if self.is_host(identity) => Role::Host,
            Some(_) => Role::Speaker,
            None => Role::Listener,
        };
        Place {
            role,
            number: seat.map(|seat| seat.number),
            muted: seat.is_some_and(|seat| seat.muted),
            hand: self.raised_hand(identity).is_some(),
        }
    }

    /// Whether somebody is a host, on stage or not.
    pub fn is_host(&self, identity: &Identity) -> bool {
        self.standing.get(identity).is_some_and(|standing| standing.role == Some(Role::Host))
    }

    /// Whether somebody may not enter.
    pub fn is_banned(&self, identity: &Identity) -> bool {
        self.standing.get(identity).is_some_and(|standing| standing.banned)
    }

    /// The state its origin must know; none before it has one.
    pub fn node_stage(&self) -> Option<Stage> {
        self.origin.as_ref()?;
        let speaker = |seat: &Seat| StageSpeaker {
            identity: seat.identity.clone(),
            number: seat.number,
            muted: seat.muted,
        };
        Some(Stage {
            room: self.id.clone(),
            epoch: self.epoch,
            version: self.version,
            state: self.state,
            speakers: self.stage.iter().map(speaker).collect(),
        })
    }

    pub(crate) fn seat(&self, identity: &Identity) -> Option<&Seat> {
        self.stage.iter().find(|seat| seat.identity == *identity)
    }

    pub(crate) fn raised_hand(&self, identity: &Identity) -> Option<&RaisedHand> {
        self.hands.iter().find(|hand| hand.identity == *identity)
    }

    pub(crate) fn member(&self, seat: &Seat) -> StageMember {
        StageMember {
            identity: seat.identity.clone(),
            name: seat.name.clone(),
            number: seat.number,
            host: self.is_host(&seat.identity),
            muted: seat.muted,
        }
    }
}

impl RaisedHand {
    pub(crate) fn shown(&self) -> Hand {
        Hand { identity: self.identity.clone(), name: self.name.clone(), since: self.since }
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
