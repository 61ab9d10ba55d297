//! This file measures what coding tasks cost beside the model: the sandbox of a command, a turn of
//! the loop, and a worktree of a large repository.
//!
//! `cargo xtask bench coding [--runs N] [--commands N] [--turns N] [--files N]`
//!
//! - *command*: `/bin/true` under its guard, without a sandbox, at L2 and at L3, by turns.
//! - *turn*: a model that answers at once, behind the wire of Ollama on loopback, reads a file in each
//!   turn, as often as a complex task allows. All that is not the model counts: the request, the answer,
//!   the tool, the events.
//! - *worktree*: from `git fetch` to a worktree on a branch of its own, and the clean checkout that
//!   checks run in, of a repository of so many files.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentcom_benches::arguments::Arguments;
use agentcom_benches::report::{Runs, say};
use agentcom_benches::{Outcome, machine};
use agentcom_core::agentic::Limits;
use agentcom_core::id::TaskId;
use agentcom_core::port::executor::{JobContext, News};
use agentcom_core::task::Tier;
use agentcom_core::time::Wall;
use agentcom_exec::agentic::{Brief, How, Loop};
use agentcom_exec::git::{Checkout, Start};
use agentcom_exec::guard::{self, GuardCommand, Leftovers, Said, Spawner};
use agentcom_exec::model::Ollama;
use agentcom_exec::sandbox::{self, Level, Sandbox};
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use agentcom_exec::tool::{Toolbox, Workspace};
use async_trait::async_trait;

/// Nobody listens.
#[derive(Debug)]
struct Deaf;

#[async_trait]
impl JobContext for Deaf {
    fn report(&self, _news: News) {}

    async fn cancelled(&self) {
        std::future::pending().await
    }

    fn now(&self) -> Wall {
        Wall(0)
    }
}

fn main() -> Outcome<()> {
    if guard::dispatch().is_some() {
        return Ok(());
    }
    let arguments = Arguments::read()?;
    machine::describe();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> Outcome<()> {
    let runs = arguments.number("runs", 5)?;
    commands(runs, arguments.number("commands", 100)?).await?;
    turns(runs, arguments.number("turns", 20)?).await?;
    worktrees(runs, arguments.number("files", 10_000)?).await
}

async fn commands(runs: usize, count: usize) -> Outcome<()> {
    let spawner = Spawner::current_exe()?;
    let proved = sandbox::prove(&spawner, &Sandbox::new(Level::L3)).level;
    let levels = [Level::L2, Level::L3].into_iter().filter(|&level| level <= proved);
    let ways: Vec<Option<Level>> = std::iter::once(None).chain(levels.map(Some)).collect();
    let mut figures = vec![Runs::default(); ways.len()];
    for _ in 0..runs {
        for (way, figures) in ways.iter().zip(&mut figures) {
            let begun = Instant::now();
            for _ in 0..count {
                command(&spawner, *way).await?;
            }
            figures.add(per(begun.elapsed(), count));
        }
    }
    say(&format!("a command, ms; medians of {runs} runs of {count}"));
    let without = figures.first().map_or(f64::NAN, Runs::median);
    for (way, figures) in ways.iter().zip(&figures) {
        let name = way.map_or("without a sandbox", Level::as_str);
        let more = figures.median() - without;
        say(&format!("{name}: {}, {more:.2} more than without", figures.spread()));
    }
    Ok(())
}

async fn command(spawner: &Spawner, level: Option<Level>) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let cell = level.map(|level| Sandbox::new(level).around(dir.path())).transpose()?;
    let command = GuardCommand {
        argv: vec!["/bin/true".to_owned()],
        env: Default::default(),
        cwd: dir.path().to_owned(),
        stdin: None,
        leftovers: Leftovers::Kill,
        sandbox: cell.as_ref().map(sandbox::Cell::policy),
    };
    let mut running = spawner.spawn(&command).await?;
    loop {
        match running.next().await? {
            Said::Refused(refusal) => return Err(refusal.message.into()),
            Said::Clear { .. } => return Ok(()),
            Said::Started { .. } | Said::Contact(_) | Said::TooMuch(_) | Said::Exited(_) => {}
        }
    }
}

async fn turns(runs: usize, count: usize) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("a.txt"), "line\n".repeat(50))?;
    let workspace = Arc::new(Workspace::open(dir.path())?);
    let tools = Toolbox::of_files(&workspace);
    let mut figures = Runs::default();
    for _ in 0..runs {
        let model = StandIn::that(Box::new(move |_, number| {
            if number + 1 == count {
                return Turn::says("Done.");
            }
            // Each call is another, or it would be stopped.
            Turn::calls("read_file", serde_json::json!({ "path": "a.txt", "end_line": number + 1 }))
        }));
        let model = model.await;
        let asked = Ollama::new(&model.url(), "scripted")?;
        let turns = u32::try_from(count)?;
        let limits = Limits { turns, ..Limits::of_tier(Tier::Complex) };
        let at = Loop { model: &asked, tools: &tools, limits, ctx: &Deaf, seed: 0 };
        let begun = Instant::now();
        let ended = at.run(&Brief { task: "Read it.".into(), ..Brief::default() }).await;
        if ended.how != How::Answered {
            return Err(format!("the model was stopped: {:?}", ended.how).into());
        }
        figures.add(per(begun.elapsed(), count));
    }
    say(&format!("a turn beside the model, ms; medians of {runs} runs of {count}"));
    say(&format!("turn: {}", figures.spread()));
    Ok(())
}

async fn worktrees(runs: usize, files: usize) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let clone = repository(dir.path(), files)?;
    let checkout = Checkout::at(&clone).await?;
    let [mut made, mut clean] = [Runs::default(), Runs::default()];
    for number in 0..runs {
        let at = dir.path().join(format!("worktree-{number}"));
        let start = Start {
            task: TaskId(number as u64),
            description: "measure",
            base: None,
            worktree: Some(&at),
        };
        let begun = Instant::now();
        checkout.start(&start).await?;
        made.add(per(begun.elapsed(), 1));
        let apart = dir.path().join(format!("clean-{number}"));
        let begun = Instant::now();
        checkout.snapshot("HEAD", "main", &apart).await?;
        clean.add(per(begun.elapsed(), 1));
        checkout.remove_worktree(&at).await?;
        checkout.remove_worktree(&apart).await?;
    }
    say(&format!("a repository of {files} files, ms; medians of {runs}"));
    say(&format!("fetch, branch and worktree: {}", made.spread()));
    say(&format!("clean checkout: {}", clean.spread()));
    Ok(())
}

/// A remote of so many small files, and a clone of it.
fn repository(dir: &Path, files: usize) -> Outcome<std::path::PathBuf> {
    let clone = dir.join("clone");
    git(dir, &["init", "-q", "--bare", "--initial-branch=main", "remote"])?;
    git(dir, &["clone", "-q", "remote", "clone"])?;
    for number in 0..files {
        let folder = clone.join(format!("src/{:03}", number / 100));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("{number}.rs")), format!("// {number}\n").repeat(40))?;
    }
    git(&clone, &["add", "-A"])?;
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    git(&clone, &[&who[..], &["commit", "-q", "-m", "Begin"]].concat())?;
    git(&clone, &["push", "-q", "origin", "HEAD:main"])?;
    Ok(clone)
}

fn git(dir: &Path, args: &[&str]) -> Outcome<()> {
    let status = Command::new("git").current_dir(dir).args(args).status()?;
    if status.success() { Ok(()) } else { Err(format!("git {} failed", args.join(" ")).into()) }
}

/// Milliseconds for each of `count`.
fn per(span: Duration, count: usize) -> f64 {
    span.as_secs_f64() * 1000.0 / count as f64
}
