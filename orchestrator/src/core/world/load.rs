//! The world as the store has it. Comes to the same as applying every event since the beginning, except for what ended runs
//! leave behind in neither.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::assets::{Fingerprint, PartitionKey};

use state::Loaded;
use state::sqlite::load::{LoadedAttempt, LoadedRun};
use state::status::StepStatus;

use super::super::definitions::Definitions;
use super::super::staleness::Sight;
use super::assets::{LastFailure, LastMaterialization, ModelRecord, ModelVersion, sources_of};
use super::runs::Attempt;
use super::{FreshnessRecord, Run, ScheduleRecord, SensorRecord, World};

impl World {
    /// The world that the store remembers, seen through these definitions. What was in flight is decided by
    /// [`super::super::Input::Recover`], which has to come before any other input.
    pub fn from_loaded(loaded: Loaded, definitions: Arc<Definitions>, seed: u64) -> Self {
        Self::from_loaded_with(loaded, definitions, &BTreeMap::new(), seed)
    }

    /// The same, where versions of the definitions were `kept`: open runs are seen through those that they were planned with.
    pub fn from_loaded_with(
        loaded: Loaded,
        definitions: Arc<Definitions>,
        kept: &BTreeMap<Fingerprint, Arc<Definitions>>,
        seed: u64,
    ) -> Self {
        let mut world = Self::new(seed);
        world.definitions = definitions;
        world.unrecovered = true;
        world.pointers = loaded.pointers;
        let mut sources = loaded.sources;
        for partition in loaded.partitions {
            let failed = partition.failed_last();
            let read = sources.remove(&partition.step).unwrap_or_default();
            let record = world.assets.entry(partition.step.asset.clone()).or_default();
            record.newest = record.newest.max(partition.current.as_ref().map(|made| made.at));
            let record = record.partitions.entry(partition.step.partition.clone()).or_default();
            let by_check = partition.failed_by_check;
            record.failure = partition
                .failed
                .filter(|_| failed)
                .map(|(_, at)| LastFailure { at, by_check });
            record.materialization = partition.current.map(|made| LastMaterialization {
                run: made.run,
                at: made.at,
                snapshot_id: made.snapshot_id,
                fingerprint: made.fingerprint,
                data_version: made.data_version,
                inputs: made.inputs.into_iter().collect(),
                sources: sources_of(&read, partition.step.partition.as_ref()),
            });
        }
        world.load_rollbacks(loaded.rolled_back);
        for (asset, looked) in loaded.observations {
            world.assets.entry(asset).or_default().observe(&looked.observation);
        }
        for (model, known) in loaded.models {
            let versions = known.versions.into_iter().map(|(number, version)| {
                let known = ModelVersion {
                    artifact: version.artifact,
                    sha256: version.sha256,
                    metrics: version.metrics,
                };
                (number, known)
            });
            world.models.insert(
                model,
                ModelRecord {
                    versions: versions.collect(),
                    aliases: known.aliases,
                },
            );
        }
        for (name, schedule) in loaded.schedules {
            let record = ScheduleRecord {
                times: schedule.times,
                declared: schedule.declared,
                paused: schedule.paused,
                accounted: schedule.accounted,
                last_by_hand: schedule.last_by_hand,
            };
            world.schedules.insert(name, record);
        }
        for (asset, known) in loaded.freshness {
            let record = FreshnessRecord {
                state: known.state,
                since: known.since,
                watched: known.watched,
                late_at: known.late_at,
            };
            world.freshness.insert(asset, record);
        }
        world.automation.paused = loaded.automation_paused;
        for (asset, at, held) in loaded.held {
            world.automation.hold(at, &asset, &[held]);
        }
        world.look_through_schedules();
        world.look_at_everything();
        world.alerts = loaded
            .alerts
            .into_iter()
            .map(|(name, alert)| (name, alert.into()))
            .collect();
        for (name, sensor) in loaded.sensors {
            world.sensors.insert(name, SensorRecord::loaded(sensor));
        }
        for run in loaded.runs {
            let version = run.definitions.as_ref();
            let definitions = version
                .and_then(|version| kept.get(version))
                .unwrap_or(&world.definitions);
            let definitions = Arc::clone(definitions);
            world.load_run(run, definitions);
        }
        world
    }

    fn load_run(&mut self, loaded: LoadedRun, definitions: Arc<Definitions>) {
        self.submitted += 1;
        let names = loaded.steps.iter().map(|step| step.step.clone());
        let mut run = Run::open(
            loaded.run.clone(),
            self.submitted,
            loaded.request,
            loaded.submitted_at,
            definitions,
            names,
        );
        run.status = loaded.status;
        run.paused = loaded.paused;
        run.last_start = loaded.last_start.map_or(run.last_start, |at| at.max(run.last_start));
        for (position, step) in loaded.steps.into_iter().enumerate() {
            let held = matches!(step.status, StepStatus::Running | StepStatus::Publishing);
            let known = &mut run.steps[position];
            known.status = step.status;
            known.tries = step.number;
            known.retries = step.retries;
            known.attempt = step.attempt.filter(|_| held);
            run.failed |= step.status == StepStatus::Failed;
            if step.status.is_terminal() {
                run.open -= 1;
                run.step_ended(position as u32, step.status == StepStatus::Succeeded);
            } else if held {
                let group = known.group as usize;
                run.groups[group].ready.remove(&(position as u32));
                run.in_flight += usize::from(run.counts_in_flight(position as u32));
            } else if let Some(due) = step.retry_at {
                let group = known.group as usize;
                run.groups[group].ready.remove(&(position as u32));
                run.delayed.insert(position as u32, due);
                self.retries.insert((due, run.id.clone(), position as u32));
            }
        }
        run.attempts = loaded
            .attempts
            .iter()
            .filter(|attempt| attempt.ended_at.is_none())
            .count();
        let attempts: Vec<Attempt> = loaded
            .attempts
            .into_iter()
            .map(|attempt| self.load_attempt(&run, attempt))
            .collect();
        self.attempts
            .extend(attempts.into_iter().map(|attempt| (attempt.id.clone(), attempt)));
        self.order.insert(run.number, run.id.clone());
        self.runs.insert(run.id.clone(), run);
    }

    fn load_attempt(&self, run: &Run, loaded: LoadedAttempt) -> Attempt {
        let mut steps = Vec::new();
        if let Some(group) = run.groups.iter().find(|group| group.asset == loaded.asset) {
            steps.extend(
                loaded
                    .partitions
                    .iter()
                    .filter_map(|partition| group.positions.get(partition))
                    .copied(),
            );
        }
        let current = |position: &&u32| run.steps[**position as usize].attempt.as_ref() == Some(&loaded.attempt);
        let sight = Sight::new(self, &run.definitions, loaded.started_at);
        let versions = steps.iter().map(|&position| match run.definitions.get(&loaded.asset) {
            Some(asset) => sight.input_versions(asset, run.steps[position as usize].partition.as_ref()),
            None => std::collections::BTreeMap::new(),
        });
        let of_partitions = |partitions: Vec<Option<PartitionKey>>| {
            let mine = steps.iter().copied();
            mine.filter(|&position| partitions.contains(&run.steps[position as usize].partition))
                .collect()
        };
        let versions: Vec<_> = versions.collect();
        let names: Vec<_> = steps.iter().map(|&position| run.name(position)).collect();
        Attempt {
            timed_out: loaded.timed_out.map(of_partitions),
            run: run.id.clone(),
            tried: self.to_be_tried(&run.definitions, loaded.started_at, &names, &versions),
            versions,
            open: steps.iter().filter(current).count(),
            steps,
            id: loaded.attempt,
            asset: loaded.asset,
            number: loaded.number,
            inputs: loaded.inputs,
            started_at: loaded.started_at,
            ended: loaded.ended_at.is_some(),
        }
    }
}
