//! This file measures the disk itself: how often a second it makes a page durable.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Outcome;

const PAGE: usize = 4096;
const PAGES: u64 = 256;

/// How many times a second a page of a file in `dir` can be written and `fdatasync`ed, one after
/// the other, in a file that does not grow.
///
/// # Errors
///
/// Those of the disk.
pub fn syncs_per_second(dir: &Path, during: Duration) -> Outcome<f64> {
    let path = dir.join("syncs");
    let file = File::create(&path)?;
    (0..PAGES).try_for_each(|page| file.write_all_at(&[1; PAGE], page * PAGE as u64))?;
    file.sync_all()?;
    let (began, mut syncs) = (Instant::now(), 0_u64);
    while began.elapsed() < during {
        file.write_all_at(&[syncs as u8; PAGE], (syncs % PAGES) * PAGE as u64)?;
        file.sync_data()?;
        syncs += 1;
    }
    let rate = syncs as f64 / began.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}
