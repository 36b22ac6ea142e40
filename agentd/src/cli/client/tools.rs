//! What is asked about single tools: to be called, to be accepted, switched off and on, watched.

use agent_proto::v1::{
    CallToolRequest, CallToolResponse, SetToolStatusRequest, ToolInfo, ToolStatus,
    WatchPluginsRequest, WatchPluginsResponse,
};
use tonic::Streaming;

use super::{Client, Error};

impl Client {
    /// Calls a tool by `plugin.tool`, through all guards. `page` continues a result that was cut.
    ///
    /// # Errors
    /// When there is none of that name, or the daemon is gone. That the call failed is no error.
    pub(in crate::cli) async fn call(
        &self,
        name: &str,
        arguments_json: String,
        page: &str,
    ) -> Result<CallToolResponse, Error> {
        let request = CallToolRequest {
            name: name.to_owned(),
            arguments_json,
            page_token: page.to_owned(),
            ..CallToolRequest::default()
        };
        self.answer(self.catalog.clone().call_tool(request).await)
    }

    /// Sets the standing of a tool; `looked_at` is the digest that is accepted, and why it is done.
    ///
    /// # Errors
    /// When there is none of that name, another descriptor waits, or the daemon is gone.
    pub(in crate::cli) async fn set_status(
        &self,
        name: &str,
        status: ToolStatus,
        (digest, reason): (&str, &str),
    ) -> Result<ToolInfo, Error> {
        let request = SetToolStatusRequest {
            name: name.to_owned(),
            status: status.into(),
            digest: digest.to_owned(),
            reason: reason.to_owned(),
        };
        let answer = self.answer(self.catalog.clone().set_tool_status(request).await)?;
        answer.tool.ok_or(Error::Unreadable)
    }

    /// What happens to plugins and tools, from the oldest that is kept on.
    ///
    /// # Errors
    /// When the daemon is gone.
    pub(in crate::cli) async fn watch_plugins(
        &self,
        once: bool,
    ) -> Result<Streaming<WatchPluginsResponse>, Error> {
        let request = WatchPluginsRequest { after_sequence: 0, once };
        self.answer(self.catalog.clone().watch_plugins(request).await)
    }

    /// What `answer` says, or why there is none.
    pub(in crate::cli) fn told<T>(&self, answer: Result<T, tonic::Status>) -> Result<T, Error> {
        answer.map_err(|status| Error::refused(&status))
    }
}
