//! This file adds up the memory of all graphics cards of a machine.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::{Host, Use};

/// How long `nvidia-smi` may take; waking a card that sleeps takes it most of a second.
const WITHIN: Duration = Duration::from_secs(2);

impl Host {
    /// The memory of all cards together; `None` if none says how much it has.
    pub(super) async fn graphics(&self) -> Option<Use> {
        let mut cards = self.amd();
        cards.extend(self.nvidia().await);
        let total = cards.iter().map(|card| card.total).sum();
        let used = cards.iter().map(|card| card.used).sum();
        (total > 0).then_some(Use { used, total })
    }

    /// Source: the kernel's documentation, *GPU sysfs: memory information* of amdgpu; in bytes.
    fn amd(&self) -> Vec<Use> {
        let Ok(entries) = std::fs::read_dir(&self.drm) else { return Vec::new() };
        let cards = entries.flatten().filter(|entry| {
            // Its outputs, as `card0-DP-1`, lie beside it.
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix("card"));
            number.is_some_and(|rest| rest.parse::<u32>().is_ok())
        });
        cards.filter_map(|card| amd_card(&card.path().join("device"))).collect()
    }

    /// Source: `nvidia-smi --help-query-gpu`; in MiB, a line for each card.
    async fn nvidia(&self) -> Vec<Use> {
        let mut command = Command::new(&self.nvidia_smi);
        command
            .args(["--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        match timeout(WITHIN, command.output()).await {
            Ok(Ok(output)) if output.status.success() => {
                String::from_utf8_lossy(&output.stdout).lines().filter_map(nvidia_card).collect()
            }
            // It is not installed, finds no card, or hangs.
            Ok(Ok(_) | Err(_)) | Err(_) => Vec::new(),
        }
    }
}

fn amd_card(device: &Path) -> Option<Use> {
    let bytes =
        |name: &str| std::fs::read_to_string(device.join(name)).ok()?.trim().parse::<u64>().ok();
    Some(Use { used: bytes("mem_info_vram_used")?, total: bytes("mem_info_vram_total")? })
}

/// A card that shares the machine's memory has none to tell, and says `[N/A]`.
fn nvidia_card(line: &str) -> Option<Use> {
    let (used, total) = line.split_once(',')?;
    let bytes = |mib: &str| mib.trim().parse::<u64>().ok()?.checked_mul(1 << 20);
    Some(Use { used: bytes(used)?, total: bytes(total)? })
}
