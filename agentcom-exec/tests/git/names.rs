//! This file tests that names of others are taken for what they name: branches and tags that are called
//! as what is meant, bases that look like something else, and files that are called like commits.

use std::fs;
use std::path::Path;

use agentcom_core::id::TaskId;
use agentcom_exec::git::{Checkout, CheckoutError, Commit, Diff, Start};

use crate::{BRANCH, Ground, TASK, by_hand, commit, fix, git};

/// Gives names that are meant to lead to `there` to what they are not meant for.
fn mislead(clone: &Path, there: &str, names: &[&str]) {
    for name in names {
        git(clone, &["update-ref", &format!("refs/heads/{name}"), there]);
        git(clone, &["update-ref", &format!("refs/tags/{name}"), there]);
    }
}

/// Works on a task that starts from `base`, and has to see what the remote has there, and nothing else.
async fn work(clone: &Path, dir: &Path, base: &str) {
    let checkout = Checkout::at(clone).await.unwrap();
    let start = || Start { base: Some(base), worktree: Some(dir), ..fix() };
    let started = checkout.start(&start()).await.unwrap();
    assert_eq!((&*started.base, started.resumed), (base, false));
    let tree = checkout.worktree(dir).await.unwrap();
    let fresh = tree.status().await.unwrap();
    assert_eq!((fresh.ahead, fresh.behind, &*fresh.base), (0, 0, base), "{base}");
    assert!(fresh.changed.is_empty() && !dir.join("evil.rs").exists(), "{base}: {fresh:?}");
    fs::write(dir.join("lib.rs"), "two\n").unwrap();
    let round = Commit { round: Some(1), has_read_private: true, ..by_hand("Fix") };
    tree.commit(&round).await.unwrap();
    let status = tree.status().await.unwrap();
    assert_eq!((status.ahead, status.behind, status.changed.len()), (1, 0, 1), "{base}");
    assert_eq!(tree.rounds(base, TASK, 0).await.unwrap(), 1, "{base}");
    assert!(tree.has_read_private(base).await.unwrap(), "{base}");
    assert_eq!(tree.lines_touched(base, &status.head).await.unwrap(), 2, "{base}");
    let diff = tree.diff_of(base, &status.head, &["lib.rs"], 10_000).await.unwrap();
    let Diff::Whole(diff) = diff else { panic!("{diff:?}") };
    assert!(diff.ends_with("\n-one\n+two"), "{base}: {diff}");
    let versions = tree.versions_of(base, &status.head, "lib.rs", 99).await.unwrap().unwrap();
    assert_eq!(versions.map(Option::unwrap), ["one", "two"], "{base}");
    assert_eq!(tree.top_of_base(base).await.unwrap(), ["lib.rs"], "{base}");
    assert!(tree.push().await.unwrap().pushed, "{base}");
    checkout.remove_worktree(dir).await.unwrap();
    let resumed = checkout.start(&Start { base: None, ..start() }).await.unwrap();
    assert_eq!((&*resumed.base, resumed.resumed), (base, true));
    assert_eq!(fs::read_to_string(dir.join("lib.rs")).unwrap(), "two\n", "{base}");
    checkout.remove_worktree(dir).await.unwrap();
}

/// A clone with a commit that nothing is to start from, and its hash.
fn misled(ground: &Ground, name: &str) -> (std::path::PathBuf, String) {
    let clone = ground.clone(name);
    commit(&clone, "evil.rs", "evil\n");
    let evil = git(&clone, &["rev-parse", "HEAD"]);
    git(&clone, &["reset", "--quiet", "--hard", "HEAD~"]);
    (clone, evil)
}

#[tokio::test]
async fn branches_and_tags_that_are_called_like_the_base_or_the_branch_are_not_taken_for_it() {
    let ground = Ground::new();
    let (clone, evil) = misled(&ground, "mine");
    let called = ["origin/trunk", "refs/remotes/origin/trunk", "remotes/origin/trunk"];
    mislead(&clone, &evil, &called);
    git(&clone, &["update-ref", "refs/tags/trunk", &evil]);
    for name in [BRANCH, "origin/agentcom", &format!("heads/{BRANCH}"), "HEAD"] {
        git(&clone, &["update-ref", &format!("refs/tags/{name}"), &evil]);
    }
    work(&clone, &ground.dir.path().join("tree"), "trunk").await;
}

#[tokio::test]
async fn what_only_the_remote_has_is_gone_on_with_whatever_is_called_like_it_here() {
    let ground = Ground::new();
    let (clone, evil) = misled(&ground, "mine");
    let other = ground.clone("other");
    Checkout::at(&other).await.unwrap().start(&fix()).await.unwrap();
    commit(&other, "lib.rs", "two\n");
    git(&other, &["push", "--quiet", "origin", BRANCH]);
    mislead(&clone, &evil, &[&format!("origin/{BRANCH}")]);
    git(&clone, &["update-ref", &format!("refs/tags/{BRANCH}"), &evil]);
    let dir = ground.dir.path().join("tree");
    let checkout = Checkout::at(&clone).await.unwrap();
    let started = checkout.start(&Start { worktree: Some(&dir), ..fix() }).await.unwrap();
    assert!(started.resumed && !dir.join("evil.rs").exists(), "{started:?}");
    assert_eq!(fs::read_to_string(dir.join("lib.rs")).unwrap(), "two\n");
    // The clone itself goes to the branch as well.
    checkout.remove_worktree(&dir).await.unwrap();
    checkout.start(&fix()).await.unwrap();
    assert_eq!(git(&clone, &["branch", "--show-current"]), BRANCH);
    assert!(!clone.join("evil.rs").exists());
}

#[tokio::test]
async fn bases_may_be_called_as_git_allows_and_nothing_else_is_one() {
    let ground = Ground::new();
    let odd = [
        "-x",
        "--all",
        "--upload-pack=touch-pwned",
        "origin/trunk",
        "refs/heads/trunk",
        "HEAD",
        "FETCH_HEAD",
        "v1.0@2",
        "a,b;c&d$(e)",
        "gr\u{f6}\u{df}e\u{a0}1",
    ];
    let first = ground.dir.path().join("first");
    for (number, base) in odd.iter().enumerate() {
        git(&first, &["push", "--quiet", "origin", &format!("HEAD:refs/heads/{base}")]);
        let (clone, evil) = misled(&ground, &format!("mine-{number}"));
        git(&clone, &["update-ref", &format!("refs/tags/{base}"), &evil]);
        git(&clone, &["update-ref", &format!("refs/heads/origin/{base}"), &evil]);
        let remote = ground.dir.path().join("remote");
        work(&clone, &ground.dir.path().join("tree"), base).await;
        git(&remote, &["update-ref", "-d", &format!("refs/heads/{BRANCH}")]);
    }
    let clone = ground.clone("mine");
    let checkout = Checkout::at(&clone).await.unwrap();
    for base in
        ["", "*", "a b", "a..b", "x:refs/heads/trunk", "../trunk", "trunk~", "a\nb", "@{-1}"]
    {
        let refused = checkout.start(&Start { base: Some(base), ..fix() }).await.unwrap_err();
        assert_eq!(refused, CheckoutError::NoBase(base.into()));
    }
}

#[tokio::test]
async fn the_default_of_the_remote_may_be_called_as_git_allows() {
    let ground = Ground::new();
    let remote = ground.dir.path().join("remote");
    let base = "gr\u{f6}\u{df}e\u{a0}1";
    git(&remote, &["branch", "-m", "trunk", base]);
    git(&remote, &["symbolic-ref", "refs/heads/other/HEAD", &format!("refs/heads/{base}")]);
    let clone = ground.clone("mine");
    let started = Checkout::at(&clone).await.unwrap().start(&fix()).await.unwrap();
    assert_eq!(started.base, base);
}

#[tokio::test]
async fn files_that_are_called_like_commits_are_files() {
    let ground = Ground::new();
    let clone = ground.clone("mine");
    let dir = ground.dir.path().join("tree");
    let checkout = Checkout::at(&clone).await.unwrap();
    checkout.start(&Start { worktree: Some(&dir), ..fix() }).await.unwrap();
    let tree = checkout.worktree(&dir).await.unwrap();
    let base = git(&clone, &["rev-parse", "origin/trunk"]);
    for at in ["origin/trunk", "refs/remotes/origin/trunk"] {
        for name in [format!("{at}...HEAD"), format!("{at}..HEAD"), format!("{at}...{base}")] {
            let file = dir.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "a file").unwrap();
        }
    }
    for name in ["HEAD", "HEAD^{tree}", &base] {
        fs::write(dir.join(name), "a file").unwrap();
    }
    let patch = ground.dir.path().join("saved.patch");
    assert!(tree.save_patch(&patch).await.unwrap());
    assert_eq!(tree.status().await.unwrap().ahead, 0);
    tree.commit(&Commit { round: Some(1), ..by_hand("Fix") }).await.unwrap();
    let status = tree.status().await.unwrap();
    assert_eq!((status.ahead, status.changed.len()), (1, 9));
    assert_eq!(tree.rounds("trunk", TASK, 0).await.unwrap(), 1);
    assert!(!tree.has_read_private("trunk").await.unwrap());
    assert_eq!(tree.lines_touched("trunk", &base).await.unwrap(), 0);
    assert_eq!(tree.lines_touched("trunk", &status.head).await.unwrap(), 9);
    let other = Start { task: TaskId(1), worktree: None, ..fix() };
    checkout.start(&other).await.unwrap();
}
