//! What the process itself takes: CPU, memory, open files, tasks. Under the names that Prometheus' own
//! clients use, where they have one.

use std::fs;

use tokio::runtime::Handle;

/// Ticks of `/proc/self/stat` in a second: the same on every Linux of the last twenty years.
const TICKS: f64 = 100.0;

/// All of it in the text format; nothing where there is no `/proc`, no tasks where there is no runtime.
pub(super) fn render() -> String {
    let cpu_s = cpu_s().map(|seconds| seconds.to_string());
    [
        metric("process_cpu_seconds_total", "counter", "CPU time of this process.", cpu_s),
        metric("process_resident_memory_bytes", "gauge", "Memory of this process.", rss_bytes()),
        metric("process_open_fds", "gauge", "Open files and sockets of this process.", open_fds()),
        metric(
            "process_tasks",
            "gauge",
            "Tasks that have not ended, on the runtime that serves people.",
            tasks(),
        ),
    ]
    .concat()
}

fn metric(name: &str, kind: &str, help: &str, value: Option<impl ToString>) -> String {
    let Some(value) = value else { return String::new() };
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {}\n", value.to_string())
}

/// CPU time of this process so far, in ms; 0 where it is not known.
pub fn cpu_ms() -> u64 {
    cpu_s().map_or(0, |seconds| (seconds * 1_000.0) as u64)
}

fn cpu_s() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; what follows it is numbers.
    let mut ticks = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<f64>);
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) / TICKS)
}

fn rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

/// The directory that is read is one of them itself, and is not counted.
fn open_fds() -> Option<usize> {
    // Since Linux 6.2 the size says how many there are; listing ten thousand would take milliseconds.
    let size = fs::metadata("/proc/self/fd").ok()?.len() as usize;
    if size > 0 { Some(size) } else { Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1)) }
}

/// Of the runtime that answers here: in `dais up` the one of the people, where a task each would leak.
fn tasks() -> Option<usize> {
    Some(Handle::try_current().ok()?.metrics().num_alive_tasks())
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn all_are_there_on_linux() {
        let text = super::render();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_tasks",
        ] {
            assert!(text.contains(&format!("\n{name} ")), "{text}");
        }
    }
}
