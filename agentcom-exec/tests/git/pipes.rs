//! This file tests that what a model leaves in a worktree keeps git from nothing: pipes that it would
//! read from, and folders deeper than a path is long.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcom_exec::git::Checkout;
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, mkfifoat};

use super::settings::worktree;
use super::{Ground, by_hand, git};

/// How long git may take here: less than the executor gives it, and far more than it needs.
const WITHIN: Duration = Duration::from_secs(60);

fn pipe(at: &Path) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    mkfifo(at, Mode::S_IRWXU).unwrap();
}

/// A path that leaves room for the name of a file in what a path may be, and none for that of a worktree.
fn deep() -> PathBuf {
    const NAME_BYTES: usize = 203;
    std::iter::repeat_n("d".repeat(NAME_BYTES), 4080 / (NAME_BYTES + 1)).collect()
}

/// Has a round committed into which `leave` puts what may stop git, first as what this attempt left and
/// then as what an earlier one did; and says which files that changes.
async fn committed(leave: impl Fn(&Path)) -> Vec<String> {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    let work = async {
        fs::write(dir.join("file"), "x\n").unwrap();
        leave(&dir);
        tree.disown().await.unwrap();
        assert_ne!(tree.uncommitted().await.unwrap(), [""; 0]);
        leave(&dir);
        let tree = Checkout::at(&clone).await.unwrap().worktree(&dir).await.unwrap();
        tree.disown().await.unwrap();
        tree.commit(&by_hand("Add it")).await.unwrap();
        tree.rounds("trunk", super::TASK, 0).await.unwrap();
        tree.status().await.unwrap()
    };
    let status = tokio::time::timeout(WITHIN, work).await.unwrap();
    assert!(status.uncommitted.is_empty(), "{status:?}");
    status.changed.into_iter().map(|file| file.path).collect()
}

#[tokio::test]
async fn git_waits_for_no_pipe_that_stands_where_it_reads() {
    let reads = [".gitignore", ".mailmap", ".gitmodules", "a/.gitattributes", "a/.gitignore"];
    let leave = |dir: &Path| {
        reads.iter().for_each(|at| pipe(&dir.join(at)));
        fs::write(dir.join("a/file"), "x\n").unwrap();
    };
    assert_eq!(committed(leave).await, ["a/file", "file"]);
}

#[tokio::test]
async fn git_waits_for_no_pipe_in_what_poses_as_a_repository() {
    let leave = |dir: &Path| {
        for sub in ["sub", "a/sub"] {
            let posing = dir.join(sub).join(".git");
            for folder in ["objects", "refs"] {
                fs::create_dir_all(posing.join(folder)).unwrap();
            }
            pipe(&posing.join("HEAD"));
            fs::write(dir.join(sub).join("file"), "x\n").unwrap();
        }
    };
    assert_eq!(committed(leave).await, ["a/sub/file", "file", "sub/file"]);
}

#[tokio::test]
async fn git_waits_for_no_pipe_deeper_than_a_whole_path_is_long() {
    // Git goes by paths from the top of the worktree on, which lead deeper than those from the root.
    let deep = deep();
    let leave = |dir: &Path| {
        let top = cap_std::fs::Dir::open_ambient_dir(dir, cap_std::ambient_authority()).unwrap();
        top.create_dir_all(&deep).unwrap();
        let top = File::open(dir).unwrap();
        mkfifoat(&top, &deep.join(".gitignore"), Mode::S_IRWXU).unwrap();
    };
    assert_eq!(committed(leave).await, ["file"]);
}

#[tokio::test]
async fn a_pipe_that_comes_while_git_reads_what_was_committed_is_not_waited_for() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    git(&dir, &["commit", "--quiet", "--allow-empty", "-m", "A commit to read"]);
    pipe(&dir.join(".mailmap"));
    let read = async {
        assert_eq!(tree.rounds("trunk", super::TASK, 0).await.unwrap(), 0);
        assert!(!tree.has_read_private("trunk").await.unwrap());
    };
    tokio::time::timeout(WITHIN, read).await.unwrap();
}
