//! CPU and memory of the process, under the names that Prometheus' own clients use.

use std::fmt::Write;

/// Ticks of `/proc/self/stat` in a second: the same on every Linux of the last twenty years.
const TICKS: f64 = 100.0;

/// Both in the text format; nothing where there is no `/proc`.
pub(super) fn render() -> String {
    let mut text = String::new();
    let (cpu_s, rss_bytes) = (cpu_s(), rss_bytes());
    if let Some(cpu_s) = cpu_s {
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "# HELP process_cpu_seconds_total CPU time of this process.\n\
             # TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {cpu_s}\n"
        );
    }
    if let Some(rss_bytes) = rss_bytes {
        let _ = write!(
            text,
            "# HELP process_resident_memory_bytes Memory of this process.\n\
             # TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {rss_bytes}\n"
        );
    }
    text
}

fn cpu_s() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything; what follows it is numbers.
    let mut ticks = stat.rsplit_once(')')?.1.split_whitespace().skip(11).map(str::parse::<f64>);
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) / TICKS)
}

fn rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_are_there_on_linux() {
        let text = super::render();
        assert!(text.contains("\nprocess_cpu_seconds_total "), "{text}");
        assert!(text.contains("\nprocess_resident_memory_bytes "), "{text}");
    }
}
