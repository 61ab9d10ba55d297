//! This file reads what a program asks the broker for, and writes the answers.

use super::destination::{BadTarget, Target};

/// A request that can be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Where it is to go.
    pub(super) to: Target,
    /// What is to be said there first; nothing where the program says all of it.
    pub(super) head: Option<Vec<u8>>,
}

/// Why a request is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("it is no request of HTTP/1.1 to a proxy")]
    Malformed,
    #[error("its host cannot be read: {0}")]
    BadTarget(#[from] BadTarget),
    #[error("a proxy is asked by CONNECT, or for an http:// address")]
    Method,
    #[error("its head is too long")]
    TooLong,
    #[error("its head did not come in time")]
    Slow,
    #[error("it is not granted")]
    NotGranted,
    #[error("its name leads to {0}, which is not of the public Internet and not granted")]
    NotPublic(std::net::IpAddr),
    #[error("there is no such host: {0}")]
    NoHost(String),
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("it did not answer in time")]
    Late,
    #[error("there are too many connections")]
    Busy,
}

impl Refused {
    /// What the program is told.
    pub(super) fn answer(&self) -> String {
        let status = match self {
            Self::Malformed | Self::BadTarget(_) => "400 Bad Request",
            Self::Method => "405 Method Not Allowed",
            Self::TooLong => "431 Request Header Fields Too Large",
            Self::Slow => "408 Request Timeout",
            Self::NotGranted | Self::NotPublic(_) => "403 Forbidden",
            Self::NoHost(_) | Self::Unreachable(_) => "502 Bad Gateway",
            Self::Late => "504 Gateway Timeout",
            Self::Busy => "503 Service Unavailable",
        };
        let allow = if *self == Self::Method { "Allow: CONNECT\r\n" } else { "" };
        let text = format!("agentcom: {self}\n");
        format!(
            "HTTP/1.1 {status}\r\n{allow}Content-Type: text/plain\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{text}",
            text.len()
        )
    }
}

/// What a program is told that asked for a connection and has it.
pub(super) const CONNECTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// How long the head of a request is, the empty line at its end included.
pub(super) fn head_length(bytes: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    Some(bytes.windows(END.len()).position(|window| window == END)? + END.len())
}

/// Reads the head of a request.
pub(super) fn read(head: &[u8]) -> Result<Request, Refused> {
    let is_text = |&byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~');
    if !head.iter().all(is_text) {
        return Err(Refused::Malformed);
    }
    let text = std::str::from_utf8(head).map_err(|_| Refused::Malformed)?;
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let first = lines.next().unwrap_or_default();
    let lines = lines.collect::<Vec<_>>();
    // A line that ends otherwise can be taken for one line or for two.
    if [first].iter().chain(&lines).any(|line| line.contains(['\r', '\n'])) {
        return Err(Refused::Malformed);
    }
    let [method, target, "HTTP/1.1" | "HTTP/1.0"] = first.split(' ').collect::<Vec<_>>()[..] else {
        return Err(Refused::Malformed);
    };
    if method == "CONNECT" {
        return Ok(Request { to: Target::read(target, None)?, head: None });
    }
    let Some(rest) = target.strip_prefix("http://") else { return Err(Refused::Method) };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let to = Target::read(host, Some(80))?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut said =
        format!("{method} {slash}{path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n");
    for line in lines {
        let (name, _) = line.split_once(':').ok_or(Refused::Malformed)?;
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(Refused::Malformed);
        }
        let name = name.to_ascii_lowercase();
        if !matches!(&*name, "host" | "connection" | "keep-alive") && !name.starts_with("proxy-") {
            said += line;
            said += "\r\n";
        }
    }
    Ok(Request { to, head: Some((said + "\r\n").into_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Result<(String, Option<String>), Refused> {
        let request = read(text.as_bytes())?;
        let head = request.head.map(|head| String::from_utf8(head).unwrap());
        Ok((request.to.to_string(), head))
    }

    #[test]
    fn the_host_is_taken_from_the_request_line_and_from_nowhere_else() {
        let connect = "CONNECT a.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n";
        assert_eq!(asked(connect), Ok(("a.example:443".into(), None)));
        let get = "GET http://a.example/x?y HTTP/1.1\r\nHost: evil.example\r\nAccept: */*\r\n\
                   Proxy-Authorization: x\r\nConnection: keep-alive\r\n\r\n";
        let said =
            "GET /x?y HTTP/1.1\r\nHost: a.example:80\r\nConnection: close\r\nAccept: */*\r\n\r\n";
        assert_eq!(asked(get), Ok(("a.example:80".into(), Some(said.into()))));
        let bare = asked("POST http://127.0.0.1:11434?q HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(bare.0, "127.0.0.1:11434");
        assert!(bare.1.unwrap().starts_with("POST /?q HTTP/1.1\r\n"));
    }

    #[test]
    fn odd_requests_are_refused_with_a_status_of_their_own() {
        let name = || Refused::BadTarget(BadTarget::Name);
        for (text, refused) in [
            ("", Refused::Malformed),
            ("\r\n\r\n", Refused::Malformed),
            ("hello\r\n\r\n", Refused::Malformed),
            ("CONNECT a.example:443\r\n\r\n", Refused::Malformed),
            ("CONNECT  a.example:443 HTTP/1.1\r\n\r\n", Refused::Malformed),
            ("CONNECT a.example:443 b.example:443 HTTP/1.1\r\n\r\n", Refused::Malformed),
            ("CONNECT a.example:443 HTTP/2.0\r\n\r\n", Refused::Malformed),
            ("CONNECT a.example:443 HTTP/1.1\nX: y\r\n\r\n", Refused::Malformed),
            ("CONNECT a\0.example:443 HTTP/1.1\r\n\r\n", Refused::Malformed),
            ("CONNECT b\u{fc}cher.example:443 HTTP/1.1\r\n\r\n", Refused::Malformed),
            ("CONNECT u@a.example:443 HTTP/1.1\r\n\r\n", name()),
            ("CONNECT a.example.:443 HTTP/1.1\r\n\r\n", name()),
            ("CONNECT a.example HTTP/1.1\r\n\r\n", Refused::BadTarget(BadTarget::Port)),
            ("CONNECT 0x7f.1:443 HTTP/1.1\r\n\r\n", Refused::BadTarget(BadTarget::Address)),
            ("connect a.example:443 HTTP/1.1\r\n\r\n", Refused::Method),
            ("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", Refused::Method),
            ("GET https://a.example/ HTTP/1.1\r\n\r\n", Refused::Method),
            ("GET http://a@b.example/ HTTP/1.1\r\n\r\n", name()),
            ("GET http:/// HTTP/1.1\r\n\r\n", name()),
            ("GET http://a.example/ HTTP/1.1\r\nX : y\r\n\r\n", Refused::Malformed),
            ("GET http://a.example/ HTTP/1.1\r\n folded\r\n\r\n", Refused::Malformed),
            ("GET http://a.example/ HTTP/1.1\r\nX\r\n\r\n", Refused::Malformed),
        ] {
            assert_eq!(asked(text), Err(refused), "{text:?}");
        }
        let status = |refused: Refused| refused.answer()[9..12].to_owned();
        assert_eq!(status(Refused::Malformed) + &status(name()), "400400");
        assert_eq!(status(Refused::NotGranted), "403");
        assert!(Refused::Method.answer().contains("\r\nAllow: CONNECT\r\n"));
    }

    #[test]
    fn a_head_ends_at_its_first_empty_line() {
        assert_eq!(head_length(b"a\r\n\r\nb\r\n\r\n"), Some(5));
        assert_eq!(head_length(b"a\r\nb\n\n"), None);
    }
}
