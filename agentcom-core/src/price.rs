//! This file says what the tokens of a model cost.
//!
//! Prices change, and those of a contract are one's own: what an operator sets goes before what is
//! listed here, and each price that is listed says where it is from and when that was looked up.

use alloc::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::money::{Micros, Usage};
use crate::name::ModelName;

/// What a million tokens of each sort cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Read.
    pub input: Micros,
    /// Written.
    pub output: Micros,
    /// Read from a cache.
    pub cache_read: Micros,
    /// Read, and written to a cache.
    pub cache_write: Micros,
}

impl Price {
    /// That of what costs nothing.
    pub const FREE: Self =
        Self { input: Micros(0), output: Micros(0), cache_read: Micros(0), cache_write: Micros(0) };

    /// What `usage` costs, rounded up.
    #[must_use]
    pub fn of(&self, usage: Usage) -> Micros {
        let cost = |tokens: u64, price: Micros| u128::from(tokens) * u128::from(price.0);
        let whole = cost(usage.input_tokens, self.input)
            + cost(usage.output_tokens, self.output)
            + cost(usage.cache_read_tokens, self.cache_read)
            + cost(usage.cache_write_tokens, self.cache_write);
        Micros(u64::try_from(whole.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }

    /// What `usage` costs at most, whatever part of what is read goes through a cache.
    #[must_use]
    pub fn at_most(&self, usage: Usage) -> Micros {
        let dearest = self.input.max(self.cache_write).max(self.cache_read);
        let price = Self { input: dearest, cache_read: dearest, cache_write: dearest, ..*self };
        price.of(usage)
    }
}

/// A price that is known without being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The model, without the date of its release.
    pub model: &'static str,
    /// What it costs.
    pub price: Price,
    /// Where that is said.
    pub source: &'static str,
    /// When it was looked up.
    pub as_of: &'static str,
}

/// The prices that are known without being told.
pub const LISTED: &[Listed] = &[
    anthropic("claude-opus-5", 5_000_000, 25_000_000),
    anthropic("claude-opus-4-8", 5_000_000, 25_000_000),
    anthropic("claude-opus-4-7", 5_000_000, 25_000_000),
    anthropic("claude-opus-4-6", 5_000_000, 25_000_000),
    anthropic("claude-opus-4-5", 5_000_000, 25_000_000),
    anthropic("claude-opus-4-1", 15_000_000, 75_000_000),
    anthropic("claude-opus-4", 15_000_000, 75_000_000),
    anthropic("claude-sonnet-4-6", 3_000_000, 15_000_000),
    anthropic("claude-sonnet-4-5", 3_000_000, 15_000_000),
    anthropic("claude-sonnet-4", 3_000_000, 15_000_000),
    anthropic("claude-haiku-4-5", 1_000_000, 5_000_000),
    anthropic("claude-3-5-haiku", 800_000, 4_000_000),
];

/// Reading from the cache costs a tenth of the input, and writing to it for five minutes five quarters.
const fn anthropic(model: &'static str, input: u64, output: u64) -> Listed {
    Listed {
        model,
        price: Price {
            input: Micros(input),
            output: Micros(output),
            cache_read: Micros(input / 10),
            cache_write: Micros(input / 4 * 5),
        },
        source: "https://platform.claude.com/docs/en/about-claude/pricing",
        as_of: "2026-11-26",
    }
}

/// The price of a model: as it was `set`, or else as it is listed. A name stands for itself, and with
/// the date of a release behind it: `claude-opus-4-5` for `claude-opus-4-5-20251101`.
#[must_use]
pub fn find(set: &BTreeMap<ModelName, Price>, model: &str) -> Option<Price> {
    let is_date = |tail: &str| tail.len() == 8 && tail.bytes().all(|b| b.is_ascii_digit());
    let undated = model.rsplit_once('-').filter(|(_, tail)| is_date(tail)).map(|(name, _)| name);
    let mut names = [Some(model), undated].into_iter().flatten();
    names.find_map(|name| {
        let listed = || LISTED.iter().find(|listed| listed.model == name);
        set.get(name).copied().or_else(|| listed().map(|listed| listed.price))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usage(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Usage {
        Usage {
            input_tokens: input,
            output_tokens: output,
            cache_read_tokens: cache_read,
            cache_write_tokens: cache_write,
        }
    }

    #[test]
    fn each_sort_of_token_has_its_price() {
        let price = find(&BTreeMap::new(), "claude-sonnet-4-5-20250929").unwrap();
        let million = |n: usize| {
            let mut tokens = [0; 4];
            tokens[n] = 1_000_000;
            price.of(usage(tokens[0], tokens[1], tokens[2], tokens[3]))
        };
        let dollars = [3_000_000, 15_000_000, 300_000, 3_750_000].map(Micros);
        assert_eq!([million(0), million(1), million(2), million(3)], dollars);
        assert_eq!(price.of(usage(1, 0, 0, 0)), Micros(3));
        assert_eq!(price.of(usage(0, 0, 1, 0)), Micros(1), "rounded up");
    }

    #[test]
    fn what_is_set_goes_before_what_is_listed_and_names_are_not_guessed() {
        let name = ModelName::new("claude-opus-4-5").unwrap();
        let price = Price { input: Micros(1), ..LISTED[0].price };
        let set = BTreeMap::from([(name, price)]);
        assert_eq!(find(&set, "claude-opus-4-5-20251101"), Some(price));
        assert_eq!(find(&set, "claude-opus-5"), Some(LISTED[0].price));
        for unknown in ["claude-opus-5-5", "claude", "claude-opus-4-5-fast", ""] {
            assert_eq!(find(&set, unknown), None, "{unknown}");
        }
    }

    proptest! {
        #[test]
        fn the_worst_case_is_never_less_than_what_it_comes_to(
            read in 0_u64..1 << 40, output in 0_u64..1 << 40, shares in (0_u64..100, 0_u64..100),
            listed in 0..LISTED.len(),
        ) {
            let (a, b) = (read * shares.0 / 100, read * shares.1 / 200);
            let (cache_read, cache_write) = (a.min(read - b.min(read)), b.min(read));
            let came = usage(read - cache_read - cache_write, output, cache_read, cache_write);
            let price = LISTED[listed].price;
            prop_assert!(price.of(came) <= price.at_most(usage(read, output, 0, 0)));
        }
    }
}
