//! This package proves what no single crate can; its tests are under `tests/tests`, its long proofs
//! under `tests/examples`, and what these share is here.

pub mod sim_disk;
