//! A signaling node's sessions live by a lease that it renews in the store.
//!
//! A node that could not renew it for a while judges nobody until it has held it for as long as one lasts:
//! those whom it would cut may have had no chance to renew theirs either.

/// How long a signaling node's sessions live without its renewing its lease, in ms: three renewals lost, and a
/// little.
pub const LEASE_MS: u64 = 5_000;

/// Between two renewals, in ms.
pub const RENEWAL_MS: u64 = LEASE_MS / 5;

/// The lease of one node.
#[derive(Debug, Default)]
pub struct Lease {
    renew_at: u64,
    /// Since when it has been renewed without a gap.
    held_since: Option<u64>,
}

impl Lease {
    /// Whether it is to be renewed, which is then tried.
    pub fn is_due(&mut self, now: u64) -> bool {
        let is_due = self.renew_at <= now;
        if is_due {
            self.renew_at = now + RENEWAL_MS;
        }
        is_due
    }

    /// It is renewed. Whether the node's people may have been taken for gone: it was `good` until now, or not.
    pub fn renewed(&mut self, now: u64, good: bool) -> bool {
        if good {
            self.held_since.get_or_insert(now);
        } else {
            self.held_since = Some(now);
        }
        !good
    }

    /// The store does not answer.
    pub fn failed(&mut self) {
        self.held_since = None;
    }

    /// Whether the sessions of other nodes may be taken for gone.
    pub fn may_judge(&self, now: u64) -> bool {
        self.held_since.is_some_and(|since| since + LEASE_MS <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_could_not_renew_judges_nobody_for_as_long_as_a_lease_lasts() {
        let mut lease = Lease::default();
        assert!(lease.is_due(0) && !lease.is_due(RENEWAL_MS - 1));
        assert!(lease.renewed(0, false), "the first one");
        assert!(!lease.may_judge(LEASE_MS - 1) && lease.may_judge(LEASE_MS));
        lease.failed();
        assert!(!lease.may_judge(2 * LEASE_MS));
        assert!(!lease.renewed(2 * LEASE_MS, true), "nobody was taken for gone");
        assert!(!lease.may_judge(3 * LEASE_MS - 1) && lease.may_judge(3 * LEASE_MS));
    }
}
