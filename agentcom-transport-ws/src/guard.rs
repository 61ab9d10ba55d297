//! This file holds a request's headers against the allow-list of hosts and origins.

use agentcom_core::origin::{AllowList, Foreign};
use axum::http::header::{HOST, HeaderMap, HeaderName, ORIGIN};
use axum::http::request::Parts;

/// Whether the request may go on.
pub(crate) fn check(allowed: &AllowList, request: &Parts) -> Result<(), Foreign> {
    let origin = single(&request.headers, &ORIGIN);
    // RFC 9112, 3.2.2: the authority in the request line counts, if there is one; the `Host` is
    // checked all the same, as whatever stands in between may go by it.
    if let Some(authority) = request.uri.authority() {
        allowed.check(Some(authority.as_str()), origin)?;
    }
    allowed.check(single(&request.headers, &HOST), origin)
}

/// The only value of a header. Several, or one that is no text, read as an empty one, which no
/// list allows.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return Some("");
    }
    Some(first.to_str().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn check_request(uri: &str, headers: &[(&str, &str)]) -> Result<(), Foreign> {
        check(&AllowList::default(), &parts(uri, headers))
    }

    #[test]
    fn one_good_host_and_at_most_one_good_origin_pass() {
        assert_eq!(check_request("/ws", &[("host", "localhost:1")]), Ok(()));
        let own = [("host", "localhost:1"), ("origin", "http://localhost:1")];
        assert_eq!(check_request("/ws", &own), Ok(()));
    }

    #[test]
    fn two_hosts_or_two_origins_are_none() {
        let hosts = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(check_request("/ws", &hosts), Err(Foreign::HostMissing));
        let own = "http://localhost";
        let origins = [("host", "localhost"), ("origin", own), ("origin", own)];
        assert_eq!(check_request("/ws", &origins), Err(Foreign::OriginMalformed));
    }

    #[test]
    fn the_authority_in_the_request_line_counts_beside_the_host() {
        let host = [("host", "localhost")];
        assert_eq!(check_request("http://evil.com/ws", &host), Err(Foreign::HostUnknown));
        assert_eq!(check_request("http://localhost/ws", &host), Ok(()));
        let foreign = [("host", "evil.com")];
        assert_eq!(check_request("http://localhost/ws", &foreign), Err(Foreign::HostUnknown));
    }

    #[test]
    fn a_header_that_is_no_text_is_refused() {
        let request = Request::builder().uri("/ws").header("host", &b"localhost\xff"[..]);
        let parts = request.body(()).unwrap().into_parts().0;
        assert_eq!(check(&AllowList::default(), &parts), Err(Foreign::HostMissing));
    }
}
