//! The rows of a batch of partitions, in one pass over the files that feed them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use assets::outcome::{Failure, FailureClass, Observation, SourceFile};
use assets::{AssetKey, PartitionKey, PartitionedBy, WriteMode};
use datafusion::error::DataFusionError;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::FutureExt;
use tokio::sync::mpsc;

use super::added::Added;
use super::derive::Derived;
use super::failure::{HELP_ON_BAD_ROWS, of_format};
use super::observe::Look;
use super::options::observed_file;
use super::quarantine::{Aside, AsideRow, Astray, row_text};
use super::route::{Place, Router};
use super::{IngestConfig, blocking, joined};
use crate::formats::{self, Inferred, ReadBatch, Reader, infer, read};
use crate::kind::{Extras, Output, Product};
use crate::step_run::StepContext;

/// Batches that may wait for the writer.
const WAITING: usize = 2;
/// Names in a message.
const NAMED: usize = 3;

type Rows = mpsc::Sender<Result<RecordBatch, DataFusionError>>;

pub(super) async fn materialize(context: &StepContext<'_>) -> Result<Output, Failure> {
    let config: IngestConfig = context.config()?;
    let asset = context.asset();
    let objects = context.objects().clone();
    let look = Look::of(asset, &context.order().project, &objects)?;
    let observed = usable(context.order().observation.as_ref(), asset.partitions.is_some());
    let (observation, inferred) = blocking(move || prepare(&look, observed)).await?;
    tell(context, &observation, &inferred);

    let derived = Derived::bind(&config.derive, &inferred.schema)?;
    let router = match &asset.partitions {
        Some(by) => Some(Router::new(by, derived.schema(), config.partition_in_path())?),
        None => None,
    };
    let schema = Arc::clone(router.as_ref().map_or(derived.schema(), Router::schema));
    let wanted: BTreeSet<PartitionKey> = context
        .partitions()
        .iter()
        .filter_map(|partition| partition.key.clone())
        .collect();
    let root = PathBuf::from(&context.order().project.root);
    let added = Added::of(context.partitions());
    // What is merged again replaces what it replaced before.
    if asset.write != WriteMode::Merge {
        added.judge(&observation)?;
    }
    let feeds = |file: &&SourceFile| match &file.partitions {
        Some(fed) => fed
            .iter()
            .any(|key| wanted.contains(key) && !added.has(&file.sha256, Some(key))),
        None => !added.has(&file.sha256, None),
    };
    let files: Vec<Input> = observation
        .files
        .iter()
        .filter(feeds)
        .map(|file| Input {
            source: observed_file(&root, &objects, file),
            sha256: file.sha256.clone(),
            path_key: match &file.partitions {
                Some(fed) if config.partition_in_path() => fed.first().cloned(),
                _ => None,
            },
            held: BTreeSet::new(),
        })
        .collect();
    let pass = Pass {
        asset: asset.key.clone(),
        by: asset.partitions.clone(),
        raw: inferred.schema,
        aside: config.quarantine_limit.map(Aside::new),
        config,
        derived,
        router,
        wanted,
        files,
        astray: Astray::default(),
        added,
        observation,
    };
    let (rows, received) = mpsc::channel(WAITING);
    let task = tokio::task::spawn_blocking(move || {
        let ended = pass.run(&rows);
        if let Err(failure) = &ended {
            // Whoever takes the rows must not think that they are all there. If nobody does, nobody needs to know.
            let _ = rows.blocking_send(Err(DataFusionError::External(Box::new(failure.clone()))));
        }
        ended
    });
    let stream = futures::stream::unfold(received, |mut received| async move {
        let next = received.recv().await?;
        Some((next, received))
    });
    Ok(Output {
        product: Product::Rows(Box::pin(RecordBatchStreamAdapter::new(schema, stream))),
        extras: joined(task).boxed(),
    })
}

/// What was observed before the step, if it fits the asset as it is.
fn usable(observation: Option<&Observation>, partitioned: bool) -> Option<Observation> {
    observation
        .filter(|observed| !observed.files.is_empty())
        .filter(|observed| {
            observed
                .files
                .iter()
                .all(|file| file.partitions.is_some() == partitioned)
        })
        .cloned()
}

/// The files, and the types of their columns. All files tell the types: those of the partitions asked for could tell others.
fn prepare(look: &Look, observed: Option<Observation>) -> Result<(Observation, Inferred), Failure> {
    let observation = match observed {
        Some(observation) => observation,
        None => look.files(&Observation::default())?,
    };
    let all: Vec<formats::SourceFile> = observation
        .files
        .iter()
        .map(|file| observed_file(&look.root, &look.objects, file))
        .collect();
    let options = look.config.options(look.config.on_bad_row())?;
    let inferred = infer(&all, &options).map_err(of_format)?;
    Ok((observation, inferred))
}

/// Says in the log what is odd about the files and no failure.
fn tell(context: &StepContext<'_>, observation: &Observation, inferred: &Inferred) {
    for widened in &inferred.widened {
        context.log().warn(format!(
            "column `{}` is text: {} line {} has `{}` where other rows have {}; if it stands for null, add it to `null`",
            widened.column, widened.file, widened.line, widened.text, widened.expected
        ));
    }
    let idle: Vec<&str> = observation
        .files
        .iter()
        .filter(|file| file.partitions.as_ref().is_some_and(Vec::is_empty))
        .map(|file| file.path.as_str())
        .collect();
    if !idle.is_empty() {
        let more = if idle.len() > NAMED { ", …" } else { "" };
        context.log().warn(format!(
            "{} of {} files feed no partition and are not read: {}{more}",
            idle.len(),
            observation.files.len(),
            idle[..idle.len().min(NAMED)].join(", ")
        ));
    }
}

/// A file to read.
struct Input {
    source: formats::SourceFile,
    /// What it held when it was observed.
    sha256: String,
    /// The partition that its path names.
    path_key: Option<PartitionKey>,
    /// The partitions of its rows, as they are met.
    held: BTreeSet<PartitionKey>,
}

/// One pass over the files.
struct Pass {
    asset: AssetKey,
    by: Option<PartitionedBy>,
    config: IngestConfig,
    /// The columns of all files.
    raw: SchemaRef,
    derived: Derived,
    router: Option<Router>,
    wanted: BTreeSet<PartitionKey>,
    files: Vec<Input>,
    /// Where bad rows go; `None`: the first one is a failure.
    aside: Option<Aside>,
    astray: Astray,
    /// What is not read again.
    added: Added,
    observation: Observation,
}

impl Pass {
    fn run(mut self, rows: &Rows) -> Result<Extras, Failure> {
        let options = self.config.options(self.config.on_bad_row())?;
        let sources: Vec<formats::SourceFile> = self.files.iter().map(|file| file.source.clone()).collect();
        let mut reader = read(&sources, &options, &self.raw, None).map_err(of_format)?;
        while let Some(batch) = reader.next() {
            let batch = self.take(batch.map_err(of_format)?)?;
            let unheard = match batch {
                Some(batch) => rows.blocking_send(Ok(batch)).is_err(),
                None => rows.is_closed(),
            };
            if unheard {
                return Err(crate::step_run::Cancellation::failure());
            }
        }
        if let Some(by) = &self.by
            && let Some(failure) = self.astray.failure(&self.asset, by)
        {
            return Err(failure);
        }
        self.extras(&reader)
    }

    /// Of one batch the rows of the wanted partitions.
    fn take(&mut self, read: ReadBatch) -> Result<Option<RecordBatch>, Failure> {
        let file = read.file;
        if let Some(aside) = &mut self.aside {
            for bad in read.bad_rows {
                let reason = match bad.column() {
                    Some(column) => format!("column {column}: {}", bad.reason),
                    None => bad.reason.to_string(),
                };
                let row = AsideRow {
                    file,
                    line: bad.line,
                    reason,
                    raw: bad.raw,
                };
                aside.add(row, &self.files[file].source.path)?;
            }
        }
        let (batch, lines) = self.compute(file, read.batch, read.lines)?;
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        self.route(file, batch, &lines)
    }

    /// Adds the computed columns. A row for which one cannot be computed is a bad row.
    fn compute(&mut self, file: usize, raw: RecordBatch, lines: Vec<u64>) -> Result<(RecordBatch, Vec<u64>), Failure> {
        let whole = match self.derived.compute(&raw) {
            Ok(batch) => return Ok((batch, lines)),
            Err(uncomputed) => uncomputed.failure(),
        };
        let path = &self.files[file].source.path;
        let mut good: Vec<u32> = Vec::new();
        for row in 0..raw.num_rows() {
            let Err(uncomputed) = self.derived.compute(&raw.slice(row, 1)) else {
                good.push(row as u32);
                continue;
            };
            let (line, reason) = (lines[row], uncomputed.failure().message);
            let raw = row_text(raw.columns(), row);
            match &mut self.aside {
                Some(aside) => aside.add(
                    AsideRow {
                        file,
                        line,
                        reason,
                        raw,
                    },
                    path,
                )?,
                None => {
                    let message = format!("read {path} line {line}: {reason}: `{raw}`");
                    return Err(Failure::new(FailureClass::Data, message).with_help(HELP_ON_BAD_ROWS));
                }
            }
        }
        if good.len() == raw.num_rows() {
            // No row is to blame alone.
            return Err(whole);
        }
        let lines = good.iter().map(|row| lines[*row as usize]).collect();
        let batch = self
            .derived
            .compute(&taken(&raw, good)?)
            .map_err(|uncomputed| uncomputed.failure())?;
        Ok((batch, lines))
    }

    fn route(&mut self, file: usize, batch: RecordBatch, lines: &[u64]) -> Result<Option<RecordBatch>, Failure> {
        let Some(router) = &self.router else {
            return Ok(Some(batch));
        };
        let raw_columns = self.raw.fields().len();
        let input = &mut self.files[file];
        let routed = router.route(&batch, input.path_key.as_ref())?;
        let keep: Vec<bool> = routed
            .places
            .iter()
            .map(|place| match place {
                Place::Partition(key) => {
                    if !input.held.contains(key) {
                        input.held.insert(key.clone());
                    }
                    self.wanted.contains(key) && !self.added.has(&input.sha256, Some(key))
                }
                Place::Astray(_) => false,
            })
            .collect();
        if keep.iter().all(|keep| *keep) {
            return Ok(Some(routed.batch));
        }
        let mut kept: Vec<u32> = Vec::new();
        for (row, place) in routed.rows.iter().enumerate() {
            if keep[*place as usize] {
                kept.push(row as u32);
                continue;
            }
            let Place::Astray(what) = &routed.places[*place as usize] else {
                // A row of a partition that is made at another time, or that has it already.
                continue;
            };
            let path = &input.source.path;
            match &mut self.aside {
                Some(aside) => {
                    let row = AsideRow {
                        file,
                        line: lines[row],
                        reason: format!("belongs to no partition: {what}"),
                        raw: row_text(&batch.columns()[..raw_columns], row),
                    };
                    aside.add(row, path)?;
                }
                None => self.astray.add(what, path, lines[row]),
            }
        }
        if kept.is_empty() {
            return Ok(None);
        }
        taken(&routed.batch, kept).map(Some)
    }

    /// What is known once the last row was read.
    fn extras(self, reader: &Reader) -> Result<Extras, Failure> {
        let partitioned = self.by.is_some();
        let mut sources = Vec::with_capacity(self.files.len());
        for read in reader.finished() {
            let file = &self.files[read.file];
            if read.sha256 != file.sha256 {
                let message = format!(
                    "read {}: it holds something else than when it was observed",
                    file.source.path
                );
                return Err(Failure::new(FailureClass::Changed, message)
                    .with_help("run it again once nobody writes to the file any more"));
            }
            let mut held = file.held.clone();
            held.extend(file.path_key.clone());
            sources.push(SourceFile {
                path: file.source.path.clone(),
                bytes: file.source.size,
                modified_ns: file.source.modified_ns,
                sha256: read.sha256.clone(),
                partitions: partitioned.then(|| held.into_iter().collect()),
            });
        }
        self.added.complete(&mut sources, &self.observation);
        let wanted = self.wanted;
        let names: Vec<String> = self.files.iter().map(|file| file.source.path.clone()).collect();
        let (files, added) = (self.files, self.added);
        let home = |file: usize| {
            let file = &files[file];
            match file.path_key.as_ref().or(file.held.first()) {
                // One that has the file's rows has its bad ones too.
                Some(key) if added.has(&file.sha256, Some(key)) => None,
                Some(key) => wanted.get(key).cloned(),
                None => wanted.first().cloned(),
            }
        };
        Ok(Extras {
            sources,
            quarantine: self.aside.map(|aside| aside.table(partitioned, &names, home)),
            ..Extras::default()
        })
    }
}

fn taken(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch, Failure> {
    take_record_batch(batch, &UInt32Array::from(rows))
        .map_err(|error| Failure::new(FailureClass::Internal, format!("rows could not be picked: {error}")))
}
