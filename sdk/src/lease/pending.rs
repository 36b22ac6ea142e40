//! A registration under way. Who stops waiting for it may have been registered all the same, so
//! that its answer can still be heard when the lease has to be given back.

use std::time::Duration;

use agent_proto::tool::v1::RegisterResponse;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

/// The registration that was asked for last, until its answer is heard.
#[derive(Default)]
pub(super) struct Pending {
    asked: Option<AbortOnDropHandle<Result<RegisterResponse, Status>>>,
}

impl Pending {
    /// Asks and waits for the answer. May be dropped: [`Self::unheard`] still hears it.
    ///
    /// # Errors
    /// What agentd answers.
    pub(super) async fn answer(
        &mut self,
        asking: impl Future<Output = Result<RegisterResponse, Status>> + Send + 'static,
    ) -> Result<RegisterResponse, Status> {
        let asked = self.asked.insert(AbortOnDropHandle::new(tokio::spawn(asking)));
        let answer = asked.await;
        self.asked = None;
        answer.unwrap_or_else(|_| Err(Status::internal("the registration was given up")))
    }

    /// The answer to a registration that nobody waits for any more, if it comes within `limit`.
    pub(super) async fn unheard(&mut self, limit: Duration) -> Option<RegisterResponse> {
        let asked = self.asked.take()?;
        let answer = tokio::time::timeout(limit, asked).await;
        answer.ok()?.ok()?.ok()
    }
}
