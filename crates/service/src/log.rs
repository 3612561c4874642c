//! Logs: lines on stderr, for people or for machines.
//!
//! Whoever logs must not write tokens, keys or addresses of people; the packet path counts instead.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;

/// Always said before what was asked for: rtc-dtls logs a line for every odd thing in a stranger's packet,
/// which we count instead, and async_nats one for every try to connect, which we say once.
/// `rtc_dtls=debug` brings it back.
const QUIET: &str = "rtc_dtls=off,async_nats=off";

/// The target of what concerns somebody's way in and out, on whatever node. Each line names their session, so
/// `info,join=debug` on all nodes shows one person's way.
pub const JOIN: &str = "join";

/// How a line is written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

impl FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json"),
        }
    }
}

/// What is logged, such as `info,origin=debug`; parsed, so that a mistake is found before the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(String);

impl FromStr for Filter {
    type Err = tracing_subscriber::filter::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        EnvFilter::builder().parse(text).map(|_| Self(text.into()))
    }
}

/// Starts logging for the process. A second call changes nothing.
pub fn start(filter: &Filter, format: Format) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{QUIET},{}", filter.0)))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let _already_started = match format {
        Format::Text => lines.try_init(),
        Format::Json => lines.json().flatten_event(true).try_init(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_found_before_the_start() {
        assert!("info,origin=debug".parse::<Filter>().is_ok());
        assert!("origin=loud".parse::<Filter>().is_err());
        assert!("xml".parse::<Format>().is_err());
    }
}
