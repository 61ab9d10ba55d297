//! This file keeps what was said in attempts at coding tasks, however they end.
//!
//! Each transcript is a blob, and its first line says whose it is: task, number of the assignment,
//! round. So it is found by the task alone, also where the hub hears nothing of an attempt any more: a
//! task that was called off, a lease that is gone, a report that carries no result. A result that does
//! reach the hub names its blobs.
//!
//! While it is written a transcript is a draft: a file beside the blobs to which each line is added
//! as it is said, and which its writer holds locked. What is left of an attempt that was stopped
//! becomes a blob at once, and what a killed process left when the next attempt begins. Until then
//! the draft is read as blobs are.
//!
//! **Invariant:** a process that is killed loses the turn that was going on, and nothing before it.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use agentcom_core::id::{Lease, TaskId};
use agentcom_core::wire::Assignment;
use serde::{Deserialize, Serialize};

use crate::blobs::{BlobId, Blobs};

/// What the name of a draft ends in.
const DRAFT: &str = ".partial";

/// How long the first line of a transcript may be, in bytes.
const HEAD_BYTES_MAX: u64 = 512;

/// The transcripts of an agent, in a folder of blobs.
#[derive(Clone, Debug)]
pub struct Transcripts {
    dir: PathBuf,
    blobs: Blobs,
}

/// Whose transcript it is; its first line. They are in the order in which things were said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Head {
    /// The task.
    pub task: TaskId,
    /// The number of the assignment, by which the hub knows the attempt.
    pub generation: Lease,
    /// How often somebody was put to work in that attempt, this time among them.
    pub round: u32,
}

impl Head {
    /// The head of what is said in a round of `job`.
    #[must_use]
    pub fn of(job: &Assignment, round: u32) -> Self {
        Self { task: job.task_id, generation: job.generation, round }
    }
}

/// A transcript that is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    /// Whose it is.
    pub head: Head,
    path: PathBuf,
}

impl Kept {
    /// All of it. Blocking.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn read(&self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.path)?).into_owned())
    }
}

/// A transcript that is being written.
#[derive(Debug)]
pub struct Draft {
    head: String,
    path: PathBuf,
    /// Nothing where it cannot be written; then all is kept at the end, as far as there is one.
    file: Option<File>,
}

impl Draft {
    /// Adds a line, which is a JSON object, without its end. What a worker says it has said at the end
    /// is what counts; this is kept if it does not get there. Blocking, but no longer than a write to
    /// memory takes.
    pub fn add(&self, line: &str) {
        if let Some(mut file) = self.file.as_ref() {
            // Work does not stop for want of it. Both are one write, so that no line lacks its end.
            let _ = file.write_all(format!("{line}\n").as_bytes());
        }
    }
}

impl Transcripts {
    /// Those in `dir`, which is made when the first is begun.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        let dir = dir.into();
        Self { blobs: Blobs::at(&dir), dir }
    }

    /// With another bound on all of them together, in bytes.
    #[must_use]
    pub fn at_most(self, bytes_max: u64) -> Self {
        Self { blobs: self.blobs.at_most(bytes_max), ..self }
    }

    /// What was kept under that name, as [`Blobs::get`] has it. Blocking.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn get(&self, id: &BlobId) -> io::Result<Option<Vec<u8>>> {
        self.blobs.get(id)
    }

    /// What is kept of a task, in the order in which it was said; drafts are among it. Blocking.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn of(&self, task: TaskId) -> io::Result<Vec<Kept>> {
        let kept = self.files()?.into_iter().filter_map(|path| Some((head_of(&path)?, path)));
        let kept = kept.filter(|(head, _)| head.task == task);
        let mut kept: Vec<_> = kept.map(|(head, path)| Kept { head, path }).collect();
        kept.sort();
        Ok(kept)
    }

    /// Begins a transcript. Blocking, but only for as long as it takes to make a file.
    pub(crate) fn begin(&self, head: &Head) -> Draft {
        let path = self.dir.join(format!("{}-{}{DRAFT}", name_of(head), head.round));
        let file = fs::create_dir_all(&self.dir)
            .and_then(|()| {
                let file = tempfile::NamedTempFile::new_in(&self.dir)?;
                // Before it has a name by which others could take it for one that was left. Where files
                // cannot be locked all of them seem to be in use, and stay drafts.
                let _ = file.as_file().try_lock();
                file.persist(&path).map_err(|error| error.error)
            })
            .ok();
        // It has no field that could fail to be written.
        let head = serde_json::to_string(head).unwrap_or_default();
        let draft = Draft { head, path, file };
        draft.add(&draft.head);
        draft
    }

    /// Makes a transcript with these lines of a draft. Blocking.
    ///
    /// # Errors
    ///
    /// If it cannot be written; the draft is left as it is.
    pub(crate) fn finish(&self, draft: &Draft, lines: &str) -> io::Result<BlobId> {
        let id = self.blobs.put(format!("{}\n{lines}", draft.head).as_bytes())?;
        removed(&draft.path)?;
        Ok(id)
    }

    /// Makes a transcript of a draft as it is; nothing if nothing was said. Blocking.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written; the draft is left as it is.
    pub(crate) fn keep(&self, draft: &Draft) -> io::Result<Option<BlobId>> {
        self.keep_at(&draft.path)
    }

    /// Makes transcripts of the drafts that nobody writes any more, those of `job` among them, on
    /// which nobody is at work: what came of these. Blocking.
    ///
    /// # Errors
    ///
    /// If one of them cannot be read or written; the others are kept all the same.
    pub(crate) fn keep_left(&self, job: &Assignment) -> io::Result<Vec<BlobId>> {
        let own = format!("{}-", name_of(&Head::of(job, 0)));
        let (mut ids, mut failed) = (Vec::new(), None);
        for path in self.files()?.into_iter().filter(|path| name(path).ends_with(DRAFT)) {
            // A process that was just started may have the lock of its parent for a moment.
            let is_own = name(&path).starts_with(&own);
            if is_own || is_left(&path) {
                match self.keep_at(&path) {
                    Ok(id) => ids.extend(id.filter(|_| is_own)),
                    Err(error) => failed = Some(error),
                }
            }
        }
        failed.map_or(Ok(ids), Err)
    }

    fn keep_at(&self, draft: &Path) -> io::Result<Option<BlobId>> {
        let content = match fs::read(draft) {
            // Whoever wrote it has finished it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            content => content?,
        };
        // Its head is the first line.
        let is_silent = content.iter().filter(|&&byte| byte == b'\n').count() <= 1;
        let id = if is_silent { None } else { Some(self.blobs.put(&content)?) };
        removed(draft)?;
        Ok(id)
    }

    /// The files of the folder; none if it was not made yet.
    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        entries.map(|entry| Ok(entry?.path())).collect()
    }
}

/// The name of an attempt.
fn name_of(head: &Head) -> String {
    format!("{}-{}", head.task, head.generation)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Whose transcript a file is; nothing if it is none.
fn head_of(path: &Path) -> Option<Head> {
    let mut first = Vec::new();
    let file = BufReader::new(File::open(path).ok()?);
    file.take(HEAD_BYTES_MAX).read_until(b'\n', &mut first).ok()?;
    serde_json::from_slice(&first).ok()
}

/// Whether nobody writes a draft any more.
fn is_left(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_ok())
}

fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use agentcom_core::id::Incarnation;
    use agentcom_core::task::Op;
    use agentcom_core::wire::Held;

    fn job(task: u64, lease: u64) -> Assignment {
        let held = Held { task_id: TaskId(task), generation: Lease(lease) };
        let op = Op { kind: "code".parse().unwrap(), input: Default::default() };
        Assignment::new(held, Incarnation(1), op)
    }

    fn texts(transcripts: &Transcripts, task: u64) -> Vec<String> {
        let kept = transcripts.of(TaskId(task)).unwrap();
        kept.iter().map(|kept| kept.read().unwrap().lines().skip(1).collect()).collect()
    }

    fn drafts(transcripts: &Transcripts) -> usize {
        let files = transcripts.files().unwrap();
        files.iter().filter(|path| name(path).ends_with(DRAFT)).count()
    }

    #[test]
    fn all_that_was_said_of_a_task_is_found_in_its_order_whether_it_was_finished_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let transcripts = Transcripts::at(dir.path().join("transcripts"));
        assert_eq!(transcripts.of(TaskId(1)).unwrap(), []);
        let later = transcripts.begin(&Head::of(&job(1, 12), 1));
        later.add("c");
        for (lease, round, line) in [(2, 2, "b"), (2, 1, "a")] {
            let draft = transcripts.begin(&Head::of(&job(1, lease), round));
            draft.add(line);
            let id = transcripts.finish(&draft, &format!("{line}\n")).unwrap();
            let first = transcripts.get(&id).unwrap().unwrap();
            let head = Head::of(&job(1, lease), round);
            assert!(first.starts_with(serde_json::to_string(&head).unwrap().as_bytes()));
        }
        transcripts.finish(&transcripts.begin(&Head::of(&job(2, 1), 1)), "other\n").unwrap();
        fs::write(dir.path().join("transcripts/no-transcript"), "{}").unwrap();
        assert_eq!(texts(&transcripts, 1), ["a", "b", "c"]);
        assert_eq!(drafts(&transcripts), 1);
    }

    #[test]
    fn what_is_left_of_others_becomes_a_blob_and_what_is_being_written_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let transcripts = Transcripts::at(dir.path());
        let (left, silent) = (Head::of(&job(1, 1), 1), Head::of(&job(2, 1), 1));
        transcripts.begin(&left).add("half");
        // What died in the middle of a line.
        let torn = dir.path().join(format!("{}-1{DRAFT}", name_of(&left)));
        File::options().append(true).open(&torn).unwrap().write_all(b"{\"rol").unwrap();
        drop(transcripts.begin(&silent));
        let busy = transcripts.begin(&Head::of(&job(3, 1), 1));
        busy.add("one");
        // What another test has just forked may hold a lock for a moment.
        while drafts(&transcripts) > 1 {
            assert_eq!(transcripts.keep_left(&job(4, 1)).unwrap(), []);
            std::thread::yield_now();
        }
        assert_eq!(texts(&transcripts, 1), ["half{\"rol"]);
        assert_eq!(texts(&transcripts, 2), [""; 0]);
        assert_eq!(drafts(&transcripts), 1);
        busy.add("two");
        assert_eq!(texts(&transcripts, 3), ["onetwo"]);
        // Of its own attempt nobody writes anything when it is over.
        assert_eq!(transcripts.keep_left(&job(3, 1)).unwrap().len(), 1);
        assert_eq!((texts(&transcripts, 3), drafts(&transcripts)), (vec!["onetwo".into()], 0));
    }
}
