//! This file holds a hub to the rules of scheduling, whatever happens to it.

#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod classes;
mod order;
mod rules;
mod shares;
mod spread;

use agentcom_core::json::Json;
use agentcom_core::name::{Key, Kind};
use agentcom_core::task::{Draft, Share};

fn draft() -> Draft {
    Draft::new(Kind::new("shell").unwrap(), Json::null())
}

fn tenant(name: &str) -> Draft {
    let share = Share { fair_key: Some(key(name)), cost: 1, ..Share::default() };
    Draft { share, ..draft() }
}

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}
