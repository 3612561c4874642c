//! What the process itself takes: CPU, memory, open files, tasks. Under the names that Prometheus' own
//! clients use, where they have one.

use std::{fmt, fs};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::runtime::Handle;

/// Ticks of `/proc/self/stat` in a second: the same on every Linux of the last twenty years.
const TICKS: f64 = 100.0;

/// Asks whenever somebody wants to know. Without `/proc` there is nothing, without a runtime there are no tasks.
#[derive(Debug)]
pub(super) struct Usage;

impl Collector for Usage {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        if let Some(seconds) = cpu_s() {
            let counter = ConstCounter::new(seconds);
            let help = "CPU time of this process.";
            let metric =
                encoder.encode_descriptor("process_cpu_seconds", help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Memory of this process.", rss_bytes()),
            ("process_open_fds", "Open files and sockets of this process.", open_fds()),
            ("process_max_fds", "How many files and sockets this process may open.", max_fds()),
            ("process_start_time_seconds", "Unix time at which this process began.", began()),
            ("process_tasks", "Tasks that have not ended, on the runtime that serves people.", tasks()),
        ] {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
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
fn open_fds() -> Option<u64> {
    // Since Linux 6.2 the size says how many there are; listing ten thousand would take milliseconds.
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 {
        Some(size)
    } else {
        Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64)
    }
}

/// What `ulimit -n` says, in this process.
fn max_fds() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Of the machine's start and this process's own, in ticks after that.
fn began() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let ticks: f64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let booted: u64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    Some(booted + (ticks / TICKS) as u64)
}

/// Of the runtime that answers here: in `dais up` the one of the people, where a task each would leak.
fn tasks() -> Option<u64> {
    Some(Handle::try_current().ok()?.metrics().num_alive_tasks() as u64)
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn all_are_there_on_linux() {
        let text = crate::metrics::Registry::default().render();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_start_time_seconds",
            "process_tasks",
        ] {
            assert!(text.contains(&format!("\n{name} ")), "{text}");
        }
    }
}
