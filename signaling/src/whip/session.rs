//! A WHIP or WHEP session by its name. It says which peer at which media node it is, and that node ends it: so it
//! can be ended at any signaling node, whichever has it, and whether or not that lives.

use std::fmt;

use protocol::node::{Request, Response};
use protocol::{ApiError, Code, NodeId, PeerId};
use rand::Rng;
use rand::distr::Alphanumeric;

use crate::app::Shared;
use crate::media;

/// Characters of a session's key: 190 bits.
const KEY_CHARACTERS: usize = 32;

/// As in a session's address: `<node>.<peer>.<key>`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SessionName {
    pub(super) node: NodeId,
    pub(super) peer: PeerId,
    /// Nobody can guess it; whoever has it may end the session.
    pub(super) key: String,
}

impl SessionName {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (rest, key) = text.rsplit_once('.')?;
        let (node, peer) = rest.rsplit_once('.')?;
        let is_key = key.len() == KEY_CHARACTERS && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let (node, peer) = (NodeId::new(node).ok()?, PeerId(peer.parse().ok()?));
        is_key.then(|| Self { node, peer, key: key.into() })
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.node, self.peer.0, self.key)
    }
}

/// Of a new session.
pub(super) fn new_key() -> String {
    rand::rng().sample_iter(Alphanumeric).take(KEY_CHARACTERS).map(char::from).collect()
}

/// Ends a session at the node of its peer.
pub(super) async fn end(app: &Shared, name: SessionName) -> Result<(), ApiError> {
    let SessionName { node, peer, key } = name;
    // What is gone has no sessions.
    if !app.nodes.live().get(&node).is_some_and(|said| said.kind.has_media()) {
        return Err(no_session());
    }
    match media::ask(app, &node, &Request::Hang { peer, key }).await? {
        Response::Done => Ok(()),
        Response::Refused(error) if error.code == Code::NotFound => Err(no_session()),
        _ => Err(ApiError::new(Code::Internal, "the media node cannot end a session")),
    }
}

/// What is said of one that nobody has.
pub(super) fn no_session() -> ApiError {
    ApiError::new(Code::NotFound, "there is no such session")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_peer_it_is_and_nothing_else_is_one() {
        let node = NodeId::new("edge-1.eu").unwrap();
        let name = SessionName { node, peer: PeerId(7), key: new_key() };
        assert_eq!(SessionName::parse(&name.to_string()).as_ref(), Some(&name));
        for bad in [
            "",
            "edge.7.short",
            "edge.x.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ".7.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(SessionName::parse(bad), None, "{bad}");
        }
    }
}
