//! This file tests what is measured on machines that are folders.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::*;

const MIB: u64 = 1 << 20;
const MEMINFO: &str =
    "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:   12582912 kB\n";

/// A machine that says nothing yet.
struct Fake {
    folder: TempDir,
}

impl Fake {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, path: &str, text: &str) -> &Self {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// What there is in place of `nvidia-smi`: lines for a shell.
    fn nvidia(&self, script: &str) -> &Self {
        // Written by another process: what a test beside this one starts would hold the file open.
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" > "$0" && chmod 755 "$0""#;
        let program = self.folder.path().join("nvidia-smi");
        let shell = Command::new("/bin/sh").args(["-c", write]).arg(program).arg(script).status();
        assert!(shell.unwrap().success());
        self
    }

    fn card(&self, name: &str, used: &str, total: &str) -> &Self {
        self.file(&format!("drm/{name}/device/mem_info_vram_used"), used);
        self.file(&format!("drm/{name}/device/mem_info_vram_total"), total)
    }

    fn host(&self) -> Host {
        let root = self.folder.path();
        Host {
            etc: root.join("etc"),
            proc: root.join("proc"),
            drm: root.join("drm"),
            nvidia_smi: root.join("nvidia-smi").into(),
        }
    }

    async fn figures(&self) -> Figures {
        self.host().figures().await.unwrap_or_default()
    }

    async fn vram(&self) -> (Option<u64>, Option<u64>) {
        let Figures { vram_used_bytes, vram_total_bytes, .. } = self.figures().await;
        (vram_used_bytes, vram_total_bytes)
    }
}

#[test]
fn a_machine_is_told_from_others_of_its_name_by_its_id_which_it_keeps_to_itself() {
    let id = "0123456789abcdef0123456789abcdef";
    let mark = |text: &str| {
        let fake = Fake::new();
        fake.file("etc/machine-id", text);
        fake.host().name().mark
    };
    let one = mark(&format!("{id}\n")).unwrap();
    assert!(one.len() == 6 && !id.contains(&one), "{one}");
    assert_eq!(mark(&id.to_uppercase()), Some(one.clone()), "it has one mark");
    assert_ne!(mark(&id.replace('0', "1")), Some(one));
    for none in ["", "uninitialized\n", "0123", &"x".repeat(32)] {
        assert_eq!(mark(none), None, "{none:?}");
    }
    let fake = Fake::new();
    assert_eq!(fake.host().name(), HostName { mark: None, ..Host::here().name() });
}

#[tokio::test]
async fn memory_in_use_is_what_is_not_available() {
    let fake = Fake::new();
    fake.file("proc/meminfo", MEMINFO).file("proc/loadavg", "0.00 0.01 0.05 1/100 7\n");
    let expected = Figures {
        cpu_per_mille: Some(0),
        ram_used_bytes: Some(4096 * MIB),
        ram_total_bytes: Some(16_384 * MIB),
        ..Figures::default()
    };
    assert_eq!(fake.figures().await, expected);
    assert_eq!(fake.host().machine(), Some(Machine { cpu_per_mille: 0, ram_mib: 16_384 }));
}

#[test]
fn the_load_is_shared_among_processors_and_is_never_above_all_of_them() {
    let processors = std::thread::available_parallelism().unwrap().get() as f64;
    for (of_all, expected) in [(0.5, 500), (1.0, 1_000), (7.0, 1_000)] {
        let fake = Fake::new();
        fake.file("proc/loadavg", &format!("{} 0 0 1/100 7\n", of_all * processors));
        assert_eq!(fake.host().cpu_per_mille(), Some(expected));
    }
}

#[tokio::test]
async fn a_machine_that_says_nothing_is_not_measured() {
    let fake = Fake::new();
    assert_eq!(fake.host().figures().await, None);
    fake.file("proc/meminfo", "nonsense\n").file("proc/loadavg", "");
    assert_eq!(fake.host().figures().await, None);
    assert_eq!(fake.host().machine(), None);
}

#[tokio::test]
async fn memory_of_all_cards_is_added_up_and_outputs_of_cards_are_not_cards() {
    let fake = Fake::new();
    fake.card("card0", "1048576\n", "8388608\n").card("card1", "2097152\n", "8388608\n");
    fake.card("card0-DP-1", "1\n", "1\n").file("drm/card2/device/vendor", "0x8086\n");
    fake.nvidia("echo '10, 100'; echo '20, 200'; echo '[N/A], [N/A]'");
    assert_eq!(fake.vram().await, (Some(33 * MIB), Some(316 * MIB)));
}

#[tokio::test]
async fn the_program_of_the_cards_is_asked_in_these_words() {
    let fake = Fake::new();
    let seen = fake.folder.path().join("seen");
    fake.nvidia(&format!("echo \"$@\" > {}; echo '512, 24576'", seen.display()));
    assert_eq!(fake.vram().await, (Some(512 * MIB), Some(24_576 * MIB)));
    let words = "--query-gpu=memory.used,memory.total --format=csv,noheader,nounits\n";
    assert_eq!(fs::read_to_string(seen).unwrap(), words);
}

#[tokio::test]
async fn cards_that_cannot_be_asked_are_left_out() {
    let fake = Fake::new();
    for script in ["echo 'No devices were found'; exit 6", "echo '10, 100'; exit 1", "echo what"] {
        fake.nvidia(script);
        assert_eq!(fake.vram().await, (None, None), "{script}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_hangs_is_given_up_and_the_rest_is_measured() {
    let fake = Fake::new();
    fake.file("proc/meminfo", MEMINFO).nvidia("exec sleep 600");
    let figures = fake.figures().await;
    assert_eq!((figures.ram_total_bytes, figures.vram_total_bytes), (Some(16_384 * MIB), None));
}
