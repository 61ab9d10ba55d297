//! This file reads how a hub is set up: one TOML file, then the environment over it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcom_core::config::HubConfig;
use agentcom_core::time::Span;
use serde::Deserialize;

use crate::local::DATA_DIR;

/// How a hub is set up. In the file every key may be left out; unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where it listens; port 0 takes any free port.
    pub bind: SocketAddr,
    /// Where it keeps its data.
    pub data_dir: PathBuf,
    /// Whether it may listen beyond this machine without TLS, because the network is trusted, such
    /// as WireGuard or Tailscale.
    pub trusted_network: bool,
    /// Host names under which clients reach it, beside its addresses.
    pub public_hosts: Vec<String>,
    /// Addresses of proxies that are believed when they say by `X-Forwarded-For` for whom they ask.
    pub trusted_proxies: Vec<IpAddr>,
    /// When it makes backups.
    pub backup: BackupPlan,
    /// What it logs.
    pub log: Log,
    /// What it bounds.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 4000)),
            data_dir: PathBuf::from(DATA_DIR),
            trusted_network: false,
            public_hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            backup: BackupPlan::default(),
            log: Log::default(),
            limits: Limits::default(),
        }
    }
}

/// When a hub makes backups of its data, and how many it keeps.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupPlan {
    /// How long from one to the next, in minutes; 0 is never.
    pub every_minutes: u32,
    /// Where they are: from the data directory on, unless it begins with a slash.
    pub dir: PathBuf,
    /// How many are kept; at least 1.
    pub keep: usize,
}

impl Default for BackupPlan {
    fn default() -> Self {
        Self { every_minutes: 24 * 60, dir: "backups".into(), keep: 3 }
    }
}

impl BackupPlan {
    /// How long from one to the next, if any are made by themselves.
    #[must_use]
    pub fn every(&self) -> Option<Duration> {
        (self.every_minutes > 0).then(|| Duration::from_secs(60 * u64::from(self.every_minutes)))
    }

    /// Where they are for data in `data_dir`.
    #[must_use]
    pub fn dir_in(&self, data_dir: &Path) -> PathBuf {
        data_dir.join(&self.dir)
    }
}

/// What a hub logs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Which events, as `info` or `info,agentcom_core=debug`.
    pub filter: String,
    /// How they look.
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), format: LogFormat::Text }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What a hub bounds; what is not said is as in [`HubConfig`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The most tasks that live at once.
    pub tasks_max: Option<usize>,
    /// The most bytes that the specs of living tasks take at once.
    pub bytes_max: Option<u64>,
    /// The most registered agents.
    pub agents_max: Option<usize>,
    /// Attempts in total, unless the task says otherwise.
    pub attempts_max: Option<u32>,
    /// Leases that a task may lose before it is dead.
    pub crashes_max: Option<u32>,
    /// How long an agent keeps a task without renewing, in milliseconds.
    pub lease_ttl_ms: Option<u64>,
    /// How long a plain client may hold a task without a word about it, in milliseconds.
    pub stuck_after_ms: Option<u64>,
    /// How long one attempt may take, unless the task says otherwise.
    pub timeout_ms: Option<u64>,
    /// How long a task waits for the busy agent that has its repository at hand, in milliseconds.
    pub affinity_wait_ms: Option<u64>,
    /// How long a person is waited for who may raise a cap that a call would pass, in milliseconds; 0
    /// asks nobody.
    pub raise_within_ms: Option<u64>,
}

/// Why a hub cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BadSettings {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The file breaks a rule.
    #[error("{path}: {}", error.to_string().trim_end())]
    File {
        /// The file.
        path: PathBuf,
        /// The rule, with line and column.
        error: Box<toml::de::Error>,
    },
    /// An environment variable breaks a rule.
    #[error("environment variable {name} is `{value}`; {rule}")]
    Env {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// The rule.
        rule: &'static str,
    },
}

impl Settings {
    /// Reads the file, if there is one, and lays the environment over it.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn read(
        file: Option<&Path>,
        var: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BadSettings> {
        let settings = match file {
            Some(path) => Self::from_file(path)?,
            None => Self::default(),
        };
        settings.overlaid(|name| var(name).filter(|value| !value.is_empty()))
    }

    /// How the hub itself behaves.
    #[must_use]
    pub fn hub_config(&self) -> HubConfig {
        let (limits, usual) = (&self.limits, HubConfig::default());
        HubConfig {
            tasks_max: limits.tasks_max.unwrap_or(usual.tasks_max),
            bytes_max: limits.bytes_max.unwrap_or(usual.bytes_max),
            agents_max: limits.agents_max.unwrap_or(usual.agents_max),
            attempts_max: limits.attempts_max.unwrap_or(usual.attempts_max),
            crashes_max: limits.crashes_max.unwrap_or(usual.crashes_max),
            lease_ttl: limits.lease_ttl_ms.map_or(usual.lease_ttl, Span),
            stuck_after: limits.stuck_after_ms.map_or(usual.stuck_after, Span),
            timeout: limits.timeout_ms.map_or(usual.timeout, Span),
            affinity_wait: limits.affinity_wait_ms.map_or(usual.affinity_wait, Span),
            raise_within: limits.raise_within_ms.map_or(usual.raise_within, Span),
            ..usual
        }
    }

    fn from_file(path: &Path) -> Result<Self, BadSettings> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| BadSettings::Unreadable { path: path.into(), error })?;
        toml::from_str(&text)
            .map_err(|error| BadSettings::File { path: path.into(), error: Box::new(error) })
    }

    pub(crate) fn overlaid(
        mut self,
        var: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, BadSettings> {
        if let Some(value) = var("AGENTCOM_BIND") {
            self.bind =
                parsed("AGENTCOM_BIND", &value, "it must be ADDRESS:PORT, such as 127.0.0.1:4000")?;
        }
        if let Some(value) = var("AGENTCOM_DATA_DIR") {
            self.data_dir = value.into();
        }
        if let Some(value) = var("AGENTCOM_TRUSTED_NETWORK") {
            self.trusted_network =
                parsed("AGENTCOM_TRUSTED_NETWORK", &value, "it must be true or false")?;
        }
        if let Some(value) = var("AGENTCOM_PUBLIC_HOSTS") {
            self.public_hosts = listed(&value).map(String::from).collect();
        }
        if let Some(value) = var("AGENTCOM_TRUSTED_PROXIES") {
            let rule = "it must be IP addresses with commas between them";
            let address = |text| parsed("AGENTCOM_TRUSTED_PROXIES", text, rule);
            self.trusted_proxies = listed(&value).map(address).collect::<Result<_, _>>()?;
        }
        if let Some(value) = var("AGENTCOM_BACKUP_EVERY_MINUTES") {
            let rule = "it must be a number of minutes, or 0 for never";
            self.backup.every_minutes = parsed("AGENTCOM_BACKUP_EVERY_MINUTES", &value, rule)?;
        }
        if let Some(value) = var("AGENTCOM_BACKUP_DIR") {
            self.backup.dir = value.into();
        }
        if let Some(value) = var("AGENTCOM_BACKUP_KEEP") {
            self.backup.keep =
                parsed("AGENTCOM_BACKUP_KEEP", &value, "it must be a number from 1")?;
        }
        if self.backup.keep == 0 {
            let (name, rule) = ("AGENTCOM_BACKUP_KEEP", "at least 1 backup is kept");
            return Err(bad_var(name, "0", rule));
        }
        if let Some(value) = var("AGENTCOM_LOG") {
            self.log.filter = value;
        }
        if let Some(value) = var("AGENTCOM_LOG_FORMAT") {
            self.log.format = match value.as_str() {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => return Err(bad_var("AGENTCOM_LOG_FORMAT", &value, "it must be text or json")),
            };
        }
        Ok(self)
    }
}

/// What stands between commas.
fn listed(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn parsed<T: std::str::FromStr>(
    name: &'static str,
    value: &str,
    rule: &'static str,
) -> Result<T, BadSettings> {
    value.parse().map_err(|_| bad_var(name, value, rule))
}

fn bad_var(name: &'static str, value: &str, rule: &'static str) -> BadSettings {
    BadSettings::Env { name, value: value.into(), rule }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn refused(text: &str, expected: &Expect) {
        let error = toml::from_str::<Settings>(text).unwrap_err();
        expected.assert_eq(&error.to_string());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_column() {
        refused(
            "bind = \"127.0.0.1:1\"\n\n[limits]\ntask_max = 3\n",
            &expect![[r#"
            TOML parse error at line 4, column 1
              |
            4 | task_max = 3
              | ^^^^^^^^
            unknown field `task_max`, expected one of `tasks_max`, `bytes_max`, `agents_max`, `attempts_max`, `crashes_max`, `lease_ttl_ms`, `stuck_after_ms`, `timeout_ms`, `affinity_wait_ms`, `raise_within_ms`
        "#]],
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_line_and_column() {
        refused(
            "data_dir = \"d\"\nbind = \"localhost\"\n",
            &expect![[r#"
            TOML parse error at line 2, column 8
              |
            2 | bind = "localhost"
              |        ^^^^^^^^^^^
            invalid socket address syntax
        "#]],
        );
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hub.toml");
        std::fs::write(
            &file,
            "bind = \"127.0.0.1:1\"\n[limits]\nlease_ttl_ms = 9000\nraise_within_ms = 0\n",
        )
        .unwrap();
        let env = |name: &str| (name == "AGENTCOM_BIND").then(|| "127.0.0.1:2".to_string());
        let settings = Settings::read(Some(&file), env).unwrap();
        assert_eq!(settings.bind.port(), 2);
        assert_eq!(settings.hub_config().lease_ttl, Span::from_secs(9));
        assert_eq!(settings.hub_config().raise_within, Span(0));
        assert_eq!(settings.hub_config().tasks_max, HubConfig::default().tasks_max);
    }

    #[test]
    fn proxies_that_are_trusted_are_addresses() {
        let read = |value: &str| {
            let env = |name: &str| (name == "AGENTCOM_TRUSTED_PROXIES").then(|| value.to_owned());
            Settings::read(None, env).map(|settings| settings.trusted_proxies)
        };
        let both: [IpAddr; 2] = ["127.0.0.1", "::1"].map(|ip| ip.parse().unwrap());
        assert_eq!(read("127.0.0.1, ::1").unwrap(), both);
        assert!(read("").unwrap().is_empty());
        let error = read("127.0.0.1,proxy").unwrap_err().to_string();
        expect![
            "environment variable AGENTCOM_TRUSTED_PROXIES is `proxy`; it must be IP addresses with commas between them"
        ]
        .assert_eq(&error);
    }

    #[test]
    fn a_bad_variable_is_named() {
        let env = |name: &str| (name == "AGENTCOM_TRUSTED_NETWORK").then(|| "maybe".to_string());
        let error = Settings::read(None, env).unwrap_err();
        expect![
            "environment variable AGENTCOM_TRUSTED_NETWORK is `maybe`; it must be true or false"
        ]
        .assert_eq(&error.to_string());
    }
}
