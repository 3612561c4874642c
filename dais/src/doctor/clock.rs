//! Whether the clock can be right: tokens carry times, and who signs them may sit elsewhere.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Finding;

/// 2026-01-01: no clock that is right shows an earlier time to this program.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

pub(super) fn check() -> Finding {
    judge(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), is_synchronized())
}

/// As much may clocks of two machines differ that NTP keeps, and what is on the way takes.
const APART_MS: u64 = 2_000;

/// By how much another clock differs from this machine's, both in ms of Unix time.
pub(super) fn compare(whose: &str, theirs: u64, ours: u64) -> Finding {
    let (apart, how) = (theirs.abs_diff(ours), if theirs > ours { "ahead of" } else { "behind" });
    if apart <= APART_MS {
        return Finding::fine(format!("{whose} has the same time as this machine"));
    }
    let says = format!(
        "the clock of {whose} is {:.1} s {how} this machine's; tokens allow 10 s: run NTP on both",
        apart as f64 / 1_000.0
    );
    if apart > 10_000 { Finding::broken(says) } else { Finding::poor(says) }
}

/// What systemd says, where there is one.
fn is_synchronized() -> Option<bool> {
    let output =
        Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output().ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn judge(since_1970: Duration, synchronized: Option<bool>) -> Finding {
    if since_1970 < EARLIEST {
        return Finding::broken("the clock is years behind, no token will be valid: set it, and run NTP");
    }
    match synchronized {
        Some(true) => Finding::fine("the clock is kept by NTP"),
        Some(false) => Finding::poor(
            "the clock is not kept by NTP; tokens allow 10 s: `timedatectl set-ntp true`, or run chrony",
        ),
        None => {
            Finding::poor("whether NTP keeps the clock is not known; in a container the host's clock counts")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_this_program_was_written_is_broken() {
        assert!(judge(Duration::from_secs(1000), Some(true)).to_string().starts_with("broken"));
        assert!(judge(EARLIEST, Some(true)).to_string().starts_with("ok"));
        assert!(judge(EARLIEST, Some(false)).to_string().contains("set-ntp"));
        assert!(judge(EARLIEST, None).to_string().starts_with("look"));
    }

    #[test]
    fn clocks_that_differ_are_named() {
        let says = |theirs| compare("edge-1", theirs, 1_000_000).to_string();
        assert!(says(1_001_000).starts_with("ok"));
        assert!(says(1_005_000).starts_with("look") && says(1_005_000).contains("edge-1 is 5.0 s ahead of"));
        assert!(says(900_000).starts_with("broken") && says(900_000).contains("100.0 s behind"));
    }
}
