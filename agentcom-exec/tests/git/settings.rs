//! This file tests that neither what a model writes nor what users set for themselves changes what git
//! does here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use agentcom_exec::git::{Checkout, Commit, Diff, Start};

use super::{BRANCH, Ground, TASK, by_hand, fix, git};

/// A program that says by a file that it ran.
fn program(at: &Path, ran: &Path) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    fs::write(at, format!("#!/bin/sh\necho x >> {}\ncat\n", ran.display())).unwrap();
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A worktree of the task, as attempts have it.
pub(super) async fn worktree(ground: &Ground, clone: &Path, name: &str) -> (PathBuf, Checkout) {
    let dir = ground.dir.path().join(name);
    let checkout = Checkout::at(clone).await.unwrap();
    checkout.start(&Start { worktree: Some(&dir), ..fix() }).await.unwrap();
    let tree = checkout.worktree(&dir).await.unwrap();
    (dir, tree)
}

#[tokio::test]
async fn what_is_checked_out_runs_no_program_that_the_clone_names() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let ran = ground.dir.path().join("ran");
    for hook in ["post-checkout", "post-merge", "post-index-change", "reference-transaction"] {
        program(&clone.join(".git/hooks").join(hook), &ran);
    }
    let watch = clone.join(".git/watch");
    program(&watch, &ran);
    git(&clone, &["config", "core.fsmonitor", watch.to_str().unwrap()]);
    let checkout = Checkout::at(&clone).await.unwrap();
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    fs::write(dir.join("lib.rs"), "two\n").unwrap();
    tree.commit(&by_hand("Fix")).await.unwrap();
    let head = tree.status().await.unwrap().head;
    checkout.snapshot(&head, "trunk", &ground.dir.path().join("clean")).await.unwrap();
    checkout.remove_worktree(&dir).await.unwrap();
    assert!(checkout.start(&fix()).await.unwrap().resumed);
    assert_eq!(fs::read_to_string(clone.join("lib.rs")).unwrap(), "two\n");
    assert!(!ran.exists(), "{}", fs::read_to_string(ran).unwrap());
}

#[tokio::test]
async fn what_people_commit_and_push_runs_their_hooks() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let checkout = Checkout::at(&clone).await.unwrap();
    checkout.start(&fix()).await.unwrap();
    fs::write(clone.join("lib.rs"), "two\n").unwrap();
    let [before_commit, before_push] = ["pre-commit", "pre-push"].map(|hook| {
        let ran = ground.dir.path().join(hook);
        program(&clone.join(".git/hooks").join(hook), &ran);
        ran
    });
    checkout.commit(&by_hand("Fix")).await.unwrap();
    assert!(before_commit.exists());
    checkout.push().await.unwrap();
    assert!(before_push.exists());
}

/// What users may well have set, for themselves or for other tools.
const OF_USERS: &[(&str, &str)] = &[
    ("core.quotePath", "true"),
    ("color.ui", "always"),
    ("color.diff", "always"),
    ("color.status", "always"),
    ("color.branch", "always"),
    ("column.ui", "always"),
    ("status.showUntrackedFiles", "no"),
    ("status.renames", "copies"),
    ("status.short", "true"),
    ("status.branch", "true"),
    ("status.relativePaths", "true"),
    ("diff.renames", "copies"),
    ("diff.noprefix", "true"),
    ("diff.mnemonicPrefix", "true"),
    ("diff.context", "0"),
    ("diff.orderFile", "none-such"),
    ("diff.external", "false"),
    ("diff.ignoreSubmodules", "all"),
    ("log.showSignature", "true"),
    ("log.decorate", "full"),
    ("i18n.logOutputEncoding", "UTF-16"),
    ("commit.gpgSign", "true"),
    ("commit.cleanup", "strip"),
    ("gpg.program", "false"),
    ("trailer.ifmissing", "doNothing"),
    ("trailer.separators", "%"),
    ("core.safecrlf", "true"),
    ("core.autocrlf", "input"),
    ("core.fsmonitor", "false-such"),
    ("push.default", "nothing"),
    ("push.followTags", "true"),
    ("push.gpgSign", "true"),
    ("push.recurseSubmodules", "only"),
    ("submodule.recurse", "true"),
    ("fetch.prune", "true"),
    ("merge.ff", "false"),
    ("branch.autoSetupMerge", "always"),
    ("checkout.defaultRemote", "other"),
    ("worktree.guessRemote", "true"),
    ("worktree.useRelativePaths", "true"),
    ("safe.bareRepository", "all"),
];

#[tokio::test]
async fn what_users_set_for_themselves_changes_nothing_here() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    super::commit(&clone, "moved.rs", "a\nb\nc\nd\ne\nf\ng\nh\n");
    git(&clone, &["push", "--quiet", "origin", "HEAD:trunk"]);
    for (key, value) in OF_USERS {
        git(&clone, &["config", key, value]);
    }
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    git(&clone, &["-c", "tag.gpgSign=false", "tag", "-a", "-m", "mine", "of-mine", "trunk"]);
    fs::rename(dir.join("moved.rs"), dir.join("größe.rs")).unwrap();
    fs::write(dir.join("lib.rs"), "two\r\nthree\n").unwrap();
    let left = [" M lib.rs", " D moved.rs", "?? größe.rs"];
    assert_eq!(tree.uncommitted().await.unwrap(), left);
    let patch = ground.dir.path().join("saved.patch");
    assert!(tree.save_patch(&patch).await.unwrap());
    let other = ground.clone("other");
    git(&other, &["apply", patch.to_str().unwrap()]);
    assert!(other.join("größe.rs").exists());

    let message = "Fix\n\n# by hand\nit all";
    let commit = Commit { round: Some(3), has_read_private: true, ..by_hand(message) };
    tree.commit(&commit).await.unwrap();
    let status = tree.push().await.unwrap();
    assert!(status.pushed && status.uncommitted.is_empty(), "{status:?}");
    let changed: Vec<_> = status.changed.iter().map(|file| (&*file.path, file.is_new)).collect();
    assert_eq!(changed, [("größe.rs", true), ("lib.rs", false), ("moved.rs", false)]);
    assert_eq!(tree.rounds("trunk", TASK, 0).await.unwrap(), 3);
    assert!(tree.has_read_private("trunk").await.unwrap());
    let diff = tree.diff_of("trunk", &status.head, &["lib.rs"], 10_000).await.unwrap();
    let Diff::Whole(diff) = diff else { panic!("{diff:?}") };
    assert!(diff.contains("\n--- a/lib.rs\n+++ b/lib.rs\n"), "{diff}");
    let remote = ground.dir.path().join("remote");
    assert_eq!(git(&remote, &["tag", "--list"]), "");
    let kept = git(&remote, &["log", "-1", "--format=%B", BRANCH]);
    assert!(kept.starts_with(message), "{kept}");
    Checkout::at(&clone).await.unwrap().remove_worktree(&dir).await.unwrap();
}

/// Names that git puts in quotes when it is not told otherwise.
const ODD: [&str; 4] = ["a\"b", "back\\slash", "a\ttab", "new\nline"];

#[tokio::test]
async fn odd_names_are_read_as_they_are() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    for name in ODD {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("conftest.py"), "x\n").unwrap();
        git(&dir.join(name), &["init", "--quiet"]);
    }
    tree.disown().await.unwrap();
    let folders: Vec<_> = ODD.iter().map(|name| format!("?? {name}/")).collect();
    let mut left = tree.uncommitted().await.unwrap();
    left.sort_by_key(|line| folders.iter().position(|folder| folder == line));
    assert_eq!(left, folders);
    tree.commit(&by_hand("Add them")).await.unwrap();
    let mut files: Vec<_> = ODD.iter().map(|name| format!("{name}/conftest.py")).collect();
    files.sort();
    let status = tree.status().await.unwrap();
    let changed: Vec<_> = status.changed.iter().map(|file| (&*file.path, file.is_new)).collect();
    assert_eq!(changed, files.iter().map(|file| (&**file, true)).collect::<Vec<_>>());
    let top = tree.top_of(&status.head).await.unwrap();
    assert!(ODD.iter().all(|name| top.iter().any(|it| it == name)), "{top:?}");
    let all = tree.files().await.unwrap();
    assert!(files.iter().all(|file| all.contains(file)), "{all:?}");
}

#[tokio::test]
async fn a_repository_in_a_folder_whose_name_is_no_text_is_disowned_as_well() {
    use std::os::unix::ffi::OsStrExt as _;
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    let own = dir.join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&own).unwrap();
    fs::write(own.join("inner.txt"), "x\n").unwrap();
    git(&own, &["init", "--quiet"]);
    tree.disown().await.unwrap();
    tree.commit(&by_hand("Add it")).await.unwrap();
    assert_eq!(tree.status().await.unwrap().changed.len(), 1);
}

#[tokio::test]
async fn lines_count_whatever_a_change_says_is_no_text() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    fs::write(dir.join(".gitattributes"), "*.rs -diff\n").unwrap();
    fs::write(dir.join("new.rs"), "x\n".repeat(300)).unwrap();
    fs::write(dir.join("zero.py"), format!("{}\0", "x\n".repeat(200))).unwrap();
    tree.commit(&by_hand("Hide it")).await.unwrap();
    let status = tree.status().await.unwrap();
    let seen = status.changed.iter().map(|file| (&*file.path, file.added));
    let expected = [(".gitattributes", Some(1)), ("new.rs", None), ("zero.py", None)];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    assert_eq!(tree.lines_touched("trunk", &status.head).await.unwrap(), 1 + 300 + 201);
}

#[tokio::test]
async fn of_a_change_that_is_longer_than_anybody_reads_the_beginning_is_shown_and_all_is_counted() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    fs::write(dir.join("new.rs"), "twelve bytes\n".repeat(1_000_000)).unwrap();
    tree.commit(&by_hand("Write much")).await.unwrap();
    let head = tree.status().await.unwrap().head;
    let diff = tree.diff_of("trunk", &head, &["new.rs"], 1_000).await.unwrap();
    let Diff::Longer(beginning) = diff else { panic!("{diff:?}") };
    assert_eq!(beginning.len(), 1_000);
    assert!(beginning.contains("\n+twelve bytes\n"), "{beginning}");
    assert_eq!(tree.lines_touched("trunk", &head).await.unwrap(), 1_000_000);
}

/// Makes a repository of `dir` which has a file of which git asks a program of its settings.
fn trap(dir: &Path, ran: &Path) {
    fs::create_dir_all(dir).unwrap();
    git(dir, &["init", "--quiet"]);
    fs::write(dir.join(".gitattributes"), "*.txt filter=trap\n").unwrap();
    super::commit(dir, "a.txt", "one\n");
    git(dir, &["add", "--all"]);
    let filter = dir.join(".git/trap");
    program(&filter, ran);
    git(dir, &["config", "filter.trap.clean", filter.to_str().unwrap()]);
    git(dir, &["config", "core.fsmonitor", filter.to_str().unwrap()]);
    // Git has to read it to know whether it is another one.
    let file = fs::File::options().append(true).open(dir.join("a.txt")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
}

#[tokio::test]
async fn what_poses_as_a_submodule_runs_nothing() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let ran = ground.dir.path().join("ran");
    let remote = ground.dir.path().join("remote");
    let file = ["-c", "protocol.file.allow=always"];
    let add = ["submodule", "--quiet", "add", remote.to_str().unwrap(), "deep/sub"];
    git(&clone, &[&file[..], &add].concat());
    git(&clone, &["commit", "--quiet", "-m", "sub"]);
    git(&clone, &["push", "--quiet", "origin", "HEAD:trunk"]);
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    trap(&dir.join("deep/sub"), &ran);
    let _ = fs::remove_file(&ran);
    assert_eq!(tree.uncommitted().await.unwrap().len(), 1, "another commit is there");
    tree.disown().await.unwrap();
    fs::write(dir.join("lib.rs"), "two\n").unwrap();
    tree.commit(&by_hand("Fix")).await.unwrap();
    tree.save_patch(&ground.dir.path().join("patch")).await.unwrap();
    let changed = tree.push().await.unwrap().changed;
    assert_eq!(changed.iter().map(|file| &*file.path).collect::<Vec<_>>(), ["lib.rs"]);
    assert!(!ran.exists());
    assert!(clone.join("deep/sub/.git").exists(), "the clone's own stays");
}

#[tokio::test]
async fn a_submodule_is_not_looked_for_behind_a_link() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let head = git(&clone, &["rev-parse", "HEAD"]);
    let entry = format!("160000,{head},deep/sub");
    git(&clone, &["update-index", "--add", "--cacheinfo", &entry]);
    git(&clone, &["commit", "--quiet", "-m", "sub"]);
    git(&clone, &["push", "--quiet", "origin", "HEAD:trunk"]);
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    let elsewhere = ground.dir.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("sub/.git")).unwrap();
    fs::remove_dir_all(dir.join("deep")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, dir.join("deep")).unwrap();
    tree.disown().await.unwrap();
    assert!(elsewhere.join("sub/.git").exists());
}

#[tokio::test]
async fn what_a_change_says_of_submodules_does_not_hide_where_they_are_moved() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let head = git(&clone, &["rev-parse", "HEAD"]);
    let enter = |clone: &Path, commit: &str| {
        let entry = format!("160000,{commit},sub");
        git(clone, &["update-index", "--add", "--cacheinfo", &entry]);
        git(clone, &["commit", "--quiet", "-m", "sub"]);
    };
    enter(&clone, &head);
    git(&clone, &["push", "--quiet", "origin", "HEAD:trunk"]);
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    let hide = "[submodule \"sub\"]\n\tpath = sub\n\turl = ./sub\n\tignore = all\n";
    fs::write(dir.join(".gitmodules"), hide).unwrap();
    tree.commit(&by_hand("Hide it")).await.unwrap();
    enter(&dir, &"1".repeat(40));
    let changed = tree.status().await.unwrap().changed;
    let paths: Vec<_> = changed.iter().map(|file| &*file.path).collect();
    assert_eq!(paths, [".gitmodules", "sub"]);
}

#[tokio::test]
async fn a_folder_that_is_laid_out_as_a_repository_is_none() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let laid_out = clone.join("laid-out");
    git(&clone, &["init", "--quiet", "--bare", "laid-out"]);
    git(&laid_out, &["remote", "add", "origin", "elsewhere"]);
    git(&laid_out, &["config", "core.bare", "false"]);
    git(&laid_out, &["config", "core.worktree", ".."]);
    let refused = Checkout::at(&laid_out).await.unwrap_err();
    assert!(matches!(refused, agentcom_exec::git::CheckoutError::NoClone(_)), "{refused}");
}

#[tokio::test]
async fn lfs_fetches_nothing_from_where_only_a_change_says() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    super::commit(&clone, ".gitattributes", "*.bin filter=lfs\n");
    super::commit(&clone, "a.bin", "a pointer\n");
    git(&clone, &["push", "--quiet", "origin", "HEAD:trunk"]);
    let told = ground.dir.path().join("told");
    let smudge = format!("echo \"skips=$GIT_LFS_SKIP_SMUDGE\" >> {}; cat", told.display());
    git(&clone, &["config", "filter.lfs.smudge", &smudge]);
    let said = || fs::read_to_string(&told).unwrap();
    let checkout = Checkout::at(&clone).await.unwrap();
    let snapshot = async |tree: &Checkout, name: &str| {
        let head = tree.status().await.unwrap().head;
        checkout.snapshot(&head, "trunk", &ground.dir.path().join(name)).await.unwrap();
    };
    let (dir, tree) = worktree(&ground, &clone, "one").await;
    fs::write(dir.join("lib.rs"), "two\n").unwrap();
    tree.commit(&by_hand("Fix")).await.unwrap();
    snapshot(&tree, "clean").await;
    assert_eq!(said(), "skips=\n".repeat(2));
    fs::write(dir.join(".lfsconfig"), "[lfs]\n\turl = https://elsewhere.example\n").unwrap();
    tree.commit(&by_hand("Fetch it elsewhere")).await.unwrap();
    snapshot(&tree, "steered").await;
    assert_eq!(said(), format!("{}skips=1\n", "skips=\n".repeat(2)));
    checkout.remove_worktree(&dir).await.unwrap();
    worktree(&ground, &clone, "two").await;
    assert_eq!(said(), format!("{}{}", "skips=\n".repeat(2), "skips=1\n".repeat(2)));
}
