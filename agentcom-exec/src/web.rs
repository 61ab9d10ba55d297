//! This file makes HTTP clients, all with the same idea of certificates and of proxies.

use std::time::Duration;

use reqwest::ClientBuilder;

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The beginning of a client that speaks HTTP and, by the certificates that the machine trusts, HTTPS.
/// It heeds no proxy, follows redirects within the same host only, and gives up on a connection after
/// 10 s.
pub fn client() -> ClientBuilder {
    // Whoever was first has chosen, and any choice will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(CONNECT_WITHIN)
        .redirect(reqwest::redirect::Policy::custom(|attempt| {
            let from = attempt.previous().last().and_then(|url| url.host_str());
            if attempt.previous().len() < 5 && from == attempt.url().host_str() {
                attempt.follow()
            } else {
                attempt.stop()
            }
        }))
        .user_agent(concat!("agentcom/", env!("CARGO_PKG_VERSION")))
}
