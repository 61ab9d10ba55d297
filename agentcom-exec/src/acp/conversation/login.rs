//! This file logs somebody in where the agent wants that, in the way that was said.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Conversation, Halt, LAST_WORDS_BYTES, Wait};
use crate::acp::error::AcpError;
use crate::acp::message::{AuthMethod, RpcError};

/// Whether somebody has logged in.
#[derive(Debug, Default)]
pub(super) struct Login {
    /// The ways that the agent offers.
    pub(super) offered: Vec<AuthMethod>,
    is_done: bool,
}

impl Conversation<'_> {
    /// As [`Conversation::call`], where somebody may have to log in first: that is done if it was said
    /// how, and once.
    pub(super) async fn call_as_user<T: DeserializeOwned>(
        &mut self,
        method: &'static str,
        params: &Value,
        wait: Wait,
    ) -> Result<T, Halt> {
        loop {
            let said = self.call(method, params, wait).await;
            let Err(Halt::Failed(AcpError::Refused { code: RpcError::AUTH_REQUIRED, .. })) = said
            else {
                return said;
            };
            self.log_in().await?;
        }
    }

    async fn log_in(&mut self) -> Result<(), Halt> {
        let offered = self.login.offered.iter();
        let methods = offered.map(|AuthMethod { id, name }| format!("{id}: {name}"));
        let mut methods = methods.collect::<Vec<_>>().join(", ");
        methods.truncate(methods.floor_char_boundary(LAST_WORDS_BYTES));
        let Some(named) = self.agent.acp.auth.clone().filter(|_| !self.login.is_done) else {
            return Err(AcpError::LogIn { methods }.into());
        };
        if !self.login.offered.iter().any(|method| method.id == named) {
            return Err(AcpError::NoMethod { named, methods }.into());
        }
        self.login.is_done = true;
        let start = Wait::Once(self.agent.acp.patience.start);
        let chosen = json!({ "methodId": named });
        let said: Result<Value, Halt> = self.call("authenticate", &chosen, start).await;
        match said {
            Err(Halt::Failed(AcpError::Refused { code: RpcError::AUTH_REQUIRED, .. })) => {
                Err(AcpError::LogIn { methods }.into())
            }
            said => said.map(|_| ()),
        }
    }
}
