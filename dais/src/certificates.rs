//! A node's certificates in files, as `dais certs` makes them: read at the start, and again when they change.
//!
//! ```text
//!   DIR/authority.pem   the authorities that the node believes
//!   DIR/node.pem        its own certificate, and its key
//! ```
//!
//! What is new and cannot be used is counted and said once, and the node goes on with what it has: a copy that is
//! under way is half a file.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, ensure};
use service::{Metrics, Shutdown};
use tokio::sync::watch;
use transport::{Believed, LinkIdentity, Remote};

use crate::followed::Followed;

/// The authorities that a node believes.
pub(crate) const AUTHORITY: &str = "authority.pem";

/// A node's certificate and key.
pub(crate) const NODE: &str = "node.pem";

/// One node's.
pub(crate) struct Certificates {
    files: Followed<2>,
    remote: Remote,
}

impl Certificates {
    /// Those of this node.
    pub(crate) fn read(directory: &Path, remote: Remote) -> anyhow::Result<(Self, LinkIdentity)> {
        let read = Self { files: files(directory), remote };
        let identity = read.parse()?;
        Ok((read, identity))
    }

    /// Passes on what is new, until the shutdown.
    pub(crate) async fn follow(
        mut self,
        renew: watch::Sender<Arc<LinkIdentity>>,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> anyhow::Result<()> {
        let help = "Unix time at which this node's certificate for links ends.";
        let expiry = metrics.gauge("dais_link_certificate_expiry_seconds", help);
        let help = "New certificates for links that could not be used.";
        let refused = metrics.counter("dais_link_certificate_refused_total", help);
        expiry.set(seconds(renew.borrow().ends()));
        loop {
            tokio::select! {
                changed = self.files.changed() => changed?,
                () = shutdown.begun() => return Ok(()),
            }
            match self.parse() {
                Ok(identity) => {
                    tracing::info!(days = days_left(identity.ends()), "a new certificate for links");
                    expiry.set(seconds(identity.ends()));
                    renew.send_replace(Arc::new(identity));
                }
                Err(error) => {
                    refused.inc();
                    tracing::warn!("new certificates cannot be used, the old ones are kept: {error:#}");
                }
            }
        }
    }

    fn parse(&self) -> anyhow::Result<LinkIdentity> {
        let (remote, identity) = parse(&self.files)?;
        let (is, ours) = (written(&remote), written(&self.remote));
        ensure!(
            is == ours,
            "{} is the certificate of {is}, and this is {ours}",
            self.files.paths()[1].display()
        );
        Ok(identity)
    }
}

/// What is in a directory, whosever it is.
pub(crate) fn inspect(directory: &Path) -> anyhow::Result<(Remote, LinkIdentity)> {
    parse(&files(directory))
}

fn files(directory: &Path) -> Followed<2> {
    Followed::new([AUTHORITY, NODE].map(|name| directory.join(name)))
}

fn parse(files: &Followed<2>) -> anyhow::Result<(Remote, LinkIdentity)> {
    let [believed, own] = files.contents()?;
    let [authority, node] = files.paths().map(Path::display);
    let believed = Believed::from_pem(believed).with_context(|| authority.to_string())?;
    let identity =
        LinkIdentity::from_pem(believed, own, SystemTime::now()).with_context(|| node.to_string())?;
    let remote = identity.remote().with_context(|| format!("{node}: it names no node"))?;
    Ok((remote, identity))
}

/// A node as `dais certs --for` takes it.
pub(crate) fn written(remote: &Remote) -> String {
    format!("{}/{}", remote.kind.as_str(), remote.node)
}

/// Whole days until then; 0 where that is over.
pub(crate) fn days_left(ends: SystemTime) -> u64 {
    ends.duration_since(SystemTime::now()).map_or(0, |left| left.as_secs() / 86_400)
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}
