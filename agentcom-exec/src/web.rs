//! This file makes HTTP clients, all with the same idea of certificates and of proxies.

use std::time::Duration;

use reqwest::{ClientBuilder, Url};

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The beginning of a client that speaks HTTP and, by the certificates that the machine trusts, HTTPS.
/// It heeds no proxy, follows redirects within the same server or to HTTPS on the same host only, and
/// gives up on a connection after 10 s.
pub fn client() -> ClientBuilder {
    // Whoever was first has chosen, and any choice will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(CONNECT_WITHIN)
        .redirect(reqwest::redirect::Policy::custom(|attempt| {
            let from = attempt.previous().last();
            let may = from.is_some_and(|from| may_follow(from, attempt.url()));
            if attempt.previous().len() < 5 && may { attempt.follow() } else { attempt.stop() }
        }))
        .user_agent(concat!("agentcom/", env!("CARGO_PKG_VERSION")))
}

/// Whether a redirect may be followed: to the same server, or from HTTP to HTTPS on the same host. On
/// another port somebody else may listen, and on the way back to HTTP anybody.
fn may_follow(from: &Url, to: &Url) -> bool {
    let is_same =
        from.scheme() == to.scheme() && from.port_or_known_default() == to.port_or_known_default();
    let is_safer = from.scheme() == "http" && to.scheme() == "https";
    from.host() == to.host() && (is_same || is_safer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_to_a_server_is_sent_to_no_other() {
        for (from, to, may) in [
            ("http://host/a", "http://host/b", true),
            ("http://host:80/a", "http://host/b", true),
            ("http://host:8080/a", "https://host/a", true),
            ("https://host/a", "http://host/a", false),
            ("https://host/a", "https://host:8443/a", false),
            ("http://127.0.0.1:1/a", "http://127.0.0.1:2/a", false),
            ("https://host/a", "https://host.example/a", false),
        ] {
            let url = |text: &str| text.parse::<Url>().unwrap();
            assert_eq!(may_follow(&url(from), &url(to)), may, "{from} {to}");
        }
    }
}
