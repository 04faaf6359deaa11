//! Raw files on disk to rows of partitions.

use std::io::Write;

use assets::outcome::{FailureClass, Observation};
use serde_json::Value;

use super::{Outcome, World, collect, execute, key, partition};
use crate::kind::ObserveContext;

const HEADER: &str = "year,month,day,carrier,delay\n";
const DAYS: [&str; 3] = ["2013-03-01", "2013-03-02", "2013-03-03"];

/// An asset `bronze.flights` over `landing/*.csv*`, by day, with more keys.
fn daily(more: &str) -> World {
    World::new(&format!(
        r#"
[asset.bronze.flights]
kind = "ingest"
from.files = {{ path = "landing/*.csv*", null = ["NA", ""] }}
derive = {{ flight_date = "make_date(year, month, day)" }}
partitions = {{ use = "daily", column = "flight_date" }}
{more}
"#
    ))
}

fn put(world: &World, name: &str, bytes: &[u8]) {
    let path = world.folder.path().join("landing").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn gz(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Two files; the second of March is in both.
fn two_files(world: &World) {
    put(
        world,
        "a.csv.gz",
        &gz(&format!("{HEADER}2013,3,1,AA,10\n2013,3,1,UA,NA\n2013,3,2,AA,30\n")),
    );
    put(
        world,
        "b.csv.gz",
        &gz(&format!("{HEADER}2013,3,2,B6,1.5\n2013,3,3,AA,40\n")),
    );
}

async fn observe(world: &mut World, previous: Option<&Observation>) -> Observation {
    let order = world.order("bronze.flights", &DAYS[..1]);
    let kind = world.kinds.get("ingest").unwrap();
    let objects = crate::formats::Objects::default();
    let context = ObserveContext {
        objects: &objects,
        asset: &order.asset,
        project: &order.project,
        previous,
    };
    kind.observe(context).await.unwrap().unwrap()
}

async fn execute_with(world: &mut World, observation: Observation, partitions: &[&str]) -> Outcome {
    let mut order = world.order("bronze.flights", partitions);
    order.observation = Some(observation);
    let (environment, receiver) = world.environment();
    execute(order, environment).await;
    collect(receiver).await
}

/// The failure that all partitions of an order share.
fn shared(outcome: &Outcome) -> &assets::outcome::Failure {
    assert!(outcome.staged.is_empty(), "{:?}", outcome.staged);
    let (_, first) = &outcome.failed[0];
    assert!(outcome.failed.iter().all(|(_, failure)| failure == first));
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_file_becomes_a_table() {
    let mut world = World::new(
        r#"
[asset.bronze.planes]
kind = "ingest"
from.files = { path = "landing/planes.csv", null = "NA" }
columns = { seats = "int" }
derive = { label = "upper(maker) || '-' || seats" }
"#,
    );
    put(
        &world,
        "planes.csv",
        b"tailnum,maker,seats,speed\nN1,airbus,180,NA\nN2,boeing,149,432\n",
    );
    let staged = world.materialize("bronze.planes", &[]).await;
    assert_eq!(staged[0].sources.len(), 1);
    assert_eq!(staged[0].sources[0].path, "landing/planes.csv");
    assert_eq!(staged[0].sources[0].partitions, None);
    let rows = world
        .read("SELECT *, arrow_typeof(seats) AS a, arrow_typeof(speed) AS b FROM bronze.planes ORDER BY 1")
        .await;
    insta::assert_snapshot!(rows, @r"
    +---------+--------+-------+-------+------------+-------+-------+
    | tailnum | maker  | seats | speed | label      | a     | b     |
    +---------+--------+-------+-------+------------+-------+-------+
    | N1      | airbus | 180   |       | AIRBUS-180 | Int32 | Int64 |
    | N2      | boeing | 149   | 432   | BOEING-149 | Int32 | Int64 |
    +---------+--------+-------+-------+------------+-------+-------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_to_the_day_that_is_computed_from_them() {
    let mut world = daily("");
    two_files(&world);
    let mut days = DAYS.to_vec();
    days.push("2013-03-04");
    let staged = world.materialize("bronze.flights", &days).await;
    let told: Vec<(u64, Vec<&str>)> = staged
        .iter()
        .map(|staged| {
            let files = staged.sources.iter().map(|file| file.path.as_str()).collect();
            (staged.rows(), files)
        })
        .collect();
    let (a, b) = ("landing/a.csv.gz", "landing/b.csv.gz");
    assert_eq!(told, [(2, vec![a]), (2, vec![a, b]), (1, vec![b]), (0, vec![])]);
    let rows = world
        .read("SELECT flight_date, carrier, delay FROM bronze.flights ORDER BY 1, 2")
        .await;
    insta::assert_snapshot!(rows, @r"
    +-------------+---------+-------+
    | flight_date | carrier | delay |
    +-------------+---------+-------+
    | 2013-03-01  | AA      | 10.0  |
    | 2013-03-01  | UA      |       |
    | 2013-03-02  | AA      | 30.0  |
    | 2013-03-02  | B6      | 1.5   |
    | 2013-03-03  | AA      | 40.0  |
    +-------------+---------+-------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_day_reads_its_files_alone_and_has_the_types_of_all() {
    let mut world = daily("");
    two_files(&world);
    let observation = observe(&mut world, None).await;
    let fed: Vec<_> = observation
        .files
        .iter()
        .map(|file| file.partitions.clone().unwrap())
        .collect();
    assert_eq!(
        fed,
        [
            vec![partition(DAYS[0]), partition(DAYS[1])],
            vec![partition(DAYS[1]), partition(DAYS[2])]
        ]
    );
    let outcome = execute_with(&mut world, observation, &DAYS[..1]).await;
    assert!(outcome.failed.is_empty(), "{:?}", outcome.failed);
    let [staged] = outcome.staged.as_slice() else {
        panic!("{outcome:?}")
    };
    assert_eq!(staged.rows(), 2);
    assert_eq!(staged.sources.len(), 1);
    let staged = staged.clone();
    world.publish(&staged).await;
    let types = world
        .read("SELECT DISTINCT arrow_typeof(delay) AS t FROM bronze.flights")
        .await;
    assert!(types.contains("Float64"), "{types}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_stay_the_same_are_not_opened_again() {
    let mut world = daily("");
    two_files(&world);
    let mut first = observe(&mut world, None).await;
    assert_eq!(observe(&mut world, Some(&first)).await, first);
    // What the last look said of an unchanged file is taken as it is.
    first.files[0].sha256 = "as before".to_owned();
    put(&world, "c.csv", format!("{HEADER}2013,3,9,AA,1\n").as_bytes());
    let second = observe(&mut world, Some(&first)).await;
    assert_eq!(second.files[..2], first.files[..]);
    assert_eq!(second.files[2].partitions, Some(vec![partition("2013-03-09")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_bad_row_fails_the_step_with_its_place() {
    let mut world = daily("columns = { delay = \"long\" }");
    put(
        &world,
        "a.csv",
        format!("{HEADER}2013,3,1,AA,10\n2013,3,1,UA,late\n").as_bytes(),
    );
    let outcome = world.execute("bronze.flights", &DAYS[..1]).await;
    let failure = outcome.failure();
    assert_eq!(failure.class, FailureClass::Data);
    assert_eq!(
        failure.message,
        "read landing/a.csv line 3, column delay: `late` does not read as one (column type long)"
    );
    assert!(failure.help.as_ref().unwrap().contains("on_bad_row"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_set_aside_up_to_the_limit() {
    let bad =
        format!("{HEADER}2013,3,1,AA,10\n2013,3,1,UA,late\n2013,3,2\n2014,3,1,AA,1\n2013,13,1,AA,1\n2013,3,2,AA,5\n");
    let declared =
        |limit| format!("columns = {{ delay = \"long\" }}\non_bad_row = {{ quarantine = {{ limit = {limit} }} }}");
    let mut world = daily(&declared(4));
    put(&world, "a.csv", bad.as_bytes());
    let staged = world.materialize("bronze.flights", &DAYS[..2]).await;
    let rows: Vec<u64> = staged.iter().map(|staged| staged.rows()).collect();
    assert_eq!(rows, [1, 1]);
    assert_eq!(staged[0].metadata["quarantined_rows"], Value::from(4));
    assert!(world.pointers.contains_key(&key("bronze.flights__quarantine")));
    let aside = world
        .read("SELECT file, line, raw, partition_key FROM bronze.flights__quarantine ORDER BY line")
        .await;
    insta::assert_snapshot!(aside, @r"
    +---------------+------+------------------+---------------+
    | file          | line | raw              | partition_key |
    +---------------+------+------------------+---------------+
    | landing/a.csv | 3    | 2013,3,1,UA,late | 2013-03-01    |
    | landing/a.csv | 4    | 2013,3,2         | 2013-03-01    |
    | landing/a.csv | 5    | 2014,3,1,AA,1    | 2013-03-01    |
    | landing/a.csv | 6    | 2013,13,1,AA,1   | 2013-03-01    |
    +---------------+------+------------------+---------------+
    ");
    let mut world = daily(&declared(3));
    put(&world, "a.csv", bad.as_bytes());
    let outcome = world.execute("bronze.flights", &DAYS[..2]).await;
    let failure = shared(&outcome);
    assert_eq!(failure.class, FailureClass::Data);
    assert!(
        failure.message.contains("4 bad rows, more than the 3 allowed"),
        "{}",
        failure.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_no_partition_are_counted_and_named() {
    let mut world = daily("");
    put(
        &world,
        "a.csv",
        format!("{HEADER}2013,3,1,AA,1\n2014,1,1,AA,2\n2014,1,1,UA,3\nNA,1,1,B6,4\n").as_bytes(),
    );
    let outcome = world.execute("bronze.flights", &DAYS[..1]).await;
    let failure = outcome.failure();
    assert_eq!(failure.class, FailureClass::Data);
    assert_eq!(
        failure.message,
        "3 rows belong to no partition of bronze.flights: 2014-01-01 (2), null in `flight_date` (1); the first is \
         landing/a.csv line 3"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_a_missing_input_that_says_what_is_there() {
    let mut world = daily("");
    put(&world, "old.txt", b"");
    let outcome = world.execute("bronze.flights", &DAYS[..1]).await;
    let failure = outcome.failure();
    assert_eq!(failure.class, FailureClass::MissingInput);
    assert_eq!(failure.message, "find files: nothing matches `landing/*.csv*`");
    let help = failure.help.as_ref().unwrap();
    assert!(help.contains("`landing`, holds 1 entry: old.txt"), "{help}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_named_with_the_place() {
    let mut world = daily("");
    let text: String = (0..5000)
        .map(|row| format!("2013,3,1,C{row},{}\n", row * 7919 % 1000))
        .collect();
    let mut bytes = gz(&format!("{HEADER}{text}"));
    bytes.truncate(bytes.len() / 2);
    put(&world, "a.csv.gz", &bytes);
    let outcome = world.execute("bronze.flights", &DAYS[..1]).await;
    let failure = outcome.failure();
    assert_eq!(failure.class, FailureClass::Data);
    assert!(failure.message.contains("landing/a.csv.gz"), "{}", failure.message);
    assert!(failure.message.contains("at byte"), "{}", failure.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_since_it_was_observed_is_not_taken() {
    let mut world = daily("");
    two_files(&world);
    let observation = observe(&mut world, None).await;
    put(&world, "a.csv.gz", &gz(&format!("{HEADER}2013,3,1,AA,10\n")));
    let outcome = execute_with(&mut world, observation.clone(), &DAYS[..1]).await;
    assert_eq!(outcome.failure().class, FailureClass::Changed);
    // Its content counts, not its size and time alone.
    let mut forged = observe(&mut world, None).await;
    forged.files[0].sha256 = observation.files[0].sha256.clone();
    let outcome = execute_with(&mut world, forged, &DAYS[..1]).await;
    assert_eq!(outcome.failure().class, FailureClass::Changed);
    assert!(outcome.failure().message.contains("landing/a.csv.gz"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_of_a_file_tells_its_partition() {
    let mut world = World::new(
        r#"
[asset.bronze.flights]
kind = "ingest"
from.files = { path = "landing/{partition}/flights.csv" }
partitions = { use = "daily", column = "day" }
"#,
    );
    put(&world, "2013-03-01/flights.csv", b"carrier,delay\nAA,1\nUA,2\n");
    put(&world, "2013-03-02/flights.csv", b"carrier,delay\nB6,3\n");
    put(&world, "2012-03-02/flights.csv", b"carrier,delay\nXX,9\n");
    let staged = world.materialize("bronze.flights", &DAYS[..2]).await;
    assert_eq!(staged[0].tables[0].partition_column.as_deref(), Some("day"));
    assert_eq!(staged[1].sources.len(), 1);
    let rows = world
        .read("SELECT carrier, delay, day FROM bronze.flights ORDER BY 1")
        .await;
    insta::assert_snapshot!(rows, @r"
    +---------+-------+------------+
    | carrier | delay | day        |
    +---------+-------+------------+
    | AA      | 1     | 2013-03-01 |
    | B6      | 3     | 2013-03-02 |
    | UA      | 2     | 2013-03-01 |
    +---------+-------+------------+
    ");
    let warned = world
        .log()
        .iter()
        .any(|line| line.to_string().contains("landing/2012-03-02/flights.csv"));
    assert!(warned, "{:?}", world.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_text_that_first_shows_late_leaves_whole_numbers_whole() {
    let mut world = daily("");
    let text: String = (0..20_000).map(|row| format!("2013,3,1,AA,{}\n", row % 60)).collect();
    put(&world, "a.csv.gz", &gz(&format!("{HEADER}{text}2013,3,1,UA,NA\n")));
    world.materialize("bronze.flights", &DAYS[..1]).await;
    let rows = world
        .read("SELECT count(*) AS rows, count(delay) AS delays, min(arrow_typeof(delay)) AS t FROM bronze.flights")
        .await;
    insta::assert_snapshot!(rows, @r"
    +-------+--------+-------+
    | rows  | delays | t     |
    +-------+--------+-------+
    | 20001 | 20000  | Int64 |
    +-------+--------+-------+
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computed_column_names_what_it_cannot_find() {
    let mut world = World::new(
        r#"
[asset.bronze.planes]
kind = "ingest"
from.files = { path = "landing/planes.csv" }
derive = { double = "seets * 2" }
"#,
    );
    put(&world, "planes.csv", b"tailnum,seats\nN1,180\n");
    let outcome = world.execute("bronze.planes", &[]).await;
    let failure = outcome.failure();
    assert_eq!(failure.class, FailureClass::Declaration);
    assert!(
        failure
            .message
            .starts_with("compute the column `double`: there is no column `seets`")
    );
    assert_eq!(failure.help.as_deref(), Some("did you mean `seats`?"));
}

#[test]
fn mistakes_of_the_declaration_are_told_where_they_are() {
    let told = |keys: &str| {
        let files = assets::files::MemoryFiles::new()
            .with("millpond.toml", super::PROJECT)
            .with(
                "assets/all.toml",
                format!("[asset.bronze.a]\nkind = \"ingest\"\n{keys}\n"),
            );
        let loaded = assets::project::load(&files, &crate::kind::KindSet::all());
        let told: Vec<String> = loaded.diagnostics.iter().map(|one| one.message.clone()).collect();
        told.join("; ")
    };
    let source = "from.files = { path = \"a.csv\" }";
    assert_eq!(told(source), "");
    assert!(told("from.files = { path = \"../a.csv\" }").contains("`..` leads out"));
    assert!(told("from.files = { path = \"{partition}.csv\" }").contains("no partitions"));
    assert!(told("from.files = { path = \"a.csv\", header = false }").contains("have no names"));
    assert!(told("from.files = { path = \"a.csv\", delimiter = \"ab\" }").contains("one character"));
    assert!(told(&format!("{source}\ncolumns = {{ a = \"int64\" }}")).contains("did you mean `long`"));
    assert!(told(&format!("{source}\nderive = {{ a = \"1 +\" }}")).contains("expected"));
    assert!(told(&format!("{source}\nderive = {{ a = \"1, 2\" }}")).contains("one expression"));
    assert!(told(&format!("{source}\nderive = {{ a = \"(SELECT 1)\" }}")).contains("not a query"));
    assert!(told(&format!("{source}\nderive = {{ a = \"$since\" }}")).contains("not a parameter"));
    assert!(told(&format!("{source}\non_bad_row = {{ quarantine = {{ limit = -1 }} }}")).contains("limit"));
}
