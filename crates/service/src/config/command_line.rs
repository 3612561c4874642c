//! The command line: which command is meant, its options, and its help, by way of clap.
//!
//! clap stops at the first mistake. To report all of them, the offending argument is taken out and the
//! rest is read again.

use clap::builder::NonEmptyStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches};

use super::{Kind, Mistakes, Setting, Values};

/// What every command knows besides its own settings.
const CONFIG: Setting = Setting::one("config", "FILE", "TOML file with any of these options as keys");

/// A program: its commands and what they have in common.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// What is typed.
    pub name: &'static str,
    /// One line for the help.
    pub about: &'static str,
    /// For `--version`.
    pub version: &'static str,
    /// The first one is meant when none is named.
    pub commands: &'static [Command],
}

/// One command of a program.
#[derive(Debug, Clone, Copy)]
pub struct Command {
    /// What is typed.
    pub name: &'static str,
    /// One line for the help.
    pub about: &'static str,
    /// One line that can be typed as it stands.
    pub example: &'static str,
    /// Its options, in groups.
    pub settings: &'static [&'static [Setting]],
}

/// What to do now.
#[derive(Debug)]
pub enum Start {
    /// Print this (help or version) and end well.
    Print(String),
    /// Run a command with what was said about its settings.
    Run(&'static str, Values),
}

impl Program {
    /// Reads command line, environment and file. Only what makes everything else meaningless, such as
    /// an unknown command, is an error here; other mistakes are in the values.
    pub fn read(&self, args: &[String], environment: &[(String, String)]) -> Result<Start, Mistakes> {
        let mut args = self.with_command(args);
        let mut mistakes = Mistakes::default();
        loop {
            let error = match self.clap().try_get_matches_from(&args) {
                Ok(matches) => return Ok(self.run(&matches, mistakes, environment)),
                Err(error) => error,
            };
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
                return Ok(Start::Print(error.to_string()));
            }
            mistakes.add(says(&error));
            if !take_out(&mut args, &error) {
                return Err(mistakes);
            }
        }
    }

    /// The arguments with the first command put in where none is named.
    fn with_command(&self, args: &[String]) -> Vec<String> {
        let own = ["-h", "--help", "-V", "--version"];
        let names_one = |arg: &String| !arg.starts_with('-') || own.contains(&arg.as_str());
        let command = (!args.first().is_some_and(names_one)).then(|| self.commands[0].name.to_owned());
        std::iter::once(self.name.to_owned()).chain(command).chain(args.iter().cloned()).collect()
    }

    fn clap(&self) -> clap::Command {
        let first = self.commands[0].name;
        clap::Command::new(self.name)
            .about(self.about)
            .version(self.version)
            .after_help(format!(
                "Without a command: {first}. `{} COMMAND --help` lists its options.",
                self.name
            ))
            .disable_help_subcommand(true)
            .subcommand_required(true)
            .subcommands(self.commands.iter().map(Command::clap))
    }

    fn run(&self, matches: &ArgMatches, mistakes: Mistakes, environment: &[(String, String)]) -> Start {
        let (name, matches) = matches.subcommand().expect("clap requires a command");
        let command =
            self.commands.iter().find(|command| command.name == name).expect("clap knows only these");
        let known: Vec<Setting> = self.commands.iter().flat_map(Command::all).collect();
        let settings: Vec<Setting> = command.all().collect();
        let mut values = Values { mistakes, ..Values::default() };
        for setting in settings.iter().filter(|setting| !setting.is_secret_list()) {
            let texts = matches.get_many::<String>(setting.name).into_iter().flatten().cloned().collect();
            values.offer(setting, texts, format_args!("--{}", setting.name));
        }
        values.offer_environment(&settings, &known, environment);
        if let Some(path) = values.one::<String>(CONFIG.name) {
            values.offer_file(&settings, &known, &path);
        }
        Start::Run(command.name, values)
    }
}

impl Command {
    fn all(&self) -> impl Iterator<Item = Setting> {
        self.settings.iter().copied().flatten().copied().chain([CONFIG])
    }

    fn clap(&self) -> clap::Command {
        clap::Command::new(self.name)
            .about(self.about)
            .after_help(format!(
                "Each option is also a variable (--media-ip: DAIS_MEDIA_IP) and a key of the file.\nExample: {}",
                self.example
            ))
            .args(self.all().filter(|setting| !setting.is_secret_list()).map(|setting| setting.clap()))
    }
}

impl Setting {
    /// Several keys with their secrets do not belong on a command line, where everybody sees them.
    fn is_secret_list(&self) -> bool {
        self.kind == Kind::Pairs(':')
    }

    fn clap(&self) -> Arg {
        let arg = Arg::new(self.name)
            .value_name(self.value)
            .help(self.help)
            .action(ArgAction::Append)
            .value_parser(NonEmptyStringValueParser::new());
        match self.kind {
            Kind::Word => arg,
            Kind::Flag => {
                arg.long(self.name).num_args(0..=1).require_equals(true).default_missing_value("true")
            }
            _ => arg.long(self.name),
        }
    }
}

fn context(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

/// The option that an error is about, without its value.
fn culprit(error: &clap::Error) -> Option<String> {
    let text =
        context(error, ContextKind::InvalidArg).or_else(|| context(error, ContextKind::InvalidSubcommand))?;
    text.split([' ', '=']).next().map(Into::into)
}

fn says(error: &clap::Error) -> String {
    let Some(culprit) = culprit(error) else { return error.to_string().trim().into() };
    let what = match error.kind() {
        ErrorKind::UnknownArgument if culprit.starts_with('-') => "no such option",
        ErrorKind::InvalidSubcommand => "no such command",
        ErrorKind::UnknownArgument => "unexpected",
        _ => "needs a value",
    };
    let suggested = context(error, ContextKind::SuggestedArg)
        .or_else(|| context(error, ContextKind::SuggestedSubcommand));
    let hint = suggested.map(|suggested| format!(" (did you mean {suggested}?)")).unwrap_or_default();
    format!("{culprit}: {what}{hint}")
}

/// Takes the culprit out of the arguments, and its value with it.
fn take_out(args: &mut Vec<String>, error: &clap::Error) -> bool {
    let is_culprit = |culprit: &str, arg: &str| arg.split('=').next() == Some(culprit);
    let Some(culprit) = culprit(error) else { return false };
    let Some(at) = args.iter().skip(1).position(|arg| is_culprit(&culprit, arg)).map(|at| at + 1) else {
        return false;
    };
    if error.kind() == ErrorKind::InvalidSubcommand {
        return false; // without the command no option means anything
    }
    let option = args.remove(at);
    let value_follows = args.get(at).is_some_and(|next| !next.starts_with('-'));
    if option.starts_with('-') && !option.contains('=') && value_follows {
        args.remove(at);
    }
    true
}
