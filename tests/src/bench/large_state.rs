//! A state file of a million runs: how soon a daemon on it answers, and what its slowest page takes.
//!
//! The history is made by the core and the store themselves, in this process, with nothing but the answers of workers and committer
//! given here: every run makes a fortnight of one asset again. Thirteen partitions make thirty events, so that a million runs have
//! thirty million. The file takes some 25 GB and is made once for both figures.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use assets::outcome::Staged;
use assets::partition::{Grain, Partitioning, TimePartitions};
use assets::{Asset, AssetGraph, AssetKey, Fingerprint, Location, PartitionedBy, WriteMode};
use jiff::civil::date;
use orchestrator::core::{CoreSettings, Definitions, Effect, Input, PreparedMember, World, turn};
use state::Store;
use state::event::{Micros, OwnerMode, Pace, Recorded, RunRequest};
use state::sqlite::OpenMode;

use super::processes::{millpond, proportional_bytes, seconds};
use super::{BenchError, Measured, Settings, median};
use crate::program::{Daemon, Project};

const RUNS: usize = 1_000_000;
/// Partitions of a run: with them it has thirty events.
const DAYS: i8 = 13;
/// Events of one transaction while the file is made.
const EVENTS_AT_ONCE: usize = 20_000;
/// How often each page is asked for.
const LOOKS: usize = 25;
/// The newest run ended a minute ago, the oldest so many seconds before that: younger than what retention removes.
const SPAN_SECONDS: i64 = 60 * 86_400;

const TOML: &str = "[project]\nname = \"history\"\ntimezone = \"UTC\"\n\n[partitions.daily]\nevery = \"day\"\nstart = 2026-01-01\n\
                    end = 2026-01-13\n";
const ASSET: &str =
    "[asset.jobs.days]\nkind = \"command\"\ncommand = [\"true\"]\npartitions = { use = \"daily\", column = \"day\" }\n";

static MADE: Mutex<Option<Project>> = Mutex::new(None);

/// Removes the state, if it was made.
pub(super) fn forget() {
    MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
}

/// Seconds until a daemon on the state answers.
pub(super) fn open(settings: &Settings) -> Result<Measured, BenchError> {
    with_state(settings, |project, remark| {
        let mut each = Vec::new();
        let mut bytes = 0;
        for _ in 0..5 {
            let began = Instant::now();
            let daemon = Daemon::start(project);
            daemon.get("/healthz");
            each.push(began.elapsed().as_secs_f64());
            bytes = proportional_bytes(daemon.id());
            daemon.stop();
        }
        let remark = format!("{remark}; {:.0} MB of memory", bytes as f64 / 1e6);
        Ok(Measured::against_limit(median(each), 1.0, remark))
    })
}

/// Milliseconds of the slowest page at the 99th percentile of all answers.
pub(super) fn pages(settings: &Settings) -> Result<Measured, BenchError> {
    with_state(settings, |project, remark| {
        let daemon = Daemon::start(project);
        let newest = daemon.get("/api/v1/runs?limit=1").json();
        let newest = newest["runs"][0]["run"].as_str().ok_or("no run is listed")?.to_owned();
        let pages = [
            "/",
            "/assets",
            "/assets/jobs.days",
            "/graph",
            "/runs",
            "/runs?status=succeeded",
            "/runs?status=failed",
            "/runs?status=running",
            "/runs?asset=jobs.days",
            "/runs?asset=jobs.days&status=failed",
            &format!("/runs/{newest}"),
            "/models",
            "/schedules",
            "/sensors",
            "/automation",
            "/alerts",
            "/metrics",
            "/api/v1/overview",
            "/api/v1/runs",
            "/api/v1/assets/jobs.days",
            "/api/v1/events?limit=100",
        ];
        let mut slowest = (0.0, "");
        for page in pages {
            let mut each = Vec::new();
            for _ in 0..LOOKS {
                let began = Instant::now();
                let reply = daemon.get(page);
                each.push(began.elapsed().as_secs_f64() * 1e3);
                if reply.status != 200 {
                    return Err(format!("{page} answers {}", reply.status).into());
                }
            }
            each.sort_by(f64::total_cmp);
            // The first look reads from the disk; every other one counts.
            let worst = each[LOOKS - 2];
            if worst > slowest.0 {
                slowest = (worst, page);
            }
        }
        daemon.stop();
        let again = seconds(millpond(project.path(), &["runs", "--limit", "5"]))?;
        let slowest_page = slowest.1.replace(&newest, "RUN");
        let remark = format!("{remark}; slowest {slowest_page}; `millpond runs` {again:.3} s");
        Ok(Measured::against_limit(slowest.0, 50.0, remark))
    })
}

fn with_state(
    settings: &Settings,
    measure: impl FnOnce(&Project, String) -> Result<Measured, BenchError>,
) -> Result<Measured, BenchError> {
    let mut made = MADE.lock().expect("a benchmark does not panic");
    let project = match made.take() {
        Some(project) => project,
        None => make(RUNS / settings.divide)?,
    };
    let state = project.path().join(".millpond/state.db");
    let remark = format!(
        "{} runs, {:.1} GB",
        RUNS / settings.divide,
        std::fs::metadata(state)?.len() as f64 / 1e9
    );
    let measured = measure(&project, remark);
    *made = Some(project);
    measured
}

fn make(runs: usize) -> Result<Project, BenchError> {
    let project = Project::new(&[("millpond.toml", TOML), ("assets/a.toml", ASSET)]);
    // A first start makes what is beside the state.
    Daemon::start(&project).stop();
    let state = project.path().join(".millpond/state.db");
    for suffix in ["", "-wal", "-shm"] {
        let path = project.path().join(format!(".millpond/state.db{suffix}"));
        if path.exists() {
            std::fs::remove_file(path)?;
        }
    }
    History::start(&state)?.make(runs)?;
    Ok(project)
}

/// A core with its store, whose workers do at once what they are asked to.
struct History {
    world: World,
    store: Store,
    at: Micros,
    waiting: Vec<Recorded>,
    effects: Vec<Effect>,
}

impl History {
    fn start(state: &Path) -> Result<Self, BenchError> {
        let graph = AssetGraph::new([asset()]).map_err(|errors| format!("{errors:?}"))?;
        let settings = CoreSettings {
            slots: 1,
            largest_batch: usize::MAX,
            ..CoreSettings::default()
        };
        let now = i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_micros())?;
        let mut history = Self {
            world: World::new(1),
            store: Store::open(state, OpenMode::Writer)?,
            at: now - (SPAN_SECONDS + 60) * 1_000_000,
            waiting: Vec::new(),
            effects: Vec::new(),
        };
        history.take(Input::DefinitionsLoaded(Arc::new(Definitions::new(graph, settings))))?;
        history.take(Input::Recover {
            boot: "bench".to_owned(),
            mode: OwnerMode::Daemon,
        })?;
        Ok(history)
    }

    fn make(mut self, runs: usize) -> Result<(), BenchError> {
        let apart = SPAN_SECONDS * 1_000_000 / i64::try_from(runs.max(1))?;
        let begun = self.at;
        for number in 0..runs {
            self.at = begun + apart * i64::try_from(number)?;
            self.run()?;
        }
        self.store.commit(&self.waiting)?;
        self.store.close()?;
        Ok(())
    }

    fn run(&mut self) -> Result<(), BenchError> {
        self.take(Input::Submit {
            request: 0,
            run: RunRequest {
                selection: "jobs.days".to_owned(),
                partitions: None,
                force: true,
                only: None,
                pace: Pace::default(),
                owner: OwnerMode::Daemon,
                trigger: "bench".to_owned(),
            },
        })?;
        while let Some(effect) = self.effects.pop() {
            match effect {
                Effect::Start(order) => {
                    for partition in &order.partitions {
                        self.at += 100;
                        self.take(Input::Staged {
                            attempt: order.attempt.clone(),
                            staged: Box::new(nothing_staged(partition.key.clone())),
                        })?;
                    }
                    self.take(Input::AttemptEnded { attempt: order.attempt })?;
                }
                Effect::Prepare { asset, members } => {
                    let members = members
                        .into_iter()
                        .map(|member| PreparedMember {
                            staged: Box::new(nothing_staged(member.step.partition.clone())),
                            attempt: member.attempt,
                            step: member.step,
                        })
                        .collect();
                    self.take(Input::CommitPrepared {
                        asset,
                        tables: Vec::new(),
                        members,
                    })?;
                }
                Effect::CancelAttempt { .. } | Effect::KeepStaged(_) | Effect::Reply { .. } => {}
            }
        }
        if self.world.open_runs().next().is_some() {
            return Err("a run did not end".into());
        }
        Ok(())
    }

    fn take(&mut self, input: Input) -> Result<(), BenchError> {
        let turn = turn(&mut self.world, self.at, input)?;
        self.waiting.extend(turn.events);
        // What workers are asked to do comes before what the committer is: one commit for all that was staged.
        self.effects.splice(0..0, turn.effects.into_iter().rev());
        if self.waiting.len() >= EVENTS_AT_ONCE {
            self.store.commit(&self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }
}

fn nothing_staged(partition: Option<assets::PartitionKey>) -> Staged {
    Staged {
        partition,
        tables: Vec::new(),
        model: None,
        checks: Vec::new(),
        metadata: BTreeMap::new(),
        sources: Vec::new(),
        data_version: None,
    }
}

fn asset() -> Asset {
    let key: AssetKey = "jobs.days".parse().expect("a plain name is a key");
    Asset {
        key,
        kind: "command".to_owned(),
        description: None,
        owner: None,
        tags: Vec::new(),
        partitions: Some(PartitionedBy {
            name: "daily".to_owned(),
            column: "day".to_owned(),
            partitioning: Partitioning::Time(TimePartitions {
                grain: Grain::Day,
                start: date(2026, 1, 1).at(0, 0, 0, 0),
                end: Some(date(2026, 1, DAYS).at(0, 0, 0, 0)),
                zone: "UTC".to_owned(),
            }),
        }),
        key_columns: Vec::new(),
        sort_columns: Vec::new(),
        write: WriteMode::Replace,
        contract: assets::Contract::default(),
        inputs: Vec::new(),
        checks: Vec::new(),
        freshness: None,
        automation: None,
        config: serde_json::Value::Null,
        fingerprint: Fingerprint::of(["history"]),
        rules: assets::StepRules::default(),
        declared_at: Location {
            file: "a.toml".to_owned(),
            line: 1,
            column: 1,
        },
    }
}
