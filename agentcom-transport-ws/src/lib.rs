//! This file is a placeholder.
