//! This file counts connections and refusals, in all and per address, and says when it is enough.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::limits::ServerLimits;

/// Addresses without connections that are remembered for their refusals.
const STRANGERS_MAX: usize = 4096;

/// A refusal costs this much of an address's allowance; a second brings as much per refusal.
const COST: u64 = 1000;

#[derive(Debug)]
pub(crate) struct Gate {
    connections_max: u32,
    per_address_max: u32,
    refusals_per_second: u64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    open: u32,
    /// Addresses in `by_address` without a connection.
    strangers: usize,
    by_address: BTreeMap<IpAddr, Address>,
}

#[derive(Debug)]
struct Address {
    open: u32,
    allowance: u64,
    at: Instant,
}

/// Room for one connection; dropping it gives the room back.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Gate {
    pub(crate) fn new(limits: &ServerLimits) -> Self {
        Self {
            connections_max: limits.connections_max,
            per_address_max: limits.per_address_max,
            refusals_per_second: u64::from(limits.refusals_per_second),
            counts: Mutex::default(),
        }
    }

    /// Room for a connection from `address`, if there is any.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let address = network(address);
        let mut counts = self.counts();
        let open = counts.by_address.get(&address).map_or(0, |entry| entry.open);
        if counts.open >= self.connections_max || open >= self.per_address_max {
            return None;
        }
        counts.open += 1;
        self.entry(&mut counts, address).open += 1;
        if open == 0 {
            counts.strangers -= 1;
        }
        Some(Permit { gate: Arc::clone(self), address })
    }

    /// Counts a refusal; `false` if the address has used up its answers.
    pub(crate) fn refuse(&self, address: IpAddr) -> bool {
        let mut counts = self.counts();
        if counts.strangers >= STRANGERS_MAX {
            self.forget(&mut counts);
        }
        let entry = self.entry(&mut counts, network(address));
        let Some(left) = entry.allowance.checked_sub(COST) else { return false };
        entry.allowance = left;
        true
    }

    /// What is known about an address, with its allowance as it is at this moment.
    fn entry<'a>(&self, counts: &'a mut Counts, address: IpAddr) -> &'a mut Address {
        let now = Instant::now();
        let strangers = &mut counts.strangers;
        let entry = counts.by_address.entry(address).or_insert_with(|| {
            *strangers += 1;
            Address { open: 0, allowance: self.allowance_max(), at: now }
        });
        entry.allowance = self.refilled(entry, now);
        entry.at = now;
        entry
    }

    fn refilled(&self, entry: &Address, now: Instant) -> u64 {
        let passed = u64::try_from((now - entry.at).as_millis()).unwrap_or(u64::MAX);
        let gained = passed.saturating_mul(self.refusals_per_second);
        entry.allowance.saturating_add(gained).min(self.allowance_max())
    }

    const fn allowance_max(&self) -> u64 {
        self.refusals_per_second * COST
    }

    /// Forgets the addresses that nothing is held against, or all without a connection if that is
    /// not enough: who can use so many addresses is not stopped by counting them.
    fn forget(&self, counts: &mut Counts) {
        let now = Instant::now();
        let full = self.allowance_max();
        counts.by_address.retain(|_, entry| entry.open > 0 || self.refilled(entry, now) < full);
        counts.strangers = counts.by_address.values().filter(|entry| entry.open == 0).count();
        if counts.strangers >= STRANGERS_MAX {
            counts.by_address.retain(|_, entry| entry.open > 0);
            counts.strangers = 0;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        counts.open -= 1;
        let Some(entry) = counts.by_address.get_mut(&self.address) else { return };
        entry.open -= 1;
        if entry.open > 0 {
            return;
        }
        if entry.allowance == self.gate.allowance_max() {
            counts.by_address.remove(&self.address);
        } else {
            counts.strangers += 1;
        }
    }
}

/// What counts as one address: an IPv6 host has a whole /64 to choose from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) if address.is_loopback() => IpAddr::V6(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use std::net::Ipv4Addr;

    fn gate(connections_max: u32, per_address_max: u32) -> Arc<Gate> {
        let limits = ServerLimits { connections_max, per_address_max, ..ServerLimits::default() };
        Arc::new(Gate::new(&limits))
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
    }

    #[test]
    fn room_is_bounded_in_all_and_per_address_and_comes_back() {
        let gate = gate(3, 2);
        let first = gate.admit(address(1)).unwrap();
        let _second = gate.admit(address(1)).unwrap();
        assert!(gate.admit(address(1)).is_none(), "two per address");
        let _third = gate.admit(address(2)).unwrap();
        assert!(gate.admit(address(3)).is_none(), "three in all");
        drop(first);
        assert!(gate.admit(address(1)).is_some());
        assert!(gate.admit(address(3)).is_some(), "the last permit was dropped");
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_are_answered_at_a_rate_per_address() {
        let gate = gate(1, 1);
        let answered = |last| (0..100).filter(|_| gate.refuse(address(last))).count();
        assert_eq!((answered(1), answered(1), answered(2)), (20, 0, 20));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(answered(1), 10);
        assert!(gate.admit(address(1)).is_some(), "refusals never count against a good handshake");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let gate = gate(1, 1);
        let _held = gate.admit(address(9)).unwrap();
        for number in 0..50_000_u32 {
            gate.refuse(IpAddr::V4(Ipv4Addr::from_bits(number)));
            assert!(gate.counts().by_address.len() <= STRANGERS_MAX + 1);
        }
        assert!(gate.admit(address(9)).is_none(), "connections are never forgotten");
    }

    #[test]
    fn an_address_without_connections_and_refusals_is_forgotten() {
        let gate = gate(1, 1);
        drop(gate.admit(address(1)));
        assert!(gate.counts().by_address.is_empty());
        assert_eq!(gate.counts().strangers, 0);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
