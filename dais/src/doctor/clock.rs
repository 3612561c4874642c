//! Whether the clock can be right: tokens carry times, and who signs them may sit elsewhere.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Finding;

/// 2026-01-01: no clock that is right shows an earlier time to this program.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

pub(super) fn check() -> Finding {
    judge(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), is_synchronized())
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
}
