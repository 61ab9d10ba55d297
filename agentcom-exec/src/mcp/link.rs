//! This file is the one place that knows the library which speaks the protocol: it connects, lists and
//! calls.

use std::io::ErrorKind;
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

use super::paced::Paced;
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
            .with_protocol_version(ProtocolVersion::LATEST_WITH_INITIALIZE)
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
        let service = match Self::meet(server, spawner, program, Manners::Greeting).await {
            Ok(service) => service,
            Err(Unmet::Declined(first)) => {
                let second = Self::meet(server, spawner, program, Manners::Newest).await;
                second.map_err(|second| second.after(&first).why(server))?
            }
            Err(unmet) => return Err(unmet.why(server)),
        };
        let tools = list(&service).await.map_err(|listing| match listing {
            Listing::TooMany => Why::TooManyTools(TOOLS_MAX),
            Listing::Failed(error) if is_over(&error, server) => Why::Ended(String::new()),
            Listing::Failed(ServiceError::UnexpectedResponse) => {
                Why::Unusable("its list of tools is none".to_owned())
            }
            Listing::Failed(error) => Unmet::of_service(&error).why(server),
        })?;
        Ok((service, tools))
    }

    /// Gets to know a server, which is started for it.
    async fn meet(
        server: &Server,
        spawner: &Spawner,
        program: &mut Option<Program>,
        manners: Manners,
    ) -> Result<RunningService<RoleClient, Us>, Unmet> {
        let lifecycle = manners.lifecycle();
        let met = match &server.way {
            Way::Program { command, args, env, cwd } => {
                // One that was there before is ended first.
                *program = None;
                let started = Program::start(spawner, command, args, env, cwd).await;
                let (running, socket) = started.map_err(|error| {
                    let is_there = error.kind() != ErrorKind::NotFound;
                    let unmet = if is_there { Unmet::NotStarted } else { Unmet::NoProgram };
                    unmet(error.to_string())
                })?;
                *program = Some(running);
                let (reads, writes) = socket.into_split();
                let transport = AsyncRwTransport::new_client(reads, writes)
                    .with_max_line_length(MESSAGE_BYTES_MAX);
                serve_client_with_lifecycle(Us, Paced::new(transport), lifecycle).await
            }
            Way::Http { url, headers } => {
                let transport = http::transport(url, headers).map_err(Unmet::Unusable)?;
                serve_client_with_lifecycle(Us, Paced::new(transport), lifecycle).await
            }
        };
        met.map_err(|error| {
            if is_end(&error, server) {
                return Unmet::Ended;
            }
            if let ClientInitializeError::JsonRpcError(error) = error {
                return Unmet::Declined(error.to_string());
            }
            Unmet::of_greeting(&error)
        })
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
            Some(_) | None => self.failed(&Unmet::of_service(&error).of_a_call()),
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

/// How a server is spoken to first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manners {
    /// It is greeted, as nearly all want to be. Many of them end, or say nothing, if they are asked
    /// anything before; and what they are asked while they start they answer long after.
    Greeting,
    /// As since 2026-07-28, when greetings went out of use.
    Newest,
}

impl Manners {
    fn lifecycle(self) -> ClientLifecycleMode {
        match self {
            Self::Greeting => ClientLifecycleMode::Initialize,
            Self::Newest => {
                ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] }
            }
        }
    }
}

/// Why nobody could get to know a server, in words that may have secrets in them.
enum Unmet {
    NotStarted(String),
    NoProgram(String),
    Ended,
    /// It wants to be spoken to in another way.
    Declined(String),
    /// It wants to be shown a token.
    NotLetIn(String),
    Unusable(String),
}

impl Unmet {
    fn of_greeting(error: &ClientInitializeError) -> Self {
        if let ClientInitializeError::TransportError { error, .. } = error
            && let Some(said) = http::not_let_in(&*error.error)
        {
            return Self::NotLetIn(said.to_owned());
        }
        Self::Unusable(refusal(error))
    }

    fn of_service(error: &ServiceError) -> Self {
        if let ServiceError::TransportSend(error) = error
            && let Some(said) = http::not_let_in(&*error.error)
        {
            return Self::NotLetIn(said.to_owned());
        }
        Self::Unusable(failure(error))
    }

    /// What a server did that was asked to run a tool.
    fn of_a_call(self) -> String {
        match self {
            Self::NotLetIn(said) => Why::NotLetIn(said).to_string(),
            Self::NotStarted(said)
            | Self::NoProgram(said)
            | Self::Declined(said)
            | Self::Unusable(said) => {
                format!("failed: {said}")
            }
            Self::Ended => Why::Ended(String::new()).to_string(),
        }
    }

    /// The same for one that said `first` to being spoken to otherwise.
    fn after(self, first: &str) -> Self {
        match self {
            Self::Declined(second) | Self::Unusable(second) if second != first => {
                Self::Unusable(format!("{first}; {second}"))
            }
            Self::NotStarted(_)
            | Self::NoProgram(_)
            | Self::Ended
            | Self::Declined(_)
            | Self::NotLetIn(_)
            | Self::Unusable(_) => self,
        }
    }

    fn why(self, server: &Server) -> Why {
        match self {
            Self::NotStarted(error) => Why::NotStarted(server.shown(&error)),
            Self::NoProgram(error) => Why::NoProgram(server.shown(&error)),
            Self::Ended => Why::Ended(String::new()),
            Self::NotLetIn(said) => Why::NotLetIn(server.shown(&said)),
            Self::Declined(error) | Self::Unusable(error) => Why::Unusable(server.shown(&error)),
        }
    }
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
