//! This file works on a task in a clone of its repository: it begins a branch, says where that stands
//! and pushes it.

mod checked;
mod pull;

pub(crate) use pull::github_token;

use std::path::{Path, PathBuf};

use agentcom_core::id::TaskId;
use agentcom_core::risk::{FileChange, Proposed, Risk, has_tests};
use agentcom_core::task::Tier;
use agentcom_exec::git::{Changed, Checkout, CheckoutError, Commit, GitError, Start, Status};
use agentcom_exec::github;
use serde_json::{Value, json};

use crate::args::Context;
use crate::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::name::task_id;
use crate::print::{CAUTION, FAINT, GOOD, STRONG};
use crate::risk;
use crate::table::one_line;
use crate::text::counted;

/// What to do in the clone.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// Where the clone is
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  agentcom git start-task 89abcdef                 fetch, and go to the branch of the task
  agentcom git start-task 89abcdef --worktree ../t the same, in a folder of its own
  agentcom git status                              what the branch changes, and what is left to do
  agentcom git submit --commit 'Fix the parser'    commit everything, push, and open a pull request

Nothing is pushed with force, no branch is deleted, and nothing is merged. The pull request is opened by
the token in GITHUB_TOKEN or GH_TOKEN.";

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Begin a task on a branch of its own, or go on with it
    StartTask {
        /// Its id, or the end of it
        #[arg(value_name = "ID")]
        id: String,
        /// The branch to start from [default: the task's, or else the remote's default]
        #[arg(long, value_name = "BRANCH")]
        base: Option<String>,
        /// Check it out in a folder of its own, and leave the clone as it is
        #[arg(long, value_name = "DIR")]
        worktree: Option<PathBuf>,
    },
    /// Say where the branch of a task stands
    Status,
    /// Push the branch of a task, and open a pull request for it, or bring the one that is open up to date
    Submit(Submit),
}

#[derive(Debug, clap::Args)]
struct Submit {
    /// Commit everything first, with this message and the task's id
    #[arg(long, value_name = "MESSAGE")]
    commit: Option<String>,
    /// Only push
    #[arg(long)]
    no_pr: bool,
    /// Open the pull request as a draft; one that is open stays what it is
    #[arg(long)]
    draft: bool,
    /// Where GitHub's API is
    #[arg(long, value_name = "URL", default_value = github::API, env = "AGENTCOM_GITHUB_API", hide_env_values = true)]
    github_api: String,
    #[command(flatten)]
    risk: risk::Risk,
}

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    match &args.verb {
        Verb::StartTask { id, base, worktree } => {
            let begin = Begin { id, base: base.as_deref(), worktree: worktree.as_deref() };
            begin.run(&args.dir, ctx).await
        }
        Verb::Status => {
            let status = Checkout::at(&args.dir).await?.status().await?;
            Ok(ctx.print.data(&data(&status), || render(&status))?)
        }
        Verb::Submit(submit) => submit.run(&args.dir, ctx).await,
    }
}

struct Begin<'a> {
    id: &'a str,
    base: Option<&'a str>,
    worktree: Option<&'a Path>,
}

impl Begin<'_> {
    async fn run(&self, dir: &Path, ctx: &Context) -> Outcome {
        let checkout = Checkout::at(dir).await?;
        let client = ctx.client()?;
        let (task, told) = look_up(&client, self.id).await?;
        let start = Start {
            task,
            description: told["description"].as_str().unwrap_or_default(),
            base: self.base.or(told["branch"].as_str()),
            worktree: self.worktree,
        };
        let started = checkout.start(&start).await?;
        let told = json!({
            "task_id": task.to_string(),
            "branch": started.branch,
            "base": started.base,
            "dir": started.dir,
            "resumed": started.resumed,
        });
        ctx.print.data(&told, || format!("{STRONG}{}{STRONG:#}\n", started.branch))?;
        let how = if started.resumed { "goes on" } else { "starts" };
        let place = started.dir.display();
        ctx.print.note(&format!("it {how} from {} in {place}", started.base));
        Ok(())
    }
}

/// A task by its id, or the end of it.
async fn look_up(client: &Client, given: &str) -> Result<(TaskId, Value), Failure> {
    let id = task_id(client, given).await?;
    let told = client.get(&["api", "tasks", &id], &[]).await?;
    let task = id.parse().map_err(|error| Failure::new(Exit::Failure, error))?;
    Ok((task, told))
}

impl Submit {
    async fn run(&self, dir: &Path, ctx: &Context) -> Outcome {
        let checkout = Checkout::at(dir).await?;
        let (_, task) = checkout.current().await?;
        let (_, told) = look_up(&ctx.client()?, &task.to_string()).await?;
        let attempt = attempt_of(&told);
        if let Some(message) = &self.commit {
            checkout
                .commit(&Commit {
                    message,
                    task,
                    attempt,
                    round: None,
                    revivals: 0,
                    has_read_private: false,
                })
                .await?;
        }
        let status = checkout.push().await?;
        let files = status.file_changes();
        let report = checked::report_on(&told, &status.head);
        let risk = self.judge(&files, &checkout.files().await?, &told, report);
        let proposal = pull::Proposal {
            status: &status,
            files: &files,
            told: &told,
            attempt,
            risk: &risk,
            report,
            draft: self.draft,
        };
        let pull = match self.no_pr {
            true => None,
            false => proposal.open(&checkout.remote().await?, &self.github_api, ctx).await?,
        };
        let mut said = data(&status);
        said["risk"] = json!({ "tier": risk.tier.number(), "reasons": reasons(&risk) });
        said["not_checked"] = report.err().into();
        said["pull_request"] = pull.as_ref().map_or(
            Value::Null,
            |pull| json!({ "number": pull.number, "url": pull.url, "existed": pull.existed, "draft": pull.draft }),
        );
        Ok(ctx.print.data(&said, || {
            let mut out = render(&status);
            let why = reasons(&risk).join("; ");
            let why = if why.is_empty() { why } else { format!(": {why}") };
            out.push_str(&one_line(&format!("risk tier {}{why}", risk.tier.number())));
            out.push('\n');
            if let Err(why) = report {
                out.push_str(&format!("not checked: {why}\n"));
            }
            if let Some(pull) = &pull {
                out.push_str(&format!("{STRONG}{}{STRONG:#}\n", one_line(&pull.url)));
            }
            out
        })?)
    }

    fn judge(
        &self,
        files: &[FileChange],
        all: &[String],
        told: &Value,
        report: Result<&Value, &str>,
    ) -> Risk {
        let changed = files.iter().map(|file| file.path.as_str());
        let tier = &told["complexity"]["effective_tier"];
        self.risk.rules().judge(&Proposed {
            files,
            has_tests: has_tests(changed, all.iter().map(String::as_str)),
            complexity: serde_json::from_value(tier.clone()).unwrap_or(Tier::Unknown),
            verified: checked::verified(report),
        })
    }
}

/// In which attempt a task is, counted from 1.
fn attempt_of(told: &Value) -> u32 {
    let attempts = told["attempts"].as_array().map_or(0, Vec::len);
    u32::try_from(attempts.max(1)).unwrap_or(u32::MAX)
}

fn reasons(risk: &Risk) -> Vec<String> {
    risk.reasons.iter().map(ToString::to_string).collect()
}

fn data(status: &Status) -> Value {
    let file = |Changed { path, added, deleted, is_new, .. }: &Changed| json!({ "path": path, "added": added, "deleted": deleted, "is_new": is_new });
    json!({
        "task_id": status.task.to_string(),
        "branch": status.branch,
        "base": status.base,
        "head": status.head,
        "ahead": status.ahead,
        "behind": status.behind,
        "changed": status.changed.iter().map(file).collect::<Vec<_>>(),
        "uncommitted": status.uncommitted,
        "pushed": status.pushed,
    })
}

fn render(status: &Status) -> String {
    let Status { branch, base, ahead, behind, changed, uncommitted, pushed, .. } = status;
    let commits = |count| counted(count, "commit");
    let mut out = format!("{STRONG}{branch}{STRONG:#}  {} ahead of {base}", commits(*ahead));
    if *behind > 0 {
        out.push_str(&format!(", {CAUTION}{} behind{CAUTION:#}", commits(*behind)));
    }
    let pushed = if *pushed { format!("{GOOD}pushed{GOOD:#}") } else { "not pushed".into() };
    out.push_str(&format!(", {pushed}\n"));
    for Changed { path, added, deleted, .. } in changed {
        let lines = match (added, deleted) {
            (Some(added), Some(deleted)) => format!("+{added} -{deleted}"),
            (None, _) | (_, None) => "not text".into(),
        };
        out.push_str(&format!("  {lines:<12}{}\n", one_line(path)));
    }
    for file in uncommitted {
        out.push_str(&format!(
            "  {FAINT}{:<12}{FAINT:#}{}\n",
            "uncommitted",
            one_line(file.trim())
        ));
    }
    out
}

impl From<CheckoutError> for Failure {
    fn from(error: CheckoutError) -> Self {
        let (exit, hint) = match &error {
            CheckoutError::Git(GitError::TooLong { .. }) => (Exit::TryAgain, None),
            CheckoutError::Git(_) => (Exit::Failure, None),
            CheckoutError::NoClone(_) => {
                (Exit::Usage, Some("go into a clone, or name one with --dir"))
            }
            CheckoutError::NoRemote => {
                (Exit::Conflict, Some("`git remote add origin URL` says where the repository is"))
            }
            CheckoutError::NoBase(_) | CheckoutError::NoDefault => {
                (Exit::Usage, Some("name a branch that it has with --base"))
            }
            CheckoutError::Empty => (Exit::Conflict, None),
            CheckoutError::Uncommitted(_) => (
                Exit::Conflict,
                Some(
                    "commit or stash them; `submit --commit MESSAGE` commits, `start-task --worktree DIR` leaves them alone",
                ),
            ),
            CheckoutError::NoTask(_) => {
                (Exit::Conflict, Some("`agentcom git start-task ID` goes to the branch of a task"))
            }
            CheckoutError::Nothing(_) => {
                (Exit::Conflict, Some("commit what is to be pushed first"))
            }
            CheckoutError::Overtaken(_) => {
                (Exit::Conflict, Some("`git pull --rebase` brings them here; then submit again"))
            }
            CheckoutError::Diverged(_) => (
                Exit::Conflict,
                Some(
                    "on the branch, `git pull --rebase origin BRANCH` brings them together; `git branch -m BRANCH mine` keeps yours apart",
                ),
            ),
        };
        let failure = Self::new(exit, &error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_status_is_shown_with_its_files() {
        let file = |path: &str, added, deleted| Changed {
            path: path.into(),
            added,
            deleted,
            is_new: false,
            is_plain: true,
        };
        let status = Status {
            branch: "agentcom/task-00000000000000ab-fix".into(),
            head: "0123".into(),
            task: TaskId(0xab),
            base: "main".into(),
            ahead: 1,
            behind: 2,
            changed: vec![file("src/lib.rs", Some(12), Some(3)), file("a\u{1b}.png", None, None)],
            uncommitted: vec!["?? new.rs".into()],
            pushed: false,
        };
        expect![[r"
            agentcom/task-00000000000000ab-fix  1 commit ahead of main, 2 commits behind, not pushed
              +12 -3      src/lib.rs
              not text    a .png
              uncommitted ?? new.rs
        "]]
        .assert_eq(&anstream::adapter::strip_str(&render(&status)).to_string());
    }
}
