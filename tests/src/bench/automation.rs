//! A change above 35 eager assets of 2,000 partitions each: from the last news of the run that made the change to the committed,
//! synced decision, which is one run. In this process, with the store on this disk; no worker is there, so that nothing else is
//! measured.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use assets::automation::{Automation, AutomationRule};
use assets::outcome::Staged;
use assets::partition::{Grain, PartitionMapping, Partitioning, TimePartitions, WindowEnd};
use assets::{Asset, AssetGraph, AssetInput, AssetKey, Fingerprint, InputRole, Location, PartitionedBy, WriteMode};
use jiff::civil::date;
use orchestrator::core::{AUTOMATION, CoreSettings, Definitions, Effect, Input, StartAttempt, World, turn};
use state::Store;
use state::event::{Micros, OwnerMode, Pace, RunRequest};
use state::sqlite::OpenMode;

use super::{BenchError, Measured, Settings, median};

const ASSETS: usize = 35;
const PARTITIONS: usize = 2_000;
const ROUNDS: usize = 3;

/// Seconds from the news to the commit, against one second.
pub(super) fn one_decision(settings: &Settings) -> Result<Measured, BenchError> {
    let partitions = PARTITIONS / settings.divide;
    let (mut all, mut decided) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let folder = tempfile::tempdir()?;
        let (turn, commit) = round(folder.path(), partitions)?;
        decided.push(turn);
        all.push(turn + commit);
    }
    let remark = format!(
        "{} partitions of {ASSETS} assets in one run; {:.3} s to decide, the rest to commit",
        partitions,
        median(decided)
    );
    Ok(Measured::against_limit(median(all), 1.0, remark))
}

fn key(number: usize) -> AssetKey {
    format!("layer.a{number:02}").parse().expect("a plain name is a key")
}

/// Asset 0 is made by hand; each other reads the one before, and every fifth a week of the one before that.
fn asset(number: usize) -> Asset {
    let reads = |other: usize, mapping| AssetInput {
        asset: key(other),
        role: InputRole::Rows,
        mapping,
        declared: false,
    };
    let mut inputs = Vec::new();
    if number > 0 {
        inputs.push(reads(number - 1, PartitionMapping::Same));
    }
    if number > 1 && number.is_multiple_of(5) {
        let week = PartitionMapping::Window {
            length: "7 days".to_owned(),
            ending: WindowEnd::Before,
        };
        inputs.push(reads(number - 2, week));
    }
    Asset {
        key: key(number),
        kind: "sql".to_owned(),
        description: None,
        owner: None,
        tags: Vec::new(),
        partitions: Some(PartitionedBy {
            name: "daily".to_owned(),
            column: "day".to_owned(),
            partitioning: Partitioning::Time(TimePartitions {
                grain: Grain::Day,
                start: date(2015, 1, 1).at(0, 0, 0, 0),
                end: None,
                zone: "America/New_York".to_owned(),
            }),
        }),
        key_columns: Vec::new(),
        sort_columns: Vec::new(),
        write: WriteMode::Replace,
        contract: assets::Contract::default(),
        inputs,
        checks: Vec::new(),
        freshness: None,
        automation: (number > 0).then(|| Automation {
            rule: AutomationRule::Eager,
            latest: None,
            zone: "UTC".to_owned(),
        }),
        config: serde_json::Value::Null,
        fingerprint: Fingerprint::of([number.to_string().as_str()]),
        rules: assets::StepRules::default(),
        declared_at: Location {
            file: "a.toml".to_owned(),
            line: 1,
            column: 1,
        },
    }
}

struct Daemon {
    world: World,
    store: Store,
    at: Micros,
    orders: Vec<StartAttempt>,
    /// What the last input cost: to decide, and to commit.
    cost: (f64, f64),
}

impl Daemon {
    #[allow(clippy::disallowed_methods)] // It measures.
    fn take(&mut self, input: Input) -> Result<(), BenchError> {
        let begun = std::time::Instant::now();
        let turn = turn(&mut self.world, self.at, input)?;
        let decided = begun.elapsed().as_secs_f64();
        self.store.commit(&turn.events)?;
        self.cost = (decided, begun.elapsed().as_secs_f64() - decided);
        for effect in turn.effects {
            if let Effect::Start(order) = effect {
                self.orders.push(*order);
            }
        }
        Ok(())
    }
}

fn round(folder: &Path, partitions: usize) -> Result<(f64, f64), BenchError> {
    let settings = CoreSettings {
        slots: 1,
        largest_batch: usize::MAX,
        ..CoreSettings::default()
    };
    let graph = AssetGraph::new((0..ASSETS).map(asset)).map_err(|errors| format!("{errors:?}"))?;
    let definitions = Arc::new(Definitions::new(graph, settings));
    let start = date(2015, 1, 1).to_zoned(jiff::tz::TimeZone::UTC)?.timestamp();
    let mut daemon = Daemon {
        world: World::new(1),
        store: Store::open(&folder.join("state.db"), OpenMode::Writer)?,
        at: start.as_microsecond() + (partitions as i64) * 86_400_000_000 + 12 * 3_600_000_000,
        orders: Vec::new(),
        cost: (0.0, 0.0),
    };
    daemon.take(Input::DefinitionsLoaded(definitions))?;
    daemon.take(Input::Recover {
        boot: "bench".to_owned(),
        mode: OwnerMode::Daemon,
    })?;
    daemon.take(Input::Submit {
        request: 0,
        run: RunRequest {
            selection: key(0).to_string(),
            partitions: None,
            force: false,
            only: None,
            pace: Pace::default(),
            owner: OwnerMode::Daemon,
            trigger: "bench".to_owned(),
        },
    })?;
    let order = daemon.orders.pop().ok_or("nothing was given to a worker")?;
    let last = order.partitions.len() - 1;
    for (place, partition) in order.partitions.iter().enumerate() {
        let staged = Staged {
            partition: partition.key.clone(),
            tables: Vec::new(),
            model: None,
            checks: Vec::new(),
            metadata: BTreeMap::new(),
            sources: Vec::new(),
            data_version: Some("one".to_owned()),
        };
        daemon.take(Input::Staged {
            attempt: order.attempt.clone(),
            staged: Box::new(staged),
        })?;
        let requested = daemon
            .world
            .open_runs()
            .filter(|run| run.request.trigger == AUTOMATION)
            .count();
        if requested != usize::from(place == last) {
            return Err(format!("{requested} runs were requested after partition {place} of {last}").into());
        }
    }
    let steps = daemon.world.open_runs().map(|run| run.steps.len()).max().unwrap_or(0);
    if steps != (ASSETS - 1) * order.partitions.len() {
        return Err(format!("the run has {steps} steps").into());
    }
    Ok(daemon.cost)
}
