//! This file holds what readers get to see of a server of models.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Serialize;

use crate::command::Parking;
use crate::endpoint::{Endpoint, Machine, Served};
use crate::name::{EndpointId, Kind};
use crate::route::Class;
use crate::task::Tier;
use crate::time::Wall;

/// Servers of models, and how tasks come to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RoutingView {
    /// All of them, by name.
    pub endpoints: Vec<EndpointView>,
    /// Which classes of models a tier tries, in order.
    pub chains: BTreeMap<Tier, Vec<Class>>,
    /// Which kinds of operations do tasks of a tier that do not say, where it is not the usual one.
    pub executors: BTreeMap<Tier, Kind>,
    /// What a used-up quota concerns.
    pub parking: Parking,
}

/// A server of models, and how it is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointView {
    /// Its name.
    pub name: EndpointId,
    /// What an operator says of it.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// Whether it is given tasks: `closed` is yes, `half_open` one to try it, `open` none.
    pub breaker: &'static str,
    /// Until when it is given none, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_until: Option<Wall>,
    /// What went wrong last, if nothing has gone well since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
    /// When it was last heard of since the hub started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heard_at: Option<Wall>,
    /// The version of its software, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Box<str>>,
    /// The models that it serves, as it said when it was last looked at.
    pub served: Vec<Served>,
    /// The machine that it runs on, if who looked last is there as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// How many tasks work with each of its models.
    pub held: BTreeMap<String, usize>,
    /// The model that was last given a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_model: Option<String>,
    /// Until when its key is parked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parked_until: Option<Wall>,
    /// How many tasks may use its key at once, while they come back after a quota was renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users_at_once: Option<u32>,
}
