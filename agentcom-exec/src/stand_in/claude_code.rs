//! This file stands in for the Claude Code CLI: a process that speaks as the program does, and behaves
//! as its model is called, well or badly.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, raise};
use serde_json::{Value, json};

use super::fill;
use super::obedient::obey;

/// All ways to behave, but for those with a word behind their name: `daemon MARK`, `clan MARK` and
/// `outside DIR`. With `idle ` before it, nothing is done before the end.
pub const WAYS: [&str; 38] = [
    "works",
    "tells what it was told",
    "no result",
    "two results",
    "a failure after a success",
    "a success that is an error",
    "a line of 50 MB",
    "garbage",
    "unknown types",
    "says nothing",
    "stops in the middle",
    "dies in the middle of a line",
    "dies of a signal",
    "asks for a tool that is not allowed",
    "asks for a tool that is allowed",
    "asks what nobody knows",
    "asks for ever",
    "quota",
    "quota without a time",
    "quota with money",
    "not logged in",
    "not let in",
    "not paid",
    "overloaded",
    "asked too often",
    "no such model",
    "too long",
    "too many turns",
    "too dear",
    "turns for ever",
    "calls for ever",
    "has agents of its own for ever",
    "fails",
    "ends never",
    "prints much",
    "nests",
    "talks to terminals",
    "obeys",
];

/// Is the program that was started with `args`, the first of which is its own name.
pub fn main(args: impl Iterator<Item = String>) -> ExitCode {
    let args: Vec<String> = args.collect();
    if args.iter().any(|arg| arg == "--version") {
        let _ = writeln!(io::stdout(), "2.1.0 (stand-in for Claude Code)");
        return ExitCode::SUCCESS;
    }
    let model = args.iter().skip_while(|&arg| arg != "--model").nth(1);
    let mut stage = Stage { args: args.clone(), told: String::new(), turns: 0 };
    match stage.play(model.map_or("works", String::as_str)) {
        Ok(code) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

struct Stage {
    args: Vec<String>,
    /// What it was told first.
    told: String,
    turns: u32,
}

type Played = io::Result<ExitCode>;

impl Stage {
    fn play(&mut self, way: &str) -> Played {
        if way == "says nothing" {
            return self.sleep();
        }
        self.told =
            heard()?["message"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        say(&json!({
            "type": "system", "subtype": "init", "session_id": "s", "model": way, "tools": ["Edit"],
            "mcp_servers": [], "permissionMode": "default", "claude_code_version": "2.1.0",
        }))?;
        match way.split_once(' ') {
            Some(("idle", way)) if way.starts_with("quota") => self.wall(way),
            Some(("idle", way)) => self.ends(way),
            Some(("daemon", mark)) => self.daemon(mark),
            Some(("clan", mark)) => self.clan(mark),
            Some(("outside", dir)) => self.outside(dir),
            _ if way.starts_with("asks") => self.asks(way),
            _ if way.starts_with("quota") => self.quota(way),
            _ => self.plain(way),
        }
    }

    /// Ways that change the end, or what comes before it.
    fn plain(&mut self, way: &str) -> Played {
        match way {
            "tells what it was told" => self.tells()?,
            "obeys" => self.writes("went.txt", &obey())?,
            "garbage" => {
                out(b"Warning: no JSON\n\n\xff\xfe\n{\"type\":\n[]\n17\n{\"type\":\"result\n")?;
            }
            "unknown types" => {
                for kind in ["prompt_suggestion", "keep_alive", "", "control_cancel_request"] {
                    say(&json!({ "type": kind, "more": [1, { "a": null }] }))?;
                }
                say(&json!({ "type": "system", "subtype": "task_progress", "summary": 7 }))?;
                say(&json!({ "type": "stream_event", "event": { "type": "message_start" } }))?;
            }
            "prints much" => {
                self.says(&"word ".repeat(1_000_000))?;
                self.writes("b.txt", "two\n")?;
                self.succeeds(&"Done, at length. ".repeat(600_000))?;
                return self.leaves();
            }
            "nests" => {
                let deep = (0..100).fold(json!("deep"), |inner, _| json!([inner]));
                say(&deep)?;
                out(format!("{}1{}\n", "[".repeat(5_000), "]".repeat(5_000)).as_bytes())?;
            }
            "turns for ever" => loop {
                self.says("again")?;
            },
            "calls for ever" => {
                let id = self.id();
                for number in 0.. {
                    let call = format!("toolu_{number}");
                    let uses =
                        json!({ "type": "tool_use", "id": call, "name": "Bash", "input": {} });
                    let message = json!({ "id": id, "content": [uses] });
                    say(&json!({ "type": "assistant", "message": message }))?;
                }
            }
            "has agents of its own for ever" => {
                for number in 0.. {
                    let message =
                        json!({ "id": format!("msg_of_its_own_{number}"), "content": [] });
                    let call = "toolu_0";
                    say(&json!({
                        "type": "assistant", "message": message, "parent_tool_use_id": call,
                    }))?;
                }
            }
            "a line of 50 MB" => {
                // It is said as it comes: to have it ready first takes longer than it may say nothing.
                let piece = vec![b'x'; 1_000_000];
                (0..50).try_for_each(|_| out(&piece))?;
                out(b"\n")?;
                return self.sleep();
            }
            "stops in the middle" => return self.sleep(),
            "fills the disk" => {
                self.writes("b.txt", "two\n")?;
                return fill(&std::env::temp_dir());
            }
            _ => {}
        }
        self.writes("b.txt", "two\n")?;
        self.ends(way)
    }

    fn ends(&mut self, way: &str) -> Played {
        match way {
            "no result" => return Ok(ExitCode::SUCCESS),
            "dies in the middle of a line" => {
                let _ = writeln!(io::stderr(), "out of memory");
                out(b"{\"type\":\"result\",\"subtype\":\"succ")?;
                return Ok(ExitCode::from(9));
            }
            "dies of a signal" => {
                raise(Signal::SIGKILL)?;
            }
            "two results" => {
                self.succeeds("One.")?;
                self.succeeds("Two.")?;
            }
            "a failure after a success" => {
                self.succeeds("One.")?;
                self.fails(
                    "error_during_execution",
                    &json!({ "errors": ["it broke", { "at": 1 }] }),
                )?;
            }
            "a success that is an error" => self.fails(
                "success",
                &json!({ "result": "API Error: 500 Internal", "api_error_status": 500 }),
            )?,
            "not let in" => {
                say(&json!({
                    "type": "system", "subtype": "api_retry", "attempt": 1, "max_retries": 10,
                    "retry_delay_ms": 612.3, "error_status": 403, "error": "authentication_failed",
                }))?;
                return self.sleep();
            }
            "not logged in" => {
                self.api_fails("authentication_failed", "Please run /login", None)?
            }
            "not paid" => {
                self.api_fails("billing_error", "Credit balance is too low", Some(400))?
            }
            "overloaded" => self.api_fails("server_error", "Overloaded", Some(529))?,
            "asked too often" => {
                self.api_fails("rate_limit", "This would exceed your rate limit", Some(429))?
            }
            "no such model" => self.api_fails("invalid_request", "model: nothing", Some(404))?,
            "too long" => self.api_fails("invalid_request", "Prompt is too long", Some(400))?,
            "too many turns" => self.fails("error_max_turns", &json!({}))?,
            "too dear" => self.fails("error_max_budget_usd", &json!({}))?,
            "fails" => self.fails("error_during_execution", &json!({ "errors": ["it broke"] }))?,
            "talks to terminals" => self.succeeds("\u{1b}[2J\u{1b}]0;pwned\u{7}Done\u{202e}")?,
            "ends never" => {
                ignore(Signal::SIGTERM)?;
                self.succeeds("Done.")?;
                return self.sleep();
            }
            _ => self.succeeds("Done.")?,
        }
        self.leaves()
    }

    /// Ends when there is nothing more to do, as the program does.
    fn leaves(&self) -> Played {
        io::copy(&mut io::stdin().lock(), &mut io::sink())?;
        Ok(ExitCode::SUCCESS)
    }

    fn sleep(&self) -> Played {
        loop {
            std::thread::sleep(Duration::from_secs(1000));
        }
    }

    fn id(&mut self) -> String {
        self.turns += 1;
        format!("msg_{}", self.turns)
    }

    /// A message, in two lines as the program has it, and what it took in both.
    fn message(&mut self, first: Value, second: Option<Value>) -> io::Result<()> {
        let id = self.id();
        for block in [Some(first), second].into_iter().flatten() {
            say(&json!({
                "type": "assistant", "session_id": "s", "parent_tool_use_id": null,
                "message": {
                    "id": id, "role": "assistant", "model": "stand-in", "content": [block],
                    "usage": { "input_tokens": 100, "output_tokens": 10, "service_tier": null },
                },
            }))?;
        }
        Ok(())
    }

    fn says(&mut self, text: &str) -> io::Result<()> {
        self.message(json!({ "type": "text", "text": text }), None)
    }

    fn calls(&mut self, name: &str, input: &Value) -> io::Result<String> {
        let call = format!("toolu_{}", self.turns);
        let thinking = json!({ "type": "thinking", "thinking": "hm", "signature": "" });
        let uses = json!({ "type": "tool_use", "id": call, "name": name, "input": input });
        self.message(thinking, Some(uses))?;
        Ok(call)
    }

    fn told_by(&self, call: &str, text: &str, is_error: bool) -> io::Result<()> {
        let content = json!([{ "type": "text", "text": text }]);
        let told = json!({
            "type": "tool_result", "tool_use_id": call, "content": content, "is_error": is_error,
        });
        say(&json!({ "type": "user", "message": { "role": "user", "content": [told] } }))
    }

    fn writes(&mut self, path: &str, content: &str) -> io::Result<()> {
        let call = self.calls("Write", &json!({ "file_path": path, "content": content }))?;
        let wrote = fs::write(path, content);
        self.told_by(&call, "The file was written.", wrote.is_err())
    }

    fn runs(&mut self, command: &str, run: impl FnOnce() -> String) -> io::Result<()> {
        let call = self.calls("Bash", &json!({ "command": command }))?;
        let told = run();
        self.told_by(&call, &told, false)
    }

    fn succeeds(&self, text: &str) -> io::Result<()> {
        let more = json!({ "is_error": false, "result": text, "stop_reason": "end_turn" });
        self.result("success", &more)
    }

    fn fails(&self, subtype: &str, more: &Value) -> io::Result<()> {
        let mut all = json!({ "is_error": true });
        for (name, value) in more.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        self.result(subtype, &all)
    }

    /// Its last request failed for good: it says so as if its model did, and then succeeds in failing.
    fn api_fails(&mut self, error: &str, text: &str, status: Option<u16>) -> io::Result<()> {
        let id = self.id();
        say(&json!({
            "type": "assistant", "session_id": "s", "error": error,
            "message": { "id": id, "content": [{ "type": "text", "text": text }] },
        }))?;
        self.fails("success", &json!({ "result": text, "api_error_status": status }))
    }

    fn result(&self, subtype: &str, more: &Value) -> io::Result<()> {
        let mut all = json!({
            "type": "result", "subtype": subtype, "num_turns": self.turns, "session_id": "s",
            "duration_ms": 9, "total_cost_usd": 0.0125,
            "usage": { "input_tokens": 1, "output_tokens": 1 },
            "modelUsage": {
                "large": { "inputTokens": 1000, "outputTokens": 100, "cacheReadInputTokens": 5000,
                    "cacheCreationInputTokens": 500, "costUSD": 0.012 },
                "small": { "inputTokens": 50, "outputTokens": 5, "costUSD": 0.0005 },
            },
            "permission_denials": [],
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        say(&all)
    }

    /// Writes down all that it can see of whoever started it.
    fn tells(&mut self) -> io::Result<()> {
        let env = std::env::vars().map(|(name, value)| format!("{name}={value}\n"));
        let mut env: Vec<String> = env.collect();
        env.sort();
        let (args, told) = (self.args.join("\n"), self.told.clone());
        self.writes("args.txt", &args)?;
        self.writes("env.txt", &env.concat())?;
        self.writes("told.txt", &told)
    }

    fn daemon(&mut self, mark: &str) -> Played {
        let script = "setsid sleep 1000 & (setsid nohup sleep 1000 &); true";
        self.runs(script, || shell(script, mark))?;
        self.plain("works")
    }

    /// Runs what does not end, and does not end itself.
    fn clan(&mut self, mark: &str) -> Played {
        let script = "trap '' TERM; sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep \
                      1000' &) ; wait";
        ignore(Signal::SIGTERM)?;
        self.runs(script, || shell(script, mark))?;
        self.sleep()
    }

    /// Tries to get at what is outside.
    fn outside(&mut self, dir: &str) -> Played {
        let dir = std::path::Path::new(dir);
        let wrote =
            fs::write(dir.join("pwned"), "pwned").and_then(|()| fs::read(dir.join("pwned")));
        let secret = fs::read_to_string(dir.join("secret"));
        let _ = std::os::unix::fs::symlink(dir, "link");
        let _ = fs::write("link/pwned", "pwned");
        let _ = fs::remove_file(dir.join("secret"));
        let talks = UnixStream::connect(dir.join("service")).is_ok();
        let seen = json!({ "wrote": wrote.is_ok(), "secret": secret.ok(), "talks": talks });
        self.writes("seen.txt", &seen.to_string())?;
        self.plain("works")
    }

    /// Asks for permission, or other things.
    fn asks(&mut self, way: &str) -> Played {
        let input = json!({ "file_path": "b.txt", "content": "two\n" });
        let (subtype, tool) = match way {
            "asks for a tool that is not allowed" => ("can_use_tool", "WebFetch"),
            "asks what nobody knows" => ("hook_callback", ""),
            _ => ("can_use_tool", "Write"),
        };
        let request =
            json!({ "subtype": subtype, "tool_name": tool, "input": input, "tool_use_id": "t" });
        let asked = json!({ "type": "control_request", "request_id": "r-1", "request": request });
        say(&asked)?;
        if way == "asks for ever" {
            let request =
                json!({ "subtype": subtype, "tool_name": tool, "input": "x".repeat(100_000) });
            let asked = json!({ "type": "control_request", "request_id": "r", "request": request });
            loop {
                say(&asked)?;
            }
        }
        let answer = heard()?;
        self.writes("answer.txt", &answer.to_string())?;
        self.plain("works")
    }

    fn quota(&mut self, way: &str) -> Played {
        self.writes("c.txt", "half\n")?;
        self.wall(way)
    }

    fn wall(&mut self, way: &str) -> Played {
        let mut info = json!({ "status": "rejected", "rateLimitType": "five_hour" });
        match way {
            "quota" => info["resetsAt"] = json!(5400),
            "quota with money" => info["overageStatus"] = json!("allowed"),
            _ => {}
        }
        say(&json!({ "type": "rate_limit_event", "rate_limit_info": info, "session_id": "s" }))?;
        if way == "quota with money" { self.plain("works") } else { self.sleep() }
    }
}

/// Reads a line.
fn heard() -> io::Result<Value> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

fn say(line: &Value) -> io::Result<()> {
    out(format!("{line}\n").as_bytes())
}

fn out(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn shell(script: &str, mark: &str) -> String {
    let ended = Command::new("/bin/sh").args(["-c", script]).env("MARK", mark).status();
    ended.map_or_else(|error| error.to_string(), |ended| ended.to_string())
}

fn ignore(signal: Signal) -> io::Result<()> {
    let mut ignored = SigSet::empty();
    ignored.add(signal);
    Ok(ignored.thread_block()?)
}
