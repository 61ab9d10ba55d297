//! This file says which hosts can be granted, and reads the names of hosts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What is granted: a host, or all hosts below a name, at one port. `api.example.org`,
/// `api.example.org:8443`, `*.example.org`, `10.0.0.7:11434`, `[::1]:8080`; the port is 443 unless
/// said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Destination {
    which: Which,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    This(Host),
    Below(Name),
}

/// A host that a program wants to reach, at a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) host: Host,
    pub(super) port: u16,
}

/// A host, by its name or its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Name(Name),
    Address(IpAddr),
}

/// A name of a host: labels of letters, digits and hyphens, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

/// What does not name a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no host that can be granted: {why}")]
pub struct BadDestination {
    text: String,
    why: BadTarget,
}

/// Why a text does not name a host and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadTarget {
    #[error("a name is made of labels of ASCII letters, digits and hyphens")]
    Name,
    #[error("an address is written as four decimal numbers, or within brackets")]
    Address,
    #[error("there is no port, from 1 to 65535")]
    Port,
    #[error("it is no address of a web server")]
    Url,
    #[error("a host is named without `https://` before it and without a path behind it")]
    Scheme,
}

impl Destination {
    /// The port of HTTPS.
    const PORT: u16 = 443;

    /// The host of an address of a web server, `https://…` or `http://…`.
    ///
    /// # Errors
    ///
    /// If it names no host.
    pub fn of_url(url: &str) -> Result<Self, BadDestination> {
        let bad = |why| BadDestination { text: url.to_owned(), why };
        let read = reqwest::Url::parse(url.trim()).map_err(|_| bad(BadTarget::Url))?;
        let host = read.host_str().ok_or(bad(BadTarget::Url))?;
        let port = read.port_or_known_default().ok_or(bad(BadTarget::Port))?;
        let host = Host::read(host).map_err(bad)?;
        Ok(Self { which: Which::This(host), port })
    }

    /// Whether that is what is granted.
    pub(super) fn is(&self, target: &Target) -> bool {
        let is_named = match (&self.which, &target.host) {
            (Which::This(host), asked) => host == asked,
            (Which::Below(name), Host::Name(asked)) => asked.is_below(name),
            (Which::Below(_), Host::Address(_)) => false,
        };
        is_named && self.port == target.port
    }

    /// Whether that very address is granted.
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        self.address() == Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    fn address(&self) -> Option<SocketAddr> {
        match self.which {
            Which::This(Host::Address(address)) => Some(SocketAddr::new(address, self.port)),
            Which::This(Host::Name(_)) | Which::Below(_) => None,
        }
    }

    /// The address that is granted, if it is one of this machine alone.
    pub(crate) fn loopback(&self) -> Option<SocketAddr> {
        self.address().filter(|address| address.ip().is_loopback())
    }
}

impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        let host = Host::Address(address.ip().to_canonical());
        Self { which: Which::This(host), port: address.port() }
    }
}

impl FromStr for Destination {
    type Err = BadDestination;

    fn from_str(text: &str) -> Result<Self, BadDestination> {
        let read = || {
            if text.contains("//") {
                return Err(BadTarget::Scheme);
            }
            if let Some(rest) = text.strip_prefix("*.") {
                let (name, port) = split(rest);
                let port = port.map_or(Ok(Self::PORT), read_port)?;
                return match Host::read(name)? {
                    Host::Name(name) => Ok(Self { which: Which::Below(name), port }),
                    Host::Address(_) => Err(BadTarget::Name),
                };
            }
            let (host, port) = split(text);
            let port = port.map_or(Ok(Self::PORT), read_port)?;
            Ok(Self { which: Which::This(Host::read(host)?), port })
        };
        read().map_err(|why| BadDestination { text: text.to_owned(), why })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::This(host) => write!(f, "{host}:{}", self.port),
            Which::Below(name) => write!(f, "*.{}:{}", name.0, self.port),
        }
    }
}

impl TryFrom<String> for Destination {
    type Error = BadDestination;

    fn try_from(text: String) -> Result<Self, BadDestination> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> Self {
        destination.to_string()
    }
}

impl Target {
    /// Reads a host and a port, which has to be there unless there is one that is `usual`.
    pub(super) fn read(text: &str, usual: Option<u16>) -> Result<Self, BadTarget> {
        let (host, port) = split(text);
        let port = port.map(read_port).transpose()?.or(usual).ok_or(BadTarget::Port)?;
        Ok(Self { host: Host::read(host)?, port })
    }
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { host: Host::Address(address.ip()), port: address.port() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Host {
    fn read(text: &str) -> Result<Self, BadTarget> {
        if let Some(rest) = text.strip_prefix('[') {
            let address = rest.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
            let address = address.ok_or(BadTarget::Address)?;
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        // What ends in a number some resolvers take for an address: 2130706433, 0x7f.1, 0177.0.0.1.
        let digits = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")).unwrap_or(last);
        let is_hex = digits.len() < last.len();
        let is_number = |c: char| if is_hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        if !last.is_empty() && digits.chars().all(is_number) {
            let address = text.parse::<Ipv4Addr>().map_err(|_| BadTarget::Address)?;
            return Ok(Self::Address(address.into()));
        }
        Name::read(text).map(Self::Name)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&name.0),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl Name {
    const CHARS_MAX: usize = 253;
    const LABEL_CHARS_MAX: usize = 63;

    fn read(text: &str) -> Result<Self, BadTarget> {
        let is_label = |label: &str| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
            !label.is_empty()
                && label.len() <= Self::LABEL_CHARS_MAX
                && label.chars().all(is_part)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() > Self::CHARS_MAX || !text.split('.').all(is_label) {
            return Err(BadTarget::Name);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has more labels before all of those of `name`.
    fn is_below(&self, name: &Self) -> bool {
        self.0.strip_suffix(&name.0).is_some_and(|before| before.ends_with('.'))
    }
}

/// The host and the port, where the last colon is not one within brackets.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

fn read_port(text: &str) -> Result<u16, BadTarget> {
    // The number type would take a sign as well.
    let is_number = text.chars().all(|c| c.is_ascii_digit());
    let port = text.parse().ok().filter(|&port| is_number && port > 0);
    port.ok_or(BadTarget::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(grant: &str, asked: &str) -> bool {
        let grant: Destination = grant.parse().unwrap();
        grant.is(&Target::read(asked, None).unwrap())
    }

    #[test]
    fn a_host_is_granted_by_its_whole_name_and_its_port() {
        assert!(granted("api.example.org", "api.example.org:443"));
        assert!(granted("API.example.org:8443", "api.EXAMPLE.org:8443"));
        for other in ["api.example.org:80", "xapi.example.org:443", "api.example.org.evil:443"] {
            assert!(!granted("api.example.org", other), "{other}");
        }
        assert!(granted("*.example.org", "a.b.example.org:443"));
        for other in ["example.org:443", "evil-example.org:443", "a.example.org:80", "1.2.3.4:443"]
        {
            assert!(!granted("*.example.org", other), "{other}");
        }
        assert!(granted("127.0.0.1:80", "127.0.0.1:80") && granted("[::1]:80", "[0::1]:80"));
        // The same address, in the dress of the other version.
        assert!(granted("127.0.0.1:80", "[::ffff:127.0.0.1]:80"));
        assert!(!granted("127.0.0.1:80", "127.0.0.2:80"));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        use BadTarget::{Address, Name, Port};
        for (text, why) in [
            ("0x7f.1:443", Address),
            ("0x7f000001:443", Address),
            ("127.0.0.0X1:443", Address),
            ("2130706433:443", Address),
            ("0177.0.0.1:443", Address),
            ("127.1:443", Address),
            ("127.0.0.1.:443", Name),
            ("[::1:443", Address),
            ("[fe80::1%eth0]:443", Address),
            ("::1:443", Name),
            ("example.org.:443", Name),
            (".example.org:443", Name),
            ("a..b:443", Name),
            ("-a.org:443", Name),
            ("*.example.org:443", Name),
            ("user@example.org:443", Name),
            ("user:pass@example.org:443", Name),
            ("b\u{fc}cher.example:443", Name),
            ("ex\u{430}mple.org:443", Name),
            ("example.org\0.evil.org:443", Name),
            ("a_b.org:443", Name),
            (":443", Name),
            ("", Port),
            ("example.org", Port),
            ("example.org:", Port),
            ("example.org:0", Port),
            ("example.org:+443", Port),
            ("example.org:65536", Port),
            ("example.org:443 ", Port),
        ] {
            assert_eq!(Target::read(text, None), Err(why), "{text:?}");
        }
        let long = format!("{}:443", ["a"; 128].join("."));
        assert_eq!(Target::read(&long, None), Err(Name));
        assert_eq!(Target::read(&format!("{}:443", "a".repeat(64)), None), Err(Name));
        assert!(Target::read("xn--bcher-kva.example:443", None).is_ok());
    }

    #[test]
    fn a_grant_is_written_as_it_is_read_and_a_bad_one_says_why() {
        for (text, written) in [
            ("api.example.org", "api.example.org:443"),
            ("*.Example.org:80", "*.example.org:80"),
            ("10.0.0.7:11434", "10.0.0.7:11434"),
            ("[::1]", "[::1]:443"),
        ] {
            let read: Destination = text.parse().unwrap();
            assert_eq!(read.to_string(), written);
            assert_eq!(written.parse(), Ok(read.clone()));
            let json = serde_json::to_string(&read).unwrap();
            assert_eq!(serde_json::from_str::<Destination>(&json).unwrap(), read);
        }
        for bad in ["*", "*.", "*.1.2.3.4", "https://example.org", "a b", "*.*.org"] {
            let error = bad.parse::<Destination>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{bad}` is no host")), "{error}");
        }
    }

    #[test]
    fn the_host_of_a_web_server_is_granted_at_its_port() {
        let of = |url: &str| Destination::of_url(url).map(|read| read.to_string());
        assert_eq!(of("https://gate.example.org/v1").unwrap(), "gate.example.org:443");
        assert_eq!(of(" http://127.0.0.1:4000 ").unwrap(), "127.0.0.1:4000");
        assert_eq!(of("http://[::1]/").unwrap(), "[::1]:80");
        assert!(of("gate.example.org").unwrap_err().to_string().contains("web server"));
        assert!(of("data:,x").is_err());
    }
}
