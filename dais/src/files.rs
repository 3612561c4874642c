//! Open files: each WebSocket is one, and the usual soft limit of 1,024 is there for programs that use
//! `select`, which this one does not.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many files may be open once [`raise`] has been called; none: any number.
pub(crate) fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the soft limit to the hard one.
pub(crate) fn raise() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}
