//! What this process itself uses, read from `/proc`.

/// Ticks of `/proc/self/stat` in a second: the same on every Linux of the last twenty years.
const TICKS: f64 = 100.0;

/// CPU of this process so far, in s; 0 where there is no `/proc`.
pub(crate) fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold anything; what follows it is numbers.
    let numbers = stat.rsplit_once(')').map_or("", |(_, numbers)| numbers);
    let ticks = numbers.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Most memory that this process had at once, in bytes.
pub(crate) fn rss_peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1_024
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_process_uses_something() {
        let mut sum = 0u64;
        while super::cpu_s() == 0.0 {
            (0..1_000_000u64).for_each(|number| sum = sum.wrapping_mul(31).wrapping_add(number));
        }
        assert!(super::rss_peak_bytes() > 1_000_000, "{sum}");
    }
}
