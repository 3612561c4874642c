//! What a media node shows on its links, and whom it believes there.

use std::path::PathBuf;

use service::config::Values;
use service::{Metrics, Tasks};
use transport::{Credentials, LinkIdentity, Remote};

use super::Cluster;
use crate::certificates::{Certificates, written};

/// Who a node is on links.
pub(crate) struct Trust {
    identity: LinkIdentity,
    /// Where that comes from; none: from the key of the cluster, which is enough where all is on one machine.
    files: Option<Certificates>,
}

impl Trust {
    /// None where something is wrong, which is written down.
    pub(crate) fn read(values: &mut Values, cluster: &Cluster, remote: Remote, local: bool) -> Option<Self> {
        let node = written(&remote);
        if let Some(directory) = values.one::<PathBuf>("cert-dir") {
            return match Certificates::read(&directory, remote) {
                Ok((files, identity)) => Some(Self { identity, files: Some(files) }),
                Err(error) => {
                    let make = format!("`dais certs --dir certs --for {node}` makes what it needs");
                    values.wrong("cert-dir", format_args!("{error:#} ({make})"));
                    None
                }
            };
        }
        if !local && !values.has("cert-dir") {
            values.wrong(
                "cert-dir",
                format_args!(
                    "is needed where not everything is on loopback: `dais certs --dir certs --for {node}` on a machine \
                     that is no node makes certs/{}, and that is what belongs here",
                    remote.node
                ),
            );
            return None;
        }
        let identity = cluster.authority().and_then(|authority| authority.issue(&remote.node, remote.kind));
        identity
            .map_err(|error| values.wrong("cluster-key", error))
            .ok()
            .map(|identity| Self { identity, files: None })
    }

    /// What the node is given. Files are read again as long as its tasks run.
    pub(crate) fn start(self, tasks: &Tasks, metrics: &Metrics) -> Credentials {
        let Self { identity, files } = self;
        let Some(files) = files else { return identity.into() };
        let (renew, credentials) = Credentials::renewable(identity);
        tasks.part("certificates", files.follow(renew, metrics.clone(), tasks.shutdown().clone()));
        credentials
    }
}
