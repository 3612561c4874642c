//! How often somebody may do something. Failed joins count tightly per address, valid ones loosely;
//! messages and media per connection; hands per person.
//!
//! A token that is valid is never refused because of others that are not: whoever guesses tokens
//! shares an address with an office that wants in.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter};
use protocol::{ApiError, Code, Identity, RoomId};

use crate::config::Limits;

/// The limits that outlive a connection.
pub(crate) struct Gates {
    pub(crate) failed_joins: Gate<IpAddr>,
    pub(crate) joins: Gate<IpAddr>,
    pub(crate) requests: Gate<IpAddr>,
    pub(crate) hands: Gate<(RoomId, Identity)>,
}

impl Gates {
    pub(crate) fn new(limits: &Limits) -> Self {
        let most = limits.remembered;
        Self {
            failed_joins: Gate::new(
                "failed_joins_per_minute",
                per_minute(limits.failed_joins_per_minute),
                most,
            ),
            joins: Gate::new("joins_per_second", per_second(limits.joins_per_second), most),
            requests: Gate::new("requests_per_second", per_second(limits.requests_per_second), most),
            hands: Gate::new("hands_per_minute", per_minute(limits.hands_per_minute), most),
        }
    }

    /// Forgets whoever has not been here lately.
    pub(crate) fn forget(&self) {
        self.failed_joins.limiter.retain_recent();
        self.joins.limiter.retain_recent();
        self.requests.limiter.retain_recent();
        self.hands.limiter.retain_recent();
    }
}

/// One limit with a state for each key, and a bound on the keys.
pub(crate) struct Gate<K: Clone + Eq + Hash> {
    /// As the configuration calls it.
    name: &'static str,
    limiter: DefaultKeyedRateLimiter<K>,
    most: usize,
}

impl<K: Clone + Eq + Hash> Gate<K> {
    fn new(name: &'static str, quota: Quota, most: usize) -> Self {
        Self { name, limiter: RateLimiter::keyed(quota), most }
    }

    /// Counts one; the error says which limit is reached and when to come back.
    pub(crate) fn pass(&self, key: &K) -> Result<(), ApiError> {
        if self.limiter.len() >= self.most {
            return Err(limited("remembered", Duration::from_secs(1)));
        }
        self.limiter.check_key(key).map_err(|until| limited(self.name, wait(&until)))
    }
}

/// The limits of one connection.
pub(crate) struct Pace {
    messages: DefaultDirectRateLimiter,
    media: DefaultDirectRateLimiter,
}

impl Pace {
    pub(crate) fn new(limits: &Limits) -> Self {
        let burst = at_least_one(limits.messages_per_second.saturating_mul(4));
        let messages = Quota::per_second(at_least_one(limits.messages_per_second)).allow_burst(burst);
        Self {
            messages: RateLimiter::direct(messages),
            media: RateLimiter::direct(per_minute(limits.media_per_minute)),
        }
    }

    pub(crate) fn message(&self) -> Result<(), ApiError> {
        self.messages.check().map_err(|until| limited("messages_per_second", wait(&until)))
    }

    pub(crate) fn media(&self) -> Result<(), ApiError> {
        self.media.check().map_err(|until| limited("media_per_minute", wait(&until)))
    }
}

fn limited(name: &'static str, wait: Duration) -> ApiError {
    let says = format!("too many of these in too short a time (limit: {name})");
    let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    ApiError::new(Code::RateLimited, says).retry_after_ms(wait_ms)
}

fn wait(until: &NotUntil<Instant>) -> Duration {
    until.wait_time_from(DefaultClock::default().now())
}

fn per_second(times: u32) -> Quota {
    Quota::per_second(at_least_one(times))
}

fn per_minute(times: u32) -> Quota {
    Quota::per_minute(at_least_one(times))
}

fn at_least_one(times: u32) -> NonZeroU32 {
    NonZeroU32::new(times).unwrap_or(NonZeroU32::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_which_limit_and_when_to_come_back() {
        let gates = Gates::new(&Limits { failed_joins_per_minute: 2, ..Limits::default() });
        let [here, there] = ["203.0.113.1", "203.0.113.2"].map(|text| text.parse::<IpAddr>().unwrap());
        assert!(gates.failed_joins.pass(&here).is_ok() && gates.failed_joins.pass(&here).is_ok());
        let error = gates.failed_joins.pass(&here).unwrap_err();
        assert_eq!(error.code, Code::RateLimited);
        assert!(error.message.contains("failed_joins_per_minute"));
        assert!((1..=60_000).contains(&error.retry_after_ms.unwrap()));
        assert!(gates.failed_joins.pass(&there).is_ok(), "another address is another matter");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let gates = Gates::new(&Limits { remembered: 2, ..Limits::default() });
        for last in 1..=2 {
            gates.failed_joins.pass(&IpAddr::from([203, 0, 113, last])).unwrap();
        }
        let error = gates.failed_joins.pass(&IpAddr::from([203, 0, 113, 3])).unwrap_err();
        assert!(error.message.contains("remembered"), "{error}");
    }

    #[test]
    fn a_connection_may_burst_but_not_flood() {
        let pace = Pace::new(&Limits { messages_per_second: 1, ..Limits::default() });
        assert_eq!((0..100).filter(|_| pace.message().is_ok()).count(), 4);
    }
}
