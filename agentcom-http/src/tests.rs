//! This file introduces the tests of whole requests.

mod backups;
mod dead_letter;
mod endpoints;
mod events;
mod manage;
mod matrix;
mod money;
mod operators;
mod refusals;
mod repos;
mod tasks;
