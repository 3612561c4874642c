//! The machine that a run was measured on: figures mean nothing without it.

use std::fs;

use serde::{Deserialize, Serialize};

/// The generator's machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Model of the processor.
    pub model: String,
    /// Name and release of the kernel.
    pub kernel: String,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// Whether the generator was built with optimisation.
    pub optimised: bool,
}

impl Machine {
    /// This machine, as `/proc` tells. What it does not tell is empty.
    pub fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            model: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            kernel: format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
            memory_bytes: memory(&read("/proc/meminfo")).unwrap_or(0),
            optimised: !cfg!(debug_assertions),
        }
    }
}

fn memory(meminfo: &str) -> Option<u64> {
    let kib: u64 = field(meminfo, "MemTotal")?.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1_024)
}

/// The first `name : value` of this name.
fn field(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let mut found = lines.filter(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
    found.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC 7B13\nprocessor\t: 1\nmodel name\t: other\n";
        assert_eq!(field(cpuinfo, "model name").as_deref(), Some("AMD EPYC 7B13"));
        assert_eq!(memory("MemTotal:        8148316 kB\nMemFree: 1 kB\n"), Some(8_343_875_584));
        assert_eq!(memory("nothing"), None);
    }

    #[test]
    fn this_machine_has_a_core() {
        assert!(Machine::here().cores > 0);
    }
}
