//! What a node will show on its links.

use std::path::Path;

use transport::LinkIdentity;

use super::Finding;
use crate::certificates::{days_left, inspect, written};

/// With so many days left, whoever renews certificates has not come by.
const SOON: u64 = 14;

/// What is there, and what is to be thought of it.
pub(super) fn check(directory: &Path) -> (Option<LinkIdentity>, Finding) {
    match inspect(directory) {
        Ok((remote, identity)) => {
            let finding = judge(&written(&remote), days_left(identity.ends()));
            (Some(identity), finding)
        }
        Err(error) => (None, Finding::broken(format!("certificate: {error:#}"))),
    }
}

fn judge(whose: &str, days: u64) -> Finding {
    if days > SOON {
        return Finding::fine(format!("there is a certificate of {whose} for {days} days more"));
    }
    Finding::poor(format!(
        "the certificate of {whose} ends in {days} days: run `dais certs --dir …` where the authority is, and copy \
         what it makes"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ends_soon_deserves_a_look_and_none_is_broken() {
        assert!(judge("edge/edge-1", 60).to_string().starts_with("ok"));
        assert!(judge("edge/edge-1", 14).to_string().starts_with("look"));
        let (none, finding) = check(Path::new("/nowhere"));
        assert!(none.is_none() && finding.to_string().starts_with("broken"), "{finding}");
    }
}
