//! This file says which endpoints are one server, whatever they are called.
//!
//! What bounds the work of a model is the machine that it runs on, or the account that pays for it, and
//! not how many names there are for it.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::net::IpAddr;

use super::{Api, Endpoint};
use crate::name::{AgentId, Credential, EndpointId};
use crate::route::Class;

/// A server. Endpoints with the same one share its slots and what it has loaded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// Host, port and path; nothing for programs.
    address: Box<str>,
    owner: Option<Owner>,
}

/// What tells servers of one address apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    /// It is on the machine of this agent: each machine has a loopback of its own.
    Agent(AgentId),
    /// Nobody knows whose machine it is on, or it is a program.
    Name(EndpointId),
    /// What is paid for is bounded for each account.
    Account(Credential),
}

impl Server {
    /// The server of the endpoint called `id`.
    #[must_use]
    pub fn of(id: &EndpointId, endpoint: &Endpoint) -> Self {
        if endpoint.api.program().is_some() {
            return Self { address: Box::default(), owner: Some(Owner::Name(id.clone())) };
        }
        let (address, is_loopback) = address(&endpoint.url);
        let owner = if is_loopback {
            let agent = endpoint.host.as_ref().or(endpoint.announced_by.first());
            Some(agent.cloned().map_or_else(|| Owner::Name(id.clone()), Owner::Agent))
        } else {
            let is_paid = endpoint.api == Api::Messages && endpoint.class == Class::Cloud;
            endpoint.credential.clone().filter(|_| is_paid).map(Owner::Account)
        };
        Self { address: address.into(), owner }
    }

    /// Whether agents are known to be on its machine: who is said to be, and all who announce it.
    pub(crate) const fn has_neighbours(&self) -> bool {
        match &self.owner {
            Some(Owner::Agent(_)) => true,
            Some(Owner::Name(_) | Owner::Account(_)) | None => false,
        }
    }
}

/// Whether the address of a server means whichever machine one is on.
#[must_use]
pub fn is_loopback(url: &str) -> bool {
    address(url).1
}

/// The host, the port and the path of an address in the one way in which all who mean them write them,
/// and whether that is whichever machine one is on.
fn address(url: &str) -> (String, bool) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let after_host = authority.find(']').map_or(0, |end| end + 1);
    let colon = authority[after_host..].find(':').map(|at| after_host + at);
    let (host, port) = authority.split_at(colon.unwrap_or(authority.len()));
    let usual = if scheme == "https" { "443" } else { "80" };
    let port = Some(port.trim_start_matches(':')).filter(|port| !port.is_empty()).unwrap_or(usual);
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    // Whoever writes an address that is none means a server of its own machine.
    let is_loopback = host == "localhost"
        || host.ends_with(".localhost")
        || ip.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
    let host = match ip {
        _ if is_loopback => "localhost".into(),
        Some(ip) => ip.to_string(),
        None => host,
    };
    (format!("{host}:{port}{}", path.trim_end_matches('/')), is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, url: &str, change: impl Fn(&mut Endpoint)) -> Server {
        let mut endpoint = Endpoint::new(Api::Ollama, url);
        change(&mut endpoint);
        Server::of(&EndpointId::new(name).unwrap(), &endpoint)
    }

    #[test]
    fn the_same_address_is_the_same_server_however_it_is_written() {
        let of = |url: &str| server("a", url, |_| {});
        for (one, other) in [
            ("http://gpu:11434", "http://GPU:11434/"),
            ("http://gpu", "http://gpu.:80"),
            ("https://gpu/", "https://gpu:443"),
            ("http://[2001:db8:0::1]:1", "http://[2001:db8::1]:1"),
        ] {
            assert_eq!(of(one), server("b", other, |_| {}), "{one} {other}");
        }
        for (one, other) in [
            ("http://gpu:11434", "http://gpu:11435"),
            ("http://gpu", "https://gpu"),
            ("http://gpu/one", "http://gpu/two"),
            ("http://[2001:db8::1]", "http://[2001:db8::2]"),
        ] {
            assert_ne!(of(one), of(other), "{one} {other}");
        }
    }

    #[test]
    fn each_machine_has_its_own_loopback() {
        let agent = |name: &str| AgentId::new(name).unwrap();
        let announced = |name, by: &str, url| {
            server(name, url, |endpoint| _ = endpoint.announced_by.insert(agent(by)))
        };
        for url in
            ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "http://0.0.0.0:1"]
        {
            assert_eq!(announced("x", "one", url), announced("y", "one", "http://127.0.0.2:1/"));
            assert_ne!(announced("x", "one", url), announced("x", "two", url));
            let hosted = server("z", url, |endpoint| endpoint.host = Some(agent("one")));
            assert_eq!(hosted, announced("x", "one", url), "an operator says whose it is");
            assert_ne!(server("x", url, |_| {}), server("y", url, |_| {}), "nobody says it");
        }
        assert_eq!(announced("x", "one", "http://gpu:1"), announced("y", "two", "http://gpu:1"));
    }

    #[test]
    fn what_is_paid_for_is_bounded_for_each_account_and_each_program_by_itself() {
        let of = |name, api, class, key: &str| {
            server(name, "https://api.example", |endpoint| {
                (endpoint.api, endpoint.class) = (api, class);
                endpoint.credential = Some(Credential::new(key).unwrap());
            })
        };
        let paid = |name, key| of(name, Api::Messages, Class::Cloud, key);
        assert_eq!(paid("a", "me"), paid("b", "me"));
        assert_ne!(paid("a", "me"), paid("a", "you"));
        let own = |api, key| of("a", api, Class::Local, key);
        assert_eq!(own(Api::Messages, "me"), own(Api::Ollama, "you"));
        let program = |name| of(name, Api::Acp, Class::Cloud, "me");
        assert_ne!(program("a"), program("b"));
    }
}
