//! A repeat is recognised, over restarts and over damage to memory's files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use agent_proto::v1::{Alert, EpisodeCheck, EpisodeMatch, Investigation};
use agent_tests::{
    fleet::{BUNDLED, Fleet, SHORT_LEASES},
    seed::Seed,
    staged::{Staged, copy},
    told::{in_short, is_true, report},
};

use crate::LONG;

/// What was recalled.
fn recalled(investigation: &Investigation) -> Vec<EpisodeMatch> {
    report(investigation).memory.clone().unwrap_or_default().similar
}

#[tokio::test]
async fn the_second_time_the_case_is_recalled_and_takes_fewer_calls() {
    let staged = Staged::bundled().unwrap();
    let fleet = Fleet::on(staged.path()).await.unwrap();
    let mut client = fleet.client().unwrap();
    let first = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    assert_eq!(recalled(&first), []);
    let second = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let (told, memory) = (report(&second), report(&second).memory.clone().unwrap());
    assert!(is_true(told, &staged.scenario), "{}", in_short(told));
    let best = memory.similar.first().expect("nothing was recalled");
    let id = first.name.strip_prefix("investigations/").unwrap();
    assert_eq!(best.episode, format!("episodes/{id}"));
    assert!(best.similarity > 0.5 && !best.reason.is_empty(), "{best:?}");
    let calls = |i: &Investigation| i.usage.unwrap_or_default().tool_calls;
    let (once, twice) = (calls(&first), calls(&second));
    assert!(twice < once, "{twice} calls after {once}");
    assert_eq!(memory.tool_calls_saved, once - twice);
    assert_eq!(memory.total_episodes, 2);
    assert_eq!(best.check(), EpisodeCheck::Confirmed);
    assert!(memory.statement.contains("confirmed again"), "{}", memory.statement);
    let saved = format!("{} tool call", once - twice);
    assert!(memory.statement.contains(&saved), "{}", memory.statement);
    // What is saved is told against the first time, however often it comes again.
    for _ in 0..6 {
        let again = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
        let memory = report(&again).memory.clone().unwrap();
        assert_eq!((calls(&again), memory.tool_calls_saved), (twice, once - twice));
    }
}

/// How memory's files are damaged.
#[derive(Debug, Clone, Copy)]
enum Damage {
    None,
    Noise(u64),
    Deleted,
}

#[tokio::test]
async fn damage_to_the_files_of_memory_is_told_mended_and_forgets_nothing() {
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::with(staged.path(), &BUNDLED, SHORT_LEASES).await.unwrap();
    let mut client = fleet.client().unwrap();
    client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let other = Alert { r#type: "slow".to_owned(), ..staged.scenario.alert() };
    client.investigate(other, LONG).await.unwrap();
    fleet.stop_daemon().await.unwrap();
    let pristine = tempfile::tempdir().unwrap();
    copy(&fleet.data(), pristine.path()).unwrap();
    let (mut expected, mut noticed) = (None, 0);
    let noise = (1..=6).map(Damage::Noise);
    for damage in [Damage::None, Damage::Deleted].into_iter().chain(noise) {
        fs::remove_dir_all(fleet.data()).unwrap();
        copy(pristine.path(), &fleet.data()).unwrap();
        harm(&fleet.data().join("memory"), damage);
        let said = fleet.log("agentd").len();
        fleet.start_daemon().await.unwrap();
        fleet.ready(&BUNDLED).await.unwrap();
        let mut client = fleet.client().unwrap();
        let again = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
        let now = recalled(&again);
        assert!(!now.is_empty(), "{damage:?}: nothing was recalled");
        assert_eq!(*expected.get_or_insert_with(|| now.clone()), now, "{damage:?}");
        let log = fleet.log("agentd").get(said..).unwrap_or_default().to_lowercase();
        let told = log.lines().any(|line| line.contains("memory") && line.contains("made anew"));
        let aside = aside(&fleet.data());
        // Noise may fall where nothing is written; then there is nothing to mend.
        let must = match damage {
            Damage::None => {
                assert!(!told && !aside, "undamaged memory is made anew:\n{log}");
                false
            }
            Damage::Deleted => true,
            Damage::Noise(_) => aside,
        };
        assert!(told || !must, "{damage:?} is not told:\n{log}");
        noticed += usize::from(aside);
        fleet.stop_daemon().await.unwrap();
    }
    assert!(noticed > 0, "no noise did any harm: the test tests nothing");
}

/// Whether damaged files were moved aside.
fn aside(data: &Path) -> bool {
    let mut names = fs::read_dir(data).unwrap().flatten().map(|entry| entry.file_name());
    names.any(|name| name.to_string_lossy().starts_with("memory.damaged"))
}

fn harm(memory: &Path, damage: Damage) {
    let mut seed = match damage {
        Damage::None => return,
        Damage::Deleted => return fs::remove_dir_all(memory).unwrap(),
        Damage::Noise(seed) => Seed::new(seed),
    };
    let mut files: Vec<PathBuf> = fs::read_dir(memory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && path.metadata().unwrap().len() > 64)
        .collect();
    files.sort();
    assert!(!files.is_empty(), "memory has no files");
    for file in files {
        let mut bytes = fs::read(&file).unwrap();
        // What is written stands at the beginning of a file that is made large at once.
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap_or_default().max(64);
        let at = seed.below(end - 63);
        bytes[at..at + 64].iter_mut().for_each(|byte| *byte = seed.byte());
        fs::write(&file, bytes).unwrap();
    }
}
