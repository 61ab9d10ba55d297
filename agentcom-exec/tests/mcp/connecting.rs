//! This file connects to servers that behave, and to servers that do not.

use std::time::{Duration, Instant};

use agentcom_exec::mcp::Why;
use agentcom_exec::stand_in::mcp::{Manner, StandIn};
use agentcom_exec::tool::Tool as _;

use super::*;
use crate::support::{eventually, mark, marked};

/// How long servers get that are expected not to answer.
const IMPATIENCE: Duration = Duration::from_millis(800);

/// Why a server of this manner cannot be used: as a program, and over HTTP.
async fn whys(manner: Manner, within: Duration) -> [Why; 2] {
    let stand_in = StandIn::of(manner).await;
    let mut whys = Vec::new();
    for server in [program(manner), service(&stand_in.url())] {
        let began = Instant::now();
        let error = open(&Server { within, ..server }).await.unwrap_err();
        assert!(began.elapsed() < within + Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(error.server, "one");
        whys.push(error.why);
    }
    whys.try_into().unwrap()
}

#[tokio::test]
async fn all_pages_of_tools_are_listed_and_named_after_their_server() {
    let stand_in = StandIn::of(Manner::Good).await;
    for server in [program(Manner::Good), service(&stand_in.url())] {
        let connection = open(&server).await.unwrap();
        let specs: Vec<_> = connection.tools().iter().map(|tool| tool.spec()).collect();
        let names: Vec<&str> = specs.iter().map(|spec| &*spec.name).collect();
        assert_eq!(names, ["one__look", "one__send", "one__fail", "one__fields", "one__variables"]);
        assert_eq!(specs[0].description, "Looks at something.");
        assert_eq!(specs[0].input["required"], json!(["at"]));
        // Only a tool that says so changes nothing.
        let changing: Vec<bool> = connection.tools().iter().map(|tool| tool.changes()).collect();
        assert_eq!(changing, [false, true, true, true, true]);
        connection.close().await;
    }
}

#[tokio::test]
async fn of_a_server_only_those_tools_are_taken_that_are_wanted() {
    let wanted = ["look", "gone"].map(String::from).into();
    let server = Server { tools: Some(wanted), ..program(Manner::Good) };
    let connection = open(&server).await.unwrap();
    assert_eq!(connection.tools().len(), 1);
    assert_eq!(connection.missing(), ["gone"]);
    let server = Server { tools: Some(["gone".to_owned()].into()), ..program(Manner::Good) };
    assert_eq!(open(&server).await.unwrap_err().why, Why::NoTools);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    for manner in [Manner::Mute, Manner::MuteList] {
        for (number, why) in whys(manner, IMPATIENCE).await.into_iter().enumerate() {
            let words = if number == 0 { format!("stand-in, {manner}") } else { String::new() };
            assert_eq!(why, Why::Silent { within: IMPATIENCE, words }, "{manner}");
        }
    }
}

#[tokio::test]
async fn a_server_that_knows_greetings_only_is_spoken_to_as_it_knows() {
    for manner in [Manner::Strict, Manner::Deaf] {
        let stand_in = StandIn::of(manner).await;
        for server in [program(manner), service(&stand_in.url())] {
            // Nobody waits for an answer to what it does not know.
            let server = Server { within: Duration::from_secs(8), ..server };
            open(&server).await.unwrap().close().await;
        }
    }
}

#[tokio::test]
async fn an_answer_to_what_nobody_asked_is_none() {
    for why in whys(Manner::WrongIds, PATIENCE).await {
        assert!(matches!(&why, Why::Unusable(told) if told.contains("10000")), "{why:?}");
    }
}

#[tokio::test]
async fn a_program_that_ends_leaves_its_last_words() {
    for manner in [Manner::EndsAtOnce, Manner::EndsInList] {
        let why = open(&program(manner)).await.unwrap_err().why;
        assert_eq!(why, Why::Ended(format!("exit code 3: stand-in, {manner}")));
    }
}

#[tokio::test]
async fn what_is_no_program_is_not_started() {
    let way = Way::Program {
        command: "/nowhere/to/be/found".to_owned(),
        args: Vec::new(),
        env: Default::default(),
        cwd: ".".into(),
    };
    let error = open(&server(way)).await.unwrap_err();
    let told = error.to_string();
    assert!(matches!(error.why, Why::NoProgram(_)) && !error.why.is_passing(), "{told}");
    assert!(told.starts_with("the MCP server `one` cannot be started: /nowhere"), "{told}");
}

#[tokio::test]
async fn a_service_that_cannot_be_used_is_told_with_what_it_said() {
    let told = async |manner: Manner| {
        let stand_in = StandIn::of(manner).await;
        let why = open(&service(&stand_in.url())).await.unwrap_err().why;
        let Why::Unusable(told) = why else { panic!("{why:?}") };
        told
    };
    assert!(told(Manner::Breaks).await.contains("502"));
    told(Manner::EndsAtOnce).await;
    told(Manner::EndsInList).await;
    told(Manner::Babbles).await;
    // Nobody listens there.
    let gone = StandIn::of(Manner::Good).await.url();
    let why = open(&service(&gone)).await.unwrap_err().why;
    assert!(matches!(&why, Why::Unusable(told) if told.contains("refused")), "{why:?}");
}

#[tokio::test]
async fn a_service_that_does_not_let_us_in_is_told_with_what_its_entry_has_to_say() {
    for (manner, said) in [
        (Manner::Forbids, ["Bearer resource_metadata=", "scope=\"read\""]),
        (Manner::Locks, ["HTTP 403", "no such key"]),
    ] {
        let stand_in = StandIn::of(manner).await;
        let error = open(&service(&stand_in.url())).await.unwrap_err();
        let Why::NotLetIn(told) = &error.why else { panic!("{error:?}") };
        assert!(said.iter().all(|said| told.contains(said)) && !error.why.is_passing(), "{told}");
        let told = error.to_string();
        assert!(told.contains(r#"`"headers": { "Authorization": "Bearer ${NAME}" }`"#), "{told}");
    }
}

#[tokio::test]
async fn nothing_secret_is_told_of_a_service_that_cannot_be_reached() {
    let gone = StandIn::of(Manner::Good).await.url();
    let host = gone.strip_prefix("http://").unwrap().strip_suffix("/mcp").unwrap();
    // Errors have an address with a path, and without who asks there.
    let url = format!("http://me:s3cret-word@{host}?key=s3cret-key");
    let error = open(&service(&url)).await.unwrap_err().to_string();
    assert!(error.contains(host) && !error.contains("s3cret"), "{error}");
    assert_eq!(service(&url).place(), format!("http://{host}"));
    let in_path = Server {
        secrets: vec![Secret::new("s3cret-path")],
        ..service(&format!("{gone}/s3cret-path"))
    };
    let error = open(&in_path).await.unwrap_err().to_string();
    assert!(error.contains(host) && !error.contains("s3cret"), "{error}");
    assert!(!in_path.place().contains("s3cret"));
}

#[tokio::test]
async fn whoever_is_sent_on_goes_to_the_same_server_and_to_no_other() {
    let moved = StandIn::of(Manner::Moves).await;
    open(&service(&moved.url())).await.unwrap().close().await;
    let away = StandIn::of(Manner::SendsAway).await;
    let why = open(&service(&away.url())).await.unwrap_err().why;
    assert!(matches!(&why, Why::Unusable(told) if told.contains("307")), "{why:?}");
    assert!(away.asked().is_empty(), "a key would have gone there");
}

#[tokio::test]
async fn a_list_that_is_too_long_or_does_not_end_is_refused() {
    for manner in [Manner::ManyTools, Manner::EndlessPages, Manner::EmptyPages] {
        for why in whys(manner, PATIENCE).await {
            assert_eq!(why, Why::TooManyTools(256), "{manner}");
        }
    }
}

#[tokio::test]
async fn a_tool_that_no_model_could_call_is_named() {
    for why in whys(Manner::SameNames, PATIENCE).await {
        assert_eq!(why, Why::SameName("one__a_b".to_owned()));
    }
    for why in whys(Manner::BadSchema, PATIENCE).await {
        assert!(matches!(&why, Why::BadTool { tool, .. } if tool == "bad"), "{why:?}");
    }
    for why in whys(Manner::NoTools, PATIENCE).await {
        assert_eq!(why, Why::NoTools);
    }
    for why in whys(Manner::NoSchema, PATIENCE).await {
        assert_eq!(why, Why::Unusable("its list of tools is none".to_owned()));
    }
}

#[tokio::test]
async fn a_program_sees_of_the_environment_what_its_entry_says() {
    let mut server = program(Manner::Good);
    let Way::Program { env, .. } = &mut server.way else { unreachable!() };
    env.insert("SAID".to_owned(), Secret::new("so"));
    let connection = open(&server).await.unwrap();
    let told = call(&connection, "variables", json!({})).await.unwrap();
    let names: Vec<&str> = told["text"].as_str().unwrap().split(' ').collect();
    assert!(names.contains(&"SAID") && names.contains(&"PATH"), "{names:?}");
    // Cargo sets it for this process.
    assert!(!names.contains(&"CARGO_PKG_NAME"), "{names:?}");
}

#[tokio::test]
async fn a_program_ends_with_its_connection_however_that_ends() {
    let mark = mark("mcp-end");
    let mut server = program(Manner::Good);
    let Way::Program { env, .. } = &mut server.way else { unreachable!() };
    env.insert("MARK".to_owned(), Secret::new(&mark));
    let connection = open(&server).await.unwrap();
    assert_eq!(marked(&mark).len(), 1);
    connection.close().await;
    eventually("the program is gone", || marked(&mark).is_empty().then_some(())).await;
    let connection = open(&server).await.unwrap();
    drop(connection);
    eventually("the program is gone", || marked(&mark).is_empty().then_some(())).await;
    // One that is given up is ended as well.
    let Way::Program { args, .. } = &mut server.way else { unreachable!() };
    args[0] = Secret::new("mute");
    open(&Server { within: IMPATIENCE, ..server }).await.unwrap_err();
    eventually("the program is gone", || marked(&mark).is_empty().then_some(())).await;
}

#[tokio::test]
async fn whatever_version_of_the_protocol_a_server_speaks_its_tools_are_called() {
    for manner in [Manner::Modern, Manner::Old, Manner::Stranger] {
        for answer in looks(manner, PATIENCE).await {
            assert_eq!(answer.unwrap()["text"], "seen this", "{manner}");
        }
    }
}
