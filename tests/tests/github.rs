//! This file tests pull requests against a stand-in for GitHub that also misbehaves.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use agentcom_exec::github::{GitHub, GitHubError, Proposal, Pull, Repository};
use agentcom_exec::stand_in::github::{Instead, StandIn, TOKEN};

const BODY: &str = "<!-- agentcom: begin -->\nfirst\n<!-- agentcom: end -->";

fn repository() -> Repository {
    Repository { owner: "owner".into(), name: "name".into() }
}

fn proposal(body: &str) -> Proposal<'_> {
    Proposal { head: "agentcom/task-1", base: "main", title: "Fix it", body, draft: false }
}

async fn propose(there: &StandIn, body: &str) -> Result<Pull, GitHubError> {
    let github = GitHub::at(&there.api(), TOKEN.into()).unwrap();
    github.propose(&repository(), &proposal(body)).await
}

fn instead(status: u16, body: &str) -> Option<Instead> {
    Some(Instead { status, headers: vec![], body: body.into(), does_it: false })
}

#[tokio::test]
async fn a_branch_gets_one_pull_request_however_often_it_is_asked_for() {
    let there = StandIn::start().await;
    let opened = propose(&there, BODY).await.unwrap();
    assert_eq!((opened.number, opened.existed), (1, false));
    assert_eq!(opened.url, "https://github.com/owner/name/pull/1");
    let again = propose(&there, BODY).await.unwrap();
    assert_eq!(again, Pull { existed: true, ..opened });
    let [pull] = &there.pulls()[..] else { panic!("there is one") };
    assert_eq!(
        (&pull["base"], &pull["title"], &pull["body"]),
        (&"main".into(), &"Fix it".into(), &BODY.into())
    );
    // Nothing changed, so nothing was written.
    assert!(!there.asked().iter().any(|asked| asked.starts_with("PATCH")));
}

#[tokio::test]
async fn what_speaks_for_a_change_is_brought_up_to_date_and_what_people_wrote_stays() {
    let there = StandIn::start().await;
    propose(&there, BODY).await.unwrap();
    there.edit(1, &format!("Please look.\n{BODY}\nThanks."));
    let second = BODY.replace("first", "second");
    propose(&there, &second).await.unwrap();
    assert_eq!(there.pulls()[0]["body"], format!("Please look.\n{second}\nThanks."));
}

#[tokio::test]
async fn a_pull_request_that_was_opened_meanwhile_or_without_an_answer_is_found() {
    let there = StandIn::start().await;
    propose(&there, BODY).await.unwrap();
    // The first look finds none, as if the other had not been there yet.
    there.next([instead(200, "[]")]);
    assert!(propose(&there, BODY).await.unwrap().existed);

    let there = StandIn::start().await;
    let lost = Instead { status: 502, headers: vec![], body: "<html>".into(), does_it: true };
    there.next([None, Some(lost)]);
    let refused = GitHubError::Refused { status: 502, why: "it does not say why".into() };
    assert_eq!(propose(&there, BODY).await, Err(refused));
    assert!(propose(&there, BODY).await.unwrap().existed);
    assert_eq!(there.pulls().len(), 1);
}

#[tokio::test]
async fn each_way_of_saying_no_has_its_error() {
    let there = StandIn::start().await;
    let busy =
        |headers| Some(Instead { status: 403, headers, body: String::new(), does_it: false });
    let validation = r#"{"message":"Validation Failed","errors":[{"message":"No commits"}]}"#;
    for (answers, expected) in [
        (
            vec![instead(401, r#"{"message":"Bad credentials"}"#)],
            GitHubError::Token("Bad credentials".into()),
        ),
        (vec![instead(403, r#"{"message":"Not yours"}"#)], GitHubError::Token("Not yours".into())),
        (vec![busy(vec![("retry-after", "7")])], GitHubError::Busy { after: Some(7) }),
        (vec![busy(vec![("x-ratelimit-remaining", "0")])], GitHubError::Busy { after: None }),
        (
            vec![instead(403, r#"{"message":"You have exceeded a secondary rate limit."}"#)],
            GitHubError::Busy { after: None },
        ),
        (vec![instead(429, "")], GitHubError::Busy { after: None }),
        (vec![instead(404, "{}")], GitHubError::NoRepository(repository())),
        (
            vec![None, instead(422, validation)],
            GitHubError::Refused { status: 422, why: "Validation Failed; No commits".into() },
        ),
        (
            vec![None, instead(201, "[1]")],
            GitHubError::Refused { status: 200, why: "the answer is no pull request".into() },
        ),
    ] {
        there.next(answers);
        assert_eq!(propose(&there, BODY).await, Err(expected));
    }
    assert_eq!(there.pulls(), Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn a_draft_stays_one_and_says_when_it_is_ready() {
    let there = StandIn::start().await;
    let github = GitHub::at(&there.api(), TOKEN.into()).unwrap();
    let draft = Proposal { draft: true, ..proposal(BODY) };
    let opened = github.propose(&repository(), &draft).await.unwrap();
    assert!(opened.draft && there.pulls()[0]["draft"] == true);
    assert_eq!(github.propose(&repository(), &draft).await, Ok(Pull { existed: true, ..opened }));
    assert_eq!(there.pulls()[0]["body"], BODY);
    // Only people make it ready; it is told once, however often it is asked for.
    let told = BODY.replace(
        "<!-- agentcom: end",
        "\nIt is ready for review by now; a person has to mark it so.\n<!-- agentcom: end",
    );
    for _ in 0..2 {
        assert!(propose(&there, BODY).await.unwrap().draft);
        assert_eq!(there.pulls()[0]["body"], told);
    }
    let patches = there.asked().iter().filter(|asked| asked.starts_with("PATCH")).count();
    assert_eq!((there.pulls().len(), patches), (1, 1));
    // What is done in part again takes it back.
    github.propose(&repository(), &draft).await.unwrap();
    assert_eq!(there.pulls()[0]["body"], BODY);
}

#[tokio::test]
async fn what_is_open_is_not_made_a_draft() {
    let there = StandIn::start().await;
    propose(&there, BODY).await.unwrap();
    let github = GitHub::at(&there.api(), TOKEN.into()).unwrap();
    let draft = Proposal { draft: true, ..proposal(BODY) };
    let again = github.propose(&repository(), &draft).await.unwrap();
    assert!(again.existed && !again.draft);
    assert_eq!(there.pulls()[0]["body"], BODY);
}

#[tokio::test]
async fn where_there_are_no_drafts_it_is_opened_as_ready() {
    let there = StandIn::start().await;
    there.take_no_drafts();
    let github = GitHub::at(&there.api(), TOKEN.into()).unwrap();
    let draft = Proposal { draft: true, ..proposal(BODY) };
    let opened = github.propose(&repository(), &draft).await.unwrap();
    assert!(!opened.existed && !opened.draft);
    assert_eq!(there.pulls().len(), 1);
}

#[tokio::test]
async fn a_token_is_not_shown_and_not_sent_to_another_host() {
    let there = StandIn::start().await;
    let other = StandIn::start().await;
    let place: &'static str =
        format!("http://localhost:{}/x", other.api().rsplit(':').next().unwrap()).leak();
    let away = Instead {
        status: 307,
        headers: vec![("location", place)],
        body: String::new(),
        does_it: false,
    };
    there.next([Some(away)]);
    let refused = propose(&there, BODY).await.unwrap_err();
    assert!(matches!(refused, GitHubError::Refused { status: 307, .. }), "{refused}");
    assert_eq!(other.asked(), Vec::<String>::new());
    let github = GitHub::at(&there.api(), TOKEN.into()).unwrap();
    assert!(!format!("{github:?}").contains(TOKEN));
}

#[tokio::test]
async fn who_is_not_there_and_what_is_no_address_is_said() {
    let gone = StandIn::start().await.api();
    let github = GitHub::at(&gone, TOKEN.into()).unwrap();
    let refused = github.propose(&repository(), &proposal(BODY)).await.unwrap_err();
    assert!(
        matches!(&refused, GitHubError::Unreachable { api, .. } if api.starts_with(&gone)),
        "{refused}"
    );
    assert!(GitHub::at("nowhere", TOKEN.into()).is_err());
}

#[test]
fn a_remote_names_its_repository() {
    for address in [
        "https://github.com/owner/name.git",
        "https://github.com/owner/name/",
        "git@github.com:owner/name.git",
        "ssh://git@github.com/owner/name",
    ] {
        assert_eq!(Repository::of_remote(address), Some(repository()), "{address}");
    }
    for address in ["", "name", "https://github.com/ow ner/na?me", "a:/"] {
        assert_eq!(Repository::of_remote(address), None, "{address}");
    }
}
