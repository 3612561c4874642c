//! How busy a node is, from what it has counted: means over some seconds, so that a burst is none.

use protocol::node::NodeLoad;

/// Bytes around each datagram on an Ethernet: preamble and gap (20), header and checksum (18), IPv4 (20), UDP (8).
const AROUND: u64 = 66;

/// Part of a second's figure in the mean.
const WEIGHT: f64 = 0.4;

/// What a node has counted since its start.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// CPU time of its process, in ms.
    pub cpu_ms: u64,
    /// Datagrams to clients.
    pub packets: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Looks at totals now and then.
#[derive(Debug, Default)]
pub struct Meter {
    last: Option<(u64, Totals)>,
    /// Cores, datagrams per second, bits per second.
    means: [f64; 3],
}

impl Meter {
    /// What the totals say about the time since the last look, on a machine of so many cores.
    pub fn look(&mut self, now: u64, totals: Totals, cores: usize) -> NodeLoad {
        if let Some((at, last)) = self.last.filter(|(at, _)| now > *at) {
            let passed_ms = (now - at) as f64;
            let weight = (WEIGHT * passed_ms / 1_000.0).min(1.0);
            let cpu = totals.cpu_ms.saturating_sub(last.cpu_ms);
            let packets = totals.packets.saturating_sub(last.packets);
            let bytes = totals.bytes.saturating_sub(last.bytes) + AROUND * packets;
            let rates = [cpu as f64, packets as f64 * 1_000.0, bytes as f64 * 8_000.0];
            for (mean, rate) in self.means.iter_mut().zip(rates) {
                *mean += (rate / passed_ms - *mean) * weight;
            }
        }
        self.last = Some((now, totals));
        let [cpu, packets, bits] = self.means;
        NodeLoad {
            cpu_permille: (cpu / cores.max(1) as f64 * 1_000.0).clamp(0.0, 1_000.0) as u16,
            packets_s: packets as u64,
            egress_bits_s: bits as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_listeners_of_three_voices_are_what_a_listener_is_reckoned_at() {
        let mut meter = Meter::default();
        let mut load = NodeLoad::default();
        for second in 0..20 {
            // 50 packets a second to each, with three frames of 67 bytes and 36 of RTP and SRTP around them.
            let packets = second * 10_000 * 50;
            let totals = Totals { cpu_ms: second * 500, packets, bytes: packets * 237 };
            load = meter.look(second * 1_000, totals, 2);
        }
        assert!(load.packets_s.abs_diff(500_000) < 1_000, "{load:?}");
        let each = load.egress_bits_s / 10_000;
        assert!(each.abs_diff(crate::placement::LISTENER_BITS) < 3_000, "{each}");
        assert!((240..=250).contains(&load.cpu_permille), "{load:?}");
    }

    #[test]
    fn a_burst_is_no_load_and_the_first_look_says_nothing() {
        let mut meter = Meter::default();
        let idle = Totals::default();
        assert_eq!(meter.look(0, Totals { cpu_ms: 9_000, ..idle }, 1), NodeLoad::default());
        let burst = meter.look(100, Totals { cpu_ms: 9_100, ..idle }, 1);
        assert!(burst.cpu_permille < 50, "{burst:?}");
        assert_eq!(meter.look(100, Totals { cpu_ms: 9_100, ..idle }, 1), burst, "no time has passed");
    }
}
