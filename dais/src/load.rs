//! `dais load`: simulated listeners and speakers against a running system, and the report of it.

use std::io::{IsTerminal, Write};

use loadgen::report::{Build, Report};
use loadgen::{Options, table};
use service::config::Values;

use crate::failure::Failure;
use crate::options::{Access, Load, Missing};
use crate::say;

/// The probes' library warns of every mDNS answer, and of every address that does not answer.
const LOG: &str = "warn,rtc=error,rtc_ice=error,rtc_mdns=error";

/// Runs the load that the options describe. An error where a `--require` does not hold.
pub(crate) fn run(mut values: Values) -> Result<(), Failure> {
    let load = Load::read(&mut values);
    let access = Access::read(&mut values, Missing::Refuse("is needed to sign the tokens: the server's own"));
    values.check()?;
    let filter = LOG.parse().expect("a valid filter");
    service::log::start(&filter, service::log::Format::Text);
    crate::files::raise();
    let options = load.with(access);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(anyhow::Error::from)?;
    let report = runtime.block_on(measure(options.clone()))?;
    // Tasks of people who did not manage to leave in time end with the process.
    runtime.shutdown_background();
    tell(&options, &report)?;
    if report.holds() { Ok(()) } else { Err(anyhow::anyhow!("not everything held that was required").into()) }
}

async fn measure(options: Options) -> anyhow::Result<Report> {
    let mut line = Line { shown: std::io::stderr().is_terminal() };
    let figures =
        loadgen::run(options.clone(), &mut |progress| line.show(&table::progress(progress))).await?;
    line.end();
    let build = Build { version: env!("CARGO_PKG_VERSION"), commit: env!("BUILD_COMMIT") };
    Ok(Report::new(build, &options, &figures))
}

fn tell(options: &Options, report: &Report) -> anyhow::Result<()> {
    if let Some(directory) = &options.report {
        report.write(directory)?;
    }
    if options.json {
        say(report.json());
    } else {
        say(table::table(report));
    }
    Ok(())
}

/// The line of progress on a terminal; nothing elsewhere.
struct Line {
    shown: bool,
}

impl Line {
    fn show(&mut self, text: &str) {
        if self.shown {
            // A terminal that has gone away is no reason to stop measuring.
            let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
            let _ = std::io::stderr().flush();
        }
    }

    fn end(&mut self) {
        self.show("");
    }
}
