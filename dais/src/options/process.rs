//! What every running process can be told.

use std::net::SocketAddr;

use protocol::node::NodeKind;
use protocol::{NodeId, Region};
use service::config::Values;
use service::log::{Filter, Format};

/// What is logged unless told otherwise.
const FILTER: &str = "info";

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
        Self {
            admin: values.or("admin", SocketAddr::from(([127, 0, 0, 1], 7001))),
            filter: values.one("log").unwrap_or_else(|| FILTER.parse().expect("a literal")),
            format: values.or("log-format", Format::Text),
        }
    }
}

/// Region of a node that was told none.
const REGION: &str = "local";

/// What a node is called, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its name.
    pub(crate) node: NodeId,
    /// Nodes of one region are near each other.
    pub(crate) region: Region,
}

impl Place {
    pub(crate) fn read(values: &mut Values, kind: NodeKind) -> Self {
        let place = Self::numbered(kind, 1);
        Self { node: values.or("node", place.node), region: values.or("region", place.region) }
    }

    /// The place of the `number`th node of a kind, where nobody chose one.
    pub(crate) fn numbered(kind: NodeKind, number: usize) -> Self {
        let node = NodeId::new(&format!("{}-{number}", kind.as_str())).expect("made of letters and a number");
        Self { node, region: Region::new(REGION).expect("a literal") }
    }
}
