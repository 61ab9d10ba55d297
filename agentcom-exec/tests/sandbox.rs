//! This file proves what commands in a sandbox can and cannot do, at each level that this machine
//! has, and that the proof would notice a sandbox that holds less.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

#[path = "sandbox/bounds.rs"]
mod bounds;
#[cfg(feature = "stand-in")]
#[path = "support/elsewhere.rs"]
mod elsewhere;
#[path = "sandbox/held.rs"]
mod held;
#[path = "sandbox/leftovers.rs"]
mod leftovers;
#[path = "sandbox/others.rs"]
mod others;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use agentcom_exec::egress::Contact;
use agentcom_exec::guard::{
    GuardCommand, How, Leftovers, Refusal, RefusalKind, Said, Spawner, TooMuch,
};
use agentcom_exec::sandbox::{
    self, Attempt, Expected, FilesOnly, Level, Network, NoCommands, Policy, Sandbox, User, Watch,
};
use support::{eventually, level_here, mark, marked, spawner};
use tokio::io::AsyncReadExt;

/// Nobody's user.
const OTHER: u32 = 65_534;

/// The levels that this machine has. L2 needs nothing but a kernel that is not old.
fn levels() -> Vec<Level> {
    let proved = level_here();
    [Level::L2, Level::L3].into_iter().filter(|&level| level <= proved).collect()
}

fn is_root() -> bool {
    nix::unistd::getuid().is_root()
}

/// How a command ended, and what it printed.
#[derive(Debug)]
struct Ran {
    ended: Result<How, Refusal>,
    out: String,
    err: String,
    contacts: Vec<Contact>,
    /// The bounds that it passed.
    too_many: Option<u64>,
    too_much_memory: Option<u64>,
}

impl Ran {
    #[track_caller]
    fn assert(&self, code: i32, out: &str) {
        assert_eq!((&self.ended, &*self.out), (&Ok(How::Exited(code)), out), "{self:?}");
    }
}

/// A workspace, and what is outside.
struct Place {
    dir: tempfile::TempDir,
    sandbox: Sandbox,
}

impl Place {
    fn new(level: Level) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("workspace")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        Self { dir, sandbox: Sandbox::new(level) }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }

    async fn run(&self, script: &str) -> Ran {
        self.run_with(&["/bin/sh", "-c", script], None).await
    }

    async fn run_with(&self, argv: &[&str], stdin: Option<&str>) -> Ran {
        let cell = self.sandbox.around(&self.at("workspace")).unwrap();
        let outside = self.at("outside");
        let env = [("PATH", "/usr/bin:/bin"), ("OUTSIDE", outside.to_str().unwrap())];
        run(argv, &self.at("workspace"), &env, stdin, cell.policy()).await
    }
}

async fn run(
    argv: &[&str],
    cwd: &Path,
    env: &[(&str, &str)],
    stdin: Option<&str>,
    policy: Policy,
) -> Ran {
    let env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    let command = GuardCommand {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        env: env.collect::<BTreeMap<_, _>>(),
        cwd: cwd.to_owned(),
        stdin: stdin.map(str::to_owned),
        leftovers: Leftovers::Kill,
        sandbox: Some(policy),
    };
    let mut running = spawner().spawn(&command).await.unwrap();
    let (mut to_out, mut to_err) = running.take_output();
    let (mut contacts, mut too_many, mut too_much_memory) = (Vec::new(), None, None);
    let ending = async {
        loop {
            match running.next().await.unwrap() {
                Said::Started { .. } => {}
                Said::Contact(contact) => contacts.push(contact),
                Said::TooMuch(TooMuch::Processes { most }) => too_many = Some(most),
                Said::TooMuch(TooMuch::Memory { most }) => too_much_memory = Some(most),
                Said::Exited(how) => break Ok(how),
                Said::Refused(refusal) => break Err(refusal),
                Said::Clear { .. } => panic!("the command ended before"),
            }
        }
    };
    let (mut out, mut err) = (String::new(), String::new());
    let (ended, read_out, read_err) =
        tokio::join!(ending, to_out.read_to_string(&mut out), to_err.read_to_string(&mut err));
    read_out.and(read_err).unwrap();
    Ran { ended, out, err, contacts, too_many, too_much_memory }
}

fn open(attempts: &[Attempt], expected: Expected) -> Vec<&str> {
    let open = attempts.iter().filter(|attempt| attempt.expected == expected && !attempt.held);
    open.map(|attempt| &*attempt.what).collect()
}

/// A sandbox that grants nothing, all that there is, and each by itself, as far as its level can hold
/// commands to that.
fn grants(sandbox: Sandbox) -> impl Iterator<Item = Sandbox> {
    let write = vec![std::path::PathBuf::from("/some/folder")];
    let named = Network::of(vec!["api.example.org".parse().unwrap()]);
    let all = [
        sandbox.clone(),
        Sandbox { network: Network::Open, ..sandbox.clone() },
        Sandbox { write: write.clone(), ..sandbox.clone() },
        Sandbox { network: Network::Open, write: write.clone(), ..sandbox.clone() },
        Sandbox { network: named, write, ..sandbox },
    ];
    all.into_iter().filter(|sandbox| sandbox.level >= sandbox.network.level_least())
}

#[test]
fn no_attempt_to_break_out_of_any_level_succeeds_and_all_that_commands_need_works() {
    for level in levels() {
        for user in [None, is_root().then_some(OTHER)] {
            for sandbox in grants(Sandbox { user, ..Sandbox::new(level) }) {
                let attempts = sandbox::attempts(&spawner(), &sandbox).unwrap();
                assert_eq!(open(&attempts, Expected::Blocked), [""; 0], "{sandbox:?}");
                assert_eq!(open(&attempts, Expected::Works), [""; 0], "{sandbox:?}");
                assert!(attempts.len() >= 20, "{}", attempts.len());
                let granted = |what| {
                    let attempt = attempts.iter().find(|attempt| attempt.what == what).unwrap();
                    attempt.expected == Expected::Works
                };
                assert_eq!(granted("reach a port of this machine"), sandbox.network.is_open());
                let writes = !sandbox.write.is_empty();
                assert_eq!(granted("write to a folder beside the workspace"), writes);
            }
        }
    }
}

#[test]
fn a_report_says_by_what_commands_are_confined_and_as_whom() {
    for level in levels() {
        for user in [None, is_root().then_some(OTHER)] {
            let sandbox = Sandbox { user, ..Sandbox::new(level) };
            let (_, report) = sandbox.proved(Some(level), &spawner()).unwrap();
            let expected = match (user, level) {
                (Some(_), _) => User::Own,
                (None, Level::L3) if is_root() => User::MappedRoot,
                (None, _) => User::Same,
            };
            assert_eq!(report.user, Some(expected), "{level}");
            let abi = report.landlock_abi.unwrap();
            assert!(abi >= 3, "{abi}");
            let has_residue = abi < 6 && level < Level::L3;
            assert_eq!(!report.residue.is_empty(), has_residue, "{report:?}");
        }
    }
    let (_, report) = Sandbox::new(Level::L2).proved(None, &Spawner::at("/bin/false")).unwrap();
    assert_eq!((report.landlock_abi, report.user, report.residue), (None, None, Vec::new()));
}

#[tokio::test]
async fn a_command_works_in_its_workspace_and_ends_as_it_ends() {
    for level in levels() {
        let place = Place::new(level);
        place.run("echo one > file && cat file && pwd").await.assert(
            0,
            &format!("one\n{}\n", place.at("workspace").canonicalize().unwrap().display()),
        );
        assert_eq!(fs::read_to_string(place.at("workspace/file")).unwrap(), "one\n");
        place.run("exit 7").await.assert(7, "");
        place.run_with(&["cat"], Some("input")).await.assert(0, "input");
        place.run_with(&["cat"], None).await.assert(0, "");
        let killed = place.run("kill -9 $$").await.ended;
        let expected = match level {
            // What ends it is the first process of its namespace.
            Level::L3 => How::Exited(137),
            Level::L0 | Level::L1 | Level::L2 => How::Signalled(9),
        };
        assert_eq!(killed, Ok(expected));
    }
}

#[tokio::test]
async fn b31_what_is_outside_can_neither_be_read_nor_written_nor_seen_through_links() {
    for level in levels() {
        let place = Place::new(level);
        let ran =
            place.run("cat $OUTSIDE/secret; cat ../outside/secret; ls $OUTSIDE; ls /root").await;
        assert_eq!((&*ran.out, ran.ended.is_ok()), ("", true), "{level}: {ran:?}");
        place.run("ln -s $OUTSIDE/secret link; cat link || echo no").await.assert(0, "no\n");
        place.run("echo x > $OUTSIDE/secret || echo no").await.assert(0, "no\n");
        place.run("rm -rf $OUTSIDE /usr/bin/env 2> err; test -e /usr/bin/env").await.assert(0, "");
        assert_eq!(fs::read_to_string(place.at("outside/secret")).unwrap(), "secret");
    }
}

#[tokio::test]
async fn b31_nothing_of_the_sidecars_environment_and_files_is_handed_on() {
    for level in levels() {
        let place = Place::new(level);
        let names = "env | cut -d= -f1 | sort | tr '\\n' ' '";
        let ran = place.run(&format!("{names}; set -- /proc/$$/fd/*; echo $#")).await;
        // Standard input, output and error, and the folder that is listed.
        ran.assert(0, "HOME OUTSIDE PATH PWD TERM TMPDIR 4\n");
        place.run("touch $HOME/a $TMPDIR/b && ls $HOME | tr '\\n' ' '").await.assert(0, "a b ");
    }
}

#[tokio::test]
async fn there_is_no_network_unless_it_is_granted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for level in levels() {
        let mut place = Place::new(level);
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo through");
        let argv = ["/bin/bash", "-c", &script];
        let ran = place.run_with(&argv, None).await;
        assert_eq!((&*ran.out, &ran.ended), ("", &Ok(How::Exited(1))), "{level}: {ran:?}");
        place.sandbox.network = Network::Open;
        place.run_with(&argv, None).await.assert(0, "through\n");
        let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        place.run("cat /etc/resolv.conf 2> err; true").await.assert(0, &resolver);
    }
}

#[tokio::test]
async fn a_command_reaches_hosts_that_are_granted_and_nothing_else() {
    if !levels().contains(&Level::L3) {
        return;
    }
    let [granted, other] = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    other.set_nonblocking(true).unwrap();
    let [to, not_to] = [&granted, &other].map(|listener| listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = granted.accept() {
            let _ = std::io::Write::write_all(&mut stream, b"hello\n");
        }
    });
    let mut place = Place::new(Level::L3);
    place.sandbox.network = Network::of(vec![to.into()]);
    let script = format!(
        "echo $HTTPS_PROXY $NO_PROXY
         ask() {{ exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT %s HTTP/1.1\\r\\n\\r\\n' $1 >&3; cat <&3; }}
         ask {to} | tail -n 1
         ask {not_to} | head -n 1 | tr -d '\\r'
         cat < /dev/tcp/127.0.0.1/{}
         exec 3<>/dev/tcp/127.0.0.1/{} || echo no",
        to.port(),
        not_to.port()
    );
    let ran = place.run_with(&["/bin/bash", "-c", &script], None).await;
    ran.assert(
        0,
        "http://127.0.0.1:3128 localhost,127.0.0.1,::1\nhello\nHTTP/1.1 403 Forbidden\nhello\nno\n",
    );
    assert!(other.accept().is_err(), "it was dialled");
    let refused = Contact::Refused { to: not_to.to_string(), why: "it is not granted".into() };
    assert_eq!(ran.contacts, [Contact::Reached { to: to.to_string() }, refused]);
}

#[tokio::test]
async fn hosts_are_granted_where_commands_can_be_held_to_them_and_else_refused() {
    let mut place = Place::new(Level::L2);
    let network = Network::of(vec!["api.example.org".parse().unwrap()]);
    place.sandbox.network = network.clone();
    let refusal = place.run("true").await.ended.unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Sandbox);
    assert!(refusal.message.ends_with("can be reached from L3 only"), "{refusal:?}");
    // Whoever demands less gets what it takes, or is told what is missing for that.
    match place.sandbox.clone().proved(Some(Level::L2), &spawner()) {
        Ok((proved, report)) => {
            assert_eq!((proved.level, proved.network), (Level::L3, network.clone()));
            assert!(report.network);
        }
        Err(weak) => assert!(weak.demanded == Level::L3 && !weak.report.network, "{weak}"),
    }
    let weak = place.sandbox.proved(Some(Level::L2), &Spawner::at("/bin/false")).unwrap_err();
    assert_eq!((weak.demanded, weak.report.level), (Level::L3, Level::L1));
}

#[tokio::test]
async fn a_command_writes_beside_its_workspace_only_where_that_is_granted() {
    for level in levels() {
        let mut place = Place::new(level);
        // In a namespace folders on the way to what is granted are in memory, and others can be made.
        let script = "echo x > $OUTSIDE/state/file; echo x > $OUTSIDE/other; mv $OUTSIDE/secret .";
        fs::create_dir(place.at("outside/state")).unwrap();
        place.run(script).await;
        assert!(!place.at("outside/state/file").exists());
        place.sandbox.write = vec![place.at("outside/state"), place.at("outside/not-there")];
        place.run(script).await;
        assert_eq!(fs::read_to_string(place.at("outside/state/file")).unwrap(), "x\n");
        assert!(!place.at("outside/other").exists() && place.at("outside/secret").exists());
        place.sandbox.write = vec![place.at("outside/secret")];
        place.run("cat $OUTSIDE/secret; echo known > $OUTSIDE/secret").await.assert(0, "secret");
        assert_eq!(fs::read_to_string(place.at("outside/secret")).unwrap(), "known\n");
    }
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_gone_with_it() {
    for level in levels() {
        let place = Place::new(level);
        let mark = mark(level.as_str());
        let script =
            format!("export MARK={mark}; setsid sleep 1000 & (setsid sleep 1000 &) ; true");
        place.run(&script).await.assert(0, "");
        eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;
    }
}

#[tokio::test]
async fn a_command_that_is_not_there_is_refused_by_name() {
    for level in levels() {
        let place = Place::new(level);
        let refusal = place.run_with(&["no-such-program"], None).await.ended.unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Command);
        assert!(refusal.message.starts_with("no-such-program: "), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_sandbox_that_cannot_be_set_up_is_refused_and_the_command_does_not_run() {
    let place = Place::new(Level::L2);
    let cell = place.sandbox.around(&place.at("workspace")).unwrap();
    // Root is no user for a sandbox; who is not root cannot become another.
    let policies = [
        Policy { user: Some(0), ..cell.policy() },
        Policy { level: Level::L3, scratch: place.at("not-there"), ..cell.policy() },
    ];
    for policy in policies.into_iter().skip(usize::from(!is_root())) {
        let argv = ["/bin/sh", "-c", "echo ran > file"];
        let ran = run(&argv, &place.at("workspace"), &[], None, policy).await;
        assert_eq!(ran.ended.unwrap_err().kind, RefusalKind::Sandbox);
        assert!(!place.at("workspace/file").exists());
    }
}

/// Watches over a sandbox for work that goes on until it is told that the sandbox does not hold.
async fn watched(guard: &Path, sandbox: Sandbox) -> Option<sandbox::TooWeak> {
    let every = std::time::Duration::from_millis(1);
    let watch = Watch { sandbox, spawner: Spawner::at(guard), every };
    let (told, work) = tokio::sync::oneshot::channel();
    let (worked, weak) = watch.during(work, |_| told.send("told").unwrap()).await;
    assert_eq!(worked, Ok("told"));
    weak
}

#[tokio::test]
async fn work_that_relies_on_a_sandbox_is_told_when_it_no_longer_holds() {
    for level in levels() {
        let weak = watched(Path::new("/bin/false"), Sandbox::new(level)).await.unwrap();
        assert_eq!((weak.demanded, weak.report.level), (level, Level::L1));
    }
    let watch = Watch::over(Sandbox::new(Level::L2), spawner());
    let (worked, weak) = watch.during(async { 7 }, |_| panic!("it holds")).await;
    assert_eq!((worked, weak), (7, None));
}

#[test]
fn where_no_command_can_be_confined_file_tools_are_taken_and_commands_are_not_run() {
    let nowhere = Spawner::at("/bin/false");
    let (sandbox, report) = Sandbox::new(Level::L2).proved(None, &nowhere).unwrap();
    assert_eq!((sandbox.level, report.level), (Level::L1, Level::L1));
    assert_eq!(open(&report.attempts, Expected::Blocked), [""; 0]);
    assert_eq!(open(&report.attempts, Expected::Works), [""; 0]);
    assert!(report.attempts.len() > 5 && !report.why(Level::L2).is_empty(), "{report:?}");
    let refused = sandbox.around(Path::new("/")).unwrap_err();
    assert_eq!(refused.to_string(), FilesOnly.to_string());
    assert_eq!(sandbox.check_commands(&spawner()), Err(NoCommands::FilesOnly(FilesOnly)));
    // Whoever asks for more is told, and does not get less.
    let weak = Sandbox::new(Level::L2).proved(Some(Level::L2), &nowhere).unwrap_err();
    assert_eq!((weak.demanded, weak.report.level), (Level::L2, Level::L1));
    // What is asked for is taken where there is more, and said.
    let (sandbox, report) = Sandbox::new(Level::L2).proved(Some(Level::L1), &spawner()).unwrap();
    assert_eq!((sandbox.level, report.level), (Level::L1, Level::L1));
    assert!(report.why(Level::L2).contains("asked for"), "{report:?}");
}

#[tokio::test]
async fn without_a_sandbox_a_command_has_its_own_surroundings_and_nothing_outlives_it() {
    let mut place = Place::new(Level::L2);
    place.sandbox = Sandbox::new(Level::L2).proved(Some(Level::L0), &spawner()).unwrap().0;
    assert_eq!(place.sandbox.check_commands(&Spawner::at("/bin/false")), Ok(()));
    place
        .run("cat $OUTSIDE/secret; ls -d $HOME $TMPDIR | wc -l; ls /proc/self/fd | wc -l")
        .await
        .assert(0, "secret2\n4\n");
    let mark = mark("unconfined");
    let script = format!("MARK={mark} setsid sleep 1000 > /dev/null 2>&1 & echo begun");
    place.run(&script).await.assert(0, "begun\n");
    eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_policy_that_gives_something_away_is_found_out() {
    for level in levels() {
        let place = Place::new(level);
        let cell = place.sandbox.around(&place.at("workspace")).unwrap();
        let policy = Policy { read: vec![place.at("outside")], ..cell.policy() };
        let secret = place.at("outside/secret");
        let argv = ["/bin/cat", secret.to_str().unwrap()];
        run(&argv, &place.at("workspace"), &[], None, policy).await.assert(0, "secret");
    }
}

#[cfg(feature = "stand-in")]
#[test]
fn all_of_this_holds_for_others_than_root_and_without_user_namespaces_as_well() {
    use agentcom_exec::trial::environment::Environment;
    if elsewhere::environment() != Environment::Here {
        return;
    }
    for other in Environment::makeable(level_here()) {
        if matches!(other, Environment::Nobody | Environment::NoNamespaces) {
            elsewhere::passes(other, &[], 30);
        }
    }
}
