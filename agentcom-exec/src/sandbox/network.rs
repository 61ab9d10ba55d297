//! This file says what of the network a command reaches.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::Level;
use crate::egress::Destination;

/// What of the network a command reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Nothing.
    #[default]
    None,
    /// Hosts that are named, through a [broker](crate::egress), and nothing else. It takes
    /// [`Level::L3`]: at L2 there is no way to keep a command from what else the machine reaches.
    Hosts(Vec<Destination>),
    /// All that the machine reaches, loopback included: there is no telling where what it has read
    /// goes. Whoever grants this to a program that has a secret accepts to lose it.
    Open,
}

impl Network {
    /// The port of loopback at which a command finds the broker, in a network of its own.
    pub(super) const BROKER_PORT: u16 = 3128;

    /// These hosts, or nothing where there are none.
    #[must_use]
    pub fn of(hosts: Vec<Destination>) -> Self {
        if hosts.is_empty() { Self::None } else { Self::Hosts(hosts) }
    }

    /// Whether all of it is reached.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::Open
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// The lowest level of a sandbox that can hold it to that.
    #[must_use]
    pub fn level_least(&self) -> Level {
        match self {
            Self::None | Self::Open => Level::L2,
            Self::Hosts(_) => Level::L3,
        }
    }

    /// The level of a sandbox that holds a command to that which would otherwise be run at `level`.
    /// Where nothing is confined, or nothing is run, that stays so.
    #[must_use]
    pub fn level_from(&self, level: Level) -> Level {
        match level {
            Level::L0 | Level::L1 => level,
            Level::L2 | Level::L3 => level.max(self.level_least()),
        }
    }

    /// What a command may reach at `level`: named hosts only where that can be held.
    pub(super) fn at(&self, level: Level) -> Self {
        if level < self.level_least() { Self::None } else { self.clone() }
    }

    /// The hosts that are named.
    pub(crate) fn hosts(&self) -> &[Destination] {
        match self {
            Self::Hosts(hosts) => hosts,
            Self::None | Self::Open => &[],
        }
    }

    /// Where the broker is found in the network of a command, and where each door leads: the first
    /// to wherever the command says, and the others to services of this machine, which are at their
    /// own addresses, so that clients need not know of proxies.
    pub(crate) fn doors(&self) -> Vec<(SocketAddr, Option<SocketAddr>)> {
        let Self::Hosts(hosts) = self else { return Vec::new() };
        let broker = SocketAddr::from((Ipv4Addr::LOCALHOST, Self::BROKER_PORT));
        let services = hosts.iter().filter_map(Destination::loopback);
        let mut services = services.map(|address| (address, Some(address))).collect::<Vec<_>>();
        services.sort_unstable();
        services.dedup();
        [(broker, None)].into_iter().chain(services).collect()
    }

    /// The variables that tell programs of the broker.
    pub(super) fn environment(&self) -> BTreeMap<String, String> {
        const PROXIES: [&str; 4] = ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"];
        const EXCEPT: [&str; 2] = ["NO_PROXY", "no_proxy"];
        if !matches!(self, Self::Hosts(_)) {
            return BTreeMap::new();
        }
        let broker = format!("http://127.0.0.1:{}", Self::BROKER_PORT);
        let proxies = PROXIES.map(|name| (name, &*broker));
        let except = EXCEPT.map(|name| (name, "localhost,127.0.0.1,::1"));
        // Node heeds the others only if it is told so.
        let all = proxies.into_iter().chain(except).chain([("NODE_USE_ENV_PROXY", "1")]);
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_of_the_broker_and_finds_services_of_this_machine_where_they_are() {
        let hosts = ["api.example.org", "127.0.0.1:11434", "127.0.0.1:11434", "10.0.0.7:80"];
        let network = Network::of(hosts.map(|host| host.parse().unwrap()).into());
        let doors = network.doors().into_iter().map(|(at, to)| (at.to_string(), to));
        let service = "127.0.0.1:11434".parse().unwrap();
        assert_eq!(
            doors.collect::<Vec<_>>(),
            [("127.0.0.1:3128".into(), None), ("127.0.0.1:11434".into(), Some(service))]
        );
        assert_eq!(network.environment()["HTTPS_PROXY"], "http://127.0.0.1:3128");
        assert_eq!(network.level_least(), Level::L3);
        let from = Level::ALL.map(|level| network.level_from(level));
        assert_eq!(from, [Level::L0, Level::L1, Level::L3, Level::L3]);
        assert!(network.at(Level::L2).is_none() && !network.at(Level::L3).is_none());
        for other in [Network::of(Vec::new()), Network::Open] {
            assert!(other.doors().is_empty() && other.environment().is_empty());
            assert_eq!((other.level_least(), other.at(Level::L2)), (Level::L2, other.clone()));
        }
    }
}
