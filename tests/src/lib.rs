//! This package proves what no single crate can; its tests are under `tests/tests`.

pub mod fuzz;
