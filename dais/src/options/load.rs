//! What `dais load` is asked for.

use std::str::FromStr;
use std::time::Duration;

use loadgen::Options;
use loadgen::options::{MAX_URLS, Url};
use protocol::token::Keys;
use service::config::Values;

use super::keys::Access;
use super::token::Ttl;

/// What is asked for, but for the keys.
#[derive(Debug)]
pub(crate) struct Load(Options);

impl Load {
    pub(crate) fn read(values: &mut Values) -> Self {
        let seconds = |Ttl(seconds): Ttl| Duration::from_secs(seconds);
        let listeners = values.or("listeners", 100);
        let rooms = values.or("rooms", 1);
        // Few listeners may be fewer than the probes that nobody asked for.
        let probes = values.or("probes", 2u32.min(listeners));
        Self(Options {
            urls: urls(values),
            home: values.one("from"),
            signer: String::new(),
            keys: Keys::default(),
            rooms,
            listeners,
            speakers: values.or("speakers", 2),
            talk: values.or("talk", loadgen::talk::Pattern::Conversation),
            ramp: values.or("ramp", Rate(500.0)).0,
            duration: seconds(values.or("duration", Ttl(60))),
            churn: values.or("churn", Rate(0.0)).0,
            promote: values.or("promote", Rate(0.0)).0,
            hands: values.or("hands", 0),
            reconnect_at: values.one("reconnect-at").map(seconds),
            garbage: values.or("garbage", 0),
            probes,
            framing: values.or("framing", Framing(None)).0,
            metrics: values.many("metrics"),
            threads: values.or("threads", 0),
            require: values.many("require"),
            report: values.one("report"),
            json: values.or("json", false),
        })
    }

    /// With the keys that sign.
    pub(crate) fn with(self, access: Access) -> Options {
        Options { signer: access.signer, keys: access.keys, ..self.0 }
    }
}

/// Each once.
fn urls(values: &mut Values) -> Vec<Url> {
    if !values.has("url") {
        return vec!["http://127.0.0.1:7000".parse().expect("an address")];
    }
    let urls: Vec<Url> = values.many("url");
    let twice = urls.iter().enumerate().filter(|(index, url)| urls[..*index].contains(url));
    for (_, url) in twice {
        values.wrong("url", format_args!("{url} is given twice"));
    }
    if urls.len() > MAX_URLS {
        values.wrong("url", format_args!("given {} times, {MAX_URLS} are the most", urls.len()));
    }
    urls
}

struct Rate(f64);

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= 0.0);
        rate.map(Self).ok_or("must be a number, 0 or more")
    }
}

/// What listeners ask for.
struct Framing(Option<u8>);

impl FromStr for Framing {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "any" => Ok(Self(None)),
            "20" => Ok(Self(Some(20))),
            "60" => Ok(Self(Some(60))),
            _ => Err("must be 20, 60 or any"),
        }
    }
}
