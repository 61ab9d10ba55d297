//! This file is a command of its own for the guard: `agentcom-guard PROGRAM ARG…` runs a program of
//! which nothing survives, neither its own end nor a `kill -9` of this process.

use std::collections::BTreeMap;
use std::io;
use std::process::ExitCode;

use agentcom_exec::guard::{self, GuardCommand, How, Leftovers, Said, Spawner};

fn main() -> ExitCode {
    if let Some(code) = guard::dispatch() {
        return code;
    }
    match run(std::env::args().skip(1).collect()) {
        Ok(code) => code,
        Err(error) => {
            let _ = io::Write::write_all(&mut io::stderr(), format!("{error}\n").as_bytes());
            ExitCode::from(71)
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(argv: Vec<String>) -> io::Result<ExitCode> {
    let mut running = Spawner::current_exe()?
        .spawn(&GuardCommand {
            argv,
            env: std::env::vars().collect::<BTreeMap<_, _>>(),
            cwd: std::env::current_dir()?,
            stdin: None,
            leftovers: Leftovers::Kill,
            sandbox: None,
        })
        .await?;
    let (mut out, mut err) = running.take_output();
    let (mut to_out, mut to_err) = (tokio::io::stdout(), tokio::io::stderr());
    let copying = async {
        tokio::join!(tokio::io::copy(&mut out, &mut to_out), tokio::io::copy(&mut err, &mut to_err))
    };
    let (how, _) = tokio::join!(ending(&mut running), copying);
    Ok(match how? {
        How::Exited(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        How::Signalled(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)),
    })
}

async fn ending(running: &mut guard::Running) -> io::Result<How> {
    loop {
        match running.next().await? {
            Said::Exited(how) => return Ok(how),
            Said::Refused(refusal) => return Err(io::Error::other(refusal.message)),
            Said::Started { .. } | Said::Contact(_) | Said::TooMuch(_) | Said::Clear { .. } => {}
        }
    }
}
