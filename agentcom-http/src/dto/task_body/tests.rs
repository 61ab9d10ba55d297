//! This file tests.
