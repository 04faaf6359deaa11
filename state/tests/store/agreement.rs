//! Every question a page or the core asks, answered by the store and by the plain model.

use std::collections::{BTreeMap, BTreeSet};

use assets::{AssetKey, AssetPartition};
use state::Store;
use state::queries::asset_partitions::asset_partitions;
use state::queries::run_steps::{StepFilter, run_steps};
use state::queries::runs::{RunFilter, StepCounts, runs};
use state::queries::{
    assets as asset_queries, attempts, checks, materializations, models, run as run_query, schedules, sources, why,
};
use state::schedule::Tick;
use state::status::StepStatus;

use crate::model::Model;
use crate::words::asset;

/// Follows a list to its end in pages of two.
pub(crate) fn every<T, C>(mut page: impl FnMut(Option<&C>) -> state::queries::Page<T, C>) -> Vec<T> {
    let (mut rows, mut next) = (Vec::new(), None);
    loop {
        let part = page(next.as_ref());
        assert!(part.rows.len() <= 2);
        rows.extend(part.rows);
        match part.next {
            Some(cursor) => next = Some(cursor),
            None => return rows,
        }
    }
}

fn counts<'s>(statuses: impl Iterator<Item = &'s StepStatus>) -> StepCounts {
    let mut counts = StepCounts::default();
    for status in statuses {
        *match status {
            StepStatus::Waiting => &mut counts.waiting,
            StepStatus::Running => &mut counts.running,
            StepStatus::Publishing => &mut counts.publishing,
            StepStatus::Succeeded => &mut counts.succeeded,
            StepStatus::Failed => &mut counts.failed,
            StepStatus::Skipped => &mut counts.skipped,
            StepStatus::Canceled => &mut counts.canceled,
        } += 1;
    }
    counts
}

/// Panics where the store and the model differ.
pub(crate) fn agree(store: &Store, model: &Model) {
    runs_agree(store, model);
    partitions_agree(store, model);
    registry_agrees(store, model);
    schedules_agree(store, model);
    crate::automation::agree(store, model);
    crate::alerts::agree(store, &model.alerts);
    load_agrees(store, model);
}

fn schedules_agree(store: &Store, model: &Model) {
    let listed = every(|after: Option<&String>| schedules::schedules(store, after.map(String::as_str), 2).unwrap());
    let expected: Vec<_> = model.schedules.iter().collect();
    assert_eq!(listed.len(), expected.len());
    let loaded = store.load().unwrap();
    for (row, (name, expected)) in listed.iter().zip(expected) {
        assert_eq!((&row.schedule, &row.times), (name, &expected.times));
        assert_eq!((row.declared, row.accounted), (expected.declared, expected.accounted));
        let paused = row.paused_at.zip(row.paused_by.clone());
        assert_eq!(paused, expected.paused);
        let remembered = &loaded.schedules[name];
        let of_it = || model.ticks.iter().rev().filter(|(_, _, tick)| tick.schedule == *name);
        assert_eq!(
            (
                &remembered.times,
                remembered.declared,
                &remembered.paused,
                remembered.accounted
            ),
            (&expected.times, expected.declared, &expected.paused, expected.accounted)
        );
        let by_hand = of_it()
            .filter(|(_, _, tick)| tick.by_hand)
            .map(|(_, _, tick)| tick.instant);
        assert_eq!(remembered.last_by_hand, by_hand.max());
        let ticks = every(|before: Option<&i64>| schedules::ticks(store, name, before.copied(), 2).unwrap());
        ticks_agree(&ticks, of_it(), store, model);
    }
    let all = every(|before: Option<&i64>| schedules::all_ticks(store, before.copied(), 2).unwrap());
    ticks_agree(&all, model.ticks.iter().rev(), store, model);
}

fn ticks_agree<'m>(
    rows: &[schedules::TickRow],
    expected: impl Iterator<Item = &'m (i64, i64, Tick)>,
    store: &Store,
    model: &Model,
) {
    let expected: Vec<_> = expected.collect();
    assert_eq!(rows.len(), expected.len());
    for (row, (seq, at, tick)) in rows.iter().zip(expected) {
        assert_eq!((row.seq, row.at), (*seq, *at));
        assert_eq!(
            (&row.schedule, row.instant, row.last),
            (&tick.schedule, tick.instant, tick.last)
        );
        assert_eq!(
            (row.count, row.status, &row.reason),
            (tick.count, tick.status, &tick.reason)
        );
        assert_eq!((&row.run, row.by_hand), (&tick.run, tick.by_hand));
        let status = tick.run.as_ref().map(|run| model.runs[run].status.as_str());
        assert_eq!(row.run_status.as_deref(), status);
        if let Some(run) = &tick.run {
            let found = schedules::tick_of_run(store, run).unwrap().unwrap();
            assert_eq!(found.run.as_ref(), Some(run));
        }
    }
}

fn runs_agree(store: &Store, model: &Model) {
    let listed = every(|before| runs(store, &RunFilter::default(), before.copied(), 2).unwrap());
    let mut expected: Vec<_> = model.runs.iter().collect();
    expected.sort_by_key(|(_, run)| -run.seq);
    assert_eq!(
        listed
            .iter()
            .map(|row| (&row.run, row.seq, row.status))
            .collect::<Vec<_>>(),
        expected
            .iter()
            .map(|(id, run)| (*id, run.seq, run.status))
            .collect::<Vec<_>>()
    );
    for (id, expected) in expected {
        let detail = run_query::run(store, id).unwrap().unwrap();
        assert_eq!(detail.request, expected.request);
        assert_eq!(detail.row.paused, expected.paused);
        assert_eq!(
            (detail.row.submitted_at, detail.row.started_at, detail.row.ended_at),
            (expected.submitted_at, expected.started_at, expected.ended_at)
        );
        let of_run: BTreeMap<_, _> = model.steps.iter().filter(|((run, _), _)| run == id).collect();
        assert_eq!(detail.row.steps, counts(of_run.values().map(|step| &step.status)));
        for by_asset in &detail.assets {
            let statuses = of_run
                .iter()
                .filter(|((_, step), _)| step.asset == by_asset.asset)
                .map(|(_, step)| &step.status);
            assert_eq!(by_asset.steps, counts(statuses));
        }
        let rows = every(|after| run_steps(store, id, &StepFilter::default(), after, 2).unwrap());
        assert_eq!(rows.len(), of_run.len());
        for (row, ((_, step), expected)) in rows.iter().zip(&of_run) {
            assert_eq!(&row.step, step);
            assert_eq!(row.status, expected.status);
            assert_eq!(
                (&row.reason, &row.attempt, row.number),
                (&expected.reason, &expected.attempt, expected.number)
            );
            assert_eq!(
                (row.rows, &row.failure, &row.because),
                (expected.rows, &expected.failure, &expected.because)
            );
            assert_eq!((row.started_at, row.ended_at), (expected.started_at, expected.ended_at));
            assert_eq!(row.requeued, expected.requeued);
        }
        for status in StepStatus::ALL {
            for filter_asset in [None, Some(asset("silver.flights"))] {
                let filter = StepFilter {
                    asset: filter_asset.clone(),
                    status: Some(status),
                };
                let rows = every(|after| run_steps(store, id, &filter, after, 2).unwrap());
                let mut expected = model.steps_in(id, &[status]);
                expected.retain(|step| filter_asset.as_ref().is_none_or(|asset| *asset == step.asset));
                assert_eq!(rows.into_iter().map(|row| row.step).collect::<Vec<_>>(), expected);
            }
        }
        let rows = every(|after| attempts::attempts(store, id, None, after.copied(), 2).unwrap());
        let mut expected: Vec<_> = model
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.run == *id)
            .collect();
        expected.sort_by_key(|(_, attempt)| attempt.seq);
        assert_eq!(rows.len(), expected.len());
        for (row, (id, expected)) in rows.iter().zip(expected) {
            assert_eq!(
                (&row.attempt, row.number, &row.asset),
                (id, expected.number, &expected.asset)
            );
            assert_eq!(row.partitions, expected.partitions);
            assert_eq!((row.started_at, row.ended_at), (expected.started_at, expected.ended_at));
            assert_eq!(row.failure, expected.failure);
            assert_eq!(row.log_file, format!("logs/{}/{id}.jsonl", row.run));
        }
    }
}

fn partitions_agree(store: &Store, model: &Model) {
    let ran: BTreeSet<AssetPartition> = model
        .made
        .iter()
        .map(|made| made.what.step.clone())
        .chain(model.failed.iter().map(|f| f.step.clone()))
        .collect();
    let keys: BTreeSet<AssetKey> = ran.iter().map(|step| step.asset.clone()).collect();
    let summaries = every(|after| asset_queries::assets(store, after, 2).unwrap());
    assert_eq!(
        summaries.iter().map(|row| row.asset.clone()).collect::<BTreeSet<_>>(),
        keys
    );
    for summary in summaries {
        let key = &summary.asset;
        let rows = every(|after: Option<&Option<_>>| {
            asset_partitions(store, key, false, after.and_then(|after| after.as_ref()), 2).unwrap()
        });
        let expected: Vec<_> = ran.iter().filter(|step| step.asset == *key).collect();
        assert_eq!(rows.len(), expected.len());
        let (mut total_rows, mut materialized, mut failed) = (0, 0, Vec::new());
        for (row, step) in rows.iter().zip(expected) {
            assert_eq!(row.partition, step.partition);
            let newest = model.made.iter().rfind(|made| made.what.step == *step);
            let failure = model.failed.iter().rfind(|failed| failed.step == *step);
            assert_eq!(
                row.current.as_ref().map(|current| current.seq),
                newest.map(|made| made.seq)
            );
            if let (Some(current), Some(made)) = (&row.current, newest) {
                assert_eq!(
                    (current.at, &current.run, current.rows),
                    (made.at, &made.run, made.what.rows)
                );
                assert_eq!(
                    (&current.inputs, current.snapshot_id),
                    (&made.what.inputs, made.what.snapshot_id)
                );
                assert_eq!(current.data_version, made.what.data_version);
                total_rows += made.what.rows;
                materialized += 1;
            }
            assert_eq!(
                row.last_failure.as_ref().map(|last| last.seq),
                failure.map(|failed| failed.seq)
            );
            if let (Some(last), Some(failed)) = (&row.last_failure, failure) {
                assert_eq!(
                    (last.at, &last.run, &last.failure),
                    (failed.at, &failed.run, &failed.failure)
                );
            }
            let failed_last = failure.map_or(0, |failed| failed.seq) > newest.map_or(0, |made| made.seq);
            assert_eq!(row.failed, failed_last);
            failed.extend(failed_last.then(|| row.partition.clone()));

            let facts = why::why(store, step, 100).unwrap();
            assert_eq!(facts.partition.as_ref(), Some(row));
            assert_eq!(
                facts.made_by.map(|made| made.attempt.unwrap().attempt),
                newest.map(|made| made.attempt.clone())
            );
            let mut tried: Vec<_> = model
                .attempts
                .iter()
                .filter(|(_, one)| one.asset == step.asset && one.partitions.contains(&step.partition))
                .map(|(id, one)| (-one.seq, id.clone(), one.step_failures.get(step).cloned()))
                .collect();
            tried.sort_by_key(|(seq, ..)| *seq);
            assert_eq!(
                facts
                    .attempts
                    .into_iter()
                    .map(|one| (-one.attempt.seq, one.attempt.attempt, one.failure))
                    .collect::<Vec<_>>(),
                tried
            );
            let history = every(|before| materializations::of_partition(store, step, before.copied(), 2).unwrap());
            let expected: Vec<_> = model.made.iter().rev().filter(|made| made.what.step == *step).collect();
            assert_eq!(
                history
                    .iter()
                    .map(|row| (row.seq, &row.attempt, &row.metadata))
                    .collect::<Vec<_>>(),
                expected
                    .iter()
                    .map(|made| (made.seq, &made.attempt, &made.what.metadata))
                    .collect::<Vec<_>>()
            );
        }
        assert_eq!(
            (summary.materialized, summary.rows, summary.failed),
            (materialized, total_rows, failed.len() as u64)
        );
        let failed_rows = every(|after: Option<&Option<_>>| {
            asset_partitions(store, key, true, after.and_then(|after| after.as_ref()), 2).unwrap()
        });
        assert_eq!(
            failed_rows.into_iter().map(|row| row.partition).collect::<Vec<_>>(),
            failed
        );
        let made = every(|before| materializations::of_asset(store, key, before.copied(), 2).unwrap());
        let expected: Vec<_> = model
            .made
            .iter()
            .rev()
            .filter(|made| made.what.step.asset == *key)
            .collect();
        assert_eq!(
            made.iter().map(|row| row.seq).collect::<Vec<_>>(),
            expected.iter().map(|m| m.seq).collect::<Vec<_>>()
        );
        assert_eq!(summary.materializations, expected.len() as u64);
        assert_eq!(summary.last_at, expected.first().map(|made| made.at));

        let latest = checks::latest(store, key, 100).unwrap();
        let names: BTreeSet<_> = model
            .checked
            .iter()
            .filter(|one| one.step.asset == *key)
            .map(|one| one.result.name.clone())
            .collect();
        assert_eq!(
            latest
                .iter()
                .map(|row| row.result.name.clone())
                .collect::<BTreeSet<_>>(),
            names
        );
        assert_eq!(latest.len(), names.len());
        for row in latest {
            let expected: Vec<_> = model
                .checked
                .iter()
                .rev()
                .filter(|one| one.step.asset == *key && one.result.name == row.result.name)
                .map(|one| (one.seq, one.step.clone(), one.published, one.result.clone()))
                .collect();
            let history = every(|before| checks::history(store, key, &row.result.name, before.copied(), 2).unwrap());
            let history: Vec<_> = history
                .into_iter()
                .map(|row| (row.seq, row.step, row.published, row.result))
                .collect();
            assert_eq!(history, expected);
            assert_eq!((row.seq, &row.result), (expected[0].0, &expected[0].3));
        }
    }
}

fn registry_agrees(store: &Store, model: &Model) {
    let tables: BTreeMap<_, _> = store
        .catalog_tables(None, 100)
        .unwrap()
        .into_iter()
        .inspect(|table| assert!(!table.moved_outside()))
        .map(|table| (table.asset, table.known.unwrap()))
        .collect();
    assert_eq!(tables, model.pointers);
    for (table, pointer) in &model.pointers {
        assert_eq!(store.pointer(table).unwrap().as_ref(), Some(pointer));
    }
    assert_eq!(store.boot().unwrap(), model.boot);
    let key = asset("models.delay");
    let versions = every(|before| models::versions(store, &key, before.copied(), 2).unwrap());
    let expected: Vec<_> = model.versions.iter().rev().collect();
    assert_eq!(versions.len(), expected.len());
    for (row, ((_, version), staged)) in versions.iter().zip(expected) {
        assert_eq!(
            (row.version, &row.metrics, &row.parameters),
            (*version, &staged.metrics, &staged.parameters)
        );
        let aliases: Vec<_> = model
            .aliases
            .iter()
            .filter(|(_, to)| *to == version)
            .map(|((_, alias), _)| alias.clone())
            .collect();
        assert_eq!(row.aliases, aliases);
    }
    for row in models::models(store, None, 10).unwrap().rows {
        assert_eq!(row.newest_version, model.versions.len() as u64);
        assert_eq!(
            row.aliases,
            model
                .aliases
                .iter()
                .map(|((_, alias), to)| (alias.clone(), *to))
                .collect()
        );
    }
    let moves = every(|before| models::alias_moves(store, &key, before.copied(), 2).unwrap());
    assert_eq!(
        moves
            .into_iter()
            .map(|row| (row.seq, key.clone(), row.alias, row.from, row.to))
            .collect::<Vec<_>>(),
        model.alias_moves.iter().rev().cloned().collect::<Vec<_>>()
    );
    for (asset, (at, observation)) in &model.observed {
        assert_eq!(sources::source(store, asset).unwrap().unwrap().at, *at);
        assert_eq!(
            every(|after: Option<&String>| sources::source_files(store, asset, after.map(String::as_str), 2).unwrap()),
            observation.files
        );
    }
}

/// What a restart reads.
pub(crate) fn load_agrees(store: &Store, model: &Model) {
    let loaded = store.load().unwrap();
    assert_eq!(loaded.last_seq, model.events.len() as i64);
    assert_eq!(loaded.last_at, model.events.last().map(|last| last.at));
    let mut open: Vec<_> = model.runs.iter().filter(|(_, run)| !run.status.is_terminal()).collect();
    open.sort_by_key(|(_, run)| run.seq);
    assert_eq!(loaded.runs.len(), open.len());
    for (found, (id, expected)) in loaded.runs.iter().zip(open) {
        assert_eq!(
            (&found.run, found.seq, found.status),
            (id, expected.seq, expected.status)
        );
        assert_eq!(
            found.steps.iter().map(|step| step.step.clone()).collect::<Vec<_>>(),
            expected.plan
        );
        for step in &found.steps {
            let expected = &model.steps[&(id.clone(), step.step.clone())];
            assert_eq!(
                (step.status, &step.attempt, step.number),
                (expected.status, &expected.attempt, expected.number)
            );
            assert_eq!(
                (&step.failure, &step.because, step.rows),
                (&expected.failure, &expected.because, expected.rows)
            );
        }
        let held = |attempt: &_| {
            let in_hand = [StepStatus::Running, StepStatus::Publishing];
            found
                .steps
                .iter()
                .any(|step| step.attempt.as_ref() == Some(attempt) && in_hand.contains(&step.status))
        };
        let mut expected: Vec<_> = model
            .attempts
            .iter()
            .filter(|(attempt, one)| one.run == *id && (one.ended_at.is_none() || held(attempt)))
            .collect();
        expected.sort_by_key(|(_, one)| one.seq);
        assert_eq!(
            found
                .attempts
                .iter()
                .map(|one| (&one.attempt, &one.partitions, one.ended_at))
                .collect::<Vec<_>>(),
            expected
                .iter()
                .map(|(attempt, one)| (*attempt, &one.partitions, one.ended_at))
                .collect::<Vec<_>>()
        );
    }
    assert_eq!(loaded.pointers, model.pointers);
    assert!(loaded.moved_outside.is_empty());
    let observed: BTreeMap<_, _> = loaded
        .observations
        .into_iter()
        .map(|(asset, looked)| (asset, (looked.at, looked.observation)))
        .collect();
    assert_eq!(observed, model.observed);
    let mut sorted = loaded.partitions.clone();
    sorted.sort_by(|a, b| a.step.cmp(&b.step));
    assert_eq!(sorted, loaded.partitions);
    for partition in &loaded.partitions {
        let newest = model.made.iter().rfind(|made| made.what.step == partition.step);
        assert_eq!(
            partition.current.as_ref().map(|current| current.seq),
            newest.map(|made| made.seq)
        );
        if let (Some(current), Some(made)) = (&partition.current, newest) {
            assert_eq!(current.fingerprint, made.what.fingerprint);
            assert_eq!((&current.run, current.at), (&made.run, made.at));
            assert_eq!(current.inputs, made.what.inputs.clone().into_iter().collect::<Vec<_>>());
        }
        let failed = model.failed.iter().rfind(|failed| failed.step == partition.step);
        assert_eq!(partition.failed, failed.map(|failed| (failed.seq, failed.at)));
        assert_eq!(
            partition.failed_last(),
            failed.map_or(0, |failed| failed.seq) > newest.map_or(0, |made| made.seq)
        );
    }
    // What the newest materializations of observed assets were made of.
    let newest: BTreeMap<_, _> = model.made.iter().map(|made| (made.what.step.clone(), made)).collect();
    let read: BTreeMap<_, _> = newest
        .into_iter()
        .filter(|(step, _)| model.observed.contains_key(&step.asset))
        .map(|(step, made)| (step, made.what.sources.clone()))
        .collect();
    assert_eq!(loaded.sources, read);
    let versions: usize = loaded.models.values().map(|model| model.versions.len()).sum();
    assert_eq!(versions, model.versions.len());
    for (key, loaded_model) in &loaded.models {
        assert_eq!(loaded_model.next_version(), model.versions.len() as u64 + 1);
        for (alias, version) in &loaded_model.aliases {
            assert_eq!(model.aliases[&(key.clone(), alias.clone())], *version);
        }
    }
}
