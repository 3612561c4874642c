//! Which web origins may use us: CORS, the WebSocket's `Origin` and who may embed the page are one list.

use std::str::FromStr;

use axum::http::{HeaderMap, header};

/// `https://example.org` or with a port; as browsers write it in `Origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

/// The text is not a web origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an origin such as https://example.org, without a path")]
pub struct NotOrigin;

impl FromStr for Origin {
    type Err = NotOrigin;

    fn from_str(text: &str) -> Result<Self, NotOrigin> {
        let text = text.trim_end_matches('/').to_ascii_lowercase();
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(NotOrigin)?;
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
        if !host.is_empty() && host.bytes().all(is_host) { Ok(Self(text)) } else { Err(NotOrigin) }
    }
}

/// The list; empty lets everybody.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Origins(Vec<Origin>);

impl From<Vec<Origin>> for Origins {
    fn from(origins: Vec<Origin>) -> Self {
        Self(origins)
    }
}

impl Origins {
    /// Whether a request with these headers may be served. Without `Origin` it is no browser; with our
    /// own it is the stage page.
    pub(crate) fn allow(&self, headers: &HeaderMap) -> bool {
        match headers.get(header::ORIGIN) {
            None => true,
            Some(_) if self.0.is_empty() => true,
            Some(origin) => origin.to_str().is_ok_and(|origin| self.lists(origin) || is_own(origin, headers)),
        }
    }

    /// What `Access-Control-Allow-Origin` says to this request.
    pub(crate) fn cors(&self, headers: &HeaderMap) -> Option<String> {
        if self.0.is_empty() {
            return Some("*".into());
        }
        let origin = headers.get(header::ORIGIN)?.to_str().ok()?;
        self.lists(origin).then(|| origin.into())
    }

    /// What `frame-ancestors` of the content security policy says.
    pub(crate) fn frame_ancestors(&self) -> String {
        let listed = self.0.iter().map(|origin| origin.0.as_str());
        if self.0.is_empty() {
            "*".into()
        } else {
            ["'self'"].into_iter().chain(listed).collect::<Vec<_>>().join(" ")
        }
    }

    fn lists(&self, origin: &str) -> bool {
        self.0.iter().any(|listed| listed.0.eq_ignore_ascii_case(origin))
    }
}

fn is_own(origin: &str, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let of_origin = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == of_origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(origin: &str) -> HeaderMap {
        HeaderMap::from_iter([
            (header::ORIGIN, origin.parse().unwrap()),
            (header::HOST, "dais.example:7000".parse().unwrap()),
        ])
    }

    #[test]
    fn without_a_list_everybody_may() {
        let any = Origins::default();
        assert!(any.allow(&from("https://evil.example")));
        assert_eq!(any.cors(&from("https://evil.example")).as_deref(), Some("*"));
        assert_eq!(any.frame_ancestors(), "*");
    }

    #[test]
    fn a_list_narrows_all_three_together() {
        let list = Origins::from(vec!["https://example.org/".parse().unwrap()]);
        assert!(list.allow(&from("https://example.org")) && list.allow(&HeaderMap::new()));
        assert!(list.allow(&from("http://dais.example:7000")), "the stage page itself");
        assert!(!list.allow(&from("https://evil.example")) && !list.allow(&from("null")));
        assert_eq!(list.cors(&from("https://example.org")).as_deref(), Some("https://example.org"));
        assert_eq!(list.cors(&from("https://evil.example")), None);
        assert_eq!(list.frame_ancestors(), "'self' https://example.org");
    }

    #[test]
    fn what_could_break_a_header_is_no_origin() {
        for bad in ["example.org", "https://", "https://a b", "https://a;script-src", "https://a/b"] {
            assert_eq!(bad.parse::<Origin>(), Err(NotOrigin), "{bad}");
        }
    }
}
