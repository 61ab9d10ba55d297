//! This file tests how demanding tasks are taken to be.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use proptest::sample::select;

use super::{COMPLEX, Complexity, TRIVIAL};
use crate::json::Json;
use crate::name::{Kind, Principal};
use crate::task::{Coding, Draft, FileHint, Spec, Tier, VerificationStep};

fn spec(description: &str, files: usize, steps: usize, tier: Option<Tier>) -> Spec {
    let hint = FileHint { path: "src/lib.rs".into(), reason: None };
    let step =
        VerificationStep { kind: "file_exists".into(), target: "x".into(), description: None };
    let mut draft = Draft::new(Kind::new("shell").unwrap(), Json::null());
    draft.description = description.into();
    draft.coding = Coding {
        file_hints: vec![hint; files],
        verification_steps: vec![step; steps],
        tier,
        ..Coding::default()
    };
    draft.into_spec(Principal::Admin, Vec::new()).unwrap()
}

fn looks(description: &str, files: usize, steps: usize) -> (Tier, u32) {
    let inferred = Complexity::of(&spec(description, files, steps, None)).inferred;
    (inferred.tier, inferred.confidence)
}

#[test]
fn a_task_is_taken_for_what_it_looks_like() {
    let long = "word ".repeat(51);
    for (description, files, steps, expected) in [
        ("", 0, 0, (Tier::Unknown, 0)),
        ("", 1, 0, (Tier::Standard, 100)),
        ("refactor auth", 0, 0, (Tier::Complex, 70)),
        ("refactor auth", 4, 4, (Tier::Complex, 90)),
        ("Fix a TYPO in the README.md", 1, 1, (Tier::Trivial, 90)),
        (
            "update README.md so that it names the flag that the release before took away",
            0,
            0,
            (Tier::Trivial, 75),
        ),
        ("fix typo", 4, 0, (Tier::Standard, 66)),
        ("fix typo", 0, 4, (Tier::Standard, 66)),
        ("fix typo, then refactor", 0, 0, (Tier::Complex, 70)),
        ("add a flag", 0, 0, (Tier::Standard, 100)),
        ("add a flag", 4, 4, (Tier::Complex, 66)),
        (long.as_str(), 3, 3, (Tier::Standard, 66)),
        (long.as_str(), 4, 3, (Tier::Complex, 66)),
        (long.as_str(), 4, 4, (Tier::Complex, 100)),
    ] {
        assert_eq!(looks(description, files, steps), expected, "{description} {files} {steps}");
    }
}

#[test]
fn a_word_inside_another_is_no_keyword() {
    for word in ["information", "reformat", "typography", "splinter", "architecture", "lint_all"] {
        let complexity = Complexity::of(&spec(word, 0, 0, None));
        assert_eq!(complexity.inferred.signals.keyword, None, "{word}");
    }
    let bump = Complexity::of(&spec("please: bump--VERSION!", 0, 0, None));
    assert_eq!(bump.inferred.signals.keyword, Some((Tier::Trivial, "bump version")));
}

fn tiers() -> impl Strategy<Value = Tier> {
    select(Tier::ALL.to_vec())
}

fn words() -> impl Strategy<Value = String> {
    let keyword = select([COMPLEX, TRIVIAL].concat()).prop_map(|word| word.to_string());
    let word = prop_oneof![9 => "[a-zA-Zé.,_-]{1,9}", 1 => keyword];
    proptest::collection::vec(word, 0..70).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn what_the_submitter_said_wins_and_what_it_looks_like_is_told_beside_it(
        (description, files, steps, tier) in (words(), 0_usize..8, 0_usize..8, tiers()),
    ) {
        let silent = Complexity::of(&spec(&description, files, steps, None));
        let said = Complexity::of(&spec(&description, files, steps, Some(tier)));
        prop_assert_eq!(said.inferred, silent.inferred);
        prop_assert_eq!((said.effective(), said.source()), (tier, "explicit"));
        prop_assert_eq!((silent.effective(), silent.source()), (silent.inferred.tier, "inferred"));
    }

    #[test]
    fn a_task_with_more_to_it_never_looks_easier(
        (description, files, steps) in (words(), 0_usize..8, 0_usize..8),
    ) {
        let (tier, confidence) = looks(&description, files, steps);
        prop_assert!(confidence <= 100);
        prop_assume!(tier != Tier::Unknown);
        for (more, files, steps) in [("", files + 1, steps), ("", files, steps + 1), (" and so on", files, steps)] {
            let (harder, _) = looks(&format!("{description}{more}"), files, steps);
            prop_assert!(harder >= tier, "{tier:?} became {harder:?}");
        }
    }

    #[test]
    fn a_keyword_with_letters_around_it_is_none(
        (keyword, before, after) in (select([COMPLEX, TRIVIAL].concat()), "[a-z0-9_]{0,3}", "[a-z0-9_]{0,3}"),
    ) {
        prop_assume!(!(keyword.contains(' ') || before.is_empty() && after.is_empty()));
        let word = format!("{before}{keyword}{after}");
        prop_assume!(!COMPLEX.contains(&word.as_str()) && !TRIVIAL.contains(&word.as_str()));
        let found = Complexity::of(&spec(&word, 0, 0, None)).inferred.signals.keyword;
        prop_assert_eq!(found, None);
    }
}
