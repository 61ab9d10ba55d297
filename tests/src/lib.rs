//! This package proves what no single crate can; its tests are under `tests/tests`, its longer
//! proofs under `tests/examples`, and here is what several of them need.

pub mod found;
pub mod fuzz;
pub mod proof;
pub mod real;
pub mod sim_disk;
