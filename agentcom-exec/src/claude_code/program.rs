//! This file finds the program, and asks for its version.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// A program of this machine, and what has to be readable for it to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    path: PathBuf,
    reads: Vec<PathBuf>,
}

/// There is no such program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProgram {
    /// It is not there.
    #[error("there is no program `{0}`")]
    Missing(String),
    /// It is there, and does not say which version it is.
    #[error("{path} --version: {seen}")]
    Strange {
        /// Where it is.
        path: String,
        /// What was seen.
        seen: String,
    },
}

impl Program {
    /// What it is usually called.
    pub const NAME: &str = "claude";

    /// How long it may take to say its version.
    const VERSION_WITHIN: Duration = Duration::from_secs(20);

    /// Finds a program by its name, in the folders of `PATH`, or by its path.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn find(name: &str) -> Result<Self, NoProgram> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let is_path = name.contains('/');
        let named = is_path.then(|| PathBuf::from(name));
        let folders = std::env::split_paths(&folders).filter(|_| !is_path);
        let mut places = named.into_iter().chain(folders.map(|folder| folder.join(name)));
        let found = places.find(|path| {
            nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok() && path.is_file()
        });
        // Where it really is: in the sandbox there are no links on the way to it.
        let path = found.and_then(|path| path.canonicalize().ok());
        let path = path.ok_or_else(|| NoProgram::Missing(name.to_owned()))?;
        Ok(Self { reads: vec![whole(&path).to_owned()], path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn reads(&self) -> &[PathBuf] {
        &self.reads
    }

    /// What it says when it is asked for its version: a line.
    ///
    /// # Errors
    ///
    /// If it says nothing.
    pub async fn version(&self) -> Result<String, NoProgram> {
        const LINE_CHARS_MAX: usize = 80;
        let strange =
            |seen: String| NoProgram::Strange { path: self.path.display().to_string(), seen };
        let mut command = Command::new(&self.path);
        command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(Self::VERSION_WITHIN, command.output()).await;
        let output = output.map_err(|_| strange("it says nothing".to_owned()))?;
        let output = output.map_err(|error| strange(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().next().unwrap_or_default();
        let line: String = line.chars().filter(|c| !c.is_control()).take(LINE_CHARS_MAX).collect();
        if line.is_empty() || !output.status.success() {
            return Err(strange(output.status.to_string()));
        }
        Ok(line)
    }
}

/// The program itself, or, if it was installed as a package of npm, all packages beside it.
fn whole(path: &Path) -> &Path {
    path.ancestors().find(|folder| folder.ends_with("node_modules")).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_name_or_path_and_nothing_beside_it_is_let_in() {
        let shell = Program::find("sh").unwrap();
        assert!(shell.path().is_absolute() && shell.reads() == [shell.path()], "{shell:?}");
        assert_eq!(Program::find("/bin/sh"), Ok(shell));
        let file = tempfile::NamedTempFile::new().unwrap();
        let file = file.path().to_str().unwrap();
        for missing in ["no-such-program", "/bin/no-such-program", "/etc", file] {
            assert_eq!(Program::find(missing), Err(NoProgram::Missing(missing.to_owned())));
        }
        let package = Path::new("/lib/node_modules/@a/b/cli.js");
        assert_eq!(whole(package), Path::new("/lib/node_modules"));
    }
}
