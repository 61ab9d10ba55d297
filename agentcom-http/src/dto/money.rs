//! This file reads and shows amounts of money: whole millionths of a dollar.

use agentcom_core::ledger::Cap;
use agentcom_core::money::Micros;
use agentcom_core::name::ModelName;
use agentcom_core::price::Price;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{FieldError, Problem};

/// Which accounts to show: those whose names begin like this.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LedgerQuery {
    pub(crate) account: Option<String>,
}

/// Sets a cap.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CapBody {
    cap: String,
    pub(crate) limit_micros: Micros,
}

/// Names a cap.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CapNameBody {
    cap: String,
}

impl CapBody {
    pub(crate) fn cap(&self) -> Result<Cap, Problem> {
        cap(&self.cap)
    }
}

impl CapNameBody {
    pub(crate) fn cap(&self) -> Result<Cap, Problem> {
        cap(&self.cap)
    }
}

fn cap(text: &str) -> Result<Cap, Problem> {
    text.parse().map_err(|bad| Problem::fields(vec![FieldError::invalid("cap", bad)]))
}

/// Sets the price of a million tokens of a model. What nothing is said of costs as much as input.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceBody {
    pub(crate) model: ModelName,
    input_micros: Micros,
    output_micros: Micros,
    cache_read_micros: Option<Micros>,
    cache_write_micros: Option<Micros>,
}

/// Names a model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelBody {
    pub(crate) model: ModelName,
}

impl PriceBody {
    pub(crate) fn price(&self) -> Price {
        let input = self.input_micros;
        Price {
            input,
            output: self.output_micros,
            cache_read: self.cache_read_micros.unwrap_or(input),
            cache_write: self.cache_write_micros.unwrap_or(input),
        }
    }
}

/// A price as clients see it: for a million tokens each.
pub(crate) fn micros_of(price: &Price) -> Value {
    json!({
        "input_micros": price.input, "output_micros": price.output,
        "cache_read_micros": price.cache_read, "cache_write_micros": price.cache_write,
    })
}
