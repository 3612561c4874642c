//! Whose words one process takes. The signature says that somebody with the key has said them; this, that
//! they were said now, to us, and for the first time.
//!
//! ```text
//!   request    names this life of ours, and our own count of seconds      so it was made just now
//!   answer     names a request of this life                               so it was made just now
//!   to all     from a life that has done either of these before           so what it said before that is refused
//! ```
//!
//! Whoever is heard and has done neither is a [`Refused::Stranger`], and is [to be asked](Trust::to_ask) for
//! an answer. A recording gives none. No clock is compared with another's: what is late is so by our own
//! seconds.

use std::collections::HashMap;

use super::window::NotNew;
use super::{Envelope, Life, Refused, To, Window};
use crate::id::NodeId;

/// Most processes that are remembered.
pub const MAX_SENDERS: usize = 2_048;

/// How far a request's count of our seconds may be from our own: how long a command is good for.
const GOOD_FOR: u64 = 10;

/// A life that says nothing for so many seconds has lost its name to another that asks for it.
const SILENT: u64 = 3;

/// A life that says nothing for so many seconds is forgotten. By then every request of it is late, so no
/// recording of one can come in the place of what is forgotten.
const FORGOTTEN: u64 = 3 * GOOD_FOR;

/// Who is believed by one process. `now` is always how many seconds it has lived.
#[derive(Debug)]
pub struct Trust {
    me: Life,
    known: HashMap<NodeId, Known>,
    /// Strangers that were asked, with their count of seconds then, and ours.
    asked: HashMap<Life, (u64, u64)>,
    /// When it was last seen that nobody could be heard.
    deaf: u64,
}

/// The life that holds a name.
#[derive(Debug)]
struct Known {
    boot: u64,
    /// Its number when it showed that it lives.
    first: u64,
    /// The highest number that was taken from it.
    last: u64,
    /// Its highest count of seconds, and ours when that was heard.
    tick: u64,
    heard: u64,
}

/// What one subscription has heard.
#[derive(Debug, Default)]
pub struct Ear {
    windows: HashMap<Life, Window>,
}

impl Trust {
    /// Believes itself.
    pub fn new(me: Life) -> Self {
        let own = Known { boot: me.boot, first: 0, last: 0, tick: 0, heard: 0 };
        let known = HashMap::from([(me.node.clone(), own)]);
        Self { me, known, asked: HashMap::new(), deaf: 0 }
    }

    /// For a new subscription: whatever was said before it was made has been heard.
    pub fn ear(&self) -> Ear {
        let lives = self.known.iter().filter(|(_, known)| known.last > 0);
        let windows = lives.map(|(node, known)| (known.life(node), Window::after(known.last))).collect();
        Ear { windows }
    }

    /// Whether to take what came on a subscription.
    pub fn hear(&mut self, now: u64, ear: &mut Ear, envelope: &Envelope) -> Result<(), Refused> {
        let Envelope { from, number, to, .. } = envelope;
        match to {
            To::Everybody => {
                let first = self.holder(from).ok_or_else(|| Refused::Stranger(from.clone()))?.first;
                let is_new = !ear.windows.contains_key(from);
                let taken = ear.take(self, envelope, || Window::after(first));
                // Once: that something was said before it was known that it lives.
                taken.map_err(|why| if is_new { Refused::Stranger(from.clone()) } else { why })?;
            }
            To::Asked { life, .. } if *life != self.me => return Err(Refused::Addressee(from.clone())),
            To::Asked { tick, .. } if tick.abs_diff(now) > GOOD_FOR => {
                return Err(Refused::Late(from.clone()));
            }
            To::Asked { .. } => {
                ear.take(self, envelope, Window::open)?;
                self.lives(now, from, *number)?;
            }
            To::Asker { .. } => return Err(Refused::Addressee(from.clone())),
        }
        self.note(now, envelope);
        Ok(())
    }

    /// Whether to take an answer to the request that had this number.
    pub fn answered(
        &mut self,
        now: u64,
        asked: &Life,
        request: u64,
        envelope: &Envelope,
    ) -> Result<(), Refused> {
        let Envelope { from, number, to, .. } = envelope;
        let fits = matches!(to, To::Asker { life, number } if *life == self.me && *number == request);
        if !fits || from != asked {
            return Err(Refused::Addressee(from.clone()));
        }
        self.lives(now, from, *number)?;
        self.note(now, envelope);
        Ok(())
    }

    /// Which life a request to a node is for, and how many seconds that has lived; none where it is not known.
    pub fn address(&self, now: u64, node: &NodeId) -> Option<(Life, u64)> {
        let known = self.known.get(node)?;
        let tick = if *node == self.me.node {
            now
        } else {
            known.tick.saturating_add(now.saturating_sub(known.heard))
        };
        Some((known.life(node), tick))
    }

    /// How to address a stranger, where it is to be asked now: it was not, or it has lived on since, which a
    /// recording does not.
    pub fn to_ask(&mut self, now: u64, stranger: &Envelope) -> Option<(Life, u64)> {
        let Envelope { from, tick, .. } = stranger;
        let full = self.asked.len() >= MAX_SENDERS;
        match self.asked.get(from) {
            Some((before, _)) if before >= tick => return None,
            None if full => return None,
            _ => {}
        }
        self.asked.insert(from.clone(), (*tick, now));
        Some((from.clone(), *tick))
    }

    /// Whether somebody is known to live.
    pub fn knows(&self, life: &Life) -> bool {
        self.holder(life).is_some()
    }

    /// Nobody can be heard: their silence until now proves nothing.
    pub fn deaf(&mut self, now: u64) {
        self.deaf = now;
    }

    /// Forgets whoever has been silent for long.
    pub fn forget(&mut self, now: u64) {
        let (me, deaf) = (&self.me.node, self.deaf);
        self.known.retain(|node, known| node == me || known.silent(now, deaf) < FORGOTTEN);
        self.asked.retain(|_, (_, at)| now.saturating_sub(*at) < FORGOTTEN);
    }

    fn holder(&self, life: &Life) -> Option<&Known> {
        self.known.get(&life.node).filter(|known| known.boot == life.boot)
    }

    /// A life has shown that it is one: the name is its own, unless a later one has it that is not silent.
    fn lives(&mut self, now: u64, life: &Life, number: u64) -> Result<(), Refused> {
        let full = self.known.len() >= MAX_SENDERS;
        match self.known.get(&life.node) {
            Some(known) if known.boot == life.boot => return Ok(()),
            Some(known) => {
                let is_silent = known.silent(now, self.deaf) > SILENT;
                if life.node == self.me.node || known.boot > life.boot && !is_silent {
                    return Err(Refused::Twin { life: life.clone(), other: known.boot });
                }
            }
            None if full => return Err(Refused::Crowd(life.clone())),
            None => {}
        }
        let known = Known { boot: life.boot, first: number, last: number, tick: 0, heard: now };
        self.known.insert(life.node.clone(), known);
        Ok(())
    }

    fn note(&mut self, now: u64, envelope: &Envelope) {
        let Some(known) = self.known.get_mut(&envelope.from.node) else { return };
        known.last = known.last.max(envelope.number);
        if envelope.tick >= known.tick {
            (known.tick, known.heard) = (envelope.tick, now);
        }
    }
}

impl Known {
    fn life(&self, node: &NodeId) -> Life {
        Life { node: node.clone(), boot: self.boot }
    }

    /// For how many seconds it has said nothing that could have been heard.
    fn silent(&self, now: u64, deaf: u64) -> u64 {
        now.saturating_sub(self.heard.max(deaf))
    }
}

impl Ear {
    /// Takes a number once; `window` is where a life begins that was not heard here.
    fn take(
        &mut self,
        trust: &Trust,
        envelope: &Envelope,
        window: impl FnOnce() -> Window,
    ) -> Result<(), Refused> {
        let from = &envelope.from;
        if self.windows.len() >= 2 * MAX_SENDERS && !self.windows.contains_key(from) {
            self.windows.retain(|life, _| trust.knows(life));
            if self.windows.len() >= 2 * MAX_SENDERS {
                return Err(Refused::Crowd(from.clone()));
            }
        }
        let window = self.windows.entry(from.clone()).or_insert_with(window);
        window.take(envelope.number).map_err(|why| match why {
            NotNew::Replayed => Refused::Replayed(from.clone()),
            NotNew::Late => Refused::Late(from.clone()),
        })
    }
}
