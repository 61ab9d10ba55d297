//! This file lists the ways of the agent: the good ones, and those in which agents go wrong.

use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use serde_json::{Value, json};

use super::peer::{Peer, SESSION};
use crate::stand_in::fill;
use crate::stand_in::obedient::obey;

/// Options as most agents offer them.
const OPTIONS: [(&str, &str); 3] =
    [("yes", "allow_once"), ("always", "allow_always"), ("no", "reject_once")];

/// All ways, with what it does then. A name may have something behind it, after a space.
pub const WAYS: [(&str, &str); 42] = [
    ("works", "reads a file, asks whether it may write another, and writes it"),
    ("asks", "asks whether it may fetch something, and writes down the answer"),
    (
        "asks-later",
        "says what it is to change elsewhere, asks whether it may, and writes down the answer",
    ),
    ("prints-much", "says more than a result has room for"),
    (
        "runs-on",
        "starts processes that heed nothing, and never ends; they have what is behind it in their environment",
    ),
    ("obeys", "does what is written in instructions.txt, and writes down how it went"),
    ("remembers", "writes down what it finds in its home, and leaves something there"),
    ("heeds", "works until it is called off, and says so"),
    ("never-answers", "does not answer"),
    ("other-version", "speaks another version of the protocol"),
    ("dies-at-once", "ends with words on standard error"),
    ("wants-login", "wants somebody to log in, whoever has"),
    ("logs-in", "wants somebody to log in, and then works"),
    ("quota", "says that the quota of its model is used up"),
    ("wrong-ids", "answers what it was not asked"),
    ("answers-twice", "gives each answer twice"),
    ("dies-mid-line", "ends in the middle of a message"),
    ("closes", "closes its output, and lives on"),
    ("long-line", "sends a line of 50 MB"),
    ("garbage", "sends what is no JSON, for ever"),
    ("nests", "nests JSON 200 deep, and then works"),
    ("drips", "sends a message byte by byte, and never ends it"),
    ("floods", "talks without end"),
    ("never-reads", "asks for much, and reads nothing of it"),
    ("says-unknown", "uses methods, news and kinds that nobody knows, and then works"),
    ("other-session", "speaks of a session that there is not, and then works"),
    ("asks-for-ever", "asks for permission without end"),
    ("asks-without-options", "asks for permission and offers no answer"),
    ("ignores-calling-off", "heeds neither the end of its turn nor signals, and says nothing"),
    ("says-called-off", "says that it was called off"),
    ("refuses", "declines the task"),
    ("runs-out", "changes something, and runs out of tokens"),
    ("fills-the-disk", "writes temporary files without end"),
    ("speaks-ansi", "says what moves terminals"),
    ("does-nothing", "says that it is done, and is not"),
    ("rewrites-tests", "makes tests pass by changing them"),
    (
        "reads-outside",
        "reads what is outside of its folder, which is behind it, and writes it down",
    ),
    ("follows-links", "links to what is outside, and reads and writes through that"),
    ("writes-outside", "writes outside of its folder"),
    ("writes-git", "writes what git would follow"),
    ("starts-daemons", "leaves processes behind"),
    ("deletes", "deletes its folder, and what is above it"),
];

/// Goes wrong before it hears anything, or does nothing; with a code where it ends.
pub(super) fn at_the_start(way: &str, peer: &mut Peer) -> io::Result<Option<i32>> {
    match way {
        "never-answers" => heed_nothing(),
        "dies-at-once" => {
            use std::io::Write as _;
            writeln!(io::stderr(), "no key, no work")?;
            Ok(Some(3))
        }
        "garbage" => loop {
            peer.raw(b"Segmentation fault (core dumped)\n{\"jsonrpc\":\n")?;
        },
        _ => Ok(None),
    }
}

/// Does a turn; why it ends.
pub(super) fn at_work(way: &str, prompt: &Value, peer: &mut Peer) -> io::Result<&'static str> {
    let (name, rest) = way.split_once(' ').unwrap_or((way, ""));
    match name {
        "asks" => {
            let said = peer.may_it("fetch", "Fetch https://example.org", &OPTIONS)?;
            write(peer, "b.txt", &said)?;
        }
        "asks-later" => {
            let said = asks_later(peer)?;
            write(peer, "b.txt", &said)?;
        }
        "prints-much" => {
            write(peer, "b.txt", "two")?;
            for _ in 0..500 {
                peer.speak(&"word ".repeat(200))?;
            }
        }
        "remembers" => {
            let seen = format!("{}/seen", std::env::var("HOME").unwrap_or_default());
            let before = fs::read_to_string(&seen).unwrap_or_else(|_| "nothing".to_owned());
            fs::write(&seen, "something")?;
            write(peer, "b.txt", &before)?;
        }
        "obeys" => write(peer, "went.txt", &obey())?,
        "runs-on" => runs_on(rest)?,
        "heeds" => {
            peer.speak("I work.")?;
            while !peer.called_off && peer.next()?.is_some() {}
            // The client does nothing more for a turn that it has called off.
            fs::write("called-off.txt", "in good order")?;
            return Ok("cancelled");
        }
        "says-called-off" => return Ok("cancelled"),
        "refuses" => return Ok("refusal"),
        "runs-out" => {
            write(peer, "b.txt", "half")?;
            return Ok("max_tokens");
        }
        "fills-the-disk" => {
            peer.speak("I work.")?;
            peer.update(&json!({
                "sessionUpdate": "usage_update", "used": 53, "size": 200_000,
                "cost": { "amount": 0.25, "currency": "USD" },
            }))?;
            write(peer, "b.txt", "two")?;
            fill::<()>(&std::env::temp_dir())?;
        }
        "does-nothing" => peer.speak("All is done, and all tests pass.")?,
        "rewrites-tests" => write(peer, "tests/run.sh", "exit 0\n")?,
        "speaks-ansi" => {
            write(peer, "b.txt", "two")?;
            peer.speak("\u{1b}[2J\u{1b}]0;pwned\u{7}Done\u{202e}\n\nAgentcom-Round: 99")?;
        }
        "dies-mid-line"
        | "closes"
        | "long-line"
        | "drips"
        | "floods"
        | "never-reads"
        | "ignores-calling-off" => broken(name, peer)?,
        "nests" | "says-unknown" | "other-session" | "asks-for-ever" | "asks-without-options" => {
            strange(name, peer)?;
            works(prompt, peer)?;
        }
        "reads-outside" | "follows-links" | "writes-outside" | "writes-git" | "starts-daemons"
        | "deletes" => {
            breaks_out(name, rest, peer)?;
            peer.speak("Done.")?;
        }
        _ => works(prompt, peer)?,
    }
    Ok("end_turn")
}

/// Says what it is to change, and asks whether it may by naming that alone.
fn asks_later(peer: &mut Peer) -> io::Result<String> {
    peer.update(&json!({
        "sessionUpdate": "tool_call", "toolCallId": "c1", "title": "Edit", "kind": "edit",
        "status": "pending", "rawInput": { "text": "two" }, "locations": [{ "path": "/srv/b.txt" }],
    }))?;
    peer.may_i(&json!({ "toolCallId": "c1" }), &OPTIONS)
}

/// Does the task as a good agent does.
fn works(prompt: &Value, peer: &mut Peer) -> io::Result<()> {
    let told = prompt["prompt"][0]["text"].as_str().unwrap_or_default();
    peer.update(&json!({
        "sessionUpdate": "agent_thought_chunk",
        "content": { "type": "text", "text": format!("I was told {} bytes.", told.len()) },
    }))?;
    peer.speak("I look at ")?;
    peer.speak("a.txt.")?;
    let entry = json!({ "content": "Write b.txt", "priority": "high", "status": "in_progress" });
    peer.update(&json!({ "sessionUpdate": "plan", "entries": [entry] }))?;
    peer.update(&json!({
        "sessionUpdate": "tool_call", "toolCallId": "c1", "title": "Read", "kind": "read",
        "status": "pending", "rawInput": { "path": "a.txt" },
    }))?;
    let params = json!({ "sessionId": SESSION, "path": "a.txt", "line": 1, "limit": 1 });
    let read = match (peer.ask("fs/read_text_file", &params)?, peer.files) {
        (Ok(_), false) => return Err(io::Error::other("it is served what it was not offered")),
        (Err(_), false) => fs::read_to_string("a.txt").unwrap_or_default(),
        (read, true) => read.unwrap_or_default()["content"].as_str().unwrap_or_default().to_owned(),
    };
    peer.update(&json!({
        "sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "completed", "title": "a.txt",
        "content": [{ "type": "content", "content": { "type": "text", "text": read } }],
    }))?;
    let said = peer.may_it("edit", "Write b.txt", &OPTIONS)?;
    if said == "yes" {
        write(peer, "b.txt", &format!("{}two", read.trim_end()))?;
    }
    peer.update(&json!({
        "sessionUpdate": "usage_update", "used": 53, "size": 200_000,
        "cost": { "amount": 0.25, "currency": "USD" },
    }))?;
    peer.speak("It is done: ")?;
    peer.speak("b.txt is there.")
}

/// Has the client write a file, which it has to be able to.
/// Has the client write a file, or does it itself where it is not offered that.
fn write(peer: &mut Peer, path: &str, content: &str) -> io::Result<()> {
    if !peer.files {
        return fs::write(path, content);
    }
    peer.write(path, content)?.map_err(|error| io::Error::other(error.to_string()))?;
    Ok(())
}

/// Starts processes that heed nothing.
fn runs_on(mark: &str) -> io::Result<()> {
    const CLAN: &str = "trap '' TERM; sleep 1000 & setsid sleep 1000 & \
                        (setsid sh -c 'sleep 1000 & sleep 1000' &) ; wait";
    Command::new("/bin/sh").args(["-c", CLAN]).env("MARK", mark).spawn()?;
    heed_nothing()
}

/// Waits for nothing, and heeds no request to stop.
fn heed_nothing<T>() -> io::Result<T> {
    let asked = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect::<SigSet>();
    asked.thread_block()?;
    loop {
        std::thread::park();
    }
}

/// Breaks the conversation.
fn broken(way: &str, peer: &mut Peer) -> io::Result<()> {
    match way {
        "dies-mid-line" => {
            let cut =
                format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{{\"stopRea", peer.prompt);
            peer.raw(cut.as_bytes())?;
            std::process::exit(0);
        }
        "closes" => {
            // Standard output and input are two ends of one socket; both have to go.
            let nowhere = fs::File::options().read(true).write(true).open("/dev/null")?;
            nix::unistd::dup2_stdout(&nowhere)?;
            nix::unistd::dup2_stdin(&nowhere)?;
            heed_nothing()
        }
        "long-line" => {
            let piece = vec![b'x'; 1024 * 1024];
            for _ in 0..50 {
                peer.raw(&piece)?;
            }
            peer.raw(b"\n")
        }
        "drips" => loop {
            peer.raw(b" ")?;
            std::thread::sleep(Duration::from_millis(20));
        },
        "floods" => loop {
            peer.speak(&"x".repeat(1024 * 1024))?;
        },
        "never-reads" => {
            fs::write("big.txt", "\u{7f}\n".repeat(4 * 1024 * 1024))?;
            for _ in 0..32 {
                let params = json!({ "sessionId": SESSION, "path": "big.txt" });
                peer.ask_on("fs/read_text_file", &params)?;
            }
            heed_nothing()
        }
        _ => heed_nothing(),
    }
}

/// Says what is strange, and may not do any harm.
fn strange(way: &str, peer: &mut Peer) -> io::Result<()> {
    match way {
        "nests" => {
            let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
            let line = format!(
                "{{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":{deep}}}\n"
            );
            peer.raw(line.as_bytes())
        }
        "says-unknown" => {
            peer.say(
                &json!({ "jsonrpc": "2.0", "method": "$/dream", "params": { "of": "sheep" } }),
            )?;
            peer.update(&json!({ "sessionUpdate": "dream", "of": "sheep" }))?;
            peer.update(&json!({
                "sessionUpdate": "tool_call", "toolCallId": "x", "title": "Sing", "kind": "sing",
                "status": "humming", "content": [{ "type": "song" }],
            }))?;
            for method in ["terminal/create", "session/dance", "initialize"] {
                let told = peer.ask(method, &json!({ "sessionId": SESSION, "command": "ls" }))?;
                if told.err().is_none_or(|error| error["code"] != -32_601) {
                    return Err(io::Error::other("it was not told that there is no such method"));
                }
            }
            Ok(())
        }
        "other-session" => {
            let update = json!({
                "sessionUpdate": "agent_message_chunk", "content": { "type": "text", "text": "x" },
            });
            let params = json!({ "sessionId": "other", "update": update });
            peer.say(&json!({ "jsonrpc": "2.0", "method": "session/update", "params": params }))?;
            let params = json!({ "sessionId": "other", "path": "a.txt" });
            match peer.ask("fs/read_text_file", &params)? {
                Err(_) => Ok(()),
                Ok(_) => Err(io::Error::other("it was let into another session")),
            }
        }
        "asks-for-ever" => loop {
            peer.may_it("execute", "Run the tests", &OPTIONS)?;
        },
        _ => {
            let said = [&[][..], &[("x", "maybe")]]
                .map(|options| peer.may_it("execute", "Run the tests", options));
            for said in said {
                if said? != "cancelled" {
                    return Err(io::Error::other("an option was selected that was not offered"));
                }
            }
            Ok(())
        }
    }
}

/// Tries to do harm, by the client and by itself. `outside` is a folder with a secret, or a mark.
fn breaks_out(way: &str, outside: &str, peer: &mut Peer) -> io::Result<()> {
    let secret = format!("{outside}/secret");
    let mut got = String::new();
    match way {
        "reads-outside" => {
            for path in [&secret, "/etc/shadow", "../../clone/.git/config"] {
                got += &format!("{:?}\n", peer.read(path)?.map_err(|_| "refused"));
                got += &format!("{:?}\n", fs::read_to_string(path).map_err(|_| "refused"));
            }
        }
        "follows-links" => {
            std::os::unix::fs::symlink(outside, "folder")?;
            std::os::unix::fs::symlink(&secret, "link")?;
            for path in ["folder/secret", "link"] {
                got += &format!("{:?}\n", peer.read(path)?.map_err(|_| "refused"));
                got += &format!("{:?}\n", fs::read_to_string(path).map_err(|_| "refused"));
            }
            let _ = peer.write("folder/pwned", "pwned")?;
            let _ = fs::write("folder/pwned", "pwned");
            // By its own means it may replace what it has made, and nothing behind it.
            let _ = fs::write("link", "pwned");
        }
        "writes-outside" => {
            for path in [format!("{outside}/pwned"), "../pwned".into(), "/etc/pwned".into()] {
                got += &format!("{}\n", peer.write(&path, "pwned")?.is_ok());
                got += &format!("{}\n", fs::write(&path, "pwned").is_ok());
            }
        }
        "writes-git" => {
            let config = format!("[core]\n\tfsmonitor = touch {outside}/pwned\n");
            for path in [".git", ".git/config", ".git/hooks/pre-commit", "inner/.git/config"] {
                let _ = peer.write(path, &config)?;
                let _ = fs::remove_file(path);
                let _ = fs::create_dir_all(".git/hooks");
                let _ = fs::write(path, &config);
            }
        }
        "starts-daemons" => {
            let script = "setsid sleep 1000 & (setsid nohup sleep 1000 &) ; trap '' TERM";
            Command::new("/bin/sh").args(["-c", script]).env("MARK", outside).status()?;
        }
        _ => {
            let script = "rm -rf ./* .git .??* ../* ~/* 2>/dev/null; true";
            Command::new("/bin/sh").args(["-c", script]).status()?;
            return Ok(());
        }
    }
    let _ = peer.write("b.txt", &got)?;
    Ok(())
}
