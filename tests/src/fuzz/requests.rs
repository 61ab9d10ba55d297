//! This file tries texts as HTTP requests to a hub in memory.

use std::cell::RefCell;
use std::sync::Arc;

use agentcom_core::change::Genesis;
use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::hub::HubBuilder;
use agentcom_core::driver::token::Token;
use agentcom_core::testing::memory::MemoryDisk;
use agentcom_http::{Options, router};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;

/// After so many requests there is a fresh hub, so that inputs hardly depend on those before.
const REQUESTS_MAX: u32 = 64;

struct Api {
    runtime: Runtime,
    router: Router,
    admin: String,
    asked: u32,
}

thread_local! {
    static API: RefCell<Option<Api>> = const { RefCell::new(None) };
}

impl Api {
    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let admin = Token::generate().expect("entropy");
        let store = Arc::new(MemoryDisk::new().open());
        let builder = HubBuilder::new(store, Arc::new(SystemClock::new()));
        let genesis = Genesis::random(admin.hash()).expect("entropy");
        let (handle, hub) = runtime.block_on(builder.open(genesis)).expect("memory opens");
        runtime.spawn(hub.run());
        let router = router(handle, Options::default());
        Self { runtime, router, admin: admin.reveal().to_owned(), asked: 0 }
    }

    /// The status and the body of the answer; `None` for a feed, which does not end.
    fn ask(&mut self, request: Request<Body>) -> Option<(u16, Vec<u8>)> {
        let router = self.router.clone();
        self.asked += 1;
        self.runtime.block_on(async {
            let response = router.oneshot(request).await.expect("a router does not fail");
            let status = response.status().as_u16();
            let feed = response
                .headers()
                .get("content-type")
                .is_some_and(|kind| kind == "text/event-stream");
            if feed {
                return None;
            }
            let body = to_bytes(response.into_body(), 1 << 26).await.expect("memory is read");
            Some((status, body.to_vec()))
        })
    }
}

/// A request: the first line is the method and the address, the rest the body. It is answered as
/// the client's fault or not at all, and always with JSON.
pub fn http_request(input: &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (line, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Some((method, address)) = str::from_utf8(line).ok().and_then(|line| line.split_once(' '))
    else {
        return;
    };
    API.with_borrow_mut(|api| {
        if api.as_ref().is_some_and(|api| api.asked >= REQUESTS_MAX) {
            *api = None;
        }
        let api = api.get_or_insert_with(Api::start);
        let request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap_or(Method::POST))
            .uri(address)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", api.admin))
            .header("content-type", "application/json")
            .body(Body::from(body.to_vec()));
        let Ok(request) = request else { return };
        let head = request.method() == Method::HEAD;
        let Some((status, body)) = api.ask(request) else { return };
        assert!(status < 500, "{status}: {}", String::from_utf8_lossy(&body));
        if !head && !body.is_empty() {
            let json = serde_json::from_slice::<serde_json::Value>(&body);
            assert!(json.is_ok(), "{status}: {}", String::from_utf8_lossy(&body));
        }
    });
}
