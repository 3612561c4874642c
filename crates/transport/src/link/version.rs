//! Which version of the link's protocol is spoken. TLS negotiates it (ALPN): the child offers all that it speaks,
//! and the parent takes the highest that it speaks too.
//!
//! Where there is none, both meet without a version, say what they speak, and part: so each of them knows who must
//! be upgraded. What is said there never changes:
//!
//! ```text
//!   child  ── stream: "2 3", end ──▶ parent
//!          ◀── "1", end ────────────
//! ```

use std::fmt;

use quinn::crypto::rustls::HandshakeData;

use super::{LinkError, Remote};

/// Where those meet who have no version in common.
const MEETING: &[u8] = b"dais-link";

/// Most bytes that are read of what the other side speaks.
const MAX_SAID: usize = 128;

/// Versions that a node speaks, the highest first. A number stands for the frames' header and the control stream's
/// messages together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions(Vec<u16>);

impl Versions {
    /// Those of this build.
    pub fn spoken() -> Self {
        Self::of([1])
    }

    pub(super) fn of(versions: impl IntoIterator<Item = u16>) -> Self {
        let mut versions: Vec<_> = versions.into_iter().collect();
        versions.sort_unstable_by(|one, other| other.cmp(one));
        versions.dedup();
        Self(versions)
    }

    /// What TLS is given, the best first.
    pub(crate) fn protocols(&self) -> Vec<Vec<u8>> {
        let names = self.0.iter().map(|version| protocol(*version));
        names.chain([MEETING.to_vec()]).collect()
    }

    /// The one that was agreed upon; none where there is none in common.
    pub(super) fn agreed(&self, connection: &quinn::Connection) -> Option<u16> {
        let agreed = connection.handshake_data()?.downcast::<HandshakeData>().ok()?.protocol?;
        self.0.iter().copied().find(|version| protocol(*version) == agreed)
    }

    /// At the child: why there is no link.
    pub(super) async fn tell_parent(&self, connection: &quinn::Connection, parent: Remote) -> LinkError {
        let said = async {
            let (mut send, receive) = connection.open_bi().await?;
            self.say(&mut send).await?;
            hear(receive).await
        };
        self.none_in_common(parent, said.await)
    }

    /// At the parent: why there is no link. Returns when the child has been told.
    pub(super) async fn tell_child(&self, connection: &quinn::Connection, child: Remote) -> LinkError {
        let said = async {
            let (mut send, receive) = connection.accept_bi().await?;
            let theirs = hear(receive).await?;
            self.say(&mut send).await?;
            connection.closed().await;
            Ok(theirs)
        };
        self.none_in_common(child, said.await)
    }

    async fn say(&self, send: &mut quinn::SendStream) -> Result<(), LinkError> {
        let text = self.0.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
        send.write_all(text.as_bytes()).await.map_err(|_| LinkError::Control)?;
        send.finish().map_err(|_| LinkError::Control)
    }

    fn none_in_common(&self, remote: Remote, said: Result<Self, LinkError>) -> LinkError {
        let ours = self.clone();
        said.map_or_else(|error| error, |theirs| LinkError::Version { node: remote.node, ours, theirs })
    }
}

async fn hear(mut receive: quinn::RecvStream) -> Result<Versions, LinkError> {
    let said = receive.read_to_end(MAX_SAID).await.map_err(|_| LinkError::Message)?;
    let said = str::from_utf8(&said).map_err(|_| LinkError::Message)?;
    let versions: Result<Vec<u16>, _> = said.split(' ').map(str::parse).collect();
    versions.map(Versions::of).map_err(|_| LinkError::Message)
}

fn protocol(version: u16) -> Vec<u8> {
    format!("dais-link/{version}").into_bytes()
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, version) in self.0.iter().enumerate() {
            write!(f, "{}{version}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
