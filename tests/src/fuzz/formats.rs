//! This file tries texts as configuration and as headers.

use std::net::Ipv6Addr;

use agentcom_core::config::HubConfig;
use agentcom_core::json::Json;
use agentcom_core::name::Kind;
use agentcom_core::origin::AllowList;
use agentcom_core::task::Draft;
use agentcom_core::testing::bench::Bench;
use agentcom_core::time::Span;
use agentcom_core::wire::Dialect;
use agentcom_hub::config::Settings as HubSettings;
use agentcom_sidecar::settings::Settings as SidecarSettings;

/// A configuration of a hub: refused, or one with which a hub can run.
pub fn hub_config(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(settings) = toml::from_str::<HubSettings>(text) else { return };
    let config = settings.hub_config();
    if config.tasks_max == 0 || config.agents_max == 0 || config.bytes_max < 1 << 20 {
        // Such a hub is full, which it may be.
        return;
    }
    run_a_task(config);
}

fn run_a_task(config: HubConfig) {
    let mut bench = Bench::with(config);
    let agent = bench.join("one", Dialect::V1, 1, &[]);
    let id = bench.submit(Draft::new(Kind::new("shell").expect("a name"), Json::null()));
    assert_eq!(bench.serve(agent), Some(id), "the only task is given to the only agent");
    bench.submit(Draft::new(Kind::new("shell").expect("a name"), Json::null()));
    bench.pass(Span::from_secs(10));
    bench.check();
}

/// A configuration of a sidecar: refused, or one that says how a sidecar is run.
pub fn sidecar_config(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let env = |name: &str| (name == "AGENTCOM_TOKEN").then(|| "secret".to_owned());
    let Ok(settings) = SidecarSettings::parse(text, &env) else { return };
    if let Ok(config) = settings.sidecar() {
        assert!(config.slots > 0, "a sidecar works");
        assert!(!format!("{config:?}").contains("secret\""), "the token is not shown");
    }
}

/// Two lines, a `Host` and an `Origin`: what passes by the usual list names this machine, and a page
/// that it served itself.
pub fn host_and_origin(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let (host, origin) = match text.split_once('\n') {
        Some((host, origin)) => (host, Some(origin)),
        None => (text, None),
    };
    if AllowList::default().check(Some(host), origin).is_err() {
        return;
    }
    assert!(is_this_machine(host), "{host:?} passes as a host");
    if let Some(origin) = origin {
        let lower = origin.to_ascii_lowercase();
        let page = lower.strip_prefix("http://").or(lower.strip_prefix("https://"));
        let page = page.unwrap_or_else(|| panic!("{origin:?} passes as an origin"));
        assert!(is_this_machine(page), "{origin:?} passes as an origin");
        let ports = (port(host), port(page));
        let usual = if lower.starts_with("https") { "443" } else { "80" };
        let same = ports.0.unwrap_or(usual) == ports.1.unwrap_or(usual);
        assert!(same, "{origin:?} passes as the origin of {host:?}");
    }
}

/// Written apart from the code under test: everything in front of the last colon, if a number is
/// behind it.
fn port(text: &str) -> Option<&str> {
    let (_, port) = text.rsplit_once(':')?;
    (!port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(port)
}

fn is_this_machine(text: &str) -> bool {
    let host = port(text).map_or(text, |port| &text[..text.len() - port.len() - 1]);
    let inside =
        text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(inside, _)| inside);
    if let Some(address) = inside {
        return address.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host == "127.0.0.1"
}
