//! This file says where a request comes from, also if proxies that are trusted hand it on.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

/// What each proxy appends the address to that it was asked from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The nearest address that is not one of a `trusted` proxy. What stands before it in the header anybody may have
/// written, and it is not read.
///
/// Proxies do not tell ports, so that of a client behind one is 0.
pub(super) fn address(peer: SocketAddr, headers: &HeaderMap, trusted: &[IpAddr]) -> SocketAddr {
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    let mut nearest = peer;
    while trusted.contains(&nearest.ip().to_canonical()) {
        let Some(before) = hops.next().and_then(|hop| read(hop.trim())) else { break };
        nearest = before;
    }
    nearest
}

fn read(hop: &str) -> Option<SocketAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let alone = bare.parse().map(|ip| SocketAddr::new(ip, 0));
    alone.or_else(|_| hop.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted = ["127.0.0.1", "10.0.0.1"].map(|ip| ip.parse().unwrap());
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        const STRANGER: &str = "192.0.2.1:4";
        const PROXY: &str = "127.0.0.1:5";
        assert_eq!(nearest(STRANGER, &["127.0.0.1"]), STRANGER);
        assert_eq!(nearest(PROXY, &[]), PROXY);
        assert_eq!(nearest(PROXY, &["192.0.2.2"]), "192.0.2.2:0");
        assert_eq!(nearest("[::ffff:127.0.0.1]:5", &["192.0.2.2"]), "192.0.2.2:0");
        // The client wrote the first of them itself.
        assert_eq!(nearest(PROXY, &["203.0.113.9, 192.0.2.2"]), "192.0.2.2:0");
        assert_eq!(nearest(PROXY, &["203.0.113.9", "192.0.2.2"]), "192.0.2.2:0");
        // Through two proxies.
        assert_eq!(nearest(PROXY, &["203.0.113.9, 192.0.2.2, 10.0.0.1"]), "192.0.2.2:0");
        assert_eq!(nearest(PROXY, &["192.0.2.2", "10.0.0.1"]), "192.0.2.2:0");
    }

    #[test]
    fn what_is_no_address_leads_no_further() {
        let forms = [
            ("2001:db8::1", "[2001:db8::1]:0"),
            ("[2001:db8::1]", "[2001:db8::1]:0"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
            ("192.0.2.2:7", "192.0.2.2:7"),
            ("unknown", "127.0.0.1:5"),
            ("", "127.0.0.1:5"),
            ("192.0.2.2, ", "127.0.0.1:5"),
            ("192.0.2.2, 10.0.0.1:7, ?", "127.0.0.1:5"),
        ];
        for (line, expected) in forms {
            assert_eq!(nearest("127.0.0.1:5", &[line]), expected, "{line}");
        }
    }
}
