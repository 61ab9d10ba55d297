//! This file holds the session to its move table.

use alloc::string::String;
use core::fmt::Write;

use expect_test::expect;

use super::*;

fn states() -> [(&'static str, Session); 5] {
    let at = Mono(9);
    [
        ("waiting", Session::Waiting { until: at }),
        ("connecting", Session::Connecting { until: at }),
        ("greeting", Session::Greeting { asked_at: Mono(1), until: at }),
        ("online", Session::Online(Online::new(Mono(1), Span(5000)))),
        ("closed", Session::Closed),
    ]
}

fn name(session: &Session) -> &'static str {
    match session {
        Session::Waiting { .. } => "waiting",
        Session::Connecting { .. } => "connecting",
        Session::Greeting { .. } => "greeting",
        Session::Online(_) => "online",
        Session::Closed => "closed",
    }
}

#[test]
fn the_session_moves_by_this_table() {
    let until = Mono(20);
    let events = [
        SessionEvent::Dial { until },
        SessionEvent::Connected { until },
        SessionEvent::Identified { heartbeat: Span(5000) },
        SessionEvent::Lost { until },
        SessionEvent::Refused { until },
        SessionEvent::Close,
    ];
    let mut table = String::from(
        "           | dial       | connected  | identified | lost       | refused    | close\n",
    );
    for (word, state) in states() {
        write!(table, "{word:10}").unwrap();
        for event in &events {
            write!(table, " | {:10}", state.on(Mono(10), event).as_ref().map_or("-", name))
                .unwrap();
        }
        let line = table.trim_end().len();
        table.truncate(line);
        table.push('\n');
    }
    expect![[r#"
                   | dial       | connected  | identified | lost       | refused    | close
        waiting    | connecting | -          | -          | -          | -          | closed
        connecting | -          | greeting   | -          | waiting    | -          | closed
        greeting   | -          | -          | online     | waiting    | waiting    | closed
        online     | -          | -          | -          | waiting    | waiting    | closed
        closed     | -          | -          | -          | -          | -          | -
    "#]]
    .assert_eq(&table);
}

#[test]
fn an_answer_settles_the_pings_before_it() {
    let mut online = Online::new(Mono(1), Span(5000));
    for (nonce, at) in [(1, 10), (2, 20), (3, 30)] {
        online.pings.push_back(Sent { nonce, at: Mono(at), listed: Vec::new() });
    }
    assert_eq!(online.answered(Some(9)), None);
    assert_eq!(online.answered(Some(2)).map(|sent| sent.at), Some(Mono(20)));
    assert_eq!((online.heard_at, online.pings.len()), (Mono(20), 1));
    assert_eq!(online.answered(None).map(|sent| sent.nonce), Some(3));
    assert_eq!(online.answered(None), None);
}
