//! This file gathers the tests over real sockets into one program.
#![cfg(test)]

mod client;
mod conformance;
mod handshake;
mod hostile;
mod raw;
mod served;
mod serving;
mod tokens;
