//! This file tests branches of tasks in real clones of a real remote, which is a folder beside them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "git/names.rs"]
mod names;
#[path = "git/pipes.rs"]
mod pipes;
#[path = "git/settings.rs"]
mod settings;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use agentcom_core::id::TaskId;
use agentcom_exec::git::{Changed, Checkout, CheckoutError, Commit, Start, Started};
use tempfile::TempDir;

const TASK: TaskId = TaskId(0xab);
const BRANCH: &str = "agentcom/task-00000000000000ab-fix-the-parser";

/// What a person commits.
fn by_hand(message: &str) -> Commit<'_> {
    Commit { message, task: TASK, attempt: 2, round: None, revivals: 0, has_read_private: false }
}

/// A remote with one commit on `trunk`, and clones of it.
struct Ground {
    dir: TempDir,
}

impl Ground {
    fn new() -> Self {
        let ground = Self { dir: TempDir::new().unwrap() };
        git(ground.dir.path(), &["init", "--quiet", "--bare", "--initial-branch=trunk", "remote"]);
        let first = ground.clone("first");
        commit(&first, "lib.rs", "one\n");
        git(&first, &["push", "--quiet", "origin", "HEAD:trunk"]);
        ground
    }

    fn clone(&self, name: &str) -> PathBuf {
        git(self.dir.path(), &["clone", "--quiet", "remote", name]);
        let clone = self.dir.path().join(name);
        for (key, value) in [("user.name", "A"), ("user.email", "a@example.org")] {
            git(&clone, &["config", key, value]);
        }
        clone
    }

    /// Somebody else moves the base on.
    fn moves_on(&self) {
        let other = self.dir.path().join("first");
        commit(&other, "other.rs", "new\n");
        git(&other, &["push", "--quiet", "origin", "HEAD:trunk"]);
    }
}

#[track_caller]
fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

fn commit(dir: &Path, file: &str, text: &str) {
    fs::write(dir.join(file), text).unwrap();
    git(dir, &["add", file]);
    git(dir, &["commit", "--quiet", "-m", file]);
}

fn fix<'a>() -> Start<'a> {
    Start { task: TASK, description: "Fix the parser", base: None, worktree: None }
}

async fn start(dir: &Path) -> Result<Started, CheckoutError> {
    Checkout::at(dir).await.unwrap().start(&fix()).await
}

#[tokio::test]
async fn a_remote_without_commits_is_told_as_one() {
    let dir = TempDir::new().unwrap();
    git(dir.path(), &["init", "--quiet", "--bare", "remote"]);
    git(dir.path(), &["clone", "--quiet", "remote", "clone"]);
    let checkout = Checkout::at(&dir.path().join("clone")).await.unwrap();
    let start = Start { task: TASK, description: "Begin", base: None, worktree: None };
    assert_eq!(checkout.start(&start).await, Err(CheckoutError::Empty));
}

#[tokio::test]
async fn a02_a_task_starts_from_what_the_remote_has_at_that_moment() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    ground.moves_on();
    let started = start(&clone).await.unwrap();
    assert_eq!((started.branch.as_str(), started.base.as_str()), (BRANCH, "trunk"));
    assert!(!started.resumed && clone.join("other.rs").exists());
    assert_eq!(git(&clone, &["branch", "--show-current"]), BRANCH);
}

#[tokio::test]
async fn changes_that_are_not_committed_stop_a_start_and_stay() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    fs::write(clone.join("lib.rs"), "mine\n").unwrap();
    let refused = start(&clone).await.unwrap_err();
    assert_eq!(refused, CheckoutError::Uncommitted(vec![" M lib.rs".into()]));
    assert_eq!(fs::read_to_string(clone.join("lib.rs")).unwrap(), "mine\n");
    assert_eq!(git(&clone, &["branch", "--show-current"]), "trunk");
}

#[tokio::test]
async fn a_task_that_was_begun_is_gone_on_with_here_and_in_another_clone() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    start(&clone).await.unwrap();
    commit(&clone, "lib.rs", "two\n");
    git(&clone, &["switch", "--quiet", "trunk"]);
    let again = start(&clone).await.unwrap();
    assert!(again.resumed);
    assert_eq!(fs::read_to_string(clone.join("lib.rs")).unwrap(), "two\n");

    Checkout::at(&clone).await.unwrap().push().await.unwrap();
    let other = ground.clone("theirs");
    let there = start(&other).await.unwrap();
    assert!(there.resumed);
    assert_eq!(there.branch, BRANCH);
    assert_eq!(fs::read_to_string(other.join("lib.rs")).unwrap(), "two\n");

    // And back, to where the branch is checked out, and to a worktree.
    commit(&other, "lib.rs", "three\n");
    Checkout::at(&other).await.unwrap().push().await.unwrap();
    assert!(start(&clone).await.unwrap().resumed);
    assert_eq!(fs::read_to_string(clone.join("lib.rs")).unwrap(), "three\n");
    commit(&other, "lib.rs", "four\n");
    Checkout::at(&other).await.unwrap().push().await.unwrap();
    git(&clone, &["switch", "--quiet", "trunk"]);
    let dir = ground.dir.path().join("apart");
    let checkout = Checkout::at(&clone).await.unwrap();
    checkout.start(&Start { worktree: Some(&dir), ..fix() }).await.unwrap();
    assert_eq!(fs::read_to_string(dir.join("lib.rs")).unwrap(), "four\n");
    commit(&dir, "lib.rs", "five\n");
    let pushed = Checkout::at(&dir).await.unwrap().push().await.unwrap();
    assert_eq!((pushed.pushed, pushed.ahead), (true, 4));
}

#[tokio::test]
async fn a_branch_that_has_gone_apart_from_the_remotes_is_not_worked_on() {
    let ground = Ground::new();
    let [mine, theirs] = ["mine", "theirs"].map(|name| ground.clone(name));
    for (clone, text) in [(&mine, "two\n"), (&theirs, "three\n")] {
        start(clone).await.unwrap();
        commit(clone, "lib.rs", text);
    }
    Checkout::at(&theirs).await.unwrap().push().await.unwrap();
    git(&mine, &["switch", "--quiet", "trunk"]);
    let dir = ground.dir.path().join("apart");
    let checkout = Checkout::at(&mine).await.unwrap();
    for worktree in [None, Some(dir.as_path())] {
        let refused = checkout.start(&Start { worktree, ..fix() }).await.unwrap_err();
        assert_eq!(refused, CheckoutError::Diverged(BRANCH.into()));
    }
    assert_eq!(git(&mine, &["branch", "--show-current"]), "trunk");
    assert!(!dir.exists());
    assert_eq!(git(&mine, &["show", &format!("{BRANCH}:lib.rs")]), "two");
    git(&mine, &["branch", "-m", BRANCH, "mine"]);
    assert!(start(&mine).await.unwrap().resumed);
    assert_eq!(fs::read_to_string(mine.join("lib.rs")).unwrap(), "three\n");
}

#[tokio::test]
async fn a26_a_worktree_leaves_the_clone_as_it_is() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    fs::write(clone.join("lib.rs"), "half done\n").unwrap();
    let dir = ground.dir.path().join("apart");
    let checkout = Checkout::at(&clone).await.unwrap();
    let started = checkout.start(&Start { worktree: Some(&dir), ..fix() }).await.unwrap();
    assert_eq!(started.dir, dir);
    assert_eq!(fs::read_to_string(dir.join("lib.rs")).unwrap(), "one\n");
    assert_eq!(git(&clone, &["branch", "--show-current"]), "trunk");
    assert_eq!(Checkout::at(&dir).await.unwrap().status().await.unwrap().branch, BRANCH);
}

#[tokio::test]
async fn a_worktree_is_removed_whatever_is_in_it() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let dir = ground.dir.path().join("apart");
    let checkout = Checkout::at(&clone).await.unwrap();
    checkout.start(&Start { worktree: Some(&dir), ..fix() }).await.unwrap();
    // Deeper than paths reach, and than there can be descriptors; and closed to whoever is not root.
    let script = "mkdir('shut') && mkdir('shut/in') && chmod(0300, 'shut') or die;
        for (1 .. 3000) { mkdir('d') && chdir('d') or die }";
    let made = Command::new("perl").args(["-e", script]).current_dir(&dir).status().unwrap();
    assert!(made.success());
    git(&clone, &["worktree", "lock", dir.to_str().unwrap()]);
    checkout.remove_worktree(&dir).await.unwrap_err();
    assert!(dir.join("lib.rs").exists(), "it is kept as long as somebody says so");
    git(&clone, &["worktree", "unlock", dir.to_str().unwrap()]);
    checkout.remove_worktree(&dir).await.unwrap();
    assert!(!dir.exists());
    assert_eq!(git(&clone, &["worktree", "list"]).lines().count(), 1);
}

#[tokio::test]
async fn a_worktree_that_is_gone_is_forgotten_and_no_other_is() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let [ours, theirs] = ["ours", "theirs"].map(|name| ground.dir.path().join(name));
    let checkout = Checkout::at(&clone).await.unwrap();
    checkout.start(&Start { worktree: Some(&ours), ..fix() }).await.unwrap();
    git(&clone, &["worktree", "add", "--quiet", "--detach", theirs.to_str().unwrap()]);
    // As one on a disk that is not there at the moment.
    fs::rename(&theirs, ground.dir.path().join("away")).unwrap();
    fs::remove_dir_all(&ours).unwrap();
    checkout.remove_worktree(&ours).await.unwrap();
    checkout.remove_worktree(&ours).await.unwrap();
    let left = git(&clone, &["worktree", "list", "--porcelain"]);
    assert!(left.contains("/theirs") && !left.contains("/ours"), "{left}");
}

#[tokio::test]
async fn a_status_says_what_the_branch_changes_and_what_is_left_to_commit() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    start(&clone).await.unwrap();
    commit(&clone, "lib.rs", "two\nthree\n");
    commit(&clone, "größe.rs", "x\n");
    fs::write(clone.join("new.rs"), "").unwrap();
    let status = Checkout::at(&clone).await.unwrap().status().await.unwrap();
    let lib = Changed {
        path: "lib.rs".into(),
        added: Some(2),
        deleted: Some(1),
        is_new: false,
        is_plain: true,
    };
    let new = Changed {
        path: "größe.rs".into(),
        added: Some(1),
        deleted: Some(0),
        is_new: true,
        is_plain: true,
    };
    assert_eq!((status.ahead, status.behind, status.pushed), (2, 0, false));
    assert_eq!((status.task, status.changed), (TASK, vec![new, lib]));
    assert_eq!(status.head, git(&clone, &["rev-parse", "HEAD"]));
    assert_eq!(status.uncommitted, ["?? new.rs"]);
}

#[tokio::test]
async fn of_links_of_submodules_and_of_what_can_be_run_since_a_status_says_that_they_are_no_plain_files()
 {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let ground = Ground::new();
    let clone = ground.clone("mine");
    commit(&clone, "run.sh", "true\n");
    git(&clone, &["push", "--quiet", "origin", "HEAD:trunk"]);
    start(&clone).await.unwrap();
    fs::set_permissions(clone.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_file(clone.join("lib.rs")).unwrap();
    symlink("run.sh", clone.join("lib.rs")).unwrap();
    fs::write(clone.join("new.rs"), "new\n").unwrap();
    let entry = format!("160000,{},sub", "1".repeat(40));
    git(&clone, &["update-index", "--add", "--cacheinfo", &entry]);
    fs::create_dir(clone.join("sub")).unwrap();
    git(&clone, &["add", "lib.rs", "new.rs", "run.sh"]);
    git(&clone, &["commit", "--quiet", "-m", "Change it"]);
    let changed = Checkout::at(&clone).await.unwrap().status().await.unwrap().changed;
    let seen: Vec<_> =
        changed.iter().map(|file| (&*file.path, file.is_new, file.is_plain)).collect();
    let plain = ("new.rs", true, true);
    assert_eq!(
        seen,
        [("lib.rs", false, false), plain, ("run.sh", false, false), ("sub", true, false)]
    );
}

#[tokio::test]
async fn what_is_committed_names_its_task_and_is_pushed() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let checkout = Checkout::at(&clone).await.unwrap();
    start(&clone).await.unwrap();
    assert_eq!(checkout.push().await.unwrap_err(), CheckoutError::Nothing("trunk".into()));
    fs::write(clone.join("lib.rs"), "two\n").unwrap();
    let left = checkout.push().await.unwrap_err();
    assert_eq!(left, CheckoutError::Uncommitted(vec![" M lib.rs".into()]));
    checkout.commit(&by_hand("Fix the parser")).await.unwrap();
    let nothing = checkout.commit(&by_hand("Again")).await.unwrap_err();
    assert!(nothing.to_string().contains("nothing to commit"), "{nothing}");
    assert!(checkout.push().await.unwrap().pushed);
    assert!(checkout.status().await.unwrap().pushed);
    let remote = ground.dir.path().join("remote");
    let message = git(&remote, &["log", "-1", "--format=%B", BRANCH]);
    let trailers = "Agentcom-Task: task-00000000000000ab\nAgentcom-Attempt: 2";
    assert_eq!(message, format!("Fix the parser\n\n{trailers}"));
}

#[tokio::test]
async fn b29_nothing_is_pushed_over_what_somebody_else_pushed() {
    let ground = Ground::new();
    let [mine, theirs] = ["mine", "theirs"].map(|name| ground.clone(name));
    for (clone, text) in [(&mine, "two\n"), (&theirs, "three\n")] {
        start(clone).await.unwrap();
        commit(clone, "lib.rs", text);
    }
    Checkout::at(&mine).await.unwrap().push().await.unwrap();
    let refused = Checkout::at(&theirs).await.unwrap().push().await.unwrap_err();
    assert_eq!(refused, CheckoutError::Overtaken(BRANCH.into()));
    let remote = ground.dir.path().join("remote");
    assert_eq!(git(&remote, &["show", &format!("{BRANCH}:lib.rs")]), "two");
}

#[tokio::test]
async fn where_there_is_no_clone_no_remote_no_base_and_no_task_it_says_so() {
    let ground = Ground::new();
    let here = ground.dir.path();
    let nothing = Checkout::at(here).await.unwrap_err();
    assert_eq!(nothing, CheckoutError::NoClone(here.display().to_string()));
    let clone = ground.clone("mine");
    let checkout = Checkout::at(&clone).await.unwrap();
    let no_base = checkout.start(&Start { base: Some("nowhere"), ..fix() }).await.unwrap_err();
    assert_eq!(no_base, CheckoutError::NoBase("nowhere".into()));
    assert_eq!(checkout.status().await.unwrap_err(), CheckoutError::NoTask("trunk".into()));
    git(&clone, &["remote", "remove", "origin"]);
    assert_eq!(Checkout::at(&clone).await.unwrap_err(), CheckoutError::NoRemote);
}

#[tokio::test]
async fn a_remote_that_is_out_of_reach_is_not_taken_for_one_without_the_base() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    start(&clone).await.unwrap();
    fs::rename(ground.dir.path().join("remote"), ground.dir.path().join("moved")).unwrap();
    let refused = start(&clone).await.unwrap_err();
    assert!(matches!(refused, CheckoutError::Git(_)), "{refused}");
}

#[tokio::test]
async fn what_is_saved_as_a_patch_can_be_applied_whatever_it_is() {
    let ground = Ground::new();
    let clone = ground.clone("clone");
    let dir = ground.dir.path().join("tree");
    let checkout = Checkout::at(&clone).await.unwrap();
    checkout.start(&Start { worktree: Some(&dir), ..fix() }).await.unwrap();
    let latin: &[u8] = b"caf\xe9\n";
    let binary: &[u8] = b"\0\x01\x02\xff\0";
    let files = [
        ("latin.txt", latin),
        ("zz.bin", binary),
        ("lib.rs", b"no end of line"),
        ("own/inner.txt", b"of a repository of its own\n"),
    ];
    fs::create_dir(dir.join("own")).unwrap();
    for (name, content) in files {
        fs::write(dir.join(name), content).unwrap();
    }
    git(&dir.join("own"), &["init", "--quiet"]);
    let patch = ground.dir.path().join("saved.patch");
    let tree = checkout.worktree(&dir).await.unwrap();
    assert!(tree.save_patch(&patch).await.unwrap());
    let other = ground.clone("other");
    git(&other, &["apply", patch.to_str().unwrap()]);
    for (name, content) in files {
        assert_eq!(fs::read(other.join(name)).unwrap(), content, "{name}");
    }
    git(&dir, &["add", "--all"]);
    git(&dir, &["-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "-m", "all"]);
    let none = ground.dir.path().join("none.patch");
    assert!(!tree.save_patch(&none).await.unwrap() && !none.exists());
}
