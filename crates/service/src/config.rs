//! Options: each may stand on the command line, in the environment and in a TOML file.
//!
//! ```text
//!   --media-ip A      DAIS_MEDIA_IP=A,B      media-ip = ["A", "B"]
//!   command line  >   environment       >    file (--config)
//! ```
//!
//! A program lists its [`Setting`]s once; help, environment and file follow from that list. Values stay
//! text until the program asks for them by type. Whatever is wrong is written down and reading goes on,
//! so that all [`Mistakes`] are reported together.

mod command_line;
mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

pub use command_line::{Command, Program, Start};

/// Exit status of a configuration that cannot be used (`EX_USAGE` of sysexits.h).
pub const EXIT_STATUS: u8 = 64;

/// Before the names of environment variables.
const PREFIX: &str = "DAIS_";

/// One option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Written `--name`, `DAIS_NAME`, and `name` in the file.
    pub name: &'static str,
    /// What its value is called in the help.
    pub value: &'static str,
    /// How many values it has.
    pub kind: Kind,
    /// One line, with the default.
    pub help: &'static str,
}

/// How many values a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One.
    One,
    /// Any number: the option repeats, the variable has commas, the file has a list.
    Many,
    /// One, without the name in front of it on the command line.
    Word,
    /// None needed: naming it says yes. `--name=false`, `DAIS_NAME=false` and the file can say no.
    Flag,
    /// A name and a value, any number of times, with this between them; the file has a table.
    Pairs(char),
}

impl Setting {
    /// A setting with one value.
    pub const fn one(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { name, value, kind: Kind::One, help }
    }

    /// A setting that may repeat.
    pub const fn many(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { name, value, kind: Kind::Many, help }
    }

    /// A setting that the command line has as it is.
    pub const fn word(name: &'static str, value: &'static str, help: &'static str) -> Self {
        Self { name, value, kind: Kind::Word, help }
    }

    /// A setting that is there or not.
    pub const fn flag(name: &'static str, help: &'static str) -> Self {
        Self { name, value: "true|false", kind: Kind::Flag, help }
    }

    fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.replace('-', "_").to_uppercase())
    }

    /// The values in one text of the environment.
    fn split(&self, text: &str) -> Vec<String> {
        match self.kind {
            Kind::One | Kind::Word | Kind::Flag => vec![text.into()],
            Kind::Many | Kind::Pairs(_) => {
                text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Into::into).collect()
            }
        }
    }
}

/// Everything that is wrong with a configuration, in the order it was found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

impl Mistakes {
    /// Writes one down.
    pub fn add(&mut self, says: impl fmt::Display) {
        self.0.push(says.to_string());
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|mistake| writeln!(f, "  {mistake}"))
    }
}

/// What was said about each setting, and what is wrong so far.
#[derive(Debug, Default)]
pub struct Values {
    given: BTreeMap<&'static str, Given>,
    mistakes: Mistakes,
    /// Variables that look like ours and are not.
    strangers: Vec<String>,
}

/// The values of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    texts: Vec<String>,
    /// How the values came, for messages: `--listen`, `DAIS_LISTEN`, `listen in dais.toml`.
    source: String,
}

impl Values {
    /// The one value of a setting, if it was given and can be read.
    pub fn one<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str) -> Option<T> {
        match self.many(name) {
            mut values if values.len() <= 1 => values.pop(),
            values => {
                self.wrong(name, format_args!("given {} times, but takes one value", values.len()));
                None
            }
        }
    }

    /// The one value of a setting, or its default.
    pub fn or<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str, default: T) -> T {
        self.one(name).unwrap_or(default)
    }

    /// All values of a setting that can be read.
    pub fn many<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str) -> Vec<T> {
        let Some(given) = self.given.get(name) else { return Vec::new() };
        let mut values = Vec::new();
        for text in &given.texts {
            match text.parse() {
                Ok(value) => values.push(value),
                Err(error) => self.mistakes.add(format_args!("{}: {error}", given.source)),
            }
        }
        values
    }

    /// Whether anything was said about a setting.
    pub fn has(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// Writes down what is wrong with the value of a setting.
    pub fn wrong(&mut self, name: &str, says: impl fmt::Display) {
        let source = self.given.get(name).map_or_else(|| format!("--{name}"), |given| given.source.clone());
        self.mistakes.add(format_args!("{source}: {says}"));
    }

    /// Environment variables that begin like ours but mean nothing: worth a warning, not a mistake,
    /// because Kubernetes sets such ones for a service of that name.
    pub fn strangers(&self) -> &[String] {
        &self.strangers
    }

    /// All mistakes, or none. Ask for every value before.
    pub fn check(&self) -> Result<(), Mistakes> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(self.mistakes.clone()) }
    }

    /// Takes values unless a stronger source has given some.
    fn offer(&mut self, setting: &Setting, texts: Vec<String>, source: impl fmt::Display) {
        if !texts.is_empty() {
            self.given.entry(setting.name).or_insert_with(|| Given { texts, source: source.to_string() });
        }
    }

    /// Takes what the environment says. `known` are the settings of all commands, `settings` of this one.
    fn offer_environment(
        &mut self,
        settings: &[Setting],
        known: &[Setting],
        environment: &[(String, String)],
    ) {
        for (variable, text) in environment.iter().filter(|(variable, _)| variable.starts_with(PREFIX)) {
            if let Some(setting) = settings.iter().find(|setting| setting.variable() == *variable) {
                self.offer(setting, setting.split(text), variable);
            } else if !known.iter().any(|setting| setting.variable() == *variable) {
                self.strangers.push(variable.clone());
            }
        }
    }
}
