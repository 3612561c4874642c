//! Who answers for the peers of a media node, so that none outlives everybody who wants it.
//!
//! ```text
//!   signaling node ── every second: digests of the peers that it wants here ──▶ Books of the media node
//!                  ◀── which differ, and orphans ──
//!                  ── the peers behind a digest that differs ──▶ claimed, or not wanted any more
//!                  ── of these orphans nobody is in the store's list ──▶ ended
//! ```
//!
//! A peer is an orphan when its signaling node has not been heard for as long as a lease lasts, or says that it
//! does not want it. Another one that knows the person claims it. What its own node does not want and nobody
//! claims ends soon; the peer of a node that is silent ends only where the store knows nothing of the person: a
//! node that is cut off from the bus has people who listen. While no signaling node is heard, nothing ends.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{Identity, Owner, PeerId, RoomId, Session};
use protocol::message::Purpose;
use protocol::node::{Claim, Orphan};

use crate::lease::LEASE_MS;

/// Digests of one signaling node at one media node: of so many parts of its peers one can differ by itself.
pub const BUCKETS: usize = 16;

/// Signaling nodes of which books are kept.
pub const MAX_OWNERS: usize = 1_024;

/// Orphans that are told at a time.
pub const MAX_ORPHANS: usize = 500;

/// How long a new peer may be in nobody's list: until whoever asked for it has heard of it, in ms.
const NEW_MS: u64 = 10_000;

/// How long a peer that its own signaling node does not want waits for another one, in ms: while somebody goes
/// from one to the other, neither may list theirs.
const UNWANTED_MS: u64 = 5_000;

/// Between two times that somebody is to look into the store, in ms.
const JUDGE_MS: u64 = 2_000;

/// What one signaling node wants at one media node.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Digests([u64; BUCKETS]);

impl Digests {
    /// Puts one in that is not in, or takes out one that is.
    pub fn toggle(&mut self, peer: PeerId) {
        self.0[bucket(peer)] ^= mix(peer.0);
    }

    /// As they are told.
    pub fn to_vec(self) -> Vec<u64> {
        self.0.to_vec()
    }
}

impl FromIterator<PeerId> for Digests {
    fn from_iter<T: IntoIterator<Item = PeerId>>(peers: T) -> Self {
        let mut digests = Self::default();
        peers.into_iter().for_each(|peer| digests.toggle(peer));
        digests
    }
}

/// Behind which digest a peer is.
pub fn bucket(peer: PeerId) -> usize {
    (peer.0 % BUCKETS as u64) as usize
}

/// Of splitmix64: peers are numbered one after another, and their numbers alone would cancel out.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// The peers of one media node, and who answers for each.
#[derive(Debug, Default)]
pub struct Books {
    peers: BTreeMap<PeerId, Entry>,
    owners: BTreeMap<Owner, Account>,
    /// Those that their signaling node does not want, and since when.
    unwanted: BTreeMap<PeerId, u64>,
    /// Who was to look into the store last, and when.
    judge: Option<(Owner, u64)>,
}

/// A peer.
#[derive(Debug)]
struct Entry {
    purpose: Purpose,
    room: RoomId,
    identity: Identity,
    claim: Claim,
    owner: Owner,
    /// Who answered for it before: what they say of it counts no longer.
    taken_from: Option<Owner>,
    /// Until then it may be in nobody's list.
    new_until: u64,
}

/// One signaling node.
#[derive(Debug)]
struct Account {
    heard_at: u64,
    digests: Digests,
    peers: [BTreeSet<PeerId>; BUCKETS],
    /// The last orphan that it was told.
    told: Option<PeerId>,
}

/// What a signaling node is answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Digests that differ.
    pub differ: Vec<u8>,
    /// Some of the peers that nobody wants.
    pub orphans: Vec<Orphan>,
    /// It is to look whether their people are in the store's list.
    pub judge: bool,
}

/// What is claimed is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadClaim {
    /// Not as many digests as there are, or one that there is not.
    #[error("there are {BUCKETS} digests")]
    Digests,
    /// A peer that is behind another digest.
    #[error("`peers` holds one that is behind another digest")]
    Bucket,
    /// More signaling nodes than there can be.
    #[error("there are more than {MAX_OWNERS} signaling nodes")]
    Owners,
}

impl Account {
    fn new(now: u64) -> Self {
        Self { heard_at: now, digests: Digests::default(), peers: Default::default(), told: None }
    }

    fn toggle(&mut self, peer: PeerId) {
        self.digests.toggle(peer);
        let peers = &mut self.peers[bucket(peer)];
        if !peers.remove(&peer) {
            peers.insert(peer);
        }
    }

    fn is_silent(&self, now: u64) -> bool {
        self.heard_at + LEASE_MS <= now
    }

    fn is_empty(&self) -> bool {
        self.peers.iter().all(BTreeSet::is_empty)
    }
}

impl Books {
    /// A peer is made, and whoever asked for it is told.
    pub fn enter(
        &mut self,
        now: u64,
        peer: PeerId,
        purpose: Purpose,
        room: RoomId,
        identity: Identity,
        claim: Claim,
    ) {
        self.forget(peer);
        let owner = claim.session.owner();
        self.owners.entry(owner.clone()).or_insert_with(|| Account::new(now)).toggle(peer);
        let new_until = now + NEW_MS;
        let entry = Entry { purpose, room, identity, claim, owner, taken_from: None, new_until };
        self.peers.insert(peer, entry);
    }

    /// A peer is no more.
    pub fn forget(&mut self, peer: PeerId) {
        let Some(entry) = self.peers.remove(&peer) else { return };
        self.unwanted.remove(&peer);
        if let Some(account) = self.owners.get_mut(&entry.owner) {
            account.toggle(peer);
        }
    }

    /// Whose a peer is.
    pub fn session(&self, peer: PeerId) -> Option<&Session> {
        self.peers.get(&peer).map(|entry| &entry.claim.session)
    }

    /// Whether a peer is to be ended because this signaling node says so.
    pub fn may_end(&self, peer: PeerId, by: &Owner) -> bool {
        self.peers.get(&peer).is_none_or(|entry| entry.taken_from.as_ref() != Some(by))
    }

    /// Whether somebody has the key of the WHIP or WHEP session that a peer belongs to.
    pub fn is_key(&self, peer: PeerId, key: &str) -> bool {
        self.peers.get(&peer).is_some_and(|entry| entry.claim.whip.as_deref() == Some(key))
    }

    /// A signaling node says what it wants.
    pub fn compare(&mut self, now: u64, owner: &Owner, wanted: &[u64]) -> Result<Compared, BadClaim> {
        if wanted.len() != BUCKETS {
            return Err(BadClaim::Digests);
        }
        let account = self.account(now, owner)?;
        let differ = (0..BUCKETS).filter(|&index| account.digests.0[index] != wanted[index]);
        let differ: Vec<u8> = differ.map(|index| index as u8).collect();
        let same = (0..BUCKETS).filter(|index| !differ.contains(&(*index as u8)));
        let listed: Vec<PeerId> = same.flat_map(|index| account.peers[index].iter().copied()).collect();
        listed.into_iter().for_each(|peer| self.wanted(peer));
        let orphans = self.orphans(now, owner);
        let judge = !orphans.is_empty() && self.is_to_judge(now, owner);
        Ok(Compared { differ, orphans, judge })
    }

    /// A signaling node says which peers it wants of those behind one digest. Which of them are not here.
    pub fn claim(
        &mut self,
        now: u64,
        owner: &Owner,
        index: u8,
        wanted: &[PeerId],
    ) -> Result<Vec<PeerId>, BadClaim> {
        if usize::from(index) >= BUCKETS {
            return Err(BadClaim::Digests);
        }
        if wanted.iter().any(|peer| bucket(*peer) != usize::from(index)) {
            return Err(BadClaim::Bucket);
        }
        let wanted: BTreeSet<PeerId> = wanted.iter().copied().collect();
        let account = self.account(now, owner)?;
        let unwanted: Vec<PeerId> = account.peers[usize::from(index)].difference(&wanted).copied().collect();
        for peer in unwanted {
            if self.peers.get(&peer).is_some_and(|entry| entry.new_until <= now) {
                self.unwanted.entry(peer).or_insert(now);
            }
        }
        let mut lacks = Vec::new();
        for peer in wanted {
            match self.peers.get(&peer) {
                None => lacks.push(peer),
                Some(entry) if entry.owner == *owner => self.wanted(peer),
                Some(entry) if self.is_orphan(now, peer, entry) => self.transfer(peer, owner),
                // Whoever answers for it wants it.
                Some(_) => {}
            }
        }
        Ok(lacks)
    }

    /// Another session answers for a peer.
    pub fn adopt(&mut self, now: u64, peer: PeerId, claim: Claim) -> Result<(), BadClaim> {
        let owner = claim.session.owner();
        self.account(now, &owner)?;
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.claim = claim;
            if entry.owner != owner {
                self.transfer(peer, &owner);
            }
        }
        Ok(())
    }

    /// The people of these peers are in no list. Which of them are to be ended.
    pub fn disown(&self, now: u64, peers: &[PeerId]) -> Vec<PeerId> {
        let is_orphan =
            |peer: &&PeerId| self.peers.get(peer).is_some_and(|entry| self.is_orphan(now, **peer, entry));
        peers.iter().filter(is_orphan).copied().collect()
    }

    /// Peers that are to be ended because their own signaling node does not want them, and no other claims them.
    pub fn due(&self, now: u64) -> Vec<PeerId> {
        let due = self.unwanted.iter().filter(|(_, since)| **since + UNWANTED_MS <= now);
        due.map(|(peer, _)| *peer).collect()
    }

    /// Nobody can be heard: nobody is judged by their silence until then.
    pub fn deaf(&mut self, now: u64) {
        self.owners.values_mut().for_each(|account| account.heard_at = now);
        self.unwanted.values_mut().for_each(|since| *since = now);
    }

    /// How many peers nobody wants.
    pub fn count_orphans(&self, now: u64) -> usize {
        self.all_orphans(now).len()
    }

    fn all_orphans(&self, now: u64) -> BTreeSet<PeerId> {
        let silent = self.owners.values().filter(|account| account.is_silent(now));
        let theirs = silent.flat_map(|account| &account.peers).flatten();
        theirs.chain(self.unwanted.keys()).copied().collect()
    }

    /// That of a signaling node that was heard just now.
    fn account(&mut self, now: u64, owner: &Owner) -> Result<&mut Account, BadClaim> {
        if self.owners.len() >= MAX_OWNERS && !self.owners.contains_key(owner) {
            self.owners.retain(|_, account| !account.is_silent(now) || !account.is_empty());
            if self.owners.len() >= MAX_OWNERS {
                return Err(BadClaim::Owners);
            }
        }
        let account = self.owners.entry(owner.clone()).or_insert_with(|| Account::new(now));
        account.heard_at = now;
        Ok(account)
    }

    fn wanted(&mut self, peer: PeerId) {
        self.unwanted.remove(&peer);
        if let Some(entry) = self.peers.get_mut(&peer) {
            entry.new_until = 0;
        }
    }

    fn is_orphan(&self, now: u64, peer: PeerId, entry: &Entry) -> bool {
        let is_silent = self.owners.get(&entry.owner).is_none_or(|account| account.is_silent(now));
        is_silent || self.unwanted.contains_key(&peer)
    }

    fn transfer(&mut self, peer: PeerId, to: &Owner) {
        self.wanted(peer);
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let from = std::mem::replace(&mut entry.owner, to.clone());
        for owner in [&from, to] {
            if let Some(account) = self.owners.get_mut(owner) {
                account.toggle(peer);
            }
        }
        entry.taken_from = Some(from);
    }

    /// Some orphans, from behind those that this one was told last.
    fn orphans(&mut self, now: u64, owner: &Owner) -> Vec<Orphan> {
        let all = self.all_orphans(now);
        let Some(account) = self.owners.get_mut(owner) else { return Vec::new() };
        let behind = account.told.map_or(0, |PeerId(told)| told.saturating_add(1));
        let next = all.range(PeerId(behind)..).chain(all.range(..PeerId(behind)));
        let orphans: Vec<PeerId> = next.take(MAX_ORPHANS).copied().collect();
        account.told = orphans.last().copied().or(account.told);
        orphans.into_iter().filter_map(|peer| self.orphan(peer)).collect()
    }

    fn orphan(&self, peer: PeerId) -> Option<Orphan> {
        let Entry { purpose, room, identity, claim, .. } = self.peers.get(&peer)?;
        let (room, identity, claim) = (room.clone(), identity.clone(), claim.clone());
        Some(Orphan { peer, purpose: *purpose, room, identity, claim })
    }

    /// One at a time looks into the store, and not always the same: it may not reach it.
    fn is_to_judge(&mut self, now: u64, owner: &Owner) -> bool {
        let is_due = match &self.judge {
            None => true,
            Some((last, at)) if last == owner => at + 2 * JUDGE_MS <= now,
            Some((_, at)) => at + JUDGE_MS <= now,
        };
        if is_due {
            self.judge = Some((owner.clone(), now));
        }
        is_due
    }
}

#[cfg(test)]
mod tests;
