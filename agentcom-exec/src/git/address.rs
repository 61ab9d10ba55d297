//! This file tells addresses of one repository from those of others.

/// Host and path of an address, which are the same for all addresses of a repository, however it is
/// reached and by whom: `host/owner/name` for `https://host/owner/name.git` and `git@host:owner/name`.
#[must_use]
pub fn place_of(address: &str) -> String {
    let address = address.trim().trim_end_matches('/');
    let address = address.strip_suffix(".git").unwrap_or(address);
    let (is_url, rest) = match address.split_once("://") {
        Some((_, rest)) => (true, rest),
        None => (false, address),
    };
    // Who reaches it, and with which secret, stands before the host.
    let end = rest.find('/').unwrap_or(rest.len());
    let rest = rest[..end].rfind('@').map_or(rest, |at| &rest[at + 1..]);
    let (host, path) = match rest.find(['/', ':']) {
        // A path on this machine.
        Some(0) | None => return rest.to_owned(),
        Some(end) => (&rest[..end], &rest[end + 1..]),
    };
    let port = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let path = match path.split_once('/') {
        Some((first, rest)) if is_url && port(first) => rest,
        _ => path,
    };
    format!("{}/{}", host.to_ascii_lowercase(), path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_many_addresses() {
        let known = "https://host.org/owner/name";
        for same in [
            "https://host.org/owner/name.git/",
            "http://Host.org:8080/owner/name",
            "git@host.org:owner/name.git",
            "ssh://git@host.org/owner/name",
            "ssh://git@host.org:22/owner/name.git",
            "https://who:secret@host.org/owner/name",
        ] {
            assert_eq!(place_of(same), place_of(known), "{same}");
        }
        for other in [
            "https://host.org/owner/names",
            "https://other.org/owner/name",
            "git@host.org:another/name",
            "/srv/host.org/owner/name",
            "name",
        ] {
            assert_ne!(place_of(other), place_of(known), "{other}");
        }
        assert_eq!(place_of("/srv/a.git"), "/srv/a");
    }
}
