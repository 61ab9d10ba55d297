//! This file decides from a request's `Host` and `Origin` whether it comes from a foreign page.
//!
//! A server on the loopback address is within reach of every page in the user's browser: a page
//! may open a WebSocket to it, or point a name of its own at it (DNS rebinding). Browsers cannot
//! lie in these two headers, so each request is held against an allow-list before anything else.
//! Programs that are not browsers send no `Origin`.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use core::net::Ipv6Addr;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Foreign {
    /// There is no `Host`, or it is empty.
    #[error("the request names no host")]
    HostMissing,
    /// The `Host` is not a host with an optional port.
    #[error("the request's host is not a host name with an optional port")]
    HostMalformed,
    /// The `Host` is not on the list.
    #[error("the request's host is not one that this hub answers to")]
    HostUnknown,
    /// The `Origin` is `null`: a sandboxed frame, a file, a redirect across origins.
    #[error("requests of pages without an origin are refused")]
    OriginNull,
    /// The `Origin` is not `scheme://host` with an optional port.
    #[error("the request's origin is not a scheme and a host")]
    OriginMalformed,
    /// The `Origin` is neither the hub's own nor on the list.
    #[error("the request comes from a page of another origin")]
    OriginUnknown,
}

/// Why a text cannot be put on the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be on the list: hosts are written without a port, origins as scheme://host")]
pub struct BadEntry(pub Box<str>);

/// The hosts that a server answers to, and the pages that may talk to it.
///
/// A page may if it was served by this very server (its origin has the host and port of the
/// request) or if its origin was put on the list. `http://localhost:3000` is another program's
/// origin to a server on port 4000, so being on this machine is not enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowList {
    hosts: BTreeSet<Host>,
    origins: BTreeSet<Origin>,
}

/// A host as hosts are compared: lower case, no trailing dot, one spelling per address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    /// A name or an IPv4 address.
    Name(Box<str>),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Origin {
    https: bool,
    host: Host,
    port: u16,
}

impl Default for AllowList {
    /// This machine by its usual names: `localhost`, `127.0.0.1` and `[::1]`, on any port.
    fn default() -> Self {
        let local = [
            Host::Name("localhost".into()),
            Host::Name("127.0.0.1".into()),
            Host::V6(Ipv6Addr::LOCALHOST),
        ];
        Self { hosts: BTreeSet::from(local), origins: BTreeSet::new() }
    }
}

impl AllowList {
    /// Answers to `host` as well, on any port.
    ///
    /// # Errors
    ///
    /// `host` is not a host name or an address, or it has a port.
    pub fn with_host(mut self, host: &str) -> Result<Self, BadEntry> {
        match authority(host) {
            Some((host, None)) => self.hosts.insert(host),
            Some((_, Some(_))) | None => return Err(BadEntry(host.into())),
        };
        Ok(self)
    }

    /// Lets pages of `origin` in, such as `https://dashboard.example.com`.
    ///
    /// # Errors
    ///
    /// `origin` is not what a browser sends.
    pub fn with_origin(mut self, origin: &str) -> Result<Self, BadEntry> {
        self.origins.insert(Origin::parse(origin).ok_or_else(|| BadEntry(origin.into()))?);
        Ok(self)
    }

    /// Whether a request with these headers may go on; `None` where a header is absent.
    ///
    /// A request with several `Host` or `Origin` headers has none that can be trusted: the caller
    /// refuses it, or passes `Some("")`.
    ///
    /// # Errors
    ///
    /// Why it may not.
    pub fn check(&self, host: Option<&str>, origin: Option<&str>) -> Result<(), Foreign> {
        let host = host.filter(|host| !host.is_empty()).ok_or(Foreign::HostMissing)?;
        let (host, port) = authority(host).ok_or(Foreign::HostMalformed)?;
        if !self.hosts.contains(&host) {
            return Err(Foreign::HostUnknown);
        }
        let Some(origin) = origin else { return Ok(()) };
        if origin == "null" {
            return Err(Foreign::OriginNull);
        }
        let origin = Origin::parse(origin).ok_or(Foreign::OriginMalformed)?;
        let own = origin.host == host && origin.port == port.unwrap_or(origin.default_port());
        if own || self.origins.contains(&origin) { Ok(()) } else { Err(Foreign::OriginUnknown) }
    }
}

impl Origin {
    /// Reads an origin as browsers write it (RFC 6454, 6.2): no path, no user, no query.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (host, port) = authority(rest)?;
        Some(Self { https, host, port: port.unwrap_or(default_port(https)) })
    }

    const fn default_port(&self) -> u16 {
        default_port(self.https)
    }
}

const fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// Reads `host` or `host:port`. Whatever else an authority may hold (user, zone, percent-encoding)
/// is refused rather than understood: what two programs read differently is how lists are passed.
fn authority(text: &str) -> Option<(Host, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let host = Host::V6(address.parse().ok()?);
        return match rest.strip_prefix(':') {
            Some(digits) => Some((host, Some(port(digits)?))),
            None if rest.is_empty() => Some((host, None)),
            None => None,
        };
    }
    match text.split_once(':') {
        Some((host, digits)) => Some((name(host)?, Some(port(digits)?))),
        None => Some((name(text)?, None)),
    }
}

fn name(text: &str) -> Option<Host> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let label = |label: &str| !label.is_empty() && label.chars().all(allowed);
    let fits = text.len() <= 253 && text.split('.').all(label);
    fits.then(|| Host::Name(text.to_ascii_lowercase().into()))
}

fn port(digits: &str) -> Option<u16> {
    // `u16::from_str` reads a sign as well, and a port has one spelling.
    let port: u16 = digits.parse().ok()?;
    (port.to_string() == digits).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> AllowList {
        let list = AllowList::default()
            .with_host("hub.example.com")
            .and_then(|list| list.with_host("[fd00::7]"));
        list.and_then(|list| list.with_origin("https://dash.example.com")).unwrap()
    }

    #[test]
    fn hosts_on_the_list_pass_on_any_port_and_in_any_spelling() {
        for host in [
            "localhost",
            "localhost:4000",
            "LocalHost:4000",
            "localhost.:4000",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:65535",
            "[0:0:0:0:0:0:0:1]:4000",
            "hub.example.com",
            "HUB.Example.COM.:443",
            "[FD00::7]",
        ] {
            assert_eq!(list().check(Some(host), None), Ok(()), "{host}");
        }
    }

    #[test]
    fn all_other_hosts_are_refused() {
        use Foreign::{HostMalformed, HostMissing, HostUnknown};
        for (host, why) in [
            ("", HostMissing),
            ("evil.example.com", HostUnknown),
            ("localhost.evil.com", HostUnknown),
            ("xlocalhost", HostUnknown),
            ("hub.example.com.evil.com", HostUnknown),
            ("127.0.0.2", HostUnknown),
            ("127.1", HostUnknown),
            ("0x7f000001", HostUnknown),
            ("2130706433", HostUnknown),
            ("0.0.0.0:4000", HostUnknown),
            ("[::]", HostUnknown),
            ("[::ffff:127.0.0.1]", HostUnknown),
            ("null", HostUnknown),
            ("localhost..", HostMalformed),
            (".localhost", HostMalformed),
            ("localhost:", HostMalformed),
            ("localhost:0x50", HostMalformed),
            ("localhost:+80", HostMalformed),
            ("localhost:080", HostMalformed),
            ("localhost:65536", HostMalformed),
            ("localhost:80:80", HostMalformed),
            ("localhost:80@evil.com", HostMalformed),
            ("evil.com@localhost", HostMalformed),
            ("localhost/evil", HostMalformed),
            ("localhost\\evil", HostMalformed),
            ("localhost#", HostMalformed),
            ("localhost?", HostMalformed),
            ("local%68ost", HostMalformed),
            ("localhost,evil.com", HostMalformed),
            (" localhost", HostMalformed),
            ("localhost ", HostMalformed),
            ("localhost\0", HostMalformed),
            ("loc\u{ff41}lhost", HostMalformed),
            ("::1", HostMalformed),
            ("[::1", HostMalformed),
            ("[::1]4000", HostMalformed),
            ("[::1%25lo]", HostMalformed),
            ("[localhost]", HostMalformed),
            ("http://localhost", HostMalformed),
        ] {
            assert_eq!(list().check(Some(host), None), Err(why), "{host}");
        }
        assert_eq!(list().check(None, None), Err(HostMissing));
        assert_eq!(list().check(None, Some("http://localhost")), Err(HostMissing));
    }

    #[test]
    fn pages_pass_that_the_server_served_itself_or_that_are_on_the_list() {
        for (host, origin) in [
            ("localhost:4000", "http://localhost:4000"),
            ("LOCALHOST.:4000", "http://localhost:4000"),
            ("[::1]:4000", "http://[::1]:4000"),
            ("127.0.0.1", "http://127.0.0.1"),
            ("127.0.0.1:80", "http://127.0.0.1"),
            ("hub.example.com", "https://hub.example.com"),
            ("hub.example.com:443", "https://hub.example.com"),
            ("localhost:4000", "https://dash.example.com"),
            ("localhost:4000", "https://dash.example.com:443"),
        ] {
            assert_eq!(list().check(Some(host), Some(origin)), Ok(()), "{origin} to {host}");
        }
    }

    #[test]
    fn all_other_pages_are_refused() {
        use Foreign::{OriginMalformed, OriginNull, OriginUnknown};
        for (origin, why) in [
            ("null", OriginNull),
            ("", OriginMalformed),
            ("NULL", OriginMalformed),
            ("localhost:4000", OriginMalformed),
            ("//localhost:4000", OriginMalformed),
            ("file://", OriginMalformed),
            ("chrome-extension://abcdefgh", OriginMalformed),
            ("http://localhost:4000/", OriginMalformed),
            ("http://user@localhost:4000", OriginMalformed),
            ("http://localhost:4000 http://evil.com", OriginMalformed),
            ("http://localhost:4000, http://evil.com", OriginMalformed),
            ("http://localhost:3000", OriginUnknown),
            ("http://localhost", OriginUnknown),
            ("http://127.0.0.1:4000", OriginUnknown),
            ("http://evil.com", OriginUnknown),
            ("http://localhost.evil.com:4000", OriginUnknown),
            ("http://dash.example.com", OriginUnknown),
            ("https://dash.example.com:8443", OriginUnknown),
            ("https://x.dash.example.com", OriginUnknown),
        ] {
            assert_eq!(list().check(Some("localhost:4000"), Some(origin)), Err(why), "{origin}");
        }
    }

    #[test]
    fn a_good_origin_does_not_excuse_a_foreign_host() {
        let rebound = list().check(Some("evil.com:4000"), Some("http://evil.com:4000"));
        assert_eq!(rebound, Err(Foreign::HostUnknown));
    }

    #[test]
    fn the_list_takes_only_what_can_be_compared() {
        for host in ["", "localhost:80", "http://localhost", "a b", "*", "*.example.com"] {
            assert_eq!(AllowList::default().with_host(host), Err(BadEntry(host.into())), "{host}");
        }
        for origin in [
            "",
            "null",
            "*",
            "dash.example.com",
            "ws://dash.example.com",
            "https://dash.example.com/",
        ] {
            assert_eq!(
                AllowList::default().with_origin(origin),
                Err(BadEntry(origin.into())),
                "{origin}"
            );
        }
    }
}
