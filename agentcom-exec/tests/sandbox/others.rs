//! This file tests that a command changes no process outside, talks to nobody there, and neither uses
//! nor leaves behind what all processes of the machine share by number.

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use agentcom_exec::sandbox::{Level, Network};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;

use crate::{OTHER, Place, is_root, levels};

/// Says what a system call returns, or `-` and its error number. What begins with an `x` is bytes.
const CALL: &str = r#"
    my @words = map { /^x(.*)/ ? pack("H*", $1) : $_ + 0 } @ARGV;
    my $returned = syscall(shift(@words), @words);
    print $returned < 0 ? -($! + 0) : $returned"#;

/// A place whose commands are of a user that others outside have too.
fn place(level: Level) -> Place {
    let mut place = Place::new(level);
    if is_root() {
        place.sandbox.user = Some(OTHER);
        for path in ["", "workspace", "outside"] {
            std::os::unix::fs::chown(place.at(path), Some(OTHER), Some(OTHER)).unwrap();
        }
    }
    place
}

/// What a system call returns there, or its error number.
async fn call(place: &Place, number: i64, words: &[&str]) -> Result<i64, i32> {
    let number = number.to_string();
    let argv = [&["perl", "-e", CALL, &number], words].concat();
    let ran = place.run_with(&argv, None).await;
    let said: i64 = ran.out.parse().unwrap_or_else(|_| panic!("{ran:?}"));
    if said < 0 { Err(i32::try_from(-said).unwrap()) } else { Ok(said) }
}

/// A process outside, the first of its group, of the user that commands there are of.
struct Bystander(Child);

impl Bystander {
    fn beside(place: &Place) -> Self {
        let mut sleep = Command::new("sleep");
        sleep.arg("60").process_group(0);
        let user = place.sandbox.user.filter(|_| place.sandbox.level > Level::L0);
        user.into_iter().for_each(|user| _ = sleep.uid(user).gid(user));
        Self(sleep.spawn().unwrap())
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).unwrap();
    }
}

/// `sched_attr` of `SCHED_BATCH` and the lowest priority: whoever is not root cannot raise it.
const BATCH: &str = concat!(
    "x300000000300000000000000000000001300000000000000",
    "000000000000000000000000000000000000000000000000"
);

/// An `rlimit` of 0: of core files, nobody misses them.
const NO_LIMIT: &str = "x00000000000000000000000000000000";

/// The priority of ordinary processes, of `ioprio_set`.
const USUAL_IO: &str = "16388";

/// Calls that change a process, with `PID` for its number.
#[rustfmt::skip]
const CHANGES: [(&str, i64, &[&str]); 10] = [
    ("its limits", libc::SYS_prlimit64, &["PID", "4", NO_LIMIT, "0"]),
    ("its priority", libc::SYS_setpriority, &["0", "PID", "5"]),
    ("the priority of its group", libc::SYS_setpriority, &["1", "PID", "6"]),
    ("its processors", libc::SYS_sched_setaffinity, &["PID", "8", "xffffffffffffffff"]),
    ("its scheduler", libc::SYS_sched_setscheduler, &["PID", "3", "x00000000"]),
    ("how it is scheduled", libc::SYS_sched_setparam, &["PID", "x00000000"]),
    ("all about how it is scheduled", libc::SYS_sched_setattr, &["PID", BATCH, "0"]),
    ("its turn at the disk", libc::SYS_ioprio_set, &["1", "PID", USUAL_IO]),
    ("the turn of its group", libc::SYS_ioprio_set, &["2", "PID", USUAL_IO]),
    ("that it goes on", libc::SYS_kill, &["PID", "18"]),
];

#[tokio::test]
async fn a_command_changes_no_process_outside_by_its_number() {
    for level in [Level::L0].into_iter().chain(levels()) {
        let place = place(level);
        let bystander = Bystander::beside(&place);
        let pid = bystander.0.id().to_string();
        for (what, number, words) in CHANGES {
            let words = words.iter().map(|&word| if word == "PID" { &*pid } else { word });
            let expected = match level {
                Level::L0 => Ok(0),
                Level::L1 | Level::L2 => Err(libc::EPERM),
                // What is outside has no number there.
                Level::L3 => Err(libc::ESRCH),
            };
            let seen = call(&place, number, &words.collect::<Vec<_>>()).await;
            assert_eq!(seen, expected, "{level}: {what}");
        }
    }
}

/// Calls of a process that is about itself, or looks at another.
#[rustfmt::skip]
const ALLOWED: [(i64, &[&str]); 7] = [
    (libc::SYS_prlimit64, &["0", "4", NO_LIMIT, "0"]),
    (libc::SYS_setpriority, &["0", "0", "5"]),
    (libc::SYS_sched_setaffinity, &["0", "8", "xffffffffffffffff"]),
    (libc::SYS_sched_setscheduler, &["0", "3", "x00000000"]),
    (libc::SYS_sched_setparam, &["0", "x00000000"]),
    (libc::SYS_sched_setattr, &["0", BATCH, "0"]),
    (libc::SYS_ioprio_set, &["1", "0", USUAL_IO]),
];

#[tokio::test]
async fn a_command_changes_itself_and_not_all_that_is_of_its_user() {
    let other = OTHER.to_string();
    let of_all = [
        (libc::SYS_setpriority, ["1", "0", "5"]),
        (libc::SYS_setpriority, ["2", "0", "0"]),
        (libc::SYS_ioprio_set, ["3", "0", USUAL_IO]),
        (libc::SYS_ioprio_set, ["3", &other, USUAL_IO]),
    ];
    // A shell and its tools, and a look at the limits of another process.
    let script = "ulimit -n 100 && nice -n 3 sh -c 'ulimit -n; nice' && prlimit -p $$ > table";
    for level in levels() {
        let place = place(level);
        for (number, words) in of_all.iter().filter(|_| level < Level::L3) {
            assert_eq!(call(&place, *number, words).await, Err(libc::EPERM), "{number}: {words:?}");
        }
        for (number, words) in ALLOWED {
            assert_eq!(call(&place, number, words).await, Ok(0), "{level}: {number}: {words:?}");
        }
        place.run(script).await.assert(0, "100\n3\n");
    }
}

/// Something that processes share by number.
struct Shared {
    what: &'static str,
    /// What makes it, with `KEY` for one that nobody else has, and says its number.
    make: (i64, &'static [&'static str]),
    /// What uses it, with `ID` for its number.
    uses: &'static [(i64, &'static [&'static str])],
    /// What removes it.
    remove: (i64, &'static [&'static str]),
}

/// `IPC_CREAT`, for everybody.
const MAKE: &str = "950";

/// Room for an answer.
const ROOM: &str = concat!(
    "x0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000"
);

const SHARED: [Shared; 3] = [
    Shared {
        what: "memory",
        make: (libc::SYS_shmget, &["KEY", "4096", MAKE]),
        uses: &[(libc::SYS_shmat, &["ID", "0", "0"]), (libc::SYS_shmctl, &["ID", "2", ROOM])],
        remove: (libc::SYS_shmctl, &["ID", "0", "0"]),
    },
    Shared {
        what: "semaphores",
        make: (libc::SYS_semget, &["KEY", "1", MAKE]),
        uses: &[
            (libc::SYS_semop, &["ID", "x000001000000", "1"]),
            (libc::SYS_semtimedop, &["ID", "x000001000000", "1", "0"]),
        ],
        remove: (libc::SYS_semctl, &["ID", "0", "0", "0"]),
    },
    Shared {
        what: "messages",
        make: (libc::SYS_msgget, &["KEY", MAKE]),
        uses: &[
            (libc::SYS_msgsnd, &["ID", "x010000000000000041", "1", "2048"]),
            (libc::SYS_msgrcv, &["ID", ROOM, "1", "0", "2048"]),
        ],
        remove: (libc::SYS_msgctl, &["ID", "0", "0"]),
    },
];

#[tokio::test]
async fn a_command_neither_uses_nor_leaves_what_all_processes_share_by_number() {
    let key = std::process::id().to_string();
    let free = place(Level::L0);
    for Shared { what, make, uses, remove } in SHARED {
        let on = async |place: &Place, (number, words): (i64, &[&str]), id: &str| {
            let word = |&word| match word {
                "KEY" => &*key,
                "ID" => id,
                other => other,
            };
            call(place, number, &words.iter().map(word).collect::<Vec<_>>()).await
        };
        let id = on(&free, make, "").await.unwrap().to_string();
        let mut seen = Vec::new();
        for level in levels() {
            let confined = place(level);
            for &act in [make].iter().chain(uses).chain([&remove]) {
                seen.push((level, act.0, on(&confined, act, &id).await));
            }
        }
        let mut works = Vec::new();
        for &act in uses.iter().chain([&remove]) {
            works.push(on(&free, act, &id).await);
        }
        // It is removed before anything is asserted, so that nothing is left of a test that fails.
        assert!(works.iter().all(Result::is_ok), "{what}: {works:?}");
        for (level, number, seen) in seen {
            let expected = match level {
                Level::L3 => seen.is_ok() == (number == make.0),
                Level::L0 | Level::L1 | Level::L2 => seen == Err(libc::EPERM),
            };
            assert!(expected, "{level}: {what}, {number}: {seen:?}");
        }
        // `IPC_CREAT` apart: what was made at L3 is gone with it.
        let (number, words) = make;
        let found = on(&free, (number, &[&words[..words.len() - 1], &["0"]].concat()), "").await;
        assert_eq!(found, Err(libc::ENOENT), "{what}");
    }
}

#[tokio::test]
async fn a_command_neither_makes_nor_removes_a_queue_that_all_processes_share_by_name() {
    let name: String = format!("agentcom-{}", std::process::id());
    let name = name.bytes().chain([0]).map(|byte| format!("{byte:02x}")).collect::<String>();
    let name = format!("x{name}");
    let make = [&*name, "66", "384", "0"];
    let free = place(Level::L0);
    call(&free, libc::SYS_mq_open, &make).await.unwrap();
    let mut seen = Vec::new();
    for level in levels() {
        let confined = place(level);
        seen.push((level, call(&confined, libc::SYS_mq_unlink, &[&name]).await));
        if level < Level::L3 {
            seen.push((level, call(&confined, libc::SYS_mq_open, &make).await));
        }
    }
    assert_eq!(call(&free, libc::SYS_mq_unlink, &[&name]).await, Ok(0), "{seen:?}");
    for (level, seen) in seen {
        let expected = if level >= Level::L3 { libc::ENOENT } else { libc::EPERM };
        assert_eq!(seen, Err(expected), "{level}");
    }
}

#[tokio::test]
async fn a_command_sends_nothing_to_a_service_by_its_file_whatever_its_socket_is_paired_with() {
    let script = r#"
        for my $type (1, 2, 3, 5) {
            socketpair(my $one, my $other, 1, $type, 0) or next;
            send($one, "sent", 0, pack("S Z108", 1, "$ENV{OUTSIDE}/service"));
            connect($one, pack("S Z108", 1, "$ENV{OUTSIDE}/service")) and send($one, "said", 0);
        }"#;
    let hears = |service: &UnixDatagram| service.recv(&mut [0; 16]).is_ok();
    let networks = [Network::None, Network::Open];
    for level in [Level::L0].into_iter().chain(levels()) {
        for network in networks.clone() {
            let mut place = place(level);
            place.sandbox.network = network;
            let path = place.at("outside/service");
            let service = UnixDatagram::bind(&path).unwrap();
            service.set_nonblocking(true).unwrap();
            if is_root() {
                std::os::unix::fs::chown(path, Some(OTHER), Some(OTHER)).unwrap();
            }
            place.run_with(&["perl", "-e", script], None).await.assert(0, "");
            assert_eq!(hears(&service), level == Level::L0, "{level}: {:?}", place.sandbox.network);
        }
    }
}

#[tokio::test]
async fn what_an_embedder_leaves_open_is_closed_to_a_command() {
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(dir.path().join("file")).unwrap();
    let leaked = [file.try_clone().unwrap(), file];
    for file in &leaked {
        // As a C library opens what it does not think about.
        fcntl(file, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    }
    let script = "for fd in /proc/$$/fd/*; do readlink $fd; done | grep file$; true";
    let on = |ran: std::process::Output| String::from_utf8(ran.stdout).unwrap().lines().count();
    // Whoever starts it without a guard hands it on.
    assert_eq!(on(Command::new("sh").args(["-c", script]).output().unwrap()), leaked.len());
    for level in [Level::L0].into_iter().chain(levels()) {
        place(level).run(script).await.assert(0, "");
    }
}
