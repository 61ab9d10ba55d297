//! This file tests what commands may use, and what in their workspace is not theirs.

use std::fs;

use agentcom_exec::guard::RefusalKind;
use agentcom_exec::sandbox::Level;

use crate::support::{eventually, mark, marked};
use crate::{OTHER, Place, is_root, levels};

#[tokio::test]
async fn limits_end_what_takes_too_much() {
    for level in levels() {
        let mut place = Place::new(level);
        place.sandbox.limits.file_bytes = 10_000;
        place.run("head -c 20000 /dev/zero > big; test $(wc -c < big) = 10000").await.assert(0, "");
        place.sandbox.limits.files = 16;
        let script = "for i in 3 4 5 6 7 8 9; do eval \"exec $i</dev/null\"; done; ulimit -n";
        place.run(script).await.assert(0, "16\n");
        place.sandbox.limits.memory_bytes = 100 << 20;
        let ran = place.run("head -c 300000000 /dev/zero | tail -c 250000000 | wc -c").await;
        assert_ne!(ran.out.trim(), "250000000", "{level}: {ran:?}");
        // As root in its namespace it is exempt.
        if level == Level::L3 && !is_root() {
            place.sandbox.limits.processes = 20;
            let ran = place.run("for i in $(seq 60); do sleep 5 & done; wait").await;
            assert!(!ran.err.is_empty(), "{ran:?}");
        }
    }
}

#[tokio::test]
async fn no_room_is_taken_that_the_size_of_a_file_does_not_show() {
    let script = r#"
        open(my $file, "+>", "file") or die;
        for my $how (0, 1, 3, 17) {
            my $done = syscall(FALLOCATE, fileno($file), $how, 4096, 4096);
            printf("%d: %s, %d\n", $how, $done < 0 ? $! + 0 : "ok", -s $file);
        }"#;
    let script = script.replace("FALLOCATE", &nix::libc::SYS_fallocate.to_string());
    for level in levels() {
        let ran = Place::new(level).run_with(&["perl", "-e", &script], None).await;
        // To keep the size is refused, with zeros for content or without, but for a hole.
        ran.assert(0, "0: ok, 8192\n1: 1, 8192\n3: ok, 8192\n17: 1, 8192\n");
    }
}

#[tokio::test]
async fn who_has_more_processes_than_it_may_is_stopped_with_all_of_them() {
    const MOST: u64 = 40;
    // The first waits for all that it starts, the second for nothing; both end by themselves.
    let scripts = [
        "for i in $(seq 1000); do sleep 20 & done; wait",
        "end=$(($(date +%s) + 15))
         fork() { while [ $(date +%s) -lt $end ]; do setsid sleep 15 & fork & sleep 0.02; done; }
         fork & setsid sleep 15",
    ];
    for level in levels() {
        let mut place = Place::new(level);
        place.sandbox.limits.processes = MOST;
        for (number, script) in scripts.iter().enumerate() {
            let mark = mark(&format!("many-{level}-{number}"));
            let begun = std::time::Instant::now();
            let ran = place.run(&format!("export MARK={mark}; {script}")).await;
            // Whom the kernel bounds it does not let start more.
            let is_bounded = level == Level::L3 && !is_root();
            assert_eq!(ran.too_many, (!is_bounded).then_some(MOST), "{level}: {ran:?}");
            assert!(is_bounded || begun.elapsed().as_secs() < 15, "{level}: {:?}", begun.elapsed());
            eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;
        }
        // A few more are no reason.
        place.run("for i in $(seq 10); do sleep 0.2 & done; wait; echo ok").await.assert(0, "ok\n");
    }
}

#[tokio::test]
async fn a_user_of_its_own_is_limited_and_may_change_modes() {
    if !is_root() {
        return;
    }
    for level in levels() {
        let mut place = Place::new(level);
        place.sandbox.user = Some(OTHER);
        place.sandbox.limits.processes = 20;
        for path in ["", "workspace"] {
            std::os::unix::fs::chown(place.at(path), Some(OTHER), Some(OTHER)).unwrap();
        }
        place
            .run("id -u; id -g; touch file && chmod 755 file && echo ok")
            .await
            .assert(0, &format!("{OTHER}\n{OTHER}\nok\n"));
        let ran = place.run("for i in $(seq 60); do sleep 5 & done; wait").await;
        assert!(!ran.err.is_empty(), "{level}: {ran:?}");
    }
}

#[tokio::test]
async fn no_file_is_made_that_cannot_be_removed() {
    if !is_root() {
        return;
    }
    let script = "echo x > file; chattr +i file; echo $?; chattr +a file; echo $?";
    for level in levels() {
        let place = Place::new(level);
        place.run(script).await.assert(0, "1\n1\n");
        fs::remove_file(place.at("workspace/file")).unwrap();
    }
    // Whom nothing confines can, where the file system has such files.
    let place = Place::new(Level::L0);
    let kept = place.run("echo x > file; chattr +i file && ! rm file; chattr -i file").await;
    let can = !kept.err.contains("not supported");
    assert_eq!(kept.err.contains("rm: cannot remove"), can, "{kept:?}");
}

#[tokio::test]
async fn git_cannot_be_tampered_with_in_a_namespace() {
    for level in levels().into_iter().filter(|&level| level == Level::L3) {
        let place = Place::new(level);
        fs::create_dir_all(place.at("workspace/.git/hooks")).unwrap();
        let script =
            "echo x > .git/hooks/post-commit; mv .git old; rm -rf .git; echo x > .git/config";
        place.run(script).await;
        // Nor is the folder there once more, where its `.git` is none.
        let again = "for git in $(find $TMPDIR /tmp /dev -name .git 2> /dev/null); do
                echo x > $git/hooks/post-commit; echo x > $git/config; echo $git
            done; pwd";
        let ran = place.run(again).await;
        let here = ran.out.lines().last().unwrap().to_owned();
        ran.assert(0, &format!("{here}/.git\n{here}\n"));
        assert_eq!(fs::read_dir(place.at("workspace")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(place.at("workspace/.git")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(place.at("workspace/.git/hooks")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn no_git_is_made_in_a_namespace_where_there_is_none_and_nothing_is_left_of_that() {
    for level in levels().into_iter().filter(|&level| level == Level::L3) {
        let place = Place::new(level);
        let script = "mkdir .git || echo no
            echo x > .git/config || echo no
            rmdir .git || echo no
            mv .git old || echo no
            ln -s old .git/link || echo no";
        place.run(script).await.assert(0, "no\nno\nno\nno\nno\n");
        assert_eq!(fs::read_dir(place.at("workspace")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_file_that_leads_git_to_its_repository_cannot_be_changed_and_a_link_is_refused() {
    for level in levels().into_iter().filter(|&level| level == Level::L3) {
        let place = Place::new(level);
        let git = place.at("workspace/.git");
        fs::write(&git, "gitdir: elsewhere").unwrap();
        let script = "for try in 'echo x >' 'rm -f' 'mv file' 'ln -sfn file'; do
            eval \"$try .git\" || echo no
        done; cat .git";
        fs::write(place.at("workspace/file"), "").unwrap();
        place.run(script).await.assert(0, "no\nno\nno\nno\ngitdir: elsewhere");
        fs::create_dir(place.at("outside/repository")).unwrap();
        for to in ["../outside/repository", "nowhere"] {
            fs::remove_file(&git).unwrap();
            std::os::unix::fs::symlink(to, &git).unwrap();
            let refusal = place.run("echo x > file").await.ended.unwrap_err();
            assert_eq!(refusal.kind, RefusalKind::Sandbox);
            assert!(refusal.message.contains(".git is a symbolic link"), "{refusal:?}");
            assert_eq!(fs::read_link(&git).unwrap(), std::path::Path::new(to));
            assert_eq!(fs::read_to_string(place.at("workspace/file")).unwrap(), "");
        }
    }
}
