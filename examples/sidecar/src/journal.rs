//! This file prints what a journal holds.

use std::io::Write;
use std::path::Path;

use agentcom_core::sidecar::Journal;

use crate::STORE;

/// Prints the journal at `path` to `out`; the exit code.
pub(crate) fn show(path: &Path, out: &mut impl Write) -> anyhow::Result<u8> {
    let found = match agentcom_exec::journal::describe(path) {
        Ok(found) => found,
        Err(error) => {
            writeln!(out, "{error}")?;
            return Ok(STORE);
        }
    };
    let mut journal = Journal::default();
    let mut unread = 0;
    for (row, value) in &found.rows {
        if let Err(bad) = journal.visit(row.table, &row.key, value) {
            writeln!(out, "a row that cannot be read: {bad}")?;
            unread += 1;
        }
    }
    for (claim, sentence) in journal.lines() {
        writeln!(out, "{claim}: {sentence}")?;
    }
    for damage in &found.damage {
        writeln!(out, "damaged: {damage}")?;
    }
    writeln!(out, "{} assignments, {} bytes", journal.lines().count(), found.file_bytes)?;
    Ok(if unread == 0 { 0 } else { STORE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcom_exec::journal::{FileJournal, JournalLimits};

    #[test]
    fn a_journal_is_shown_and_one_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut out = Vec::new();
        assert_eq!(show(&path, &mut out).unwrap(), STORE);
        assert!(String::from_utf8(out).unwrap().contains("journal"));
        drop(FileJournal::open(&path, JournalLimits::default()).unwrap());
        let mut out = Vec::new();
        assert_eq!(show(&path, &mut out).unwrap(), 0);
        assert!(String::from_utf8(out).unwrap().starts_with("0 assignments"));
    }
}
