//! The program: one binary, thin. It reads the options, composes the parts, and says how it ended.

mod addresses;
mod alone;
mod certificates;
mod certs;
mod doctor;
mod failure;
mod files;
mod followed;
mod health;
mod layout;
mod load;
mod media;
mod nodes;
mod options;
mod process;
mod shared;
mod token;
mod up;
mod welcome;

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use service::config::{Start, Values};

use crate::failure::Failure;
use crate::options::PROGRAM;

/// While people come and go, the C library's allocator keeps more and more, and when all have left it
/// gives nothing back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into()).collect();
    let environment: Vec<_> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    match PROGRAM.read(&args, &environment) {
        Ok(Start::Run(command, values)) => run(command, values),
        Ok(Start::Print(text)) => {
            say(text.trim_end());
            ExitCode::SUCCESS
        }
        Err(mistakes) => Failure::from(mistakes).report(""),
    }
}

/// Prints a line for whoever reads it. That nobody does any more, as after `| head`, is no error.
fn say(text: impl Display) {
    let _unread = writeln!(std::io::stdout(), "{text}");
}

fn run(command: &str, values: Values) -> ExitCode {
    let result = match command {
        "up" => up::run(values),
        "origin" => alone::origin(values),
        "edge" => alone::edge(values),
        "signaling" => alone::signaling(values),
        "nodes" => nodes::run(values),
        "drain" => nodes::drain(values),
        "certs" => certs::run(values),
        "token" => token::run(values),
        "load" => load::run(values),
        "doctor" => doctor::run(values),
        "health" => health::run(values),
        other => unreachable!("{other} is in the table of commands and not here"),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(&format!("{command} ")),
    }
}
