//! This file is the one place that knows the library which speaks the protocol: it connects, lists and
//! calls.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ErrorCode,
    Implementation, JsonObject, PaginatedRequestParams, ProtocolVersion, Tool,
};
use rmcp::service::{ClientInitializeError, RunningService};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::{
    ClientHandler, ClientLifecycleMode, RoleClient, ServiceError, serve_client_with_lifecycle,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::program::Program;
use super::{McpError, Server, Way, Why, http};
use crate::guard::Spawner;
use crate::tool::{ToolError, ToolErrorKind};

/// The longest message of a server, in bytes; a longer one is as good as none.
pub(super) const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many tools of a server are taken in.
pub(super) const TOOLS_MAX: usize = 256;

/// How long the end of a connection may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// A connection. Dropping it ends the server if it is a program.
#[derive(Debug)]
pub(super) struct Link {
    server: Server,
    service: RunningService<RoleClient, Us>,
    program: Option<Mutex<Program>>,
}

/// What a server may ask of us: nothing. The library declines for us.
#[derive(Debug)]
struct Us;

impl ClientHandler for Us {
    fn get_info(&self) -> ClientConfig {
        let us = Implementation::new("agentcom", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), us)
    }
}

impl Link {
    /// Connects, and lists the tools.
    pub(super) async fn open(
        server: &Server,
        spawner: &Spawner,
    ) -> Result<(Self, Vec<Tool>), McpError> {
        let mut program = None;
        let within = server.within;
        let opened = timeout(within, Self::connect(server, spawner, &mut program)).await;
        let why = match (opened, &mut program) {
            (Ok(Ok((service, tools))), _) => {
                let program = program.map(Mutex::new);
                return Ok((Self { server: server.clone(), service, program }, tools));
            }
            (Ok(Err(Why::Ended(_))), Some(program)) => {
                Why::Ended(server.shown(&program.obituary().await))
            }
            (Ok(Err(why)), _) => why,
            (Err(_), program) => {
                let words = program.as_ref().map(Program::words).unwrap_or_default();
                Why::Silent { within, words: server.shown(&words) }
            }
        };
        Err(server.error(why))
    }

    async fn connect(
        server: &Server,
        spawner: &Spawner,
        program: &mut Option<Program>,
    ) -> Result<(RunningService<RoleClient, Us>, Vec<Tool>), Why> {
        // The newest protocol, or else the one that nearly all servers speak.
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::LATEST],
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        };
        let served = match &server.way {
            Way::Program { command, args, env, cwd } => {
                let started = Program::start(spawner, command, args, env, cwd).await;
                let not_started =
                    |error: std::io::Error| Why::NotStarted(server.shown(&error.to_string()));
                let (running, socket) = started.map_err(not_started)?;
                *program = Some(running);
                let (reads, writes) = socket.into_split();
                let transport = AsyncRwTransport::new_client(reads, writes)
                    .with_max_line_length(MESSAGE_BYTES_MAX);
                serve_client_with_lifecycle(Us, transport, lifecycle).await
            }
            Way::Http { url, headers } => {
                let transport = http::transport(url, headers);
                let transport = transport.map_err(|error| Why::Unusable(server.shown(&error)))?;
                serve_client_with_lifecycle(Us, transport, lifecycle).await
            }
        };
        let service = served.map_err(|error| {
            let error = last(error);
            if is_end(&error, server) {
                Why::Ended(String::new())
            } else {
                Why::Unusable(server.shown(&refusal(&error)))
            }
        })?;
        let tools = list(&service).await.map_err(|listing| match listing {
            Listing::TooMany => Why::TooManyTools(TOOLS_MAX),
            Listing::Failed(error) if is_over(&error, server) => Why::Ended(String::new()),
            Listing::Failed(ServiceError::UnexpectedResponse) => {
                Why::Unusable("its list of tools is none".to_owned())
            }
            Listing::Failed(error) => Why::Unusable(server.shown(&failure(&error))),
        })?;
        Ok((service, tools))
    }

    /// Calls a tool. Dropping the future tells the server that nobody waits any more.
    pub(super) async fn call(
        &self,
        tool: &str,
        input: JsonObject,
    ) -> Result<CallToolResult, ToolError> {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(input);
        let within = self.server.within;
        let Ok(called) = timeout(within, self.service.call_tool(request)).await else {
            let ms = within.as_millis();
            return Err(self.failed(&format!("did not answer within {ms} ms")));
        };
        let error = match called {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        if let ServiceError::McpError(error) = &error {
            return Err(if error.code == ErrorCode::INVALID_PARAMS {
                ToolError::new(ToolErrorKind::BadInput, self.server.shown(&error.message))
            } else {
                self.failed(&format!("refused: {}", error.message))
            });
        }
        Err(match &self.program {
            Some(program) if is_over(&error, &self.server) => {
                let how = program.lock().await.obituary().await;
                self.failed(&format!("has ended: {how}"))
            }
            Some(_) | None => self.failed(&format!("failed: {}", failure(&error))),
        })
    }

    fn failed(&self, what: &str) -> ToolError {
        let message = format!("the MCP server `{}` {}", self.server.name, self.server.shown(what));
        ToolError::new(ToolErrorKind::Failed, message)
    }

    /// Ends the connection in good order.
    pub(super) async fn close(mut self) {
        let _ = self.service.close_with_timeout(CLOSE_WITHIN).await;
        if let Some(program) = self.program {
            program.into_inner().stop().await;
        }
    }
}

/// What was tried last, which is the older protocol if the newer one is unknown to a server.
fn last(error: ClientInitializeError) -> ClientInitializeError {
    if let ClientInitializeError::LegacyFallbackFailed { fallback, .. } = error {
        return *fallback;
    }
    error
}

/// Whether an error says no more than that nobody is there any more. To a program that has ended
/// nothing can be written either.
fn is_end(error: &ClientInitializeError, server: &Server) -> bool {
    matches!(error, ClientInitializeError::ConnectionClosed(_))
        || server.is_program() && matches!(error, ClientInitializeError::TransportError { .. })
}

/// The same, once they know each other.
fn is_over(error: &ServiceError, server: &Server) -> bool {
    matches!(error, ServiceError::TransportClosed)
        || server.is_program() && matches!(error, ServiceError::TransportSend(_))
}

/// Why nobody could get to know the other.
fn refusal(error: &ClientInitializeError) -> String {
    if let ClientInitializeError::TransportError { error, .. } = error {
        return http::told(&*error.error);
    }
    http::chain(error)
}

/// Why there is no answer.
fn failure(error: &ServiceError) -> String {
    if let ServiceError::TransportSend(error) = error {
        return http::told(&*error.error);
    }
    http::chain(error)
}

/// Why there is no list of tools.
enum Listing {
    TooMany,
    Failed(ServiceError),
}

async fn list(service: &RunningService<RoleClient, Us>) -> Result<Vec<Tool>, Listing> {
    let mut tools = Vec::new();
    let mut page = None;
    loop {
        let listed = service.list_tools(page).await.map_err(Listing::Failed)?;
        let is_empty = listed.tools.is_empty();
        tools.extend(listed.tools);
        if tools.len() > TOOLS_MAX {
            return Err(Listing::TooMany);
        }
        match listed.next_cursor {
            None => return Ok(tools),
            // Pages without tools need not end.
            Some(_) if is_empty => return Err(Listing::TooMany),
            cursor @ Some(_) => page = Some(PaginatedRequestParams::default().with_cursor(cursor)),
        }
    }
}
