//! `dais certs`: a cluster's authority, and a certificate for each of its nodes.
//!
//! ```text
//!   DIR/authority.key            the authority, its certificate and its key: for no node
//!   DIR/authority-next.key       the one that is to take its place
//!   DIR/authority-previous.pem   the certificate of the one whose place it took
//!   DIR/edge-1/authority.pem     whom this node is to believe: all of the above
//!   DIR/edge-1/node.pem          what it shows, and its key
//! ```
//!
//! A run brings the nodes' directories to what the authorities say, and renews what ends soon. It may be repeated at
//! any time, and one that was cut short is made up for by the next.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail, ensure};
use protocol::NodeId;
use protocol::node::NodeKind;
use service::config::Values;
use transport::{Authority, Believed, LinkIdentity, Remote, identity};

use crate::certificates::{AUTHORITY, NODE, days_left};
use crate::failure::Failure;
use crate::options::{Certs, Rotate};
use crate::say;

const CURRENT: &str = "authority.key";
const NEXT: &str = "authority-next.key";
const PREVIOUS: &str = "authority-previous.pem";

const DAY: Duration = Duration::from_secs(86_400);

/// How long an authority is valid. It can be replaced at any time; that it ends is only a net below that.
const AUTHORITY_VALID: Duration = Duration::from_secs(3_650 * 86_400);

/// Who may read a file in which a key is.
const SECRET: u32 = 0o600;

/// Who may read one that may be seen.
const OPEN: u32 = 0o644;

/// Makes what is missing, renews what ends soon, and says so.
pub(crate) fn run(mut values: Values) -> Result<(), Failure> {
    let certs = Certs::read(&mut values);
    values.check()?;
    for line in make(&certs, SystemTime::now())? {
        say(line);
    }
    Ok(())
}

fn make(certs: &Certs, now: SystemTime) -> anyhow::Result<Vec<String>> {
    let directory = &certs.directory;
    let mut nodes = present(directory)?;
    for Remote { node, kind } in &certs.nodes {
        let before = nodes.insert(node.clone(), *kind);
        let other = before.filter(|before| before != kind);
        ensure!(other.is_none(), "{node} has a certificate as another kind of node: choose another name");
    }
    let mut says = Vec::new();
    if let Some(step) = certs.rotate {
        says.push(rotate(directory, step, now)?.to_owned());
    }
    let authorities = Authorities::open(directory, nodes.len() > certs.nodes.len(), now)?;
    says.extend(authorities.warning(certs.valid));
    for (node, kind) in nodes {
        says.push(authorities.bring(directory, &Remote { node, kind }, certs.valid, now)?);
    }
    Ok(says)
}

/// Goes a step towards another authority; says what is to be done next.
fn rotate(directory: &Path, step: Rotate, now: SystemTime) -> anyhow::Result<&'static str> {
    let [current, next, previous] = [CURRENT, NEXT, PREVIOUS].map(|name| directory.join(name));
    ensure!(current.exists(), "there is no authority yet: {} is missing", current.display());
    match step {
        Rotate::Begin => {
            ensure!(!previous.exists(), "the last change has not ended: `--rotate end` comes first");
            if !next.exists() {
                write(&next, SECRET, &Authority::generate(now, AUTHORITY_VALID)?.to_pem())?;
            }
            Ok("The next authority is there. Copy all nodes' directories to them, then `--rotate use`.")
        }
        Rotate::Use => {
            ensure!(next.exists(), "there is no next authority: `--rotate begin` comes first");
            write(&previous, OPEN, &identity::pem(open(&current)?.certificate()))?;
            fs::rename(&next, &current).with_context(|| next.display().to_string())?;
            Ok("All certificates are new. Copy all nodes' directories to them, then `--rotate end`.")
        }
        Rotate::End => {
            ensure!(previous.exists(), "no authority is on its way out: `--rotate begin` is the first step");
            fs::remove_file(&previous).with_context(|| previous.display().to_string())?;
            Ok(
                "The authority before is gone. Copy all nodes' directories to them: then nobody believes it any more.",
            )
        }
    }
}

/// Those that nodes are to believe; the current one issues.
struct Authorities {
    current: Authority,
    /// Certificates of all, in PEM, the current one's first.
    believed: String,
}

impl Authorities {
    /// Makes one where there is none, and nothing that needs an older one.
    fn open(directory: &Path, in_use: bool, now: SystemTime) -> anyhow::Result<Self> {
        let path = directory.join(CURRENT);
        if !path.exists() {
            ensure!(
                !in_use,
                "{} is missing, and there are nodes that believe it: bring it back, or begin in an empty directory",
                path.display()
            );
            fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
            write(&path, SECRET, &Authority::generate(now, AUTHORITY_VALID)?.to_pem())?;
        }
        let current = open(&path)?;
        let mut believed = identity::pem(current.certificate());
        if directory.join(NEXT).exists() {
            believed += &identity::pem(open(&directory.join(NEXT))?.certificate());
        }
        if let Some(previous) = read(&directory.join(PREVIOUS))? {
            believed += &previous;
        }
        Ok(Self { current, believed })
    }

    /// That the authority itself will end before long.
    fn warning(&self, valid: Duration) -> Option<String> {
        let days = days_left(identity::ends(self.current.certificate()).ok()?);
        let soon = Duration::from_secs(days * 86_400) < 2 * valid;
        soon.then(|| {
            format!("The authority ends in {days} days: `--rotate begin` is the first step to another one.")
        })
    }

    /// Brings one node's directory to what it should be, and says what was done.
    fn bring(
        &self,
        directory: &Path,
        remote: &Remote,
        valid: Duration,
        now: SystemTime,
    ) -> anyhow::Result<String> {
        let home = directory.join(remote.node.as_str());
        let (kind, at) = (remote.kind.as_str(), home.display());
        fs::create_dir_all(&home).with_context(|| at.to_string())?;
        let path = home.join(AUTHORITY);
        if read(&path)?.as_ref() != Some(&self.believed) {
            write(&path, OPEN, &self.believed)?;
        }
        let path = home.join(NODE);
        if let Some(ends) = self.issued(read(&path)?.as_deref(), remote, now)
            && ends > now + valid / 3
        {
            return Ok(format!("kept  {at}  {kind}, {} days left", days_left(ends)));
        }
        write(&path, SECRET, &self.current.issue_pem(remote, now, valid)?)?;
        Ok(format!("made  {at}  {kind}, {} days", valid.as_secs() / DAY.as_secs()))
    }

    /// Until when the current authority vouches for a node by this.
    fn issued(&self, own: Option<&str>, remote: &Remote, now: SystemTime) -> Option<SystemTime> {
        let believed = Believed::from_pem(identity::pem(self.current.certificate()).as_bytes()).ok()?;
        let identity = LinkIdentity::from_pem(believed, own?.as_bytes(), now).ok()?;
        (identity.remote().as_ref() == Some(remote)).then(|| identity.ends())
    }
}

/// The nodes that have a directory.
fn present(directory: &Path) -> anyhow::Result<BTreeMap<NodeId, NodeKind>> {
    let mut nodes = BTreeMap::new();
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(nodes),
        entries => entries.with_context(|| directory.display().to_string())?,
    };
    for entry in entries {
        let path = entry?.path().join(NODE);
        // A directory without one is none of ours, or one that was begun: whoever wants it says so again.
        let Some(own) = read(&path)? else { continue };
        let certificate =
            identity::certificates(own.as_bytes()).with_context(|| path.display().to_string())?;
        match certificate.first().and_then(identity::named) {
            Some(remote) => drop(nodes.insert(remote.node, remote.kind)),
            None => bail!("{} names no node", path.display()),
        }
    }
    Ok(nodes)
}

fn open(path: &Path) -> anyhow::Result<Authority> {
    let pem = fs::read(path).with_context(|| path.display().to_string())?;
    Authority::from_pem(&pem).with_context(|| path.display().to_string())
}

/// A file that may be missing.
fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Whoever reads the file sees what it was or what it is, also after a power cut.
fn write(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let mut beside = PathBuf::from(path);
    beside.as_mut_os_string().push(".new");
    let written = || {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    written().with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::Certificates;

    struct Town {
        home: PathBuf,
        directory: PathBuf,
        now: SystemTime,
    }

    impl Town {
        fn new(name: &str) -> Self {
            let home = std::env::temp_dir().join(format!("dais-certs-{name}-{}", std::process::id()));
            let _none_before = fs::remove_dir_all(&home);
            Self { directory: home.join("certs"), home, now: SystemTime::now() }
        }

        fn make(&self, nodes: &[(&str, NodeKind)], rotate: Option<Rotate>) -> anyhow::Result<Vec<String>> {
            let remote = |&(node, kind): &(&str, _)| Remote { node: NodeId::new(node).unwrap(), kind };
            let nodes = nodes.iter().map(remote).collect();
            make(&Certs { directory: self.directory.clone(), nodes, valid: 90 * DAY, rotate }, self.now)
        }

        fn text(&self, file: &str) -> String {
            fs::read_to_string(self.directory.join(file)).unwrap()
        }

        /// Whether a node that holds `own` is taken by one that believes what is in `believed`.
        fn takes(&self, believed: &str, own: &str) -> bool {
            let believed = Believed::from_pem(self.text(believed).as_bytes()).unwrap();
            LinkIdentity::from_pem(believed, self.text(own).as_bytes(), self.now).is_ok()
        }
    }

    impl Drop for Town {
        fn drop(&mut self) {
            let _left = fs::remove_dir_all(&self.home);
        }
    }

    const BOTH: &[(&str, NodeKind)] = &[("origin-1", NodeKind::Origin), ("edge-1", NodeKind::Edge)];

    #[test]
    fn what_is_made_serves_its_node_and_no_other_and_only_its_owner_reads_keys() {
        let town = Town::new("made");
        let says = town.make(BOTH, None).unwrap();
        assert!(says.len() == 2 && says.iter().all(|line| line.starts_with("made")), "{says:?}");
        let edge = Remote { node: NodeId::new("edge-1").unwrap(), kind: NodeKind::Edge };
        let read = |home: &str| Certificates::read(&town.directory.join(home), edge.clone());
        assert_eq!(read("edge-1").unwrap().1.remote(), Some(edge.clone()));
        let error = read("origin-1").err().unwrap().to_string();
        assert!(error.contains("is the certificate of origin/origin-1, and this is edge/edge-1"), "{error}");
        assert!(read("edge-2").err().unwrap().to_string().contains("edge-2/authority.pem: No such file"));
        for secret in ["authority.key", "edge-1/node.pem"] {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(town.directory.join(secret)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{secret}");
        }
        assert!(!town.text("edge-1/authority.pem").contains("PRIVATE"));
    }

    #[test]
    fn what_is_good_is_kept_and_what_ends_soon_is_renewed() {
        let mut town = Town::new("renewed");
        town.make(BOTH, None).unwrap();
        let before = town.text("edge-1/node.pem");
        town.now += 59 * DAY;
        let says = town.make(&[("edge-2", NodeKind::Edge)], None).unwrap();
        let done: Vec<_> = says.iter().map(|line| &line[..4]).collect();
        assert_eq!(
            (done, town.text("edge-1/node.pem")),
            (vec!["kept", "made", "kept"], before.clone()),
            "{says:?}"
        );
        town.now += 2 * DAY;
        let says = town.make(&[], None).unwrap();
        let done: Vec<_> = says.iter().map(|line| &line[..4]).collect();
        assert_eq!(done, ["made", "kept", "made"], "{says:?}");
        assert!(
            town.takes("edge-2/authority.pem", "edge-1/node.pem") && town.text("edge-1/node.pem") != before
        );
    }

    #[test]
    fn at_each_step_to_another_authority_a_node_before_it_and_one_after_it_take_each_other() {
        let town = Town::new("rotated");
        town.make(BOTH, None).unwrap();
        let first = town.text("authority.key");
        for step in [Rotate::Begin, Rotate::Use, Rotate::End] {
            for file in [AUTHORITY, NODE] {
                fs::copy(town.directory.join("edge-1").join(file), town.home.join(file)).unwrap();
            }
            town.make(&[], Some(step)).unwrap();
            assert!(
                town.takes("../authority.pem", "origin-1/node.pem"),
                "{step:?}: who is behind takes the new"
            );
            assert!(
                town.takes("origin-1/authority.pem", "../node.pem"),
                "{step:?}: the new takes who is behind"
            );
        }
        assert_ne!(town.text("authority.key"), first);
        assert_eq!(town.text("edge-1/authority.pem").matches("BEGIN CERT").count(), 1);
    }

    #[test]
    fn steps_out_of_order_and_a_lost_authority_change_nothing() {
        let town = Town::new("refused");
        for step in [Rotate::Begin, Rotate::Use, Rotate::End] {
            assert!(town.make(&[], Some(step)).is_err(), "{step:?} before there is an authority");
        }
        town.make(BOTH, None).unwrap();
        assert!(
            town.make(&[], Some(Rotate::Use))
                .unwrap_err()
                .to_string()
                .contains("`--rotate begin` comes first")
        );
        assert!(town.make(&[], Some(Rotate::End)).unwrap_err().to_string().contains("first step"));
        town.make(&[], Some(Rotate::Begin)).unwrap();
        town.make(&[], Some(Rotate::Begin)).unwrap();
        town.make(&[], Some(Rotate::Use)).unwrap();
        assert!(
            town.make(&[], Some(Rotate::Begin))
                .unwrap_err()
                .to_string()
                .contains("`--rotate end` comes first")
        );
        assert!(
            town.make(&[("edge-1", NodeKind::Origin)], None)
                .unwrap_err()
                .to_string()
                .contains("another kind")
        );
        fs::rename(town.directory.join(CURRENT), town.directory.join("elsewhere")).unwrap();
        assert!(town.make(&[], None).unwrap_err().to_string().contains("bring it back"));
        assert!(!town.directory.join(CURRENT).exists());
    }
}
