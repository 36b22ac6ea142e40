//! One run: the checks that are wanted, in one mode after the other, scenes side by side where each
//! has a plugin of its own.

use std::{collections::BTreeSet, io::Write as _, process::ExitStatus, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::stream::{self, StreamExt as _};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    agentd::Pace,
    fixtures::Fixtures,
    means::Means,
    options::{Mode, Options},
    program::Program,
    scene::{SCENES, Scene},
    spec::Spec,
    stage::Stage,
    verdict::{Board, Outcome, Row},
};

/// Scenes at once: each has a process and a few clocks that should not be disturbed.
const AT_ONCE: usize = 4;

/// What came of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Version of this command.
    pub version: &'static str,
    /// `basic` or `full`.
    pub level: &'static str,
    /// Whether a SHOULD counts.
    pub strict: bool,
    /// What its draws came from; give it as --seed to have them again.
    pub seed: u64,
    /// In each mode that was looked at.
    pub modes: Vec<ModeReport>,
    /// Checks that `--require` names and that were looked at in no mode.
    pub unmet: Vec<&'static str>,
    /// How long it took.
    pub seconds: f64,
}

/// The findings in one mode.
#[derive(Debug, Serialize)]
pub struct ModeReport {
    /// `direct`, `relay` or `target`.
    pub mode: &'static str,
    /// Name and version of the plugin, as it registered.
    pub plugin: String,
    /// One row a check.
    pub checks: Vec<Row>,
    /// How long it took.
    pub seconds: f64,
}

impl Report {
    /// Whether no MUST failed and nothing required was skipped; with --strict no SHOULD either.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        if !self.unmet.is_empty() {
            return false;
        }
        let rows = self.modes.iter().flat_map(|mode| &mode.checks);
        let counts = |row: &&Row| self.strict || row.level == "must";
        !rows.filter(counts).any(|row| row.outcome == Outcome::Failed)
    }
}

/// Runs the checks.
///
/// # Errors
/// When they cannot be run: no such command, no such file, no plugin at all.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let began = Instant::now();
    let (drawn, _) = uuid::Uuid::new_v4().as_u64_pair();
    // Short enough to be typed again.
    let seed = options.seed.unwrap_or(drawn % 1_000_000);
    let options = Options { seed: Some(seed), ..options.clone() };
    let fixtures = || match &options.fixtures {
        Some(path) => Fixtures::read(path),
        None => Ok(Fixtures::default()),
    };
    let wanted = if options.mode == Mode::Both {
        vec![Mode::Direct, Mode::Relay]
    } else {
        vec![options.mode]
    };
    let mut modes = Vec::new();
    for mode in wanted {
        let means = Means {
            options: options.clone(),
            mode,
            fixtures: fixtures()?,
            token: secret(),
            canaries: canaries(&options),
        };
        modes.push(look(&Arc::new(means)).await?);
    }
    Ok(Report {
        unmet: unmet(options.required(), &modes),
        version: env!("CARGO_PKG_VERSION"),
        level: if options.is_basic() { "basic" } else { "full" },
        strict: options.strict,
        seed,
        modes,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Those of `required` that no mode looked at: some rules hold in one mode only.
fn unmet(required: Vec<&'static str>, modes: &[ModeReport]) -> Vec<&'static str> {
    let seen = |id: &&'static str| {
        let rows = modes.iter().flat_map(|mode| &mode.checks);
        !rows.filter(|row| row.id == *id).any(|row| row.outcome != Outcome::Skipped)
    };
    required.into_iter().filter(seen).collect()
}

fn secret() -> String {
    let draw = || uuid::Uuid::new_v4().simple().to_string();
    format!("{}{}", draw(), draw())
}

/// Secrets for the plugin's environment, under names that real ones have.
fn canaries(options: &Options) -> Vec<(String, String)> {
    if options.target.is_some() {
        return Vec::new();
    }
    ["CANARY_SECRET", "DATABASE_PASSWORD", "BACKEND_API_KEY"]
        .map(|name| (name.to_owned(), format!("canary-{}", uuid::Uuid::new_v4().simple())))
        .into()
}

async fn look(means: &Arc<Means>) -> anyhow::Result<ModeReport> {
    let began = Instant::now();
    let options = &means.options;
    let wanted: BTreeSet<&'static str> = Spec::all()
        .iter()
        .filter(|entry| options.is_chosen(&entry.id))
        .filter(|entry| entry.basic || !options.is_basic())
        .filter(|entry| entry.target || options.target.is_none())
        .map(|entry| entry.id.as_str())
        .collect();
    anyhow::ensure!(!wanted.is_empty(), "--only leaves no check at this --level and with --target");
    let secrets =
        means.canaries.iter().map(|(_, value)| value.clone()).chain([means.token.clone()]);
    let board = Board::new(wanted, options.limit(), secrets.collect());
    let plugin = if options.exec.is_empty() {
        shared(means, &board).await?
    } else {
        own(means, &board).await?
    };
    for scene in SCENES {
        board.skip_rest(scene.ids(), "was not reached");
    }
    let mode = if options.target.is_some() { "target" } else { means.mode.word() };
    let seconds = began.elapsed().as_secs_f64();
    Ok(ModeReport { mode, plugin, checks: board.rows(), seconds })
}

/// Each scene has a process of its own.
async fn own(means: &Arc<Means>, board: &Board) -> anyhow::Result<String> {
    // A command that cannot be started at all is no finding about a plugin.
    let agentd = means.agentd(Pace::SHORT).await?;
    let program = Program::start(&means.options.exec, &means.variables(&agentd.url()))?;
    let came = agentd.registration(agentd.began, Duration::from_secs(10)).await;
    let ended = program.ended(Duration::ZERO).await;
    let plugin = match (came, ended) {
        (Some((_, request)), _) => {
            let catalog = request.catalog.unwrap_or_default();
            means.fixtures.check(&catalog)?;
            name(&catalog)
        }
        (None, Some(status)) => anyhow::bail!(unregistered(&status, &program.last_words())),
        (None, None) => "a plugin that did not register".to_owned(),
    };
    drop(program);
    let scenes = SCENES.iter().map(|scene: &Scene| scene.play(means, board, None));
    stream::iter(scenes).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    Ok(plugin)
}

/// What is said of a command that is over too soon; `words` are its last ones.
fn unregistered(status: &ExitStatus, words: &str) -> String {
    let words = match words {
        "" => ", and printed nothing".to_owned(),
        words => format!(":\n{words}"),
    };
    format!("--exec: the command ended with {status} before it registered{words}")
}

/// All scenes share the plugin that somebody else started, one after the other.
async fn shared(means: &Arc<Means>, board: &Board) -> anyhow::Result<String> {
    let stage = match &means.options.target {
        Some(endpoint) => Stage::dialled(means, endpoint).await?,
        None => waited_for(means).await?,
    };
    means.fixtures.check(&stage.catalog)?;
    for scene in SCENES {
        scene.play(means, board, Some(&stage)).await;
    }
    Ok(name(&stage.catalog))
}

async fn waited_for(means: &Arc<Means>) -> anyhow::Result<Stage> {
    let agentd = means.agentd(Pace::SHORT).await.context("--listen: cannot play agentd there")?;
    let variables = means.variables(&agentd.url());
    let lines: Vec<_> =
        variables.iter().map(|(name, value)| format!("export {name}={value}")).collect();
    // On stderr, so that a report on stdout stays one.
    let _ = writeln!(
        std::io::stderr(),
        "{}\nStart the plugin with these variables; waiting {} s for it to register.",
        lines.join("\n"),
        means.options.timeout
    );
    Stage::registered(means, agentd, None, means.options.limit()).await.map_err(|stop| match stop {
        crate::verdict::Stop::Failed { why, .. } | crate::verdict::Stop::Skipped(why) => {
            anyhow::anyhow!("{why}")
        }
    })
}

fn name(catalog: &agent_proto::tool::v1::PluginCatalog) -> String {
    format!("{} {}", catalog.plugin, catalog.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_ended_is_told_with_its_last_words_or_that_it_had_none() {
        let status = ExitStatus::default();
        let silent = unregistered(&status, "");
        assert!(silent.ends_with("before it registered, and printed nothing"), "{silent}");
        let loud = unregistered(&status, "said  no such file");
        assert!(loud.ends_with("before it registered:\nsaid  no such file"), "{loud}");
    }

    #[test]
    fn what_is_required_must_be_looked_at_in_one_mode_at_least() {
        let row = |id, outcome| Row {
            id,
            level: "must",
            sentence: "",
            from: "",
            outcome,
            note: String::new(),
            exchange: String::new(),
            seconds: 0.0,
        };
        let mode =
            |checks| ModeReport { mode: "direct", plugin: String::new(), checks, seconds: 0.0 };
        let direct = mode(vec![row("CAT-02", Outcome::Passed), row("LIM-01", Outcome::Skipped)]);
        let relay = mode(vec![row("CAT-02", Outcome::Skipped), row("LIM-01", Outcome::Skipped)]);
        let modes = [direct, relay];
        assert_eq!(unmet(vec!["CAT-02", "LIM-01", "ERR-04"], &modes), ["LIM-01", "ERR-04"]);
    }
}
