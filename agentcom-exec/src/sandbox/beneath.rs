//! This file tries to lead file tools out of their workspace, and to have them do what they have to.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Attempt, Expected};
use crate::tool::{Workspace, text_of};

/// What is outside of the workspace, by the name that it has beside it.
const SECRET: &str = "secret";

/// All attempts, on files that are made for it.
///
/// # Errors
///
/// If they cannot be made.
pub(super) fn attempts() -> io::Result<Vec<Attempt>> {
    let root = tempfile::Builder::new().prefix("agentcom-files-").tempdir()?;
    let inside = root.path().join("workspace");
    fs::create_dir(&inside)?;
    fs::write(root.path().join(SECRET), SECRET)?;
    fs::write(inside.join("file"), "text")?;
    symlink(root.path().join(SECRET), inside.join("link"))?;
    symlink(root.path(), inside.join("folder"))?;
    let workspace = Workspace::open(&inside)?;
    let absolute = root.path().join(SECRET);
    let read = |path: &Path| text_of(&workspace, &path.to_string_lossy()).is_ok();
    let write = |path: &str| workspace.place(Path::new(path), true).is_ok();
    let blocked = [
        ("read a file outside by its whole path", read(&absolute)),
        ("read it by a path that leads up", read(Path::new("../secret"))),
        ("read it through a link in the workspace", read(Path::new("link"))),
        ("read it through a link to its folder", read(Path::new("folder/secret"))),
        ("write beside the workspace", write("../new")),
        ("write through a link to a folder outside", write("folder/new")),
        ("write what git reads", write(".git/config")),
    ];
    let blocked = blocked.map(|(what, done)| (what, Expected::Blocked, !done));
    let works = [("read in the workspace", read(Path::new("file"))), ("write there", write("new"))];
    let works = works.map(|(what, done)| (what, Expected::Works, done));
    let attempt =
        |(what, expected, held): (&str, _, _)| Attempt { what: what.to_owned(), expected, held };
    Ok(blocked.into_iter().chain(works).map(attempt).collect())
}
