//! This file removes folders with all that is in them, whatever a command made of them: deeper than there may be open
//! files, or closed to their owner.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

/// How deep folders are removed here: each takes a descriptor, and others in this process need some as well.
const DEPTH_MAX: usize = 64;

/// Removes a folder; nothing if there is none. Links are not followed. Blocking.
///
/// # Errors
///
/// If the system says no.
pub(crate) fn remove_all(folder: &Path) -> io::Result<()> {
    let opened = Dir::open_ambient_dir(folder, ambient_authority());
    let emptied = opened.and_then(|opened| empty(&opened, DEPTH_MAX));
    let Err(error) = emptied.and_then(|()| fs::remove_dir(folder)) else { return Ok(()) };
    if error.kind() == io::ErrorKind::NotFound && !folder.exists() {
        return Ok(());
    }
    // These hold neither paths nor descriptors of all folders that they are in.
    run("chmod", &["-R", "u+rwx"], folder)?;
    if run("rm", &["-rf"], folder)? { Ok(()) } else { Err(error) }
}

/// Removes what is in a folder, if it is not too deep.
fn empty(folder: &Dir, depth: usize) -> io::Result<()> {
    for entry in folder.entries()? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            entry.remove_file()?;
        } else if depth == 0 {
            return Err(io::ErrorKind::QuotaExceeded.into());
        } else {
            empty(&entry.open_dir()?, depth - 1)?;
            entry.remove_dir()?;
        }
    }
    Ok(())
}

/// Whether a program did all that it was asked to do with a folder.
fn run(program: &str, args: &[&str], folder: &Path) -> io::Result<bool> {
    let mut command = Command::new(program);
    command.args(args).arg("--").arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.status()?.success())
}
