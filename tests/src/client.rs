//! A client of the daemon as stories use it: typed calls, and streams kept as the bytes that came
//! over the wire.

use std::{collections::BTreeMap, time::Duration};

use agent_proto::v1::{
    self, agent_service_client::AgentServiceClient, catalog_service_client::CatalogServiceClient,
    stream_events_response::Item,
};
use prost::Message as _;
use prost::bytes::Bytes;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

/// A client of one daemon. Clones share a connection.
#[derive(Debug, Clone)]
pub struct Client {
    /// Investigations.
    pub agent: AgentServiceClient<Channel>,
    /// Tools and plugins.
    pub catalog: CatalogServiceClient<Channel>,
}

/// A refusal as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Canonical code.
    pub code: Code,
    /// `ErrorInfo.reason`; empty without one.
    pub reason: String,
    /// `ErrorInfo.domain`.
    pub domain: String,
    /// Fields of `BadRequest`, sorted.
    pub fields: Vec<String>,
    /// `ErrorInfo.metadata`.
    pub metadata: BTreeMap<String, String>,
    /// For people.
    pub message: String,
}

// === impl Refusal ===

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let (reason, domain, metadata) = match status.get_details_error_info() {
            Some(info) => (info.reason, info.domain, info.metadata.into_iter().collect()),
            None => Default::default(),
        };
        let violations = status.get_details_bad_request().map(|bad| bad.field_violations);
        let mut fields: Vec<String> =
            violations.into_iter().flatten().map(|violation| violation.field).collect();
        fields.sort();
        Self {
            code: status.code(),
            reason,
            domain,
            fields,
            metadata,
            message: status.message().to_owned(),
        }
    }
}

// === impl Client ===

impl Client {
    /// A client of the daemon at `address`, connected at the first call.
    ///
    /// # Errors
    /// When that is no address.
    pub fn new(address: &str) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(format!("http://{address}"))?
            .connect_timeout(Duration::from_secs(3))
            .connect_lazy();
        Ok(Self {
            agent: AgentServiceClient::new(channel.clone()),
            catalog: CatalogServiceClient::new(channel),
        })
    }

    /// Investigates and waits at most `wait` for the end.
    ///
    /// # Errors
    /// As the daemon answers.
    pub async fn investigate(
        &mut self,
        alert: v1::Alert,
        wait: Duration,
    ) -> Result<v1::Investigation, Refusal> {
        let request = v1::InvestigateRequest {
            alert: Some(alert),
            wait: wait.try_into().ok(),
            ..v1::InvestigateRequest::default()
        };
        self.ask(request).await
    }

    /// Sends an `Investigate` as it is.
    ///
    /// # Errors
    /// As the daemon answers.
    pub async fn ask(
        &mut self,
        request: v1::InvestigateRequest,
    ) -> Result<v1::Investigation, Refusal> {
        let answer = self.agent.investigate(request).await?.into_inner();
        Ok(answer.investigation.unwrap_or_default())
    }

    /// Reads an investigation.
    ///
    /// # Errors
    /// As the daemon answers.
    pub async fn get(&mut self, name: &str) -> Result<v1::Investigation, Refusal> {
        let request = v1::GetInvestigationRequest { name: name.to_owned() };
        let answer = self.agent.get_investigation(request).await?.into_inner();
        Ok(answer.investigation.unwrap_or_default())
    }

    /// Judges the outcome of an investigation.
    ///
    /// # Errors
    /// As the daemon answers.
    pub async fn judge(
        &mut self,
        request: v1::SubmitFeedbackRequest,
    ) -> Result<v1::SubmitFeedbackResponse, Refusal> {
        Ok(self.agent.submit_feedback(request).await?.into_inner())
    }

    /// One page of earlier cases.
    ///
    /// # Errors
    /// As the daemon answers.
    pub async fn episodes(
        &mut self,
        request: v1::SearchEpisodesRequest,
    ) -> Result<v1::SearchEpisodesResponse, Refusal> {
        Ok(self.agent.search_episodes(request).await?.into_inner())
    }

    /// Follows the events after `after` to the end of the stream, as they came over the wire.
    ///
    /// # Errors
    /// As the daemon answers, at once or in the middle.
    pub async fn events(&mut self, name: &str, after: i32) -> Result<Vec<Bytes>, Refusal> {
        self.stream(v1::StreamEventsRequest {
            name: name.to_owned(),
            after_sequence: after,
            ..v1::StreamEventsRequest::default()
        })
        .await
    }

    /// Reads a stream of events to its end.
    ///
    /// # Errors
    /// As the daemon answers, at once or in the middle.
    pub async fn stream(
        &mut self,
        request: v1::StreamEventsRequest,
    ) -> Result<Vec<Bytes>, Refusal> {
        let mut stream = self.agent.stream_events(request).await?.into_inner();
        let mut events = Vec::new();
        while let Some(item) = stream.message().await? {
            if let Some(Item::Event(bytes)) = item.item {
                events.push(bytes);
            }
        }
        Ok(events)
    }

    /// All tools.
    ///
    /// # Errors
    /// As the daemon answers.
    pub async fn tools(&mut self) -> Result<Vec<v1::ToolInfo>, Refusal> {
        let request = v1::ListToolsRequest { page_size: 1000, ..v1::ListToolsRequest::default() };
        Ok(self.catalog.list_tools(request).await?.into_inner().tools)
    }

    /// Calls a tool by hand, `plugin.tool`.
    ///
    /// # Errors
    /// As the daemon answers; a failure of the tool is in the answer.
    pub async fn call_tool(
        &mut self,
        tool: &str,
        arguments: &serde_json::Value,
    ) -> Result<v1::CallToolResponse, Refusal> {
        let request = v1::CallToolRequest {
            name: format!("tools/{tool}"),
            arguments_json: arguments.to_string(),
            ..v1::CallToolRequest::default()
        };
        Ok(self.catalog.call_tool(request).await?.into_inner())
    }

    /// One tool in full.
    ///
    /// # Errors
    /// As the daemon answers.
    pub async fn tool(&mut self, tool: &str) -> Result<v1::ToolInfo, Refusal> {
        let request = v1::GetToolRequest { name: format!("tools/{tool}"), ..Default::default() };
        Ok(self.catalog.get_tool(request).await?.into_inner().tool.unwrap_or_default())
    }

    /// All plugins.
    ///
    /// # Errors
    /// As the daemon answers.
    pub async fn plugins(&mut self) -> Result<Vec<v1::PluginInfo>, Refusal> {
        let request =
            v1::ListPluginsRequest { page_size: 500, ..v1::ListPluginsRequest::default() };
        Ok(self.catalog.list_plugins(request).await?.into_inner().plugins)
    }
}

/// Events of a stream, decoded.
///
/// # Errors
/// When one is no event.
pub fn decoded(events: &[Bytes]) -> anyhow::Result<Vec<v1::Event>> {
    Ok(events.iter().map(|bytes| v1::Event::decode(bytes.clone())).collect::<Result<_, _>>()?)
}
