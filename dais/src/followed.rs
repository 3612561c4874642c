//! Files that are read at the start, and again whenever they have changed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// Some files that belong together, and what was last found in them.
pub(crate) struct Followed<const N: usize> {
    paths: [PathBuf; N],
    found: Found<N>,
}

/// What is in them; where one cannot be read, why.
type Found<const N: usize> = Result<[Vec<u8>; N], String>;

/// What is in them may be secret.
impl<const N: usize> fmt::Debug for Followed<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Followed").field(&self.paths).finish()
    }
}

impl<const N: usize> Followed<N> {
    /// Looks for the first time.
    pub(crate) fn new(paths: [PathBuf; N]) -> Self {
        Self { found: find(&paths), paths }
    }

    /// Where each of them is.
    pub(crate) fn paths(&self) -> [&Path; N] {
        self.paths.each_ref().map(PathBuf::as_path)
    }

    /// What each of them holds.
    pub(crate) fn contents(&self) -> anyhow::Result<&[Vec<u8>; N]> {
        self.found.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// Returns when there is something else in them than before. Nothing is lost where it is dropped half-way.
    pub(crate) async fn changed(&mut self) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(LOOK).await;
            let paths = self.paths.clone();
            let found = tokio::task::spawn_blocking(move || find(&paths)).await?;
            if found != self.found {
                self.found = found;
                return Ok(());
            }
        }
    }
}

fn find<const N: usize>(paths: &[PathBuf; N]) -> Found<N> {
    let mut contents = [const { Vec::new() }; N];
    for (path, content) in paths.iter().zip(&mut contents) {
        *content = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_and_so_is_a_file_that_is_gone() {
        let path = std::env::temp_dir().join(format!("dais-followed-{}", std::process::id()));
        std::fs::write(&path, "one").unwrap();
        let mut file = Followed::new([path.clone()]);
        assert_eq!(file.contents().unwrap()[0], b"one");
        let quiet = tokio::time::timeout(10 * LOOK, file.changed()).await;
        assert!(quiet.is_err());
        std::fs::write(&path, "two").unwrap();
        file.changed().await.unwrap();
        assert_eq!(file.contents().unwrap()[0], b"two");
        std::fs::remove_file(&path).unwrap();
        file.changed().await.unwrap();
        assert!(file.contents().unwrap_err().to_string().contains("No such file"));
        assert!(tokio::time::timeout(10 * LOOK, file.changed()).await.is_err());
    }
}
