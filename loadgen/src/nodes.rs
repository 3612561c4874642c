//! The nodes' own figures: `/metrics` of those that `--metrics` names, read every second.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Duration, timeout};

use crate::figures::Node;
use crate::target::Target;

/// A node that does not answer within this is left out of that second.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most nodes of one process whose regions are remembered.
const MOST_NODES: usize = 64;

/// What one reading says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reading {
    name: Option<String>,
    /// Where each node is whose metrics these are.
    pub(crate) regions: BTreeMap<String, String>,
    roles: BTreeSet<&'static str>,
    pub(crate) cpu_s: f64,
    pub(crate) rss_bytes: u64,
    packets: u64,
}

/// One node as it is followed.
pub(crate) struct Followed {
    url: String,
    at_start: Option<Reading>,
    last: Reading,
    rss_peak_bytes: u64,
    /// What the last second's reading added.
    pub(crate) cpu_s_last: f64,
}

impl Followed {
    pub(crate) fn new(url: &str) -> Self {
        let url = if url.ends_with("/metrics") {
            url.into()
        } else {
            format!("{}/metrics", url.trim_end_matches('/'))
        };
        let last = Reading::default();
        Self { url, at_start: None, last, rss_peak_bytes: 0, cpu_s_last: 0.0 }
    }

    /// Reads it now.
    pub(crate) async fn read(&mut self, target: &Target) -> anyhow::Result<()> {
        let text = timeout(PATIENCE, target.read(&self.url)).await??;
        let reading = Reading::parse(&text);
        self.cpu_s_last = if self.rss_peak_bytes == 0 { 0.0 } else { reading.cpu_s - self.last.cpu_s };
        self.rss_peak_bytes = self.rss_peak_bytes.max(reading.rss_bytes);
        self.last = reading;
        Ok(())
    }

    /// The part of the run that counts begins now.
    pub(crate) fn start(&mut self) {
        self.at_start = Some(self.last.clone());
    }

    /// Where the nodes are, by their names.
    pub(crate) fn regions(&self) -> &BTreeMap<String, String> {
        &self.last.regions
    }

    /// Memory of the last reading.
    pub(crate) fn rss_bytes(&self) -> u64 {
        self.last.rss_bytes
    }

    /// What it did since [`start`](Self::start), within `seconds`.
    pub(crate) fn figures(&self, seconds: f64) -> Node {
        let start = self.at_start.clone().unwrap_or_default();
        let cpu_s = self.last.cpu_s - start.cpu_s;
        let role = match self.last.roles.len() {
            0 => "unknown",
            1 => self.last.roles.first().copied().unwrap_or_default(),
            _ => "up",
        };
        let fallback = || self.url.trim_end_matches("/metrics").trim_start_matches("http://").to_owned();
        let one_name = self.last.name.clone().filter(|_| self.last.roles.len() == 1);
        let region = one_name.as_ref().and_then(|name| self.last.regions.get(name)).cloned();
        Node {
            region,
            name: one_name.unwrap_or_else(fallback),
            role: role.to_owned(),
            cpu_s,
            cores: if seconds > 0.0 { cpu_s / seconds } else { 0.0 },
            rss_peak_bytes: self.rss_peak_bytes,
            packets: self.last.packets.saturating_sub(start.packets),
        }
    }
}

impl Reading {
    /// Reads the text format of Prometheus, as far as it matters here.
    fn parse(text: &str) -> Self {
        let mut reading = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            reading.take(series, value);
        }
        reading
    }

    fn take(&mut self, series: &str, value: f64) {
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        match name {
            "process_cpu_seconds_total" => self.cpu_s = value,
            "process_resident_memory_bytes" => self.rss_bytes = value as u64,
            "dais_edge_egress_packets_total" | "dais_origin_egress_packets_total" => {
                self.packets += value as u64;
            }
            "dais_edge_listeners" => self.has_role("edge", labels),
            "dais_origin_speakers" => self.has_role("origin", labels),
            "dais_signaling_participants" => self.has_role("signaling", labels),
            _ => {}
        }
    }

    fn has_role(&mut self, role: &'static str, labels: &str) {
        self.roles.insert(role);
        let label = |name: &str| {
            let mut labels = labels.trim_end_matches('}').split(',');
            let value = labels.find_map(|label| label.strip_prefix(name)?.strip_prefix('='))?;
            Some(value.trim_matches('"').to_owned())
        };
        self.name = label("node");
        if let (Some(node), Some(region)) = (self.name.clone(), label("region"))
            && self.regions.len() < MOST_NODES
        {
            self.regions.insert(node, region);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGE: &str = "# HELP dais_edge_listeners Listeners.\n\
        dais_edge_listeners{node=\"edge-1\",region=\"eu\"} 12\n\
        dais_edge_egress_packets_total{node=\"edge-1\",region=\"eu\"} 3000\n\
        process_cpu_seconds_total 1.5\n\
        process_resident_memory_bytes 4.2e+07\n";

    #[test]
    fn an_edge_is_known_by_its_metrics() {
        let reading = Reading::parse(EDGE);
        assert_eq!((reading.cpu_s, reading.rss_bytes, reading.packets), (1.5, 42_000_000, 3_000));
        let mut node = Followed::new("http://10.0.0.1:7001");
        node.last = reading;
        let figures = node.figures(3.0);
        assert_eq!((figures.name.as_str(), figures.role.as_str()), ("edge-1", "edge"));
        assert_eq!((figures.region.as_deref(), node.regions().len()), (Some("eu"), 1));
        assert_eq!((figures.cores, figures.packets), (0.5, 3_000));
    }

    #[test]
    fn a_process_with_several_parts_is_named_by_where_it_is() {
        let mut node = Followed::new("http://127.0.0.1:7001/metrics");
        node.last = Reading::parse(&format!("{EDGE}dais_origin_speakers{{node=\"origin-1\"}} 2\n"));
        let figures = node.figures(1.0);
        assert_eq!((figures.name.as_str(), figures.role.as_str()), ("127.0.0.1:7001", "up"));
    }
}
