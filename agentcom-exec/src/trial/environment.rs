//! This file makes processes find the machine as it is elsewhere: for other users, in containers, and on kernels that
//! offer less.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agentcom_core::sandbox::Level;
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// What a machine may be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// As it is.
    Here,
    /// For a user who is not root.
    Nobody,
    /// For such a user, where there are no user namespaces.
    NoNamespaces,
    /// For root in a container of Docker, as it is unless somebody says otherwise: fewer capabilities, and a filter
    /// of system calls that refuses namespaces and mounts.
    Container,
    /// For root in a container of somebody who is not root: root there, and nobody outside.
    Rootless,
    /// On a kernel without Landlock.
    NoLandlock,
}

/// The variable of which trials make sure that no command in a sandbox finds out what it says.
pub const CANARY: &str = "AGENTCOM_TRIAL_CANARY";

/// A user who is not root, and whom no other process makes trials for: how many processes there may be is counted over
/// all of a user.
fn nobody() -> String {
    const FIRST: u32 = 20_000;
    const USERS: u32 = 40_000;
    (FIRST + std::process::id() % USERS).to_string()
}

/// What Docker leaves to root, moby's `oci/caps/defaults.go`.
const CAPABILITIES: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
     +net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";

impl Environment {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Here,
        Self::Nobody,
        Self::NoNamespaces,
        Self::Container,
        Self::Rootless,
        Self::NoLandlock,
    ];

    /// Those that whoever runs this can make, on a machine that proves `level`: those without user namespaces are made
    /// by one, and where there are none the machine is such an environment itself.
    pub fn makeable(level: Level) -> impl Iterator<Item = Self> {
        let is_root = nix::unistd::getuid().is_root();
        Self::ALL.into_iter().filter(move |it| match it {
            Self::Nobody | Self::Container => is_root,
            Self::NoNamespaces | Self::Rootless => level >= Level::L3,
            Self::Here | Self::NoLandlock => true,
        })
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }

    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Nobody => "nobody",
            Self::NoNamespaces => "no-namespaces",
            Self::Container => "container",
            Self::Rootless => "rootless",
            Self::NoLandlock => "no-landlock",
        }
    }

    /// The level that a sandbox has to have there, on a machine that has everything.
    #[must_use]
    pub fn level(self) -> Level {
        match self {
            Self::Here | Self::Nobody => Level::L3,
            Self::NoNamespaces | Self::Container | Self::Rootless => Level::L2,
            Self::NoLandlock => Level::L1,
        }
    }

    /// Whether more is refused there than a sandbox refuses.
    #[must_use]
    pub fn is_odd(self) -> bool {
        match self {
            Self::Here | Self::Nobody => false,
            Self::NoNamespaces | Self::Container | Self::Rootless | Self::NoLandlock => true,
        }
    }

    /// Runs `program`, which whoever is there has to be able to read, to its end.
    ///
    /// # Errors
    ///
    /// If it cannot be run there.
    pub fn run(
        self,
        program: &Path,
        args: &[&str],
        vars: &BTreeMap<&str, String>,
    ) -> io::Result<Output> {
        let user = nobody();
        let drop_root = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--"];
        let drop_root = drop_root.iter().filter(|_| nix::unistd::getuid().is_root());
        let drop_root: Vec<&str> = drop_root.copied().collect();
        let no_more = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
        let alone = ["sh", "-c", no_more, "sh"];
        let as_before = ["setpriv", "--inh-caps=-all", "--ambient-caps=-all", "--"];
        let before: Vec<&str> = match self {
            Self::Here | Self::NoLandlock => Vec::new(),
            Self::Nobody => drop_root,
            Self::NoNamespaces => {
                let own = ["unshare", "--user", "--map-current-user", "--keep-caps", "--"];
                [&drop_root, &own[..], &alone, &as_before].concat()
            }
            Self::Container => vec!["setpriv", "--bounding-set", CAPABILITIES, "--"],
            Self::Rootless => {
                [&drop_root, &["unshare", "--user", "--map-root-user", "--"][..], &alone].concat()
            }
        };
        let filter = match self {
            Self::Container => Some(container()?),
            Self::NoLandlock => Some(no_landlock()?),
            Self::Here | Self::Nobody | Self::NoNamespaces | Self::Rootless => None,
        };
        let program = program.to_string_lossy().into_owned();
        let mut words = before.into_iter().chain([&*program]).chain(args.iter().copied());
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).envs(vars).env(CANARY, "what no command may see");
        command.env("HOME", "/").current_dir("/");
        let run = move || {
            if let Some(filter) = filter {
                seccompiler::apply_filter(&filter).map_err(io::Error::other)?;
            }
            command.output()
        };
        // The filter is for that thread, and for what it starts.
        std::thread::spawn(run).join().map_err(|_| io::Error::other("a thread panicked"))?
    }
}

/// Copies of programs where everybody can read them: what they were built in may be somebody's own.
#[derive(Debug)]
pub struct Readable(tempfile::TempDir);

impl Readable {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// If they cannot be copied.
    pub fn copies<const N: usize>(programs: [&Path; N]) -> io::Result<(Self, [PathBuf; N])> {
        let dir = tempfile::Builder::new().prefix("agentcom-programs-").tempdir()?;
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
        let copies =
            programs.map(|program| dir.path().join(program.file_name().unwrap_or_default()));
        for (from, to) in programs.iter().zip(&copies) {
            fs::copy(from, to)?;
        }
        Ok((Self(dir), copies))
    }

    /// Where they are.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Of moby's `profiles/seccomp/default.json` what has to do with sandboxes: without `CAP_SYS_ADMIN` there are no
/// namespaces and no mounts.
fn container() -> io::Result<BpfProgram> {
    const NAMESPACES: u64 = 0x7e02_0000;
    let refused = [
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_mount_setattr,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_bpf,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
    ];
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        refused.into_iter().map(|call| (call, Vec::new())).collect();
    let bits = (0..u64::BITS).map(|bit| 1_u64 << bit).filter(|bit| NAMESPACES & bit != 0);
    let making = bits.map(|bit| {
        let given = SeccompCmpOp::MaskedEq(bit);
        SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Dword, given, bit)?])
    });
    let making = making.collect::<Result<_, _>>().map_err(io::Error::other)?;
    rules.insert(libc::SYS_clone, making);
    filter(rules, libc::EPERM)
}

fn no_landlock() -> io::Result<BpfProgram> {
    let calls = [
        libc::SYS_landlock_create_ruleset,
        libc::SYS_landlock_add_rule,
        libc::SYS_landlock_restrict_self,
    ];
    filter(calls.into_iter().map(|call| (call, Vec::new())).collect(), libc::ENOSYS)
}

fn filter(rules: BTreeMap<i64, Vec<SeccompRule>>, with: i32) -> io::Result<BpfProgram> {
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let refused = SeccompAction::Errno(with.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)
        .and_then(TryInto::try_into)
        .map_err(io::Error::other)
}
