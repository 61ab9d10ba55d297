//! This file checks everything that has to hold before a change is taken in. It only reads.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::mcp;
use crate::proof::{PROOFS, Proof};
use crate::proxies;
use crate::run::{Failure, Step, cargo, say, succeeds};

/// The target without an operating system that proves the core needs none.
const BARE_METAL: &str = "thumbv7em-none-eabihf";
/// Set to `1` to let `deny` build its tool from source, which takes many minutes.
const INSTALL_DENY: &str = "AGENTCOM_INSTALL_DENY";

/// The workspaces of their own, each with a lock file.
const BESIDE: [&str; 3] =
    ["benches/peers/Cargo.toml", "benches/peers/effectum/Cargo.toml", "fuzz/Cargo.toml"];

/// Something to run; `None` if it was skipped.
enum Check {
    Own(fn() -> Result<Option<Duration>, Failure>),
    /// The slice of a proof.
    Slice(&'static Proof),
}

/// The checks in order, the quickest to fail first; slices of the proofs come last.
fn checks() -> Vec<(&'static str, Check)> {
    let mut checks = vec![
        ("fmt", Check::Own(fmt)),
        ("locks", Check::Own(locks)),
        ("clippy", Check::Own(clippy)),
        ("tests", Check::Own(tests)),
        ("bare-metal", Check::Own(bare_metal)),
        ("doc", Check::Own(doc)),
        ("deny", Check::Own(deny)),
        ("guard", Check::Own(guard)),
        ("mcp", Check::Own(mcp::mcp)),
        ("proxies", Check::Own(proxies::proxies)),
    ];
    checks.extend(PROOFS.iter().map(|proof| (proof.command, Check::Slice(proof))));
    checks
}

/// Runs the checks that `args` leave, and stops at the first that fails.
pub(crate) fn verify(args: &[String]) -> Result<(), Failure> {
    if args == ["--list"] {
        say(&names());
        return Ok(());
    }
    let mut report = String::from("\nverified:");
    for (name, check) in selected(args)? {
        let took = match check {
            Check::Own(check) => check()?,
            Check::Slice(proof) => proof.run_slice().transpose()?,
        };
        let line = match took {
            Some(took) => format!("\n  {name:<10} {:>7.1} s", took.as_secs_f64()),
            None => format!("\n  {name:<10} skipped"),
        };
        report.push_str(&line);
    }
    say(&report);
    Ok(())
}

fn selected(args: &[String]) -> Result<Vec<(&'static str, Check)>, Failure> {
    let mut skipped = Vec::new();
    let mut only = Vec::new();
    let mut rest = args.iter();
    while let Some(flag) = rest.next() {
        let list = match flag.as_str() {
            "--skip" => &mut skipped,
            "--only" => &mut only,
            _ => return Err(Failure::usage(&format!("`verify` has no option `{flag}`"))),
        };
        let name = rest.next().map_or("", String::as_str);
        if !checks().iter().any(|(known, _)| *known == name) {
            let known = names();
            return Err(Failure::usage(&format!("`{flag}` needs the name of a step: {known}")));
        }
        list.push(name);
    }
    let chosen = |name: &str| (only.is_empty() || only.contains(&name)) && !skipped.contains(&name);
    Ok(checks().into_iter().filter(|(name, _)| chosen(name)).collect())
}

fn names() -> String {
    checks().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
}

fn fmt() -> Result<Option<Duration>, Failure> {
    Step::cargo("fmt", ["fmt", "--all", "--check"]).run().map(Some)
}

/// That what is built beside the workspace builds from the lock files that it has: each names what our
/// packages depend on as well.
fn locks() -> Result<Option<Duration>, Failure> {
    let mut took = Duration::ZERO;
    for manifest in BESIDE {
        let fresh = ["update", "--quiet", "--workspace", "--locked", "--manifest-path", manifest];
        took += Step::cargo("locks", fresh).run()?;
    }
    Ok(Some(took))
}

fn clippy() -> Result<Option<Duration>, Failure> {
    let scope = ["clippy", "--locked", "--workspace", "--all-targets", "--all-features"];
    Step::cargo("clippy", scope).args(["--", "-D", "warnings"].map(String::from)).run().map(Some)
}

/// The test command of the README, doc tests included.
fn tests() -> Result<Option<Duration>, Failure> {
    Step::cargo("tests", ["test", "--workspace"]).run().map(Some)
}

fn bare_metal() -> Result<Option<Duration>, Failure> {
    let core = ["check", "--locked", "--package", "agentcom-core", "--no-default-features"];
    let step = Step::cargo("bare-metal", core);
    if has_bare_metal() || succeeds("rustup", &["target", "add", BARE_METAL]) {
        return step.arg("--target").arg(BARE_METAL).run().map(Some);
    }
    say(&format!(
        "WARNING: the target {BARE_METAL} is neither installed nor to be had, so it stays \
         unproved that the core builds without an operating system; checking only that it \
         builds without its features"
    ));
    step.run().map(Some)
}

fn has_bare_metal() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let found = Command::new(rustc).args(["--print", "sysroot"]).stdin(Stdio::null()).output();
    found.is_ok_and(|output| {
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        sysroot.join("lib/rustlib").join(BARE_METAL).is_dir()
    })
}

fn doc() -> Result<Option<Duration>, Failure> {
    let scope = ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"];
    Step::cargo("doc", scope).var("RUSTDOCFLAGS", "-D warnings").run().map(Some)
}

fn deny() -> Result<Option<Duration>, Failure> {
    if !succeeds(cargo(), &["deny", "--version"]) {
        if env::var_os(INSTALL_DENY).is_none_or(|value| value != "1") {
            say(&format!(
                "==> deny: skipped, cargo-deny is not installed; \
                 `cargo install cargo-deny --locked` or {INSTALL_DENY}=1 gets it"
            ));
            return Ok(None);
        }
        Step::cargo("install cargo-deny", ["install", "cargo-deny", "--locked"]).run()?;
    }
    Step::cargo("deny", ["deny", "check", "bans", "licenses", "sources"]).run().map(Some)
}

/// What steps and decisions take, in instructions, against their budget.
fn guard() -> Result<Option<Duration>, Failure> {
    if !succeeds("valgrind", &["--version"]) {
        say("==> guard: skipped, valgrind is not installed, so no instructions are counted");
        return Ok(None);
    }
    let bench = ["bench", "--locked", "--package", "agentcom-benches", "--bench", "guard"];
    Step::cargo("guard", bench).run().map(Some)
}
