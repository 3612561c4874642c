//! What every running process can be told, and what this version cannot do yet.

use std::net::SocketAddr;

use service::config::Values;
use service::log::{Filter, Format};

/// Plumbing of a process.
#[derive(Debug)]
pub(crate) struct Process {
    /// Where /metrics, /health and /ready are.
    pub(crate) admin: SocketAddr,
    /// What is logged.
    pub(crate) filter: Filter,
    /// How it is logged.
    pub(crate) format: Format,
}

impl Process {
    pub(crate) fn read(values: &mut Values) -> Self {
        for (name, what) in [("nats", "a bus"), ("redis", "a store")] {
            if values.has(name) {
                let says =
                    "this version cannot use it: every process keeps to itself, `dais up` is a whole system";
                values
                    .wrong(name, format_args!("{what} between processes comes with a later version; {says}"));
            }
        }
        Self {
            admin: values.or("admin", SocketAddr::from(([127, 0, 0, 1], 7001))),
            filter: values.one("log").unwrap_or_else(|| "info".parse().expect("`info` is a filter")),
            format: values.or("log-format", Format::Text),
        }
    }
}
