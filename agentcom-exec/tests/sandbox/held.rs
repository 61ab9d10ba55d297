//! This file tests that what commands hold where no folder shows it is bounded as well: memory that no
//! limit of a process counts, and files that have no name.

use std::collections::BTreeMap;
use std::fs;

use agentcom_exec::sandbox::Level;
use agentcom_exec::tool::{RunCommand, Tool as _};
use nix::libc;
use serde_json::{Value, json};

use crate::support::{Watched, eventually, mark, marked, spawner};
use crate::{Place, is_root, levels};

const MIB: u64 = 1 << 20;

/// What the scripts begin with: a shared mapping that is not zero everywhere, and a file in memory.
const WORDS: &str = r#"
    use constant MIB => 1 << 20;
    sub call { my ($n, @with) = @_; my $r = syscall($n, @with); die "$n: $!\n" if $r == -1; $r }
    sub fill { my ($at, $bytes) = @_;
        open(my $from, "<", "/dev/zero") or die;
        while ($bytes) { my $n = call(READ, fileno($from), $at, $bytes); $at += $n; $bytes -= $n } }
    sub mapping { my $at = call(MMAP, 0, $_[0], 3, 0x21, -1, 0); fill($at, $_[0]); $at }
    sub in_memory { my $name = "m"; my $n = call(MEMFD, $name, 0);
        open(my $file, "+<&=", $n) or die; extend($file, $_[0]); $file }
    sub extend { my ($file, $bytes) = @_; my $piece = "x" x MIB;
        for (1 .. $bytes / MIB) { my $n = syswrite($file, $piece); die "$!\n" if $n != MIB } }
    $| = 1;
"#;

/// A script of perl.
fn perl(script: &str) -> Vec<String> {
    let mut script = format!("{WORDS}{script}");
    let calls = [
        ("READ", libc::SYS_read),
        ("MMAP", libc::SYS_mmap),
        ("MEMFD", libc::SYS_memfd_create),
        ("MADVISE", libc::SYS_madvise),
        ("PRCTL", libc::SYS_prctl),
        ("SHMGET", libc::SYS_shmget),
        ("SHMAT", libc::SYS_shmat),
        ("SHMDT", libc::SYS_shmdt),
    ];
    for (name, number) in calls {
        script = script.replace(&format!("{name},"), &format!("{number},"));
    }
    ["perl", "-e", &script].map(str::to_owned).into()
}

/// How to hold 300 MiB of memory, each in pieces that no limit of a process counts.
const HOLDS: [(&str, Level, &str); 9] = [
    ("a shared mapping", Level::L2, "mapping(300 * MIB); sleep 30"),
    (
        "one that is in no table of pages",
        Level::L2,
        "my $at = mapping(300 * MIB); call(MADVISE, $at, 300 * MIB, 4); sleep 30",
    ),
    ("a file in memory", Level::L2, "my $file = in_memory(300 * MIB); sleep 30"),
    (
        "one that is mapped and not open",
        Level::L2,
        "my $file = in_memory(300 * MIB);
         call(MMAP, 0, 300 * MIB, 1, 1, fileno($file), 0); close($file); sleep 30",
    ),
    (
        "many small ones of many processes",
        Level::L2,
        "for (1 .. 30) { fork and next; my $file = in_memory(10 * MIB); sleep 30; exit }
         sleep 30",
    ),
    ("memory of many processes", Level::L2, "for (1 .. 4) { fork or last } mapped(); sleep 30"),
    (
        "a file in a folder in memory",
        Level::L3,
        "for (qw(/dev/shm /tmp)) { open(my $file, '>', \"$_/f\") or die; extend($file, 150 * MIB) }
         sleep 30",
    ),
    (
        "one that was removed and is open",
        Level::L3,
        "for (qw(/dev/shm /tmp)) { open($file{$_}, '>', \"$_/f\") or die;
             unlink(\"$_/f\"); extend($file{$_}, 150 * MIB) }
         sleep 30",
    ),
    (
        "a segment that nobody uses",
        Level::L3,
        "my $id = call(SHMGET, 0, 300 * MIB, 01600); my $at = call(SHMAT, $id, 0, 0);
         fill($at, 300 * MIB); call(SHMDT, $at); sleep 30",
    ),
];

/// A place for 200 MiB of memory.
fn small(level: Level) -> Place {
    let mut place = Place::new(level);
    place.sandbox.limits.memory_bytes = 200 * MIB;
    place
}

#[tokio::test]
async fn all_memory_of_a_command_is_bounded_however_it_is_held() {
    for level in levels() {
        let place = small(level);
        for (what, from, script) in HOLDS.iter().filter(|(_, from, _)| *from <= level) {
            let mark = mark(&format!("memory-{level}"));
            let script = script.replace("mapped()", "our $all = 'x' x (90 * MIB)");
            let argv = perl(&format!("$ENV{{MARK}} = '{mark}'; {script}"));
            let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
            let begun = std::time::Instant::now();
            let ran = place.run_with(&argv, None).await;
            assert_eq!(ran.too_much_memory, Some(200 * MIB), "{level} {what} ({from}): {ran:?}");
            assert!(begun.elapsed().as_secs() < 25, "{level} {what}: {:?}", begun.elapsed());
            eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;
        }
    }
}

#[tokio::test]
async fn memory_that_is_shared_counts_once_and_what_is_only_reserved_does_not() {
    // Looks are told apart from the end by how long it goes on.
    let within = [
        "mapping(120 * MIB); for (1 .. 5) { fork or last } sleep 2; print 'ok'",
        "our $all = 'x' x (60 * MIB); for (1 .. 5) { fork or last } sleep 2; print 'ok'",
        "call(MMAP, 0, 100 * 1024 * MIB, 0, 0x4022, -1, 0); sleep 1; print 'ok'",
    ];
    for level in levels() {
        for script in within {
            let argv = perl(script);
            let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
            let ran = small(level).run_with(&argv, None).await;
            assert_eq!(ran.too_much_memory, None, "{level}: {script}: {ran:?}");
            assert!(ran.out.starts_with("ok"), "{level}: {script}: {ran:?}");
        }
    }
}

/// What became of a command that may have so many bytes of files.
async fn told(level: Level, disk_bytes: u64, script: &str) -> Value {
    let mut place = Place::new(level);
    place.sandbox.limits.disk_bytes = disk_bytes;
    fs::write(place.at("workspace/script"), perl(script)[2].clone()).unwrap();
    let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let dir = place.at("workspace").canonicalize().unwrap();
    let tool = RunCommand::new(spawner(), place.sandbox.clone(), &dir, env);
    let input = json!({ "command": "perl script", "timeout_ms": 25_000 });
    tool.call(input, &Watched::new()).await.unwrap()
}

/// How to hold files that no folder shows, of `SIZE` bytes.
const NAMELESS: [(&str, &str); 3] = [
    (
        "removed while it is open",
        "open(our $file, '>', 'f') or die; unlink('f'); extend($file, SIZE);",
    ),
    (
        "made without a name",
        "for (1, 2) { sysopen($file{$_}, $ENV{TMPDIR}, TMPFILE) or die; extend($file{$_}, SIZE / 2) }",
    ),
    (
        "removed while it is mapped",
        "open(my $file, '+>', 'f') or die; extend($file, SIZE);
         call(MMAP, 0, SIZE, 1, 1, fileno($file), 0); unlink('f'); close($file);",
    ),
];

#[tokio::test]
async fn files_without_a_name_count_as_long_as_they_are_held() {
    let tmpfile = (libc::O_TMPFILE | libc::O_RDWR).to_string();
    for level in levels() {
        for (what, script) in NAMELESS {
            let script = script.replace("TMPFILE", &tmpfile);
            let held = |mib: u64| script.replace("SIZE", &format!("({mib} * MIB)"));
            let much = format!("{} print 'held'; sleep 30", held(12));
            let told_of_much = told(level, 8 * MIB, &much).await;
            assert_eq!(told_of_much["disk_full"], true, "{level} {what}: {told_of_much}");
            let little = format!("{} sleep 1; print 'held'", held(4));
            let told_of_little = told(level, 8 * MIB, &little).await;
            assert_eq!(told_of_little["stdout"], "held", "{level} {what}: {told_of_little}");
            assert_eq!(told_of_little["exit_code"], 0, "{level} {what}: {told_of_little}");
        }
    }
}

#[tokio::test]
async fn who_lets_nobody_see_what_it_has_open_is_stopped_unless_it_is_seen_nevertheless() {
    let hold = "call(PRCTL, 4, 0, 0, 0, 0); open(our $file, '>', 'f') or die; unlink('f');";
    for level in levels() {
        let much = told(level, 8 * MIB, &format!("{hold} extend($file, 12 * MIB); sleep 30")).await;
        assert_eq!(much["disk_full"], true, "{level}: {much}");
        let little = format!("{hold} extend($file, 4 * MIB); sleep 3; print 'held'");
        let little = told(level, 8 * MIB, &little).await;
        // Root sees it, and counts what there is.
        assert_eq!(little["disk_full"] == true, !is_root(), "{level}: {little}");
        assert_eq!(little["stdout"] == "held", is_root(), "{level}: {little}");
    }
}

#[tokio::test]
async fn what_is_there_is_looked_at_before_a_command_only_where_the_last_one_has_not_shown_it() {
    for level in levels() {
        let mut place = Place::new(level);
        place.sandbox.limits.disk_bytes = MIB;
        let dir = place.at("workspace").canonicalize().unwrap();
        let env = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let tool = RunCommand::new(spawner(), place.sandbox.clone(), &dir, env);
        let is_full = async || {
            let told = tool.call(json!({ "command": "true" }), &Watched::new()).await.unwrap();
            told["disk_full"] == true
        };
        // What was there when it was looked at is held against nobody; what came unseen is.
        fs::write(dir.join("old"), vec![1; 2 << 20]).unwrap();
        assert!(!is_full().await, "{level}: before the first");
        fs::write(dir.join("more"), vec![1; 2 << 20]).unwrap();
        assert!(is_full().await, "{level}: not after one that left no more than it may");
        assert!(!is_full().await, "{level}: but after one that has left more");
        fs::write(dir.join("most"), vec![1; 2 << 20]).unwrap();
        assert!(is_full().await, "{level}: and not after that");
    }
}
