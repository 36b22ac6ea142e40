//! The command line's side of gRPC: one connection, one method per question. What comes back are
//! messages of the wire; refusals become sentences.

mod tools;

use std::{future::Future, time::Duration};

use agent_proto::v1::{
    Alert, CauseInfo, ExplainInvestigationRequest, Explanation, GetCauseRequest,
    GetInvestigationRequest, GetToolRequest, InvestigateRequest, Investigation, ListCausesRequest,
    ListInvestigationsRequest, ListPluginsRequest, ListSignalsRequest, ListToolsRequest,
    PluginInfo, SearchEpisodesRequest, SearchEpisodesResponse, SignalInfo, SubmitFeedbackRequest,
    SubmitFeedbackResponse, ToolInfo, agent_service_client::AgentServiceClient,
    catalog_service_client::CatalogServiceClient,
};
use tonic::{Code, Response, Status};
use uuid::Uuid;

use super::{
    Error,
    follow::Events,
    reach::{Connection, Reach},
};

/// How long a daemon may take to accept a connection.
pub(super) const CONNECT: Duration = Duration::from_secs(3);
/// Largest message taken: a report with all of its evidence.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;
/// Most earlier cases on one page.
const EPISODES: i32 = 100;
/// Most investigations on one page.
const PAGE: i32 = 500;
/// Most signals or causes on one page.
const WORDS: i32 = 500;

/// A connection to a daemon; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Client {
    url: String,
    pub(super) agent: AgentServiceClient<Connection>,
    catalog: CatalogServiceClient<Connection>,
}

// === impl Client ===

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When the address is none, or nobody answers there.
    pub(super) async fn connect(reach: &Reach) -> Result<Self, Error> {
        let url = reach.url.clone();
        let channel = reach
            .endpoint()?
            .connect()
            .await
            .map_err(|source| Error::unreachable(&url, &source))?;
        let connection = Connection::new(channel, reach.bearer()?);
        Ok(Self {
            url,
            agent: AgentServiceClient::new(connection.clone())
                .max_decoding_message_size(MAX_MESSAGE),
            catalog: CatalogServiceClient::new(connection).max_decoding_message_size(MAX_MESSAGE),
        })
    }

    /// Where the daemon is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Begins an investigation and returns at once. Asking again after a broken connection begins
    /// no second one.
    ///
    /// # Errors
    /// When the daemon refuses the alert or is gone.
    pub(super) async fn investigate(&self, alert: Alert) -> Result<Investigation, Error> {
        let request = InvestigateRequest {
            alert: Some(alert),
            request_id: Uuid::new_v4().to_string(),
            wait: Some(prost_types::Duration::default()),
            ..InvestigateRequest::default()
        };
        let ask = || async { self.agent.clone().investigate(request.clone()).await };
        let answer = self.answer(twice(ask).await)?;
        answer.investigation.ok_or(Error::Unreadable)
    }

    /// One investigation with its report, by full or bare name.
    ///
    /// # Errors
    /// When there is none of that name, or the daemon is gone.
    pub(super) async fn investigation(&self, name: &str) -> Result<Investigation, Error> {
        let request = GetInvestigationRequest { name: name.to_owned() };
        let ask = || async { self.agent.clone().get_investigation(request.clone()).await };
        let answer = self.answer(twice(ask).await)?;
        answer.investigation.ok_or(Error::Unreadable)
    }

    /// Why an investigation believes what it believes, by full or bare name.
    ///
    /// # Errors
    /// When there is none of that name, or the daemon is gone.
    pub(super) async fn explanation(&self, name: &str) -> Result<Explanation, Error> {
        let request = ExplainInvestigationRequest { name: name.to_owned() };
        let ask = || async { self.agent.clone().explain_investigation(request.clone()).await };
        let answer = self.answer(twice(ask).await)?;
        answer.explanation.ok_or(Error::Unreadable)
    }

    /// The newest investigations, without reports.
    ///
    /// # Errors
    /// When the daemon is gone.
    pub(super) async fn newest(&self, most: u16) -> Result<Vec<Investigation>, Error> {
        let page_size = i32::from(most).min(PAGE);
        let request = ListInvestigationsRequest { page_size, ..Default::default() };
        let ask = || async { self.agent.clone().list_investigations(request.clone()).await };
        Ok(self.answer(twice(ask).await)?.investigations)
    }

    /// Judges the outcome of an investigation. Asking again after a broken connection judges once.
    ///
    /// # Errors
    /// When the daemon refuses the judgement or is gone.
    pub(super) async fn judge(
        &self,
        judged: SubmitFeedbackRequest,
    ) -> Result<SubmitFeedbackResponse, Error> {
        let request = SubmitFeedbackRequest { request_id: Uuid::new_v4().to_string(), ..judged };
        let ask = || async { self.agent.clone().submit_feedback(request.clone()).await };
        self.answer(twice(ask).await)
    }

    /// At most so many earlier cases, most alike first, with what recurs among all that fit.
    ///
    /// # Errors
    /// When the daemon refuses the search or is gone.
    pub(super) async fn episodes(
        &self,
        mut request: SearchEpisodesRequest,
        most: u16,
    ) -> Result<SearchEpisodesResponse, Error> {
        let mut all = SearchEpisodesResponse::default();
        loop {
            let left = usize::from(most).saturating_sub(all.episodes.len());
            request.page_size = i32::try_from(left).unwrap_or(PAGE).min(EPISODES);
            let ask = || async { self.agent.clone().search_episodes(request.clone()).await };
            let page = self.answer(twice(ask).await)?;
            if all.episodes.is_empty() {
                all.patterns = page.patterns;
            }
            all.episodes.extend(page.episodes);
            all.next_page_token.clone_from(&page.next_page_token);
            if page.next_page_token.is_empty() || all.episodes.len() >= usize::from(most) {
                return Ok(all);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// All tools, without schemas.
    ///
    /// # Errors
    /// When the daemon is gone.
    pub(super) async fn tools(&self) -> Result<Vec<ToolInfo>, Error> {
        all_pages(async |page_token| {
            let request = ListToolsRequest { brief: true, page_token, ..Default::default() };
            let ask = || async { self.catalog.clone().list_tools(request.clone()).await };
            let page = self.answer(twice(ask).await)?;
            Ok((page.tools, page.next_page_token))
        })
        .await
    }

    /// One tool with its schemas, by `plugin.tool`; the newest that can be called when `version` is
    /// empty.
    ///
    /// # Errors
    /// When there is none of that name and version, or the daemon is gone.
    pub(super) async fn tool(&self, name: &str, version: &str) -> Result<ToolInfo, Error> {
        let name = format!("tools/{}", name.strip_prefix("tools/").unwrap_or(name));
        let request = GetToolRequest { name, version: version.to_owned() };
        let ask = || async { self.catalog.clone().get_tool(request.clone()).await };
        self.answer(twice(ask).await)?.tool.ok_or(Error::Unreadable)
    }

    /// All signals in force, and those spoken that nobody knows.
    ///
    /// # Errors
    /// When the daemon is gone.
    pub(super) async fn signals(&self) -> Result<Vec<SignalInfo>, Error> {
        all_pages(async |page_token| {
            let request = ListSignalsRequest { page_size: WORDS, page_token };
            let ask = || async { self.catalog.clone().list_signals(request.clone()).await };
            let page = self.answer(twice(ask).await)?;
            Ok((page.signals, page.next_page_token))
        })
        .await
    }

    /// All causes in force, without their documents.
    ///
    /// # Errors
    /// When the daemon is gone.
    pub(super) async fn causes(&self) -> Result<Vec<CauseInfo>, Error> {
        all_pages(async |page_token| {
            let request = ListCausesRequest { page_size: WORDS, page_token };
            let ask = || async { self.catalog.clone().list_causes(request.clone()).await };
            let page = self.answer(twice(ask).await)?;
            Ok((page.causes, page.next_page_token))
        })
        .await
    }

    /// One cause with its document.
    ///
    /// # Errors
    /// When there is none of that id, or the daemon is gone.
    pub(super) async fn cause(&self, id: &str) -> Result<CauseInfo, Error> {
        let request = GetCauseRequest { id: id.to_owned() };
        let ask = || async { self.catalog.clone().get_cause(request.clone()).await };
        self.answer(twice(ask).await)?.cause.ok_or(Error::Unreadable)
    }

    /// All plugins with their instances.
    ///
    /// # Errors
    /// When the daemon is gone.
    pub(super) async fn plugins(&self) -> Result<Vec<PluginInfo>, Error> {
        all_pages(async |page_token| {
            let request = ListPluginsRequest { page_size: PAGE, page_token };
            let ask = || async { self.catalog.clone().list_plugins(request.clone()).await };
            let page = self.answer(twice(ask).await)?;
            Ok((page.plugins, page.next_page_token))
        })
        .await
    }

    /// The events of an investigation after a number, and on.
    pub(super) fn events(&self, name: &str, after: i32) -> Events {
        Events::new(self.clone(), name, after)
    }

    fn answer<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, Error> {
        self.told(answer.map(Response::into_inner))
    }
}

/// The very same question once more when the connection was in the way: a channel finds that out
/// by using it, and connects anew then.
async fn twice<T, F>(ask: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    match ask().await {
        Err(status) if status.code() == Code::Unavailable => ask().await,
        answer => answer,
    }
}

/// All pages of a list, one after the other; `ask` gives one with the token of the next.
async fn all_pages<T>(
    ask: impl AsyncFn(String) -> Result<(Vec<T>, String), Error>,
) -> Result<Vec<T>, Error> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let (page, next) = ask(token).await?;
        all.extend(page);
        if next.is_empty() {
            return Ok(all);
        }
        token = next;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[tokio::test]
    async fn a_daemon_that_is_not_there_is_told_with_the_command_that_starts_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let said = Client::connect(&Reach::plain(&url)).await.unwrap_err().to_string();
        assert_eq!(
            said,
            format!(
                "no agentd answers at {url} (connection refused): start one with `agentd serve`, \
                 or name another with --server or AGENTD_URL"
            )
        );
        let chain = Client::connect(&Reach::plain(&url)).await.unwrap_err();
        assert!(std::error::Error::source(&chain).is_none(), "no words of a library behind it");
    }
}
