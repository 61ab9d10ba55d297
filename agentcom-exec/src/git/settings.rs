//! This file pins the settings that git works by here, whatever its user has chosen for other times.

/// What git prints is read and what it writes is applied later, so both are what they are without
/// anybody's settings: for all commands.
pub(super) const READABLE: &[&str] = &[
    // Names are told as they are. Where paths are read, `-z` leaves the rest of them unquoted too.
    "core.quotePath=false",
    "color.ui=false",
    "color.branch=false",
    "color.diff=false",
    "color.status=false",
    "column.ui=never",
    "column.status=never",
    // A new file is a change.
    "status.showUntrackedFiles=normal",
    "status.renames=false",
    "diff.noprefix=false",
    "diff.mnemonicPrefix=false",
    "diff.srcPrefix=a/",
    "diff.dstPrefix=b/",
    "diff.relative=false",
    "diff.context=3",
    "diff.interHunkContext=0",
    "diff.orderFile=/dev/null",
    "diff.submodule=short",
    "log.showSignature=false",
    // Names of people are read nowhere, and `.mailmap` may be a pipe that somebody makes at this moment.
    "log.mailmap=false",
    "i18n.commitEncoding=UTF-8",
    "i18n.logOutputEncoding=UTF-8",
    // Trailers are how a task is known by its commits.
    "commit.cleanup=whitespace",
    "trailer.separators=:",
    "trailer.where=end",
    "trailer.ifexists=addIfDifferentNeighbor",
    "trailer.ifmissing=add",
    // Where a worktree's repository is, is compared with where it should be.
    "worktree.useRelativePaths=false",
    // A folder that is laid out as a repository is one of the tree's, with settings of the tree's.
    "safe.bareRepository=explicit",
    // A branch is pushed, and nothing beside it.
    "push.followTags=false",
];

/// Keeps git from running what its user has it run at such times: what is checked out may have been
/// written by a model, and a hook that runs a file of it does so outside of any sandbox.
pub(super) const WITHOUT_PROGRAMS: &[&str] = &[
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    // Those that stand in the settings themselves, which git has from 2.54 on; by event from 2.55 on.
    "hook.post-checkout.enabled=false",
    "hook.post-merge.enabled=false",
    "hook.post-index-change.enabled=false",
    "hook.reference-transaction.enabled=false",
    "hook.pre-commit.enabled=false",
    "hook.prepare-commit-msg.enabled=false",
    "hook.commit-msg.enabled=false",
    "hook.post-commit.enabled=false",
    "hook.pre-merge-commit.enabled=false",
    "hook.pre-push.enabled=false",
    "hook.pre-auto-gc.enabled=false",
];

/// Where somebody else may write: nobody is there to sign, submodules are not gone into, since a folder
/// that poses as one has settings that name programs, and no file is refused for how its lines end.
pub(super) const OF_OTHERS: &[&str] = &[
    "commit.gpgSign=false",
    "push.gpgSign=false",
    "push.recurseSubmodules=no",
    "submodule.recurse=false",
    "core.safecrlf=false",
];
