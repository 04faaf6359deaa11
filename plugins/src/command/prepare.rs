//! What one program finds: its folders, its context and its environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assets::outcome::{Failure, FailureClass};
use assets::partition::Partitioning;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::CommandConfig;
use super::process::ProcessOrder;
use super::protocol::{ContextPlace, PipesContext, TextRange, variables};
use crate::step::OrderedPartition;
use crate::step_run::{StepContext, of_io, scratch};

/// Bytes of a context that a program is told in its environment; a longer one is a file. The system has a limit of its own
/// (128 KiB for a variable on Linux), and the environment is copied at each start of a process.
const LARGEST_IN_A_VARIABLE: usize = 16 * 1024;

/// One program, ready to start.
pub(super) struct Prepared {
    pub(super) order: ProcessOrder,
    /// Where its messages come.
    pub(super) messages: PathBuf,
    /// Where it leaves rows.
    pub(super) output: PathBuf,
    /// Its asset, as the protocol writes it: `layer/name`.
    pub(super) asset: String,
}

/// Makes the folders and files of one step. Nothing of an earlier try is left in them.
pub(super) async fn prepare(
    config: &CommandConfig,
    context: &StepContext<'_>,
    partitions: &[OrderedPartition],
) -> Result<Prepared, Failure> {
    let (folder, output) =
        scratch::for_a_program(context.scratch()).map_err(|error| of_io("make the output folder", &error))?;
    let order = context.order();
    let asset = format!("{}/{}", order.asset.key.layer(), order.asset.key.name());
    let extras = json!({
        "asset": order.asset.key,
        "project_folder": order.project.root,
        "output_folder": text(&output)?,
        "inputs": inputs(context).await?,
        "params": order.project.params,
        "seed": context.seed(),
        "attempt": order.attempt,
        "partition_keys": partitions.iter().filter_map(|partition| partition.key.as_ref()).collect::<Vec<_>>(),
    });
    let told = pipes_context(context, partitions, &asset, extras);
    let told = serde_json::to_value(&told).expect("a context has a JSON form");
    let told = if told.to_string().len() <= LARGEST_IN_A_VARIABLE {
        ContextPlace::Here(told)
    } else {
        let file = folder.join("context.json");
        std::fs::write(&file, told.to_string()).map_err(|error| of_io("write the context", &error))?;
        ContextPlace::File(text(&file)?.to_owned())
    };
    let messages = folder.join("messages.jsonl");
    let mut environment = config.env.clone();
    environment.extend(variables(told, text(&messages)?));
    let mark = match partitions {
        [OrderedPartition { key: Some(key), .. }] => format!("{}@{key}", order.attempt),
        _ => order.attempt.clone(),
    };
    let root = Path::new(&order.project.root);
    let (program, arguments) = config
        .command
        .split_first()
        .ok_or_else(|| Failure::new(FailureClass::Internal, "the compiled asset names no program"))?;
    Ok(Prepared {
        order: ProcessOrder {
            program: program.clone(),
            arguments: arguments.to_vec(),
            working_directory: config
                .working_directory
                .as_ref()
                .map_or_else(|| root.to_owned(), |folder| root.join(folder)),
            environment,
            mark,
        },
        messages,
        output,
        asset,
    })
}

fn text(path: &Path) -> Result<&str, Failure> {
    path.to_str().ok_or_else(|| {
        Failure::new(
            FailureClass::Io,
            format!("the path `{}` is no UTF-8, which the protocol needs", path.display()),
        )
    })
}

fn pipes_context(
    context: &StepContext<'_>,
    partitions: &[OrderedPartition],
    asset: &str,
    extras: Value,
) -> PipesContext {
    let order = context.order();
    let key_of = |partition: &OrderedPartition| partition.key.as_ref().map(|key| key.as_str().to_owned());
    let (first, last) = (partitions.first().and_then(key_of), partitions.last().and_then(key_of));
    // As Dagster's own: a range of partitions has no single key.
    let key = first.clone().filter(|_| partitions.len() == 1);
    let starts = partitions.iter().filter_map(|partition| partition.bounds);
    let bounds = starts.reduce(|(start, end), (from, to)| (start.min(from), end.max(to)));
    PipesContext {
        asset_keys: Some(vec![asset.to_owned()]),
        code_version_by_asset_key: Some(BTreeMap::from([(
            asset.to_owned(),
            Some(order.asset.fingerprint.as_str().to_owned()),
        )])),
        provenance_by_asset_key: Some(BTreeMap::from([(asset.to_owned(), None)])),
        partition_key_range: first.zip(last).map(|(start, end)| TextRange { start, end }),
        partition_key: key,
        partition_time_window: bounds.and_then(|bounds| time_window(context, bounds)),
        run_id: order.run.clone(),
        job_name: None,
        retry_number: order.number.saturating_sub(1),
        extras,
    }
}

/// Start and end of a partition by time as ISO 8601, with the offset of its own zone.
fn time_window(context: &StepContext<'_>, (start, end): (i64, i64)) -> Option<TextRange> {
    let zone = match &context.asset().partitions.as_ref()?.partitioning {
        Partitioning::Time(time) => TimeZone::get(&time.zone).unwrap_or(TimeZone::UTC),
        _ => TimeZone::UTC,
    };
    let iso = |micros: i64| {
        let at = Timestamp::from_microsecond(micros).ok()?.to_zoned(zone.clone());
        Some(at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
    };
    Some(TextRange {
        start: iso(start)?,
        end: iso(end)?,
    })
}

/// For each asset that the program reads: the Parquet files of the step's rows, and the version they belong to. What an asset
/// has made need not be rows: one that has no table has no files, and the order came after it all the same.
async fn inputs(context: &StepContext<'_>) -> Result<Value, Failure> {
    let mut inputs = serde_json::Map::new();
    for declared in &context.asset().inputs {
        let pinned = context
            .order()
            .inputs
            .iter()
            .find(|input| input.asset == declared.asset);
        if pinned.is_some_and(|input| input.table.is_none()) {
            let told = json!({ "files": [], "snapshot_id": null, "metadata_location": null });
            inputs.insert(declared.asset.as_str().to_owned(), told);
            continue;
        }
        let (table, options) = context.input_table(&declared.asset).await?;
        let locations = table.file_locations(&options).await.map_err(|error| error.failure())?;
        let paths: Vec<&str> = locations
            .iter()
            .map(|url| url.strip_prefix("file://").unwrap_or(url))
            .collect();
        let told = json!({
            "files": paths,
            "snapshot_id": table.pointer().snapshot_id,
            "metadata_location": table.pointer().metadata_location,
        });
        inputs.insert(declared.asset.as_str().to_owned(), told);
    }
    Ok(Value::Object(inputs))
}
