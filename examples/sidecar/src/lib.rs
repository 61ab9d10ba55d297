//! This file is the part of the sidecar that others use: how its configuration is read.

pub mod settings;
