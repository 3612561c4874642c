//! What `dais certs` is asked for.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use protocol::NodeId;
use protocol::node::NodeKind;
use service::config::Values;
use transport::Remote;

/// Certificates that somebody wishes for.
#[derive(Debug)]
pub(crate) struct Certs {
    /// Where all of them are.
    pub(crate) directory: PathBuf,
    /// Nodes that must have one.
    pub(crate) nodes: Vec<Remote>,
    /// For how long new ones are valid.
    pub(crate) valid: Duration,
    /// A step towards another authority.
    pub(crate) rotate: Option<Rotate>,
}

/// A step from one authority to the next. Between two steps all nodes take what the one before has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rotate {
    /// There is a next one, and all nodes are to believe it.
    Begin,
    /// It issues all certificates, and the one before is still believed.
    Use,
    /// The one before is not believed any more.
    End,
}

impl Certs {
    pub(crate) fn read(values: &mut Values) -> Self {
        let directory = values.one("dir");
        if directory.is_none() && !values.has("dir") {
            values.wrong("dir", "is needed: where the authority is, or is to be; no node needs to reach it");
        }
        Self {
            directory: directory.unwrap_or_default(),
            nodes: values.many::<Node>("for").into_iter().map(|node| node.0).collect(),
            valid: values.or("days", Days(90)).duration(),
            rotate: values.one("rotate"),
        }
    }
}

struct Node(Remote);

impl FromStr for Node {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} must be a role and a name, such as origin/origin-1 or edge/edge-1");
        let (kind, node) = text.split_once('/').ok_or_else(wrong)?;
        let kind = NodeKind::called(kind).filter(|kind| kind.has_media()).ok_or_else(wrong)?;
        Ok(Self(Remote { node: NodeId::new(node).map_err(|error| format!("{node:?}: {error}"))?, kind }))
    }
}

/// Longer, and a certificate that was stolen is good for years; shorter, and it ends before anybody renews it.
struct Days(u32);

impl Days {
    fn duration(&self) -> Duration {
        Duration::from_secs(u64::from(self.0) * 86_400)
    }
}

impl FromStr for Days {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let days = text.parse().ok().filter(|days| (1..=825).contains(days));
        days.map(Self).ok_or("must be a number of days, 1 to 825")
    }
}

impl FromStr for Rotate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "begin" => Ok(Self::Begin),
            "use" => Ok(Self::Use),
            "end" => Ok(Self::End),
            _ => Err("must be begin, use or end, in this order"),
        }
    }
}
