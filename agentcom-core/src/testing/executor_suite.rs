//! This file is to be written.
