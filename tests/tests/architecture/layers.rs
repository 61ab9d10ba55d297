//! This file holds the layers of the core: a module uses its own layer and those below.

use crate::hold;
use crate::source::{Source, sources, words};

/// The layers, lowest first, with their modules.
const LAYERS: &[(&str, &[&str])] = &[
    ("words", &["id", "name", "time", "rng", "json", "money", "sandbox", "origin", "guard"]),
    (
        "things",
        &[
            "task", "agent", "agentic", "config", "endpoint", "ledger", "limit", "operator",
            "price", "question", "repo", "risk", "route", "verify",
        ],
    ),
    ("together", &["command", "change", "state", "view", "wire"]),
    ("deciding", &["hub", "sidecar"]),
    ("outside", &["port"]),
    ("running", &["driver"]),
    ("testing", &["testing"]),
];

/// Items of a higher layer that a lower module may use all the same, and why.
struct Exception {
    from: &'static str,
    to: &'static str,
    items: &'static [&'static str],
    #[expect(dead_code, reason = "it is for whoever reads the table")]
    because: &'static str,
}

const STORED: &str =
    "a step says what to store in the store's own plain data, which is documented beside the port";
const LEFT: &str = "why a connection ends is decided on in the transport's own plain data";
const DONE: &str = "what became of a job is decided on in the executor's own plain data";

const EXCEPTIONS: &[Exception] = &[
    Exception { from: "change", to: "port::store", items: ROWS, because: STORED },
    Exception { from: "state", to: "port::store", items: ROWS, because: STORED },
    Exception { from: "hub", to: "port::store", items: ROWS, because: STORED },
    Exception { from: "hub", to: "port::transport", items: &["CloseReason"], because: LEFT },
    Exception { from: "sidecar", to: "port::store", items: ROWS, because: STORED },
    Exception { from: "sidecar", to: "port::transport", items: &["CloseReason"], because: LEFT },
    Exception {
        from: "sidecar",
        to: "port::executor",
        items: &["JobOutcome", "News"],
        because: DONE,
    },
];

/// The plain data of the port to storage; its errors are how damaged rows are named.
const ROWS: &[&str] = &["Batch", "Range", "Row", "RowKey", "StoreError", "StoreErrorKind", "Table"];

/// The layer from which on there may be clocks, threads and the standard library.
pub(crate) const RUNNING: usize = 5;
/// The layer of the ports.
pub(crate) const OUTSIDE: usize = 4;

/// The layer of a module, by the first part of its path.
pub(crate) fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|(_, modules)| modules.contains(&module))
}

#[test]
fn a_module_of_the_core_uses_only_its_own_layer_and_those_below() {
    let mut broken = Vec::new();
    for source in sources() {
        let Some(module) = source.core_module() else { continue };
        let Some(own) = layer(module[0]) else {
            broken.push(format!("{}: `{}` is in no layer", source.path, module[0]));
            continue;
        };
        for (at, used) in uses(source, &module) {
            let path = used.join("::");
            match used.first().and_then(|first| layer(first)) {
                Some(layer) if layer <= own || is_excepted(module[0], &path) => {}
                Some(layer) => broken.push(format!(
                    "{}: {} uses {path} of the higher layer {}",
                    source.place(at),
                    LAYERS[own].0,
                    LAYERS[layer].0,
                )),
                None => broken.push(format!("{}: `{path}` is in no layer", source.place(at))),
            }
        }
    }
    hold("inside the core a module uses its own layer and those below only", &broken);
}

fn is_excepted(from: &str, path: &str) -> bool {
    EXCEPTIONS.iter().any(|exception| {
        let item = path.strip_prefix(exception.to).and_then(|rest| rest.strip_prefix("::"));
        let first = item.and_then(|item| item.split("::").next());
        exception.from == from && first.is_some_and(|item| exception.items.contains(&item))
    })
}

/// What a file uses of its own crate: offsets, and paths from the root of the crate.
pub(crate) fn uses(source: &Source, module: &[&str]) -> Vec<(usize, Vec<String>)> {
    let code = &source.shipped;
    let mut found = Vec::new();
    for at in words(code, "crate::") {
        tree(code, at + "crate::".len(), &[], &mut found);
    }
    for at in words(code, "super::").filter(|at| !code[..*at].ends_with("super::")) {
        let mut rest = at;
        let mut base = module;
        while code[rest..].starts_with("super::") {
            rest += "super::".len();
            base = &base[..base.len().saturating_sub(1)];
        }
        let base: Vec<_> = base.iter().map(|part| String::from(*part)).collect();
        tree(code, rest, &base, &mut found);
    }
    found
}

/// Reads the rest of a path or of a tree of paths, and returns the offset behind it.
fn tree(code: &str, at: usize, base: &[String], found: &mut Vec<(usize, Vec<String>)>) -> usize {
    let at = behind_space(code, at);
    if code[at..].starts_with('{') {
        return branches(code, at + 1, base, found);
    }
    let end = code[at..].find(|c: char| !c.is_alphanumeric() && c != '_');
    let end = end.map_or(code.len(), |length| at + length);
    let mut path = base.to_vec();
    path.extend((end > at).then(|| code[at..end].to_owned()));
    let goes_on = code[end..].strip_prefix("::").is_some_and(|rest| !rest.starts_with('<'));
    if goes_on {
        return tree(code, end + "::".len(), &path, found);
    }
    // A macro lies in the crate's root wherever it is written.
    if !code[end..].starts_with('!') {
        found.push((at, path));
    }
    end
}

fn branches(
    code: &str,
    mut at: usize,
    base: &[String],
    found: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    loop {
        at = behind_space(code, at);
        if code[at..].is_empty() || code[at..].starts_with('}') {
            return at + 1;
        }
        at = tree(code, at, base, found);
        // Skips a new name (`as x`) or a star.
        at += code[at..].find([',', '}']).unwrap_or(code.len() - at);
        at += usize::from(code[at..].starts_with(','));
    }
}

fn behind_space(code: &str, at: usize) -> usize {
    code.len() - code[at..].trim_start().len()
}

#[test]
fn uses_are_found_wherever_they_stand() {
    let text = "use crate::{a, b::{self, c as d, e::*}, f::g};\nfn h() { crate::i::j(super::k::l, super::super::m, crate::n!()) }";
    let source = Source::new("agentcom-core/src/x/y.rs".into(), text.into());
    let found: Vec<_> =
        uses(&source, &["x", "y"]).into_iter().map(|(_, path)| path.join("::")).collect();
    let wanted = ["a", "b::self", "b::c", "b::e", "f::g", "i::j", "x::k::l", "m"];
    assert_eq!(found, wanted);
}

#[test]
fn only_the_named_items_are_excepted() {
    assert!(is_excepted("hub", "port::store::Batch"));
    assert!(!is_excepted("hub", "port::store::Store"));
    assert!(!is_excepted("wire", "port::store::Batch"));
}
