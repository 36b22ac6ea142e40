//! `agentd eval`: investigates recorded incidents one after another with one daemon and thus one
//! memory, and scores the reports against the truth. The truth is read after the report is there.

mod answer;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use agent_proto::v1::Investigation;
use tokio::time::Instant;

pub use self::answer::answer;
use super::{
    DONE, Error, INTERRUPTED,
    args::Eval,
    client::Client,
    live::View,
    local::{Local, Port, Wanted},
    out,
    run::{self, Followed, terminated},
    scenario::{self, Scenario},
    text::{counted, spent, wrapped},
};
use crate::{
    config::Environment,
    eval::{Answer, Row, Score, Truth, json_shape, score, table},
};

pub(super) async fn run(args: Eval, environment: &Environment) -> Result<u8, Error> {
    let scenarios = scenario::all_in(&args.dir)?;
    let wanted = Wanted {
        plugin_dir: args.plugin_dir.clone(),
        data_dir: None,
        causes_dir: args.causes_dir.clone(),
        port: Port::Any,
    };
    let mut local = Local::start(environment, wanted).await?;
    let mut done = Done::default();
    let ended = tokio::select! {
        ended = all(&mut local, &scenarios, &mut done) => ended.map(|()| DONE),
        () = terminated() => Ok(INTERRUPTED),
    };
    local.stop().await?;
    let code = ended?;
    // What was scored before an interruption counts.
    done.rows.sort_by(|a, b| a.id.cmp(&b.id));
    out::write(&table(&done.rows))?;
    out::line(&wrapped("time     ", &done.times()))?;
    if let Some(file) = &args.json {
        done.write(file)?;
    }
    Ok(code)
}

/// What is there so far.
#[derive(Debug, Default)]
struct Done {
    rows: Vec<Row>,
    answers: BTreeMap<String, Answer>,
    times: BTreeMap<String, Duration>,
    /// Scenarios by the name of the episode that memory keeps of them.
    episodes: BTreeMap<String, String>,
}

async fn all(
    local: &mut Local,
    scenarios: &[(PathBuf, Scenario)],
    done: &mut Done,
) -> Result<(), Error> {
    let client = local.client().await?;
    for (dir, scenario) in scenarios {
        let staged = local.place(&scenario.id);
        scenario.stage(dir, &staged)?;
        let fleet = local.plugins(&staged).await?;
        let begun = Instant::now();
        let found = local.during(investigated(&client, scenario)).await;
        let took = begun.elapsed();
        fleet.stop().await;
        let scored = match found? {
            Some(found) => done.take(dir, scenario, &found)?,
            None => return Ok(()),
        };
        done.times.insert(scenario.id.clone(), took);
        let verdict = if scored { "pass" } else { "FAIL" };
        out::aside(&format!("{} {verdict} {}", scenario.id, spent(took)));
    }
    Ok(())
}

async fn investigated(
    client: &Client,
    scenario: &Scenario,
) -> Result<Option<Box<Investigation>>, Error> {
    match run::investigate(client, scenario.alert(), &mut View::Silent).await? {
        Followed::Finished(found) => Ok(Some(found)),
        Followed::Left { .. } => Ok(None),
    }
}

// === impl Done ===

impl Done {
    /// Scores a report; true when it passes.
    fn take(
        &mut self,
        dir: &Path,
        scenario: &Scenario,
        found: &Investigation,
    ) -> Result<bool, Error> {
        let truth = truth(dir)?;
        let scored = match &found.report {
            Some(report) => {
                let answer = answer(report, &self.episodes)?;
                let scored = score(&truth, &answer);
                self.answers.insert(scenario.id.clone(), answer);
                if let Some(memory) = &report.memory {
                    self.episodes.insert(memory.episode.clone(), scenario.id.clone());
                }
                scored
            }
            None => Score::without_report(),
        };
        let pass = scored.pass;
        self.rows.push(Row {
            id: truth.id,
            difficulty: truth.difficulty,
            category: truth.category,
            score: scored,
        });
        Ok(pass)
    }

    /// Wall time of all cases and of each.
    fn times(&self) -> String {
        let each: Vec<String> =
            self.times.iter().map(|(id, took)| format!("{id} {}", spent(*took))).collect();
        let all = spent(self.times.values().sum());
        format!("{all} for {}: {}", counted(each.len(), "case"), each.join(", "))
    }

    /// Writes the answers where the corpus's own scorer reads them.
    fn write(&self, file: &Path) -> Result<(), Error> {
        let shape = json_shape(self.answers.iter().map(|(id, answer)| (id.as_str(), answer)));
        std::fs::write(file, format!("{shape:#}\n")).map_err(Error::file(file, "written"))
    }
}

fn truth(dir: &Path) -> Result<Truth, Error> {
    let path = dir.join("scenario.json");
    let bytes = std::fs::read(&path).map_err(Error::file(&path, "read"))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Scenario { path, source })
}
