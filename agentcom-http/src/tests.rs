//! This file introduces the tests of whole requests.

mod events;
mod manage;
mod matrix;
mod refusals;
mod tasks;
