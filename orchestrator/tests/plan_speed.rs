//! A large project is planned while a person waits: 35 assets of 10,000 partitions, and one of a million.
//!
//! `cargo test --release -p millpond --test plan_speed -- --ignored --nocapture`

use std::collections::BTreeMap;
use std::sync::Arc;

use assets::partition::{Grain, PartitionMapping, Partitioning, TimePartitions, WindowEnd};
use assets::{
    Asset, AssetGraph, AssetInput, AssetKey, AssetPartition, Fingerprint, InputRole, Location, PartitionedBy, WriteMode,
};
use jiff::civil::date;
use orchestrator::core::{CoreSettings, Definitions, PlanRequest, World, plan};
use serde_json::Value;
use state::event::{Event, Materialization, OwnerMode, Pace, PlannedStep, Recorded, RunRequest};
use state::ids::{AttemptId, RunId};

const ASSETS: usize = 35;
const PARTITIONS: i64 = 10_000;

fn asset(number: usize) -> Asset {
    let start = date(1990, 1, 1).at(0, 0, 0, 0);
    let partitioning = Partitioning::Time(TimePartitions {
        grain: Grain::Day,
        start,
        end: None,
        zone: "UTC".to_owned(),
    });
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
    if number > 1 && number % 5 == 0 {
        let length = "7 days".to_owned();
        inputs.push(reads(
            number - 2,
            PartitionMapping::Window {
                length,
                ending: WindowEnd::Before,
            },
        ));
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
            partitioning,
        }),
        key_columns: Vec::new(),
        sort_columns: Vec::new(),
        write: WriteMode::Replace,
        contract: assets::Contract::default(),
        inputs,
        checks: Vec::new(),
        freshness: None,
        automation: None,
        rules: assets::StepRules::default(),
        config: Value::Null,
        fingerprint: Fingerprint::of([number.to_string().as_str()]),
        declared_at: Location {
            file: "a.toml".to_owned(),
            line: 1,
            column: 1,
        },
    }
}

fn key(number: usize) -> AssetKey {
    format!("layer.a{number:02}").parse().unwrap()
}

#[test]
#[ignore = "a measurement: without optimization it says nothing"]
#[allow(clippy::disallowed_methods)] // It measures.
fn a_million_partitions_of_one_asset() {
    let mut minutes = asset(0);
    let start = date(2020, 1, 1).at(0, 0, 0, 0);
    let by = minutes.partitions.as_mut().unwrap();
    by.partitioning = Partitioning::Time(TimePartitions {
        grain: Grain::Minute,
        start,
        end: None,
        zone: "UTC".to_owned(),
    });
    let begins = start
        .to_zoned(jiff::tz::TimeZone::UTC)
        .unwrap()
        .timestamp()
        .as_microsecond();
    let at = begins + 1_000_000 * 60_000_000 + 1;
    let mut world = World::new(1);
    let graph = AssetGraph::new([minutes]).unwrap();
    world.set_definitions(Arc::new(Definitions::new(graph, CoreSettings::default())));
    let request = PlanRequest {
        assets: [key(0)].into(),
        ..PlanRequest::default()
    };
    let begun = std::time::Instant::now();
    let planned = plan(&world, at, &request);
    println!("{} steps are planned in {:?}", planned.steps.len(), begun.elapsed());
    assert_eq!(planned.steps.len(), 1_000_000);
}

#[test]
#[ignore = "a measurement: without optimization it says nothing"]
#[allow(clippy::disallowed_methods)] // It measures.
fn ten_thousand_partitions_of_35_assets() {
    let graph = AssetGraph::new((0..ASSETS).map(asset)).unwrap();
    let at = (date(1990, 1, 1)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .unwrap()
        .timestamp()
        .as_microsecond())
        + PARTITIONS * 86_400_000_000
        + 1;
    let mut world = World::new(1);
    world.set_definitions(Arc::new(Definitions::new(graph, CoreSettings::default())));
    let everything = world
        .definitions()
        .ordered()
        .iter()
        .map(|asset| asset.key.clone())
        .collect();
    let request = PlanRequest {
        assets: everything,
        partitions: None,
        force: false,
        only: None,
        alone: false,
    };

    let begun = std::time::Instant::now();
    let first = plan(&world, at, &request);
    println!(
        "nothing is materialized: {} steps in {:?}",
        first.steps.len(),
        begun.elapsed()
    );
    assert_eq!(first.steps.len(), ASSETS * PARTITIONS as usize);

    let begun = std::time::Instant::now();
    let run = RunId::from_bits(1);
    let steps: Vec<PlannedStep> = first
        .steps
        .iter()
        .map(|s| PlannedStep {
            step: s.step.clone(),
            reason: s.reason.to_string(),
        })
        .collect();
    let submit = RunRequest {
        selection: "*".to_owned(),
        partitions: None,
        force: false,
        only: None,
        pace: Pace::default(),
        owner: OwnerMode::Daemon,
        trigger: "test".to_owned(),
    };
    let apply = |world: &mut World, event: Event| world.apply(&Recorded { at, event }).unwrap();
    apply(
        &mut world,
        Event::RunSubmitted {
            run: run.clone(),
            request: submit,
            steps,
            definitions: None,
        },
    );
    println!("the run is submitted in {:?}", begun.elapsed());

    // Everything is materialized, an asset at a time.
    for (number, definition) in world.definitions().clone().ordered().iter().enumerate() {
        let attempt = AttemptId::from_bits(number as u64);
        let mine = first
            .steps
            .iter()
            .filter(|s| s.step.asset == definition.key)
            .map(|s| s.step.partition.clone());
        let partitions: Vec<_> = mine.collect();
        apply(
            &mut world,
            Event::AttemptStarted {
                attempt: attempt.clone(),
                run: run.clone(),
                asset: definition.key.clone(),
                partitions: partitions.clone(),
                number: 1,
                inputs: Vec::new(),
                table: None,
            },
        );
        let versions = world.attempt(&attempt).unwrap().versions.clone();
        for (partition, inputs) in partitions.into_iter().zip(versions) {
            let step = AssetPartition::new(definition.key.clone(), partition);
            let name = step.to_string();
            apply(
                &mut world,
                Event::StepSucceeded {
                    run: run.clone(),
                    attempt: attempt.clone(),
                    materialization: Materialization {
                        step,
                        fingerprint: definition.fingerprint.clone(),
                        data_version: Fingerprint::of([name.as_str()]),
                        inputs,
                        snapshot_id: None,
                        rows: 1,
                        bytes: 1,
                        metadata: BTreeMap::new(),
                        checks: Vec::new(),
                        sources: Vec::new(),
                    },
                },
            );
        }
    }
    let begun = std::time::Instant::now();
    let second = plan(&world, at, &request);
    println!("all is fresh: {} steps in {:?}", second.steps.len(), begun.elapsed());
    assert!(second.steps.is_empty());
}
