//! Somebody who is in a room: by which session, and by which tickets they may come back.
//!
//! ```text
//!   token ─▶ t1      t1 shown ─▶ t2, t1 still good      t2 shown ─▶ t3, t1 dead
//! ```
//!
//! A ticket is good until its successor has been shown: whoever showed it and was cut before the answer
//! came must not become somebody else. It names whom it belongs to, so that it needs no register of its
//! own: tickets live and die with the person's entry, and of those who were put out a [`Farewell`] stays
//! with what was decided about them.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use protocol::id::{Identity, Owner, Session};
use protocol::message::RemoveReason;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Guests who come from one address, by whichever pass. They share what a room has to give, because nothing
/// else tells the thousand of an office from one who pretends to be a thousand. It is a mark of the address,
/// and not the address: that is kept nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Party(pub u64);

/// Somebody who is here, or was cut off and may still come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Shown to others.
    pub name: String,
    /// Counted by nobody, shown to nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// They are a guest: of this party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<Party>,
    /// Where they are.
    pub session: Session,
    /// They are cut off, and may come back until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_until: Option<u64>,
    /// What opens the door to them without a token.
    pub tickets: Tickets,
}

/// A session that is over: its socket closes with the reason, and it counts no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// Whose.
    pub identity: Identity,
    /// Which.
    pub session: Session,
    /// `Left` also for those who were cut off and did not come back in time.
    pub reason: RemoveReason,
}

/// A ticket as it is handed out: whose it is, and a random number that nobody guesses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Whose.
    pub identity: Identity,
    /// What makes it theirs.
    pub secret: Secret,
}

/// The random part of a ticket; written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub u128);

/// The tickets of one participant.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tickets {
    /// None opens the door to whoever was [lost](Present::lost).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<Secret>,
    /// The one that they came with, as long as its successor has not been shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<Secret>,
    /// Those of their device before this one, which must not take the seat back by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    replaced: Vec<Secret>,
}

/// What the tickets of somebody who was put out are answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Farewell {
    /// Why they are out.
    pub reason: RemoveReason,
    tickets: Vec<Secret>,
}

/// What a ticket is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It opens the door.
    Good,
    /// A newer device of theirs has taken the place.
    Replaced,
    /// It is spent, or was never issued.
    Nothing,
}

impl Present {
    /// The node to which they are connected; none while they are cut off.
    pub fn connected_to(&self) -> Option<Owner> {
        self.away_until.is_none().then(|| self.session.owner())
    }

    /// Somebody of whom it is only known that they were here. They may come back as with any other device.
    pub(crate) fn lost(name: &str, owner: &Owner, away_until: u64) -> Self {
        Self {
            name: name.into(),
            hidden: false,
            party: None,
            session: Session::nobody(owner),
            away_until: Some(away_until),
            tickets: Tickets::default(),
        }
    }

    /// Whether they were cut off too long ago to come back.
    pub fn is_lost(&self, now: u64) -> bool {
        self.away_until.is_some_and(|until| until <= now)
    }
}

impl Tickets {
    /// Those of somebody who comes with a token; `before` is what they had, by another device.
    pub(crate) fn first(newest: Secret, before: Option<&Self>) -> Self {
        let replaced = before.map(Self::good).unwrap_or_default();
        Self { newest: Some(newest), shown: None, replaced }
    }

    /// Those of somebody who has shown one.
    pub(crate) fn next(newest: Secret, shown: Secret) -> Self {
        Self { newest: Some(newest), shown: Some(shown), replaced: Vec::new() }
    }

    /// The one that was given last.
    pub(crate) fn newest(&self) -> Option<Secret> {
        self.newest
    }

    pub(crate) fn worth(&self, secret: Secret) -> Worth {
        if self.newest == Some(secret) || self.shown == Some(secret) {
            Worth::Good
        } else if self.replaced.contains(&secret) {
            Worth::Replaced
        } else {
            Worth::Nothing
        }
    }

    /// What they are told from now on.
    pub(crate) fn end(&self, reason: RemoveReason) -> Farewell {
        Farewell { reason, tickets: self.good() }
    }

    fn good(&self) -> Vec<Secret> {
        self.shown.into_iter().chain(self.newest).collect()
    }
}

impl Farewell {
    /// Whether it is whoever has these that was put out.
    pub(crate) fn is_of(&self, tickets: &Tickets) -> bool {
        tickets.newest.is_some_and(|newest| self.is_to(newest))
    }

    pub(crate) fn is_to(&self, secret: Secret) -> bool {
        self.tickets.contains(&secret)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", URL_SAFE_NO_PAD.encode(self.identity.as_str()), self.secret)
    }
}

/// It is not a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a resume token")]
pub struct NotTicket;

impl FromStr for Ticket {
    type Err = NotTicket;

    fn from_str(text: &str) -> Result<Self, NotTicket> {
        let (identity, secret) = text.split_once('.').ok_or(NotTicket)?;
        let identity = URL_SAFE_NO_PAD.decode(identity).map_err(|_| NotTicket)?;
        let identity = String::from_utf8(identity).map_err(|_| NotTicket)?;
        Ok(Self { identity: Identity::new(&identity).map_err(|_| NotTicket)?, secret: secret.parse()? })
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Secret {
    type Err = NotTicket;

    fn from_str(text: &str) -> Result<Self, NotTicket> {
        if text.len() != 32 {
            return Err(NotTicket);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| NotTicket)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_as_it_was_written_and_nothing_else_is_one() {
        let identity = Identity::new("Zoë: 7/8").unwrap();
        let ticket = Ticket { identity, secret: Secret(0x7b) };
        assert_eq!(ticket.to_string().parse(), Ok(ticket.clone()));
        for wrong in ["", ".", "nonsense", "YQ.7b", "!.0000000000000000000000000000007b"] {
            assert_eq!(wrong.parse::<Ticket>(), Err(NotTicket), "{wrong}");
        }
    }

    #[test]
    fn a_ticket_is_good_until_its_successor_is_shown_and_not_beside_a_newer_device() {
        let [a, b, c] = [1, 2, 3].map(Secret);
        let by_token = Tickets::first(a, None);
        let once = Tickets::next(b, a);
        assert_eq!((once.worth(a), once.worth(b), once.worth(c)), (Worth::Good, Worth::Good, Worth::Nothing));
        let twice = Tickets::next(c, b);
        assert_eq!((twice.worth(a), twice.worth(b)), (Worth::Nothing, Worth::Good));
        let elsewhere = Tickets::first(c, Some(&by_token));
        assert_eq!((elsewhere.worth(a), elsewhere.worth(c)), (Worth::Replaced, Worth::Good));
        let farewell = once.end(RemoveReason::Kicked);
        assert!(farewell.is_to(a) && farewell.is_to(b) && !farewell.is_to(c));
    }
}
