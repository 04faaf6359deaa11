//! Scenarios of planning and running: a script goes in, a transcript comes out, and is compared with the one beside it.
//!
//! Each command is one line; `MILLPOND_BLESS=1` writes the transcripts anew.
//!
//! ```text
//! asset KEY KIND SET [reads KEY[:MAPPING] …]     declares an asset (SET: none, daily, weekly, airports)
//! edit KEY                                       changes its code           remove KEY    takes it out of the project
//! together GROUP KEY KEY …                       lets assets be published together
//! now DATE                                       moves the clock to noon    source KEY FILE CONTENT [PARTITION …] | gone
//! plan SELECTION [@ PARTITION[..PARTITION]]      shows what would run, and why
//! run  SELECTION [@ …] [force] [paced WORD …] [check STEP …] [failing STEP …]    runs it with a worker that does as it is told
//!      WORD is newest, missing, failed, room=N, batch=N, or pause: it is paused once it started, and resumed when it is quiet
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use assets::outcome::{
    CheckResult, ColumnChanges, Failure, FailureClass, Observation, Replace, Severity, SourceFile, Staged, StagedModel,
    StagedTable, TablePointer,
};
use assets::partition::{Grain, PartitionMapping, Partitioning, TimePartitions, WindowEnd};
use assets::{
    Asset, AssetGraph, AssetInput, AssetKey, AssetPartition, Fingerprint, InputRole, Location, ModelReference,
    PartitionKey, PartitionedBy, WriteMode,
};
use jiff::civil::{Date, date};
use orchestrator::core::{
    Answer, CoreSettings, Definitions, Effect, Input, PlanRequest, PreparedMember, PreparedTable, World, plan,
    selected, turn,
};
use serde_json::{Value, json};
use state::event::{Event, Micros, Only, OwnerMode, Pace, PartitionChoice, RunRequest};

fn partitioning(set: &str) -> Option<Partitioning> {
    let time = |grain, start: Date| {
        Some(Partitioning::Time(TimePartitions {
            grain,
            start: start.at(0, 0, 0, 0),
            end: None,
            zone: "UTC".to_owned(),
        }))
    };
    match set {
        "none" => None,
        "daily" => time(Grain::Day, date(2024, 3, 1)),
        "weekly" => time(Grain::Week, date(2024, 2, 26)),
        "airports" => Some(Partitioning::Fixed(["EWR", "JFK"].map(partition).to_vec())),
        other => panic!("no set {other}"),
    }
}

fn partition(text: &str) -> PartitionKey {
    PartitionKey::new(text).unwrap()
}

fn step(text: &str) -> AssetPartition {
    match text.split_once('@') {
        Some((asset, key)) => AssetPartition::new(asset.parse().unwrap(), Some(partition(key))),
        None => AssetPartition::new(text.parse().unwrap(), None),
    }
}

struct Scenario {
    assets: BTreeMap<AssetKey, Asset>,
    world: World,
    now: Micros,
    edits: u32,
    snapshots: i64,
    sources: BTreeMap<AssetKey, BTreeMap<String, SourceFile>>,
    transcript: String,
}

impl Scenario {
    fn new() -> Self {
        Self {
            assets: BTreeMap::new(),
            world: World::new(7),
            now: 0,
            edits: 0,
            snapshots: 0,
            sources: BTreeMap::new(),
            transcript: String::new(),
        }
    }

    fn play(mut self, script: &str) -> String {
        for line in script.lines().filter(|line| !line.is_empty()) {
            writeln!(
                self.transcript,
                "{}{line}",
                if line.starts_with('#') { "" } else { "> " }
            )
            .unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["#", ..] => {}
                ["asset", key, kind, set, reads @ ..] => self.declare(key, kind, set, reads),
                ["edit", key] => {
                    self.edits += 1;
                    let edits = self.edits.to_string();
                    let asset = self.assets.get_mut(&key.parse().unwrap()).unwrap();
                    asset.fingerprint = Fingerprint::of([*key, &edits]);
                }
                ["remove", key] => {
                    self.assets.remove(&key.parse().unwrap());
                }
                ["together", group, keys @ ..] => {
                    for key in keys {
                        let asset = self.assets.get_mut(&key.parse().unwrap()).unwrap();
                        asset.rules.atomic_group = Some((*group).to_owned());
                    }
                }
                ["now", day] => {
                    let noon = day.parse::<Date>().unwrap().at(12, 0, 0, 0);
                    self.now = noon
                        .to_zoned(jiff::tz::TimeZone::UTC)
                        .unwrap()
                        .timestamp()
                        .as_microsecond();
                }
                ["source", key, file, "gone"] => {
                    self.sources.get_mut(&key.parse().unwrap()).unwrap().remove(*file);
                }
                ["source", key, file, content, partitions @ ..] => {
                    let keys: Vec<PartitionKey> = partitions.iter().map(|text| partition(text)).collect();
                    let source = SourceFile {
                        path: (*file).to_owned(),
                        bytes: 1,
                        modified_ns: 0,
                        sha256: (*content).to_owned(),
                        partitions: (!keys.is_empty()).then_some(keys),
                    };
                    self.sources
                        .entry(key.parse().unwrap())
                        .or_default()
                        .insert((*file).to_owned(), source);
                }
                ["plan", ..] => self.plan(&line[5..]),
                ["run", ..] => self.run(&line[4..]),
                _ => panic!("not a command: {line}"),
            }
        }
        self.transcript
    }

    fn declare(&mut self, key: &str, kind: &str, set: &str, reads: &[&str]) {
        let partitions = partitioning(set);
        let inputs = reads.iter().skip(1).map(|read| {
            let (name, how) = read.split_once(':').unwrap_or((read, ""));
            let asset: AssetKey = name.parse().unwrap();
            let up = self.assets[&asset].partitions.as_ref().map(|by| &by.partitioning);
            let window = |ending| PartitionMapping::Window {
                length: "2 days".to_owned(),
                ending,
            };
            let (role, mapping) = match how {
                "" => (
                    InputRole::Rows,
                    PartitionMapping::inferred(partitions.as_ref(), up).unwrap(),
                ),
                "all" => (InputRole::Rows, PartitionMapping::All),
                "latest" => (InputRole::Rows, PartitionMapping::Latest),
                "two_days_before" => (InputRole::Rows, window(WindowEnd::Before)),
                alias => (
                    InputRole::Model(ModelReference::Alias(alias.to_owned())),
                    PartitionMapping::All,
                ),
            };
            AssetInput {
                asset,
                role,
                mapping,
                declared: true,
            }
        });
        let asset = Asset {
            key: key.parse().unwrap(),
            kind: kind.to_owned(),
            description: None,
            owner: None,
            tags: Vec::new(),
            key_columns: Vec::new(),
            sort_columns: Vec::new(),
            write: WriteMode::Replace,
            contract: assets::Contract::default(),
            inputs: inputs.collect(),
            partitions: partitions.clone().map(|partitioning| PartitionedBy {
                name: set.to_owned(),
                column: "day".to_owned(),
                partitioning,
            }),
            checks: Vec::new(),
            freshness: None,
            automation: None,
            rules: assets::StepRules::default(),
            config: json!({ "promote": { "alias": "champion", "when": "score >= champion.score" } }),
            fingerprint: Fingerprint::of([key]),
            declared_at: Location {
                file: "assets.toml".to_owned(),
                line: 1,
                column: 1,
            },
        };
        self.assets.insert(asset.key.clone(), asset);
    }

    /// What the program does before it plans: read the project, look at the sources.
    fn look(&mut self) {
        let graph = AssetGraph::new(self.assets.values().cloned()).unwrap();
        let settings = CoreSettings {
            slots: 2,
            ..CoreSettings::default()
        };
        turn(
            &mut self.world,
            self.now,
            Input::DefinitionsLoaded(Arc::new(Definitions::new(graph, settings))),
        )
        .unwrap();
        let ingest = self
            .assets
            .values()
            .filter(|asset| asset.kind == "ingest")
            .map(|asset| asset.key.clone());
        for asset in ingest.collect::<Vec<_>>() {
            let files = self
                .sources
                .get(&asset)
                .map(|files| files.values().cloned().collect())
                .unwrap_or_default();
            let observation = Observation { files, code: None };
            turn(&mut self.world, self.now, Input::Observed { asset, observation }).unwrap();
        }
    }

    fn plan(&mut self, rest: &str) {
        self.look();
        let (selection, partitions) = choice(rest);
        let assets = match selected(&self.world, self.now, selection) {
            Ok(assets) => assets,
            Err(error) => return writeln!(self.transcript, "{}", error.render()).unwrap(),
        };
        let plan = plan(
            &self.world,
            self.now,
            &PlanRequest {
                assets,
                partitions,
                force: false,
                only: None,
                alone: false,
            },
        );
        for step in &plan.steps {
            writeln!(self.transcript, "  {}: {}", step.step, step.reason).unwrap();
        }
        for (asset, count) in &plan.fresh {
            writeln!(self.transcript, "  fresh: {count} of {asset}").unwrap();
        }
        for problem in &plan.problems {
            writeln!(self.transcript, "  ! {problem}").unwrap();
        }
    }

    fn run(&mut self, rest: &str) {
        self.look();
        let words = rest
            .split_once(" failing ")
            .map_or((rest, ""), |(before, failing)| (before, failing));
        let (before, failing) = words;
        let (before, checks) = before.split_once(" check ").unwrap_or((before, ""));
        let (before, paced) = before.split_once(" paced ").unwrap_or((before, ""));
        let force = before.ends_with(" force");
        let (selection, partitions) = choice(before.trim_end_matches(" force"));
        let names = |text: &str| text.split_whitespace().map(step).collect::<Vec<_>>();
        let (failing, checks) = (names(failing), names(checks));
        let request = RunRequest {
            selection: selection.to_owned(),
            partitions,
            force,
            only: match paced {
                _ if paced.contains("missing") => Some(Only::Missing),
                _ if paced.contains("failed") => Some(Only::Failed),
                _ => None,
            },
            pace: Pace {
                newest_first: paced.contains("newest"),
                max_in_flight: number_after(paced, "room="),
                batch: number_after(paced, "batch="),
                priority: None,
            },
            owner: OwnerMode::Foreground,
            trigger: "scenario".to_owned(),
        };
        let mut inputs = std::collections::VecDeque::from([Input::Submit {
            request: 1,
            run: request,
        }]);
        let mut staged: BTreeMap<AssetPartition, Staged> = BTreeMap::new();
        let mut to_pause = paced.contains("pause");
        let mut paused = None;
        loop {
            let input = match (inputs.pop_front(), paused.take()) {
                (Some(input), still) => {
                    paused = still;
                    input
                }
                (None, Some(run)) => {
                    writeln!(self.transcript, "  quiet").unwrap();
                    Input::PauseRun {
                        request: 3,
                        run,
                        pause: false,
                    }
                }
                (None, None) => break,
            };
            self.now += 1_000_000;
            let turn = turn(&mut self.world, self.now, input).unwrap();
            for recorded in turn.events {
                self.tell(&recorded.event);
                if let Event::AttemptStarted { run, .. } = &recorded.event
                    && std::mem::take(&mut to_pause)
                {
                    paused = Some(run.clone());
                    inputs.push_front(Input::PauseRun {
                        request: 2,
                        run: run.clone(),
                        pause: true,
                    });
                }
            }
            for effect in turn.effects {
                match effect {
                    Effect::Start(order) => {
                        for ordered in &order.partitions {
                            let step = AssetPartition::new(order.asset.key.clone(), ordered.key.clone());
                            let attempt = order.attempt.clone();
                            if failing.contains(&step) {
                                let failure = Failure::new(FailureClass::Data, "a row is wrong");
                                inputs.push_back(Input::StepFailed {
                                    attempt,
                                    partition: ordered.key.clone(),
                                    failure,
                                });
                                continue;
                            }
                            let made = make(
                                &order.asset,
                                &ordered.key,
                                order.observation.as_ref(),
                                checks.contains(&step),
                            );
                            staged.insert(step, made.clone());
                            inputs.push_back(Input::Staged {
                                attempt,
                                staged: Box::new(made),
                            });
                        }
                        inputs.push_back(Input::AttemptEnded {
                            attempt: order.attempt.clone(),
                        });
                    }
                    Effect::Prepare { asset, members } => {
                        let tables: BTreeSet<&AssetKey> = members.iter().map(|member| &member.step.asset).collect();
                        let tables = tables.into_iter().map(|table| {
                            self.snapshots += 1;
                            PreparedTable {
                                table: table.clone(),
                                from: self.world.pointer(table).cloned(),
                                to: TablePointer {
                                    metadata_location: format!("memory:///{}.json", self.snapshots),
                                    snapshot_id: Some(self.snapshots),
                                },
                            }
                        });
                        let tables: Vec<PreparedTable> = tables.collect();
                        let members = members.into_iter().map(|member| PreparedMember {
                            staged: Box::new(staged[&member.step].clone()),
                            attempt: member.attempt,
                            step: member.step,
                        });
                        inputs.push_back(Input::CommitPrepared {
                            asset,
                            tables,
                            members: members.collect(),
                        });
                    }
                    Effect::KeepStaged(_) => {}
                    Effect::Reply { answer, .. } => self.answer(&answer),
                    Effect::CancelAttempt { .. } => {}
                }
            }
        }
    }

    fn answer(&mut self, answer: &Answer) {
        match answer {
            Answer::NothingToDo { .. } => writeln!(self.transcript, "  nothing to do").unwrap(),
            Answer::Refused { reasons } => writeln!(self.transcript, "  refused: {}", reasons.join("; ")).unwrap(),
            Answer::Accepted { steps, problems, .. } => {
                writeln!(self.transcript, "  accepted: {steps} steps").unwrap();
                for problem in problems {
                    writeln!(self.transcript, "  ! {problem}").unwrap();
                }
            }
            Answer::Paused { paused, .. } => writeln!(self.transcript, "  paused: {paused}").unwrap(),
            Answer::Canceling { .. }
            | Answer::Promoted { .. }
            | Answer::TableChanged
            | Answer::Adopted { .. }
            | Answer::TableMoved
            | Answer::Ticked { .. }
            | Answer::Schedule { .. }
            | Answer::SensorTicked { .. }
            | Answer::Sensor { .. }
            | Answer::Automation { .. } => {}
        }
    }

    fn tell(&mut self, event: &Event) {
        let line = match event {
            Event::AttemptStarted { asset, partitions, .. } => {
                let keys: Vec<String> = partitions.iter().flatten().map(ToString::to_string).collect();
                format!("start {asset} {}", keys.join(" "))
            }
            Event::StepSucceeded { materialization, .. } => format!("made {}", materialization.step),
            Event::StepFresh { step, .. } => format!("fresh {step}"),
            Event::StepFailed { step, failure, .. } => format!("failed {step}: {failure}"),
            Event::StepSkipped { step, because, .. } => format!("skipped {step} because of {because}"),
            Event::AliasMoved {
                model, alias, from, to, ..
            } => format!("{model}@{alias} moved from {from:?} to {to}"),
            Event::RunEnded { status, .. } => format!("run {}", status.as_str()),
            _ => return,
        };
        writeln!(self.transcript, "  {}", line.trim_end()).unwrap();
    }
}

fn make(asset: &Asset, key: &Option<PartitionKey>, observation: Option<&Observation>, fails: bool) -> Staged {
    let fed = |file: &&SourceFile| {
        file.partitions
            .as_ref()
            .is_none_or(|keys| key.as_ref().is_some_and(|k| keys.contains(k)))
    };
    let trains = asset.kind == "training";
    // The score grows with each edit of the model's code that the scenario makes: it is the digit sum of the fingerprint.
    let score = asset
        .fingerprint
        .as_str()
        .bytes()
        .filter(u8::is_ascii_digit)
        .map(|digit| f64::from(digit - b'0'))
        .sum();
    Staged {
        partition: key.clone(),
        tables: if trains {
            Vec::new()
        } else {
            vec![StagedTable {
                table: asset.key.clone(),
                replace: key.clone().map_or(Replace::Whole, Replace::Partition),
                rows: 1,
                bytes: 1,
                data_files: Value::Null,
                schema: Value::Null,
                partition_column: None,
                partitioned_by: None,
                changes: ColumnChanges::default(),
            }]
        },
        model: trains.then(|| StagedModel {
            artifact: "models/m".to_owned(),
            sha256: asset.fingerprint.to_string(),
            algorithm: "mean".to_owned(),
            metrics: BTreeMap::from([("score".to_owned(), score)]),
            parameters: BTreeMap::new(),
            details: Value::Null,
        }),
        checks: vec![CheckResult {
            name: "row_count".to_owned(),
            check: "row_count".to_owned(),
            severity: Severity::Error,
            passed: !fails,
            figure: None,
            expected: "at least 1 row".to_owned(),
            failing_rows: None,
            sample: None,
            error: None,
        }],
        metadata: BTreeMap::new(),
        sources: observation
            .map(|o| o.files.iter().filter(fed).cloned().collect())
            .unwrap_or_default(),
        data_version: None,
    }
}

fn number_after(text: &str, word: &str) -> Option<u32> {
    let (_, rest) = text.split_once(word)?;
    rest.split_whitespace().next()?.parse().ok()
}

fn choice(text: &str) -> (&str, Option<PartitionChoice>) {
    match text.split_once(" @ ") {
        None => (text, None),
        Some((selection, keys)) => match keys.split_once("..") {
            Some((from, to)) => (selection, Some(PartitionChoice::Range(partition(from), partition(to)))),
            None => (selection, Some(PartitionChoice::One(partition(keys)))),
        },
    }
}

#[test]
#[allow(clippy::disallowed_methods)] // Whether to write the transcripts anew is asked of the person who runs the test.
fn transcripts_are_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let bless = std::env::var_os("MILLPOND_BLESS").is_some();
    let mut scripts: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    scripts.sort();
    assert!(!scripts.is_empty());
    for script in scripts {
        let found = Scenario::new().play(&std::fs::read_to_string(&script).unwrap());
        let beside = script.with_extension("out");
        if bless {
            std::fs::write(&beside, found).unwrap();
        } else {
            let expected = std::fs::read_to_string(&beside).unwrap_or_default();
            assert!(
                found == expected,
                "{} says:\n{found}\ninstead of:\n{expected}",
                script.display()
            );
        }
    }
}
