//! This file runs tests of the same binary again where the machine is another, and looks at how they ended.

use std::path::Path;

use agentcom_exec::trial::environment::{Environment, Readable};

use crate::support::{GUARD, level_here};

/// The variable that says where a test runs.
const ENVIRONMENT: &str = "AGENTCOM_TEST_ENVIRONMENT";

/// Where this test runs.
pub(crate) fn environment() -> Environment {
    let name = std::env::var(ENVIRONMENT);
    name.map_or(Environment::Here, |name| Environment::named(&name).unwrap())
}

/// Runs the tests that `filter` names, arguments of the test binary, in another environment; `count` of them at least
/// have to pass there, and none to fail.
#[track_caller]
pub(crate) fn passes(elsewhere: Environment, filter: &[&str], count: usize) {
    let level = elsewhere.level().min(level_here());
    let own = std::env::current_exe().unwrap();
    let guard = Path::new(env!("CARGO_BIN_EXE_agentcom-guard"));
    let (_copies, [own, guard]) = Readable::copies([&own, guard]).unwrap();
    let vars = [
        (ENVIRONMENT, elsewhere.as_str().to_owned()),
        ("AGENTCOM_TEST_SANDBOX", level.to_string()),
        (GUARD, guard.to_string_lossy().into_owned()),
    ];
    let ended = elsewhere.run(&own, filter, &vars.into()).unwrap();
    let [out, err] =
        [ended.stdout, ended.stderr].map(|it| String::from_utf8_lossy(&it).into_owned());
    let passed = out.lines().filter(|line| line.ends_with(" ... ok")).count();
    assert!(
        ended.status.success() && passed >= count,
        "{elsewhere:?}: {passed} passed: {out}\n{err}"
    );
}
