//! How a command fails: the configuration cannot be used, or something went wrong while it ran.

use std::process::ExitCode;

use service::config::{EXIT_STATUS, Mistakes};

/// Why a command ended other than well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Everything that is wrong with the configuration.
    Mistakes(Mistakes),
    /// What went wrong.
    Error(anyhow::Error),
}

impl From<Mistakes> for Failure {
    fn from(mistakes: Mistakes) -> Self {
        Self::Mistakes(mistakes)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Error(error)
    }
}

impl Failure {
    /// Says it on stderr; the status is for the shell.
    pub(crate) fn report(&self, command: &str) -> ExitCode {
        match self {
            Self::Mistakes(mistakes) => {
                eprint!("dais: the configuration cannot be used:\n{mistakes}");
                eprintln!("`dais {command}--help` lists the options.");
                ExitCode::from(EXIT_STATUS)
            }
            Self::Error(error) => {
                eprintln!("dais: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}
