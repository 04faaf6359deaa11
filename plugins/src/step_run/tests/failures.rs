//! What ends a step badly, and that the rest of the batch goes on.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use assets::kind::{CompileContext, CompiledKind};
use assets::outcome::{Failure, FailureClass};
use assets::table::{TableReader, TableSpec};
use async_trait::async_trait;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use tokio::time::timeout;

use super::{World, collect, partition};
use crate::kind::{Kind, KindSet, Output};
use crate::step::StepReport;
use crate::step_run::{StepContext, execute};

/// Far longer than stopping takes; the steps here would run for hours or for ever.
const NEVER: Duration = Duration::from_secs(120);

/// A kind that goes wrong in the way that its asset's name says.
struct Hostile;

const HOSTILE: TableSpec = TableSpec {
    name: "hostile asset",
    doc: "Goes wrong.",
    fields: &[],
};

#[async_trait]
impl Kind for Hostile {
    fn name(&self) -> &'static str {
        "hostile"
    }

    fn doc(&self) -> &'static str {
        HOSTILE.doc
    }

    fn spec(&self) -> &'static TableSpec {
        &HOSTILE
    }

    fn compile(&self, _: &TableReader<'_>, _: &mut CompileContext<'_>) -> Option<CompiledKind> {
        Some(CompiledKind {
            config: serde_json::json!({}),
            code: Vec::new(),
            inputs: Vec::new(),
        })
    }

    async fn materialize(&self, context: &StepContext<'_>) -> Result<Output, Failure> {
        let second = context.partition()?.key == Some(partition("2013-03-02"));
        match context.asset().key.name() {
            "panics" if second => panic!("the pond is empty"),
            "panics_late" => {
                let rows = futures::stream::once(async { panic!("while rows stream") });
                Ok(Output::rows(Box::pin(RecordBatchStreamAdapter::new(days(), rows))))
            }
            "never_ends" => {
                let rows = futures::stream::pending();
                Ok(Output::rows(Box::pin(RecordBatchStreamAdapter::new(days(), rows))))
            }
            _ => {
                let day = context.query("SELECT CAST($partition_start AS DATE) AS day").await?;
                Ok(Output::rows(day))
            }
        }
    }
}

/// The columns of a table of days.
fn days() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("day", DataType::Date32, false)]))
}

fn world() -> World {
    let asset = |name: &str| {
        format!("[asset.bad.{name}]\nkind = \"hostile\"\npartitions = {{ use = \"daily\", column = \"day\" }}\n")
    };
    let assets: String = ["panics", "panics_late", "never_ends"].map(asset).concat();
    World::with_kinds(&assets, KindSet(&[&Hostile]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_fails_its_partition_and_the_others_are_made() {
    let mut world = world();
    let outcome = world
        .execute("bad.panics", &["2013-03-01", "2013-03-02", "2013-03-03"])
        .await;
    let made: Vec<_> = outcome
        .staged
        .iter()
        .map(|staged| staged.partition.clone().unwrap())
        .collect();
    assert_eq!(made, [partition("2013-03-01"), partition("2013-03-03")]);
    let [(Some(which), failure)] = outcome.failed.as_slice() else {
        panic!("{outcome:?}")
    };
    assert_eq!((which.as_str(), failure.class), ("2013-03-02", FailureClass::Panic));
    assert!(
        failure.message.contains("failures.rs:") && failure.message.ends_with(": the pond is empty"),
        "{failure}"
    );
    let started: Vec<_> = outcome
        .reports
        .iter()
        .filter(|report| matches!(report, StepReport::Started { .. }))
        .collect();
    assert_eq!(started.len(), 3);
    let outcome = world.execute("bad.panics_late", &["2013-03-01"]).await;
    assert_eq!(outcome.failure().class, FailureClass::Panic);
    assert!(outcome.failure().message.contains("while rows stream"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_makes_no_progress_stops_at_once_when_asked() {
    let mut world = world();
    let order = world.order("bad.never_ends", &["2013-03-01", "2013-03-02"]);
    let (environment, mut receiver) = world.environment();
    let cancel = environment.cancel.clone();
    let running = tokio::spawn(execute(order, environment));
    assert!(matches!(receiver.recv().await, Some(StepReport::Started { .. })));
    cancel.cancel();
    timeout(NEVER, running).await.expect("it stops when asked").unwrap();
    let outcome = collect(receiver).await;
    let classes: Vec<_> = outcome.failed.iter().map(|(_, failure)| failure.class).collect();
    assert_eq!(classes, [FailureClass::Canceled, FailureClass::Canceled]);
    assert!(outcome.staged.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_stopped_between_batches() {
    let mut world = World::new(
        "[asset.silver.long]\nkind = \"sql\"\nsql = \"SELECT count(*) AS n FROM generate_series(1, 200000) AS a, generate_series(1, 200000) AS b\"\n",
    );
    let order = world.order("silver.long", &[]);
    let (environment, mut receiver) = world.environment();
    let cancel = environment.cancel.clone();
    let running = tokio::spawn(execute(order, environment));
    assert!(matches!(receiver.recv().await, Some(StepReport::Started { .. })));
    cancel.cancel();
    timeout(NEVER, running).await.expect("it stops when asked").unwrap();
    assert_eq!(collect(receiver).await.failure().class, FailureClass::Canceled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sort_that_finds_no_memory_and_no_disk_fails_as_such() {
    let mut world = World::new(
        r#"
[asset.silver.sorted]
kind = "sql"
sql = "SELECT value, repeat('x', 200) || CAST(value AS VARCHAR) AS text FROM generate_series(1, 300000) ORDER BY text DESC"
"#,
    );
    world.memory_bytes = 40 << 20;
    let mut order = world.order("silver.sorted", &[]);
    order.scratch = String::new();
    let (environment, receiver) = world.environment();
    execute(order, environment).await;
    let outcome = collect(receiver).await;
    assert_eq!(outcome.failure().class, FailureClass::Memory, "{:?}", outcome.failure());
    assert!(outcome.failure().help.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_kind_and_an_unwritable_log_fail_every_partition() {
    let mut world = world();
    let mut order = world.order("bad.panics", &["2013-03-01", "2013-03-03"]);
    order.asset.kind = "sqll".to_owned();
    let (environment, receiver) = world.environment();
    execute(order, environment).await;
    let outcome = collect(receiver).await;
    assert_eq!(outcome.failed.len(), 2);
    assert_eq!(outcome.failed[0].1.class, FailureClass::Declaration);
    let mut order = world.order("bad.panics", &["2013-03-01"]);
    order.log_file = format!("{}/x", world.log_file().display());
    std::fs::create_dir_all(world.log_file().parent().unwrap()).unwrap();
    std::fs::write(world.log_file(), b"").unwrap();
    let (environment, receiver) = world.environment();
    execute(order, environment).await;
    assert_eq!(collect(receiver).await.failure().class, FailureClass::Io);
}
