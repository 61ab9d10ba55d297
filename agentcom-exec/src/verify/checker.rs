//! This file runs checks.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use agentcom_core::port::executor::JobContext;
use agentcom_core::risk::belongs_to_tests;
use agentcom_core::task::VerificationStep;
use agentcom_core::time::Span;
use agentcom_core::verify::{Check, Status, Verdict, is_among};

use super::inside;
use super::steering::{is_mixed, steers};
use super::tracked::Tracked;
use super::{Change, CheckReport, Report};
use crate::git::{Changed, Checkout, CheckoutError, Diff};
use crate::guard::{How, Spawner};
use crate::sandbox::Sandbox;
use crate::session::{Confined, Ended, Room};
use crate::tool::Workspace;

/// How much of what a command prints is kept, in bytes.
const OUTPUT_BYTES_MAX: usize = 4 * 1024;

/// How much of a file is searched for a text, in bytes.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// How much of the changes to tests is shown, in bytes.
const DIFF_BYTES_MAX: usize = 4_000;

/// How much of a manifest is read, in bytes; a longer one is taken for one that says how tests run.
const MANIFEST_BYTES_MAX: u64 = 256 * 1024;

/// So many files are named and shown.
const FILES_SHOWN: usize = 50;

/// So many of those are named that a command has changed, beside what it printed.
const CHANGED_SHOWN: usize = 10;

/// Runs the checks of a task in a checkout of nothing but the commit that is checked.
#[derive(Debug)]
pub struct Checker<'a> {
    /// Starts commands.
    pub spawner: &'a Spawner,
    /// Confines them. Their files may take as much as it says beside those of the commit.
    pub sandbox: &'a Sandbox,
    /// What they see of the environment.
    pub env: &'a BTreeMap<String, String>,
    /// The checkout, as [`Checkout::worktree`] has it: commands run there.
    pub checkout: &'a Checkout,
    /// The commit that is checked out there, and the hash of all that is in it.
    pub commit: (&'a str, &'a str),
    /// What it changes.
    pub change: &'a Change,
    /// Where git is asked about that change.
    pub git: &'a Checkout,
    /// How long all checks together may take.
    pub timeout: Duration,
    /// Who hears of it.
    pub ctx: &'a dyn JobContext,
}

/// What holds the commands of all checks.
struct Bounds {
    sandbox: Sandbox,
    room: Room,
}

/// What a check found, before it is written up.
struct Found {
    status: Status,
    output: String,
    exit_code: Option<i32>,
}

impl Found {
    fn new(status: Status, output: impl Into<String>) -> Self {
        Self { status, output: output.into(), exit_code: None }
    }

    /// Passes if there is nothing to say against it.
    fn unless(against: Option<String>) -> Self {
        match against {
            None => Self::new(Status::Pass, ""),
            Some(against) => Self::new(Status::Fail, against),
        }
    }
}

impl Checker<'_> {
    /// Runs all of `steps`, also where one does not hold. Each finds the files of the commit as they
    /// are there, whatever the commands of others did to them, and what these made beside them.
    /// Dropping the future stops what runs.
    pub async fn run(&self, steps: &[VerificationStep], round: u32) -> Report {
        let started = Instant::now();
        let mut checks = Vec::new();
        let bounds = self.bounds(steps).await;
        let mut tracked = self.tracked(steps).await;
        for step in steps {
            let began = Instant::now();
            let left = self.timeout.saturating_sub(started.elapsed());
            let found = match (Check::read(step), &tracked) {
                (Err(bad), _) => Found::new(Status::Error, bad.to_string()),
                (Ok(_), _) if left.is_zero() => {
                    Found::new(Status::Timeout, "the time for checks is over")
                }
                (Ok(_), Err(why)) => {
                    let why = format!("the files of the commit cannot be told from others: {why}");
                    Found::new(Status::Error, why)
                }
                (Ok(check), Ok(_)) => self.check(&check, &bounds, left).await,
            };
            let found = put_back(&mut tracked, step, found).await;
            let check = CheckReport {
                kind: step.kind.clone(),
                target: step.target.clone(),
                description: step.description.clone(),
                status: found.status,
                output: found.output,
                exit_code: found.exit_code,
                duration_ms: Span::from(began.elapsed()).0,
            };
            crate::output::report(self.ctx, "status", &format!("check {}", check.told()));
            checks.push(check);
        }
        Report {
            run_number: round,
            status: Verdict::of(checks.iter().map(|check| check.status)),
            commit: self.commit.0.to_owned(),
            tree: self.commit.1.to_owned(),
            duration_ms: Span::from(started.elapsed()).0,
            timeout_ms: Span::from(self.timeout).0,
            checks,
        }
    }

    /// Those of work that begins now. Where no commands are run, nothing is looked at for them.
    async fn bounds(&self, steps: &[VerificationStep]) -> Bounds {
        let sandbox = self.sandbox.clone();
        if !steps.iter().any(runs_command) {
            return Bounds { sandbox, room: Room::default() };
        }
        let sandbox = sandbox.for_work_in(self.checkout.dir()).await;
        Bounds { sandbox, room: Room::of_new_work() }
    }

    /// The files of the commit, if commands are run beside them.
    async fn tracked(&self, steps: &[VerificationStep]) -> Result<Option<Tracked<'_>>, String> {
        if !steps.iter().any(runs_command) {
            return Ok(None);
        }
        Tracked::of(self.checkout, self.commit.0).await.map(Some)
    }

    async fn check(&self, check: &Check, bounds: &Bounds, left: Duration) -> Found {
        match check {
            Check::FileExists(path) => {
                self.looked(path, |workspace, path| {
                    let missing = || "there is no such file".to_owned();
                    if workspace.has(path) { Ok(()) } else { Err(missing()) }
                })
                .await
            }
            Check::FileContains { path, text } => {
                let text = text.clone();
                self.looked(path, move |workspace, path| contains(workspace, path, &text)).await
            }
            Check::CommandSucceeds(command) => self.command(command, bounds, left).await,
            Check::TestPasses(Some(command)) => self.command(command, bounds, left).await,
            Check::TestPasses(None) => match self.tests().await {
                Ok(Some(command)) => self.command(command, bounds, left).await,
                Ok(None) => Found::new(Status::Unverifiable, "no way to run tests was found"),
                Err(error) => Found::new(Status::Error, error.to_string()),
            },
            Check::GitClean => {
                let left_out = &self.change.uncommitted;
                Found::unless((!left_out.is_empty()).then(|| left_out.join("\n")))
            }
            Check::DiffWithin { lines, paths } => self.beyond(*lines, paths).await,
            Check::TestsNotWeakened { except } => Found::unless(self.weakened(except).await),
        }
    }

    /// What the change touches beyond what it may.
    async fn beyond(&self, lines: Option<u64>, paths: &[String]) -> Found {
        let files = &self.change.files;
        let outside = files.iter().map(|file| &*file.path);
        let outside: Vec<&str> =
            outside.filter(|path| !paths.is_empty() && !is_among(path, paths)).collect();
        if !outside.is_empty() {
            return Found::new(Status::Fail, format!("it touches {}", outside.join(", ")));
        }
        let Some(most) = lines else { return Found::unless(None) };
        let no_text: Vec<&str> = files
            .iter()
            .filter(|file| file.added.is_none())
            .map(|file| &*file.path)
            .take(FILES_SHOWN)
            .collect();
        // The change can say of any file that it is no text, so its lines count as well.
        let touched = match no_text.is_empty() {
            true => Ok(files.iter().filter_map(|file| Some(file.added? + file.deleted?)).sum()),
            false => self.git.lines_touched(&self.change.base, self.commit.0).await,
        };
        let with = if no_text.is_empty() { "" } else { ", with what is no text: " };
        match touched {
            Ok(touched) if touched > most => {
                let said = format!("it touches {touched} lines{with}{}", no_text.join(", "));
                Found::new(Status::Fail, format!("{said}; {most} are allowed"))
            }
            Ok(_) => Found::unless(None),
            Err(error) => Found::new(Status::Error, format!("lines cannot be counted: {error}")),
        }
    }

    /// Tests that were there before and are changed or gone, files that say how tests run, and what
    /// became of them. The names stand last, since of long texts the ends are kept.
    async fn weakened(&self, except: &[String]) -> Option<String> {
        let files = self.change.files.iter().filter(|file| !is_among(&file.path, except));
        let mut touched: Vec<&str> = Vec::new();
        for file in files {
            let is_old_test = belongs_to_tests(&file.path) && !file.is_new;
            match self.steers(file).await {
                Ok(steers) if !is_old_test && !steers => {}
                Ok(_) => touched.push(&file.path),
                Err(error) => return Some(format!("the changes cannot be looked at: {error}")),
            }
        }
        if touched.is_empty() {
            return None;
        }
        let shown = &touched[..touched.len().min(FILES_SHOWN)];
        let (base, commit) = (&self.change.base, self.commit.0);
        let mut said = match self.git.diff_of(base, commit, shown, DIFF_BYTES_MAX).await {
            Ok(Diff::Longer(beginning)) => format!("{beginning}\n[cut]"),
            Ok(Diff::Whole(diff)) => diff,
            Err(error) => format!("the changes cannot be shown: {error}"),
        };
        said.push_str(&format!("\n\ntests are changed: {}", shown.join(", ")));
        if touched.len() > shown.len() {
            said.push_str(&format!(" and {} more", touched.len() - shown.len()));
        }
        Some(said)
    }

    /// Whether what became of a file says anew how tests run, or is another of tests inside it.
    async fn steers(&self, file: &Changed) -> Result<bool, CheckoutError> {
        let path = &*file.path;
        let has_tests = inside::may_have_tests(path) && !file.is_new;
        if !is_mixed(path) && !has_tests {
            return Ok(steers(path, None, None));
        }
        let (base, head) = (&*self.change.base, self.commit.0);
        let versions = self.git.versions_of(base, head, path, MANIFEST_BYTES_MAX).await?;
        let Some([before, after]) = versions else { return Ok(true) };
        let (before, after) = (before.as_deref(), after.as_deref());
        Ok(steers(path, before, after) || has_tests && inside::weakened(before, after))
    }

    /// The command for the tests of the kinds of projects that are known, by what the base has: what
    /// tests are run is not for the change to say, unless there are none without it.
    async fn tests(&self) -> Result<Option<&'static str>, CheckoutError> {
        const KINDS: [(&str, &str); 7] = [
            ("Cargo.toml", "cargo test --offline"),
            ("mix.exs", "mix test"),
            ("go.mod", "go test ./..."),
            ("package.json", "npm test"),
            ("pyproject.toml", "python3 -m pytest"),
            ("pytest.ini", "python3 -m pytest"),
            ("Makefile", "make test"),
        ];
        let of = |names: &[String]| {
            let mut kinds = KINDS.iter();
            kinds.find(|(name, _)| names.iter().any(|it| it == name)).map(|&(_, command)| command)
        };
        let before = of(&self.git.top_of_base(&self.change.base).await?);
        if before.is_some() {
            return Ok(before);
        }
        Ok(of(&self.git.top_of(self.commit.0).await?))
    }

    /// Looks at what is beneath the checkout, whatever links say.
    async fn looked(
        &self,
        path: &str,
        look: impl FnOnce(&Workspace, &Path) -> Result<(), String> + Send + 'static,
    ) -> Found {
        let (dir, path) = (self.checkout.dir().to_owned(), path.to_owned());
        let looking = tokio::task::spawn_blocking(move || {
            let workspace = Workspace::open(dir).map_err(|error| error.to_string())?;
            look(&workspace, &workspace.relative(&path))
        });
        match looking.await {
            Ok(seen) => Found::unless(seen.err()),
            Err(lost) => Found::new(Status::Error, lost.to_string()),
        }
    }

    async fn command(&self, command: &str, bounds: &Bounds, left: Duration) -> Found {
        let confined = Confined {
            spawner: self.spawner,
            sandbox: &bounds.sandbox,
            room: &bounds.room,
            env: self.env,
            dir: self.checkout.dir(),
            within: left,
            output_bytes_max: OUTPUT_BYTES_MAX,
        };
        let ran = match confined.run(command, self.ctx).await {
            Ok(ran) => ran,
            Err(error) => return Found::new(Status::Unverifiable, error.to_string()),
        };
        let (status, exit_code, note) = match ran.ended {
            Ended::Ran(How::Exited(0)) => (Status::Pass, Some(0), String::new()),
            Ended::Ran(How::Exited(code)) => (Status::Fail, Some(code), String::new()),
            Ended::Ran(How::Signalled(signal)) => {
                (Status::Fail, None, format!("\nkilled by signal {signal}"))
            }
            Ended::Refused(refusal) => return Found::new(Status::Unverifiable, refusal.message),
            Ended::DiskFull(excess) => (Status::Fail, None, format!("\n{excess}")),
            Ended::TooMuch(too_much) => (Status::Fail, None, format!("\n{too_much}")),
            Ended::Lost => (Status::Error, None, "\nits guard was killed".to_owned()),
            Ended::Late => (Status::Timeout, None, format!("\nnot within {left:?}")),
        };
        let output = format!("{}{}{note}", ran.stdout, ran.stderr).trim().to_owned();
        Found { status, output, exit_code }
    }
}

/// Whether a check runs a command, which may change files.
fn runs_command(step: &VerificationStep) -> bool {
    matches!(Check::read(step), Ok(Check::CommandSucceeds(_) | Check::TestPasses(_)))
}

/// Puts the files of the commit back that the command of a check has changed, and says so with what
/// it found. Where that cannot be done, nothing more is checked in that checkout.
async fn put_back(
    tracked: &mut Result<Option<Tracked<'_>>, String>,
    step: &VerificationStep,
    mut found: Found,
) -> Found {
    let Ok(Some(files)) = tracked else { return found };
    if !runs_command(step) {
        return found;
    }
    let said = match files.put_back().await {
        Ok(changed) if changed.is_empty() => return found,
        Ok(changed) => {
            let paths = changed.iter().take(CHANGED_SHOWN).map(|path| path.to_string_lossy());
            let shown = paths.collect::<Vec<_>>().join(", ");
            let more = match changed.len().saturating_sub(CHANGED_SHOWN) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("it changed files of the commit, which were put back: {shown}{more}")
        }
        Err(why) => {
            *tracked = Err(why.clone());
            format!("what it changed of the files of the commit cannot be put back: {why}")
        }
    };
    found.output = format!("{}\n{said}", found.output).trim_start().to_owned();
    found
}

fn contains(workspace: &Workspace, path: &Path, text: &str) -> Result<(), String> {
    let (file, _) = workspace.file(path).map_err(|error| error.message)?;
    let mut content = Vec::new();
    let read = file.take(FILE_BYTES_MAX).read_to_end(&mut content);
    read.map_err(|error| error.to_string())?;
    let has = content.windows(text.len()).any(|part| part == text.as_bytes());
    if has { Ok(()) } else { Err("the text is not in it".to_owned()) }
}
