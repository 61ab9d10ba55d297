//! This file measures the machine that a sidecar runs on, as far as the system says it in files.
//!
//! Memory of graphics cards comes from the driver's files (amdgpu) and from `nvidia-smi`, where that
//! is installed.

mod graphics;

use std::ffi::OsString;
use std::path::PathBuf;

use agentcom_core::endpoint::Machine;
use agentcom_core::port::meter::Meter;
use agentcom_core::wire::Figures;
use async_trait::async_trait;

use crate::hex;

/// What a machine is called, for people and for telling it from others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostName {
    /// Its name, which others may have as well; empty if it has none in plain letters.
    pub name: String,
    /// What tells it from others of that name, if it has an id: six hexadecimal digits.
    pub mark: Option<String>,
}

/// The mark of an id, which is confidential (machine-id(5)): a hash for this purpose alone, too short to
/// tell anything of it.
fn mark_of(id: &str) -> String {
    const DIGITS: usize = 6;
    hex::sha256(format!("agentcom machine {id}"))[..DIGITS].to_owned()
}

/// A machine, and where it says how it is doing.
#[derive(Clone, Debug)]
pub struct Host {
    etc: PathBuf,
    proc: PathBuf,
    drm: PathBuf,
    nvidia_smi: OsString,
}

impl Host {
    /// The machine that this runs on.
    #[must_use]
    pub fn here() -> Self {
        Self {
            etc: "/etc".into(),
            proc: "/proc".into(),
            drm: "/sys/class/drm".into(),
            nvidia_smi: "nvidia-smi".into(),
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> HostName {
        let name = nix::unistd::gethostname().ok();
        let name = name.and_then(|name| name.into_string().ok()).unwrap_or_default();
        HostName { name, mark: self.id().map(|id| mark_of(&id)) }
    }

    /// The id that the system gave it when it was installed, as machine-id(5) describes it, if it has one.
    fn id(&self) -> Option<String> {
        let id = std::fs::read_to_string(self.etc.join("machine-id")).ok()?;
        let id = id.trim();
        let is_whole = id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit());
        is_whole.then(|| id.to_ascii_lowercase())
    }

    /// How busy it is and how large, if it says both.
    pub(crate) fn machine(&self) -> Option<Machine> {
        let memory = self.memory()?;
        Some(Machine {
            cpu_per_mille: self.cpu_per_mille()?,
            ram_mib: u32::try_from(memory.total >> 20).ok()?,
        })
    }

    /// How many waited for a processor in the last minute, of those who can have one.
    fn cpu_per_mille(&self) -> Option<u32> {
        let load = std::fs::read_to_string(self.proc.join("loadavg")).ok()?;
        let processors = std::thread::available_parallelism().ok()?.get();
        let waiting: f64 = load.split_whitespace().next()?.parse().ok()?;
        Some((waiting * 1_000.0 / processors as f64).round().clamp(0.0, 1_000.0) as u32)
    }

    fn memory(&self) -> Option<Use> {
        let text = std::fs::read_to_string(self.proc.join("meminfo")).ok()?;
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
            kib.checked_mul(1_024)
        };
        let total = bytes("MemTotal:")?;
        Some(Use { used: total.saturating_sub(bytes("MemAvailable:")?), total })
    }
}

/// How much there is of something, and how much of it is taken: in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Use {
    used: u64,
    total: u64,
}

#[async_trait]
impl Meter for Host {
    async fn figures(&self) -> Option<Figures> {
        let ram = self.memory();
        let vram = self.graphics().await;
        let figures = Figures {
            cpu_per_mille: self.cpu_per_mille(),
            ram_used_bytes: ram.map(|ram| ram.used),
            ram_total_bytes: ram.map(|ram| ram.total),
            vram_used_bytes: vram.map(|vram| vram.used),
            vram_total_bytes: vram.map(|vram| vram.total),
        };
        (figures != Figures::default()).then_some(figures)
    }
}

#[cfg(test)]
mod tests;
