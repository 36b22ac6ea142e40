//! Coming and going: announcements, signs of life, goodbyes, slots of the relay. What is looked at
//! is looked at by `admission`; here it is entered, under the one lock, and what must outlive the
//! process is written before anybody is answered.

use std::{collections::BTreeSet, sync::Arc};

use agent_proto::tool::v1 as pb;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use uuid::Uuid;

use super::{
    Caller, Error, Readiness, Registry,
    placed::Placed,
    verdicts::{none_accepted, verdict},
};
use crate::plugin::{
    admission::{self, Admitted, PROTOCOL, Reach, descriptor::Checked},
    clean, client,
    contracts::Record,
    digest, health,
    instance::{Instance, Line, Made},
    news::{Kind, Subject},
    relay::Slot,
    secured::HTTPS,
    wire,
};
use crate::{guard::tokens::Who, reasoner::catalogue::Catalogue, tool::is_plugin_name};

impl Registry {
    /// Enters an instance with its catalog. Must be called within a tokio runtime: a first
    /// question for its health is sent in the background.
    ///
    /// # Errors
    /// All that is wrong with the announcement, or why it may not be made. What is wrong with one
    /// tool is in its verdict.
    pub async fn register(
        &self,
        request: pb::RegisterRequest,
        caller: &Caller,
    ) -> Result<pb::RegisterResponse, Error> {
        let config = &self.shared.config;
        if self.shared.stopping.is_cancelled() {
            return Err(Error::Stopping);
        }
        let plugin = request.catalog.as_ref().map_or("", |catalog| &catalog.plugin).to_owned();
        let let_in = self.admit(request, &plugin, caller).await;
        let admitted = let_in.inspect_err(|error| self.turned_away(&plugin, error))?;
        let warnings = admitted.guest.warnings.clone();
        let catalog_digest =
            digest::catalog(admitted.tools.iter().map(|tool| tool.id.digest.as_str()));
        let lease = new_lease();
        let trusted = config.accept_changes || config.is_supervised(caller);
        let by = caller.who.clone();
        let entered = self.enter(admitted, (&lease, by), (catalog_digest.clone(), trusted));
        let verdicts = entered.inspect_err(|error| self.turned_away(&plugin, error))?;
        self.shared.bell.ring();
        self.write().await?;
        Ok(pb::RegisterResponse {
            lease_id: lease,
            lease_ttl: Some(wire::duration_to(config.lease_ttl)),
            renew_interval: Some(wire::duration_to(config.next_renewal())),
            protocol: PROTOCOL,
            catalog_digest,
            verdicts,
            max_message_bytes: i32::try_from(client::MAX_MESSAGE).unwrap_or(i32::MAX),
            server_id: config.server_id.clone(),
            warnings,
        })
    }

    /// Looks at an announcement.
    async fn admit(
        &self,
        request: pb::RegisterRequest,
        plugin: &str,
        caller: &Caller,
    ) -> Result<Admitted, Error> {
        let config = &self.shared.config;
        admission::may_enter(plugin, caller, config)?;
        let others = self.words_of_others(plugin)?;
        admission::check(request, caller, config, (&others, &self.shared.schemas)).await
    }

    /// Somebody who announced `plugin` was not let in: who looks for it finds why. Who may not announce
    /// it at all puts no name in anybody's list.
    fn turned_away(&self, plugin: &str, error: &Error) {
        if *error == Error::Stopping {
            return;
        }
        let (now, said) = (Instant::now(), error.to_string());
        let mut state = self.swept(now);
        // What is no name stands in no list; only the log has it.
        let named = is_plugin_name(plugin).then(|| Subject::plugin(plugin));
        let is_stranger = matches!(
            error,
            Error::NotLocal | Error::NotYourName { .. } | Error::NamespaceNotAllowed { .. }
        );
        let is_here = state.instances().any(|instance| instance.plugin == plugin);
        let tells = match &named {
            None => state.refusals.stranger("", &said, now),
            Some(_) if is_stranger && !is_here => state.refusals.stranger(plugin, &said, now),
            Some(_) => state.refusals.note(plugin, &said, now),
        };
        drop(state);
        if !tells {
            return;
        }
        let name = named.as_ref().map_or("", |named| &named.plugin);
        tracing::warn!(plugin = name, reason = error.reason(), said, "registration was refused");
        if let Some(named) = named {
            let said = format!("{plugin} was not let in: {said}");
            self.shared.bell.news.tell(Kind::PluginRefused, named, said);
        }
    }

    /// The words of all but `plugin`, unless it registers too often.
    fn words_of_others(&self, plugin: &str) -> Result<Catalogue, Error> {
        let mut state = self.swept(Instant::now());
        // What is no name is refused further on, and not counted here.
        if is_plugin_name(plugin) {
            state.hurry(plugin)?;
        }
        Ok(state.words(&self.shared.config.catalogue, Some(plugin)))
    }

    fn enter(
        &self,
        mut admitted: Admitted,
        (lease, by): (&str, Who),
        (catalog_digest, trusted): (String, bool),
    ) -> Result<Vec<pb::ToolVerdict>, Error> {
        let now = Instant::now();
        let (id, plugin) = (admitted.instance_id.clone(), admitted.plugin.clone());
        let mut state = self.swept(now);
        state.check_owner(&id, (&plugin, &by), now)?;
        state.check_crowd(&id, &plugin)?;
        if !trusted {
            state.refuse_mismatches(&mut admitted.tools, &id, now);
        }
        let held = state.judge(&mut admitted.tools, trusted);
        let accepted: Vec<&Checked> =
            admitted.tools.iter().filter(|tool| tool.rejection.is_none()).collect();
        let endpoint = shown(&admitted.reach);
        let made = Made {
            id: id.clone(),
            plugin: plugin.clone(),
            version: admitted.version.clone(),
            endpoint: endpoint.clone(),
            line: line(admitted.reach)?,
            max_calls: admitted.max_calls,
            weight: admitted.weight,
            offers: accepted.iter().map(|tool| tool.id.clone()).collect(),
            catalog_digest,
            before: state.before(&id, &endpoint),
        };
        let until = now + self.shared.config.lease_ttl;
        let instance = Arc::new(Instance::new(made, Arc::clone(&self.shared.bell), until));
        let health = tokio::spawn(health::keep_asking(Arc::downgrade(&instance)));
        for tool in accepted {
            state.offer(tool, &instance, &self.shared.bell);
        }
        let verdicts: Vec<pb::ToolVerdict> =
            admitted.tools.iter().zip(&held).map(|(tool, held)| verdict(tool, held)).collect();
        let placed = Placed::new(lease, (instance, by), health, admitted.guest.clone());
        let before = state.told(&id);
        state.place(id.clone(), placed.judged(&verdicts));
        match none_accepted(&verdicts) {
            // Which leaves again at once, as all that it offers is of no use.
            Some(why) => state.refusals.note_quietly(&plugin, &why, now),
            None => state.refusals.forget(&plugin),
        }
        drop(state);
        self.told(&Subject::instance(&plugin, &id), before.as_deref(), &verdicts);
        for warning in &admitted.guest.warnings {
            tracing::warn!(plugin, warning, "plugin's words");
        }
        Ok(verdicts)
    }

    /// Writes what must outlive the process, with what could not be written before.
    ///
    /// # Errors
    /// That it cannot be written now.
    pub(super) async fn write(&self) -> Result<(), Error> {
        let Some(journal) = &self.shared.journal else { return Ok(()) };
        // One after the other: what is newer must not be written over by what is older.
        let _turn = self.shared.writing.lock().await;
        let records: Vec<Record> = self.swept(Instant::now()).unwritten();
        if records.is_empty() {
            return Ok(());
        }
        let bytes = |bytes: &Vec<u8>| bytes::Bytes::copy_from_slice(bytes);
        let kept = records.iter().map(|(key, record)| (key.clone(), record.as_ref().map(bytes)));
        let kept = journal.keep_contracts(kept.collect()).await;
        kept.map_err(|error| Error::NotKept { why: error.to_string() })?;
        self.swept(Instant::now()).written(&records);
        Ok(())
    }

    /// Notes a sign of life. `server_time` is left to the caller, who has a clock.
    ///
    /// # Errors
    /// That the lease is not known: the plugin registers again.
    pub fn renew(&self, request: &pb::RenewRequest) -> Result<pb::RenewResponse, Error> {
        let now = Instant::now();
        let config = &self.shared.config;
        if self.shared.stopping.is_cancelled() {
            return Err(Error::Stopping);
        }
        let wish = match pb::InstanceState::try_from(request.state) {
            Ok(pb::InstanceState::Unspecified | pb::InstanceState::Ready) => Readiness::Ready,
            Ok(pb::InstanceState::Draining) => Readiness::Draining,
            Ok(pb::InstanceState::Unready) | Err(_) => Readiness::Unready,
        };
        let unready: BTreeSet<String> = request.unready_tools.iter().take(200).cloned().collect();
        let state = self.swept(now);
        let instance =
            state.by_lease(&request.lease_id, now).map(Arc::clone).ok_or(Error::LeaseUnknown)?;
        let may_return = state.may_return(&request.lease_id, now);
        // Under the lock: a lease that is swept away meanwhile would be told and live on.
        instance.renew(now + config.lease_ttl, wish, unready);
        drop(state);
        let known = request.catalog_digest == instance.catalog_digest && !may_return;
        let mut warnings = self.shared.heard.untold(&instance.plugin);
        warnings.extend(instance.untold());
        let directive =
            if known { pb::InstanceDirective::Continue } else { pb::InstanceDirective::Reregister };
        Ok(pb::RenewResponse {
            lease_ttl: Some(wire::duration_to(config.lease_ttl)),
            renew_interval: Some(wire::duration_to(config.next_renewal())),
            directive: directive.into(),
            server_time: None,
            warnings,
        })
    }

    /// Ends a lease; unknown ones succeed. Running calls may finish.
    #[must_use]
    pub fn deregister(&self, request: &pb::DeregisterRequest) -> pb::DeregisterResponse {
        let mut state = self.swept(Instant::now());
        let left = state.leave(&request.lease_id);
        drop(state);
        let Some(instance) = left else { return pb::DeregisterResponse::default() };
        let mut reason: String = request.reason.chars().filter(|c| !c.is_control()).collect();
        clean::cut(&mut reason, 256);
        tracing::info!(plugin = instance.plugin, instance = instance.id, reason, "plugin left");
        let subject = Subject::instance(&instance.plugin, &instance.id);
        let said = format!("{} left: {reason}", instance.plugin);
        self.shared.bell.news.tell(Kind::Left, subject, said);
        let calls_in_flight = i32::try_from(instance.in_flight()).unwrap_or(i32::MAX);
        pb::DeregisterResponse { calls_in_flight }
    }

    /// Opens a slot for the instance with this lease. Either of the tokens ends it while it is idle.
    ///
    /// # Errors
    /// That the lease is not known, that its instance said it would be dialled, or that it has as
    /// many slots as there may be.
    pub(crate) fn open_slot(&self, lease: &str) -> Result<(Slot, [CancellationToken; 2]), Error> {
        let now = Instant::now();
        let instance = self.swept(now).by_lease(lease, now).map(Arc::clone);
        let instance = instance.ok_or(Error::LeaseUnknown)?;
        let Line::Relay(slots) = &instance.line else { return Err(Error::NotRelayed) };
        let slot = slots.open().ok_or(Error::TooManySlots)?;
        // A slot shows that the plugin serves; who waits for one hears of each, as the last one may
        // have been taken away under them.
        instance.serves();
        self.shared.bell.ring();
        Ok((slot, [instance.gone.clone(), self.shared.stopping.clone()]))
    }
}

/// 128 bits drawn at random, as hex.
fn new_lease() -> String {
    // A v4 UUID has 122 random bits; of two, more than enough.
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    let digest = Sha256::new().chain_update(one).chain_update(two).finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Where an instance is dialled, as people see it.
fn shown(reach: &Reach) -> String {
    match reach {
        Reach::Direct { address, way: None, .. } => address.to_string(),
        Reach::Direct { address, way: Some(_), .. } => format!("{HTTPS}{address}"),
        Reach::Relay => String::new(),
    }
}

fn line(reach: Reach) -> Result<Line, Error> {
    Ok(match reach {
        Reach::Direct { address, way, caller_token } => Line::Direct {
            channel: client::channel(address, way)
                .map_err(|_| Error::EndpointNotAllowed { host: address.to_string() })?,
            authorization: bearer(&caller_token),
        },
        Reach::Relay => Line::Relay(Arc::default()),
    })
}

fn bearer(token: &str) -> Option<MetadataValue<tonic::metadata::Ascii>> {
    let mut value: MetadataValue<_> = format!("Bearer {token}").parse().ok()?;
    value.set_sensitive(true);
    (!token.is_empty()).then_some(value)
}
