//! What the kernel allows: open files, socket buffers, connections that wait to be taken.

use std::fs;

use super::Finding;

/// A WebSocket is a file: ten thousand listeners on one signaling node and some room.
const FILES: u64 = 16_384;

/// What a shard asks for in each direction. A smaller buffer loses audio whenever the thread is kept
/// from running for a moment.
const BUFFER: u64 = 8 << 20;

/// Connections that should find a place when everybody comes back at the same moment. Who finds none
/// tries again only after one, three, seven seconds.
const WAITING: u64 = 4_096;

pub(super) fn check() -> Vec<Finding> {
    let [receive, send] = ["rmem_max", "wmem_max"].map(|name| judge_buffer(name, setting(name)));
    vec![judge_files(crate::files::limit()), receive, send, judge_waiting(setting("somaxconn"))]
}

fn setting(name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/sys/net/core/{name}"));
    text.ok().and_then(|text| text.trim().parse().ok())
}

fn judge_files(limit: Option<u64>) -> Finding {
    match limit {
        None => Finding::fine("any number of files may be open"),
        Some(limit) if limit >= FILES => Finding::fine(format!("{limit} files may be open")),
        Some(limit) => Finding::poor(format!(
            "only {limit} files may be open, and each listener's WebSocket is one: raise the hard limit to {FILES} \
             (LimitNOFILE= in systemd, --ulimit nofile= in Docker)"
        )),
    }
}

fn judge_buffer(name: &str, bytes: Option<u64>) -> Finding {
    match bytes {
        None => unknown(name),
        Some(bytes) if bytes >= BUFFER => Finding::fine(format!("net.core.{name} allows {bytes} bytes")),
        Some(bytes) => Finding::poor(format!(
            "net.core.{name} allows socket buffers of {bytes} bytes; for more than some hundred listeners set \
             `sysctl -w net.core.{name}={BUFFER}`"
        )),
    }
}

fn judge_waiting(connections: Option<u64>) -> Finding {
    match connections {
        None => unknown("somaxconn"),
        Some(most) if most >= WAITING => {
            Finding::fine(format!("net.core.somaxconn lets {most} connections wait"))
        }
        Some(most) => Finding::poor(format!(
            "net.core.somaxconn lets only {most} connections wait, and whoever comes when it is full is seconds \
             late: set `sysctl -w net.core.somaxconn={WAITING}`"
        )),
    }
}

fn unknown(name: &str) -> Finding {
    Finding::poor(format!("net.core.{name} cannot be read: inside a container ask on the host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_is_poor_and_unknown_is_not_fine() {
        assert!(judge_files(Some(1024)).to_string().contains("LimitNOFILE"));
        assert!(judge_files(None).to_string().starts_with("ok"));
        assert!(
            judge_buffer("rmem_max", Some(212_992))
                .to_string()
                .contains("sysctl -w net.core.rmem_max=8388608")
        );
        assert!(judge_buffer("rmem_max", None).to_string().starts_with("look"));
        assert!(judge_waiting(Some(128)).to_string().contains("sysctl -w net.core.somaxconn=4096"));
    }
}
