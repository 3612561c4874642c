//! What was heard by groups: the accounts of all, by where they were.

use std::collections::{BTreeMap, HashMap};

use crate::figures::Group;
use crate::places::Via;
use crate::reckoning::{Account, Expected, OnVoice};

/// What those heard who were in each group, while they were. Somebody who changed from one to another is in both;
/// a gap is in the one where it began.
pub(crate) fn by<K: Ord + Copy>(
    accounts: &[Account],
    rooms: &HashMap<u32, OnVoice>,
    began_ns: u64,
    key: impl Fn(Via) -> Option<K>,
) -> BTreeMap<K, Group> {
    let mut stays = BTreeMap::new();
    let mut groups: BTreeMap<K, Group> = BTreeMap::new();
    for account in accounts {
        let mut longest: BTreeMap<K, u64> = BTreeMap::new();
        for (room, own, stay) in account.stays() {
            let Some(key) = key(stay.via) else { continue };
            stays.entry(key).or_insert_with(Vec::new).push((room, own, stay));
            let gap_ns = longest.entry(key).or_default();
            *gap_ns = stay.longest_gap_ns.max(*gap_ns);
            groups.entry(key).or_default().frames_received += stay.received;
        }
        for (key, gap_ns) in longest {
            let group = groups.entry(key).or_default();
            group.listeners += 1;
            // Whoever has heard nothing has no gap either, but losses.
            if gap_ns > 0 {
                group.longest_gap.record(gap_ns / 1_000);
            }
        }
    }
    for (key, group) in &mut groups {
        group.frames_expected = Expected::of(&stays[key], rooms, began_ns).frames;
        group.frames_received = group.frames_received.min(group.frames_expected);
    }
    groups
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::clock::MS;
    use crate::ear::Stay;
    use crate::ledger::Mouth;
    use crate::reckoning::on_voice;

    fn stay(media: u16, from_ms: u64, until_ms: u64, received: u64, gap_ms: u64) -> Stay {
        let via = Via { media, signaling: 0 };
        Stay { via, from_ns: from_ms * MS, until_ns: until_ms * MS, received, longest_gap_ns: gap_ms * MS }
    }

    #[test]
    fn somebody_who_changes_nodes_is_with_both_and_each_has_its_own_gaps() {
        let mut mouth = Mouth::default();
        let said = (0..100_u64).map(|frame| {
            let said = mouth.say(0, 1, &frame.to_le_bytes(), frame * 20 * MS);
            said.heard.store(true, Ordering::Relaxed);
            Arc::new(said)
        });
        let rooms = on_voice(said.collect());
        // One stays at node 1; one comes from node 0 after a second, goes back for a while, and is deaf there.
        let accounts = [
            vec![stay(1, 0, 2_000, 100, 60)],
            vec![stay(0, 1_800, 2_000, 0, 0), stay(1, 1_000, 1_800, 40, 40), stay(0, 0, 1_000, 20, 620)],
        ];
        let accounts = accounts.map(|stays| Account { room: 0, own: None, stays });
        let groups = by(&accounts, &rooms, 0, |via| Some(via.media));
        let of = |media: u16| {
            let group = &groups[&media];
            let gap_ms = group.longest_gap.max() / 1_000;
            (group.listeners, group.frames_expected, group.frames_received, group.longest_gap.count(), gap_ms)
        };
        assert_eq!(of(0), (1, 60, 20, 1, 620));
        assert_eq!(of(1), (2, 140, 140, 2, 60));
        assert!(by(&accounts, &rooms, 0, |_| None::<u16>).is_empty());
    }
}
