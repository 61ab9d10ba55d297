//! This file counts what models cost: money in millionths of a dollar, and tokens.

use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign};
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// An amount of money in millionths of a US dollar. Sums end at the largest amount there is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Micros(pub u64);

impl Micros {
    /// One dollar.
    pub const DOLLAR: Self = Self(1_000_000);

    /// What is left of it after `less`; nothing if that is more.
    #[must_use]
    pub const fn less(self, less: Self) -> Self {
        Self(self.0.saturating_sub(less.0))
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}

impl Sum for Micros {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self(0), Add::add)
    }
}

impl fmt::Display for Micros {
    /// Dollars, with two decimals or as many as it takes: `$1.50`, `$0.000012`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dollars, mut rest, mut digits) = (self.0 / 1_000_000, self.0 % 1_000_000, 6);
        while digits > 2 && rest % 10 == 0 {
            (rest, digits) = (rest / 10, digits - 1);
        }
        write!(f, "${dollars}.{rest:0digits$}")
    }
}

/// Not an amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an amount of money is dollars with at most six decimals, such as 1.50")]
pub struct BadMoney;

impl FromStr for Micros {
    type Err = BadMoney;

    fn from_str(text: &str) -> Result<Self, BadMoney> {
        let text = text.strip_prefix('$').unwrap_or(text);
        let (dollars, rest) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_number(dollars) || !is_number(rest) || rest.len() > 6 {
            return Err(BadMoney);
        }
        let dollars: u64 = dollars.parse().map_err(|_| BadMoney)?;
        let rest = rest.parse::<u64>().map_err(|_| BadMoney)? * 10_u64.pow(6 - rest.len() as u32);
        let whole = dollars.checked_mul(1_000_000).and_then(|whole| whole.checked_add(rest));
        whole.map(Self).ok_or(BadMoney)
    }
}

/// How many tokens models read and wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Those that were read, but for those of the cache.
    #[serde(default, deserialize_with = "or_none")]
    pub input_tokens: u64,
    /// Those that were written.
    #[serde(default, deserialize_with = "or_none")]
    pub output_tokens: u64,
    /// Those that were read from a cache of what was read before.
    #[serde(default, deserialize_with = "or_none", skip_serializing_if = "is_zero")]
    pub cache_read_tokens: u64,
    /// Those that were read, and written to that cache.
    #[serde(default, deserialize_with = "or_none", skip_serializing_if = "is_zero")]
    pub cache_write_tokens: u64,
}

impl Usage {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.read().saturating_add(self.output_tokens)
    }

    /// All that were read, from a cache or not.
    #[must_use]
    pub const fn read(self) -> u64 {
        let cached = self.cache_read_tokens.saturating_add(self.cache_write_tokens);
        self.input_tokens.saturating_add(cached)
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        self.input_tokens = self.input_tokens.saturating_add(more.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(more.output_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(more.cache_read_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(more.cache_write_tokens);
    }
}

/// Some clients say `null` for nothing.
fn or_none<'de, D: Deserializer<'de>>(tokens: D) -> Result<u64, D::Error> {
    Ok(Option::deserialize(tokens)?.unwrap_or(0))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
const fn is_zero(tokens: &u64) -> bool {
    *tokens == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn amounts_read_like_dollars() {
        let text = |micros| Micros(micros).to_string();
        assert_eq!(
            [text(0), text(1_500_000), text(12), text(2_345_600)],
            ["$0.00", "$1.50", "$0.000012", "$2.3456"]
        );
        for bad in ["", "$", "-1", "1.", ".5", "1.0000001", "1e3", "18446744073709.6"] {
            assert_eq!(bad.parse::<Micros>(), Err(BadMoney), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(micros: u64) {
            prop_assert_eq!(Micros(micros).to_string().parse(), Ok(Micros(micros)));
        }
    }
}
