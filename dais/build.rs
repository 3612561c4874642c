//! Puts the commit into the binary, for `dais_build_info`. A build from an archive has none, unless it is told
//! one as `BUILD_COMMIT`.

use std::process::Command;

fn main() {
    let told = std::env::var("BUILD_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = told.or_else(of_repository).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=BUILD_COMMIT={}", commit.trim());
    println!("cargo::rerun-if-env-changed=BUILD_COMMIT");
    println!("cargo::rerun-if-changed=../.git/HEAD");
    println!("cargo::rerun-if-changed=../.git/refs/heads");
}

fn of_repository() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
