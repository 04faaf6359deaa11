//! Random labels and sources, in random types, partitions and batches: the join gives what the oracle gives.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

use super::super::{FeatureColumn, FeatureSource, LabelInput, RowInput, TimeToLive};
use super::data::{TICK, Types, feature_batch, label_batch, run, values};
use super::oracle::{Feature, Label, Rules, Values, winner};

/// How rows are cut into batches and dealt to partitions: (rows of a batch, partition) in turn.
type Cuts = Vec<(usize, usize)>;

#[derive(Debug, Clone)]
struct Source {
    rules: Rules,
    features: Vec<Feature>,
    types: Types,
    cuts: Cuts,
    partitions: usize,
}

fn number() -> impl Strategy<Value = Option<i64>> {
    weighted(0.9, 0..4_i64)
}

fn name() -> impl Strategy<Value = Option<String>> {
    weighted(
        0.9,
        prop_oneof![
            "a",
            "b",
            "a name longer than an inline view",
            "a name longer than an inline VIEW"
        ],
    )
}

/// Few ticks, so that times tie, and equal the ends of the window, often.
fn tick() -> impl Strategy<Value = Option<i64>> {
    weighted(0.95, -3..12_i64)
}

fn types() -> impl Strategy<Value = Types> {
    let number = prop_oneof![
        Just(DataType::Int64),
        Just(DataType::Int32),
        Just(DataType::UInt64),
        Just(DataType::UInt8)
    ];
    let dictionary = DataType::Dictionary(Box::new(DataType::Int16), Box::new(DataType::Utf8));
    let name = prop_oneof![
        Just(DataType::Utf8),
        Just(DataType::LargeUtf8),
        Just(DataType::Utf8View),
        Just(dictionary)
    ];
    let unit = prop_oneof![
        Just(TimeUnit::Second),
        Just(TimeUnit::Millisecond),
        Just(TimeUnit::Microsecond),
        Just(TimeUnit::Nanosecond)
    ];
    (number, name, unit).prop_map(|(number, name, unit)| Types {
        number,
        name,
        time: DataType::Timestamp(unit, None),
    })
}

fn cuts() -> impl Strategy<Value = Cuts> {
    vec((1..9_usize, 0..64_usize), 1..8)
}

fn feature() -> impl Strategy<Value = Feature> {
    let values: BoxedStrategy<Values> = (weighted(0.8, 0..3_i64), weighted(0.8, prop_oneof!["x", "y"])).boxed();
    (number(), name(), tick(), tick(), values).prop_map(|(number, name, time, created, values)| Feature {
        number,
        name,
        time,
        created,
        values,
    })
}

fn source() -> impl Strategy<Value = Source> {
    let rules = (any::<bool>(), any::<bool>(), any::<bool>(), weighted(0.6, 0..6_i64)).prop_map(
        |(on_number, on_name, created, ttl)| Rules {
            on_number,
            on_name,
            created,
            ttl,
        },
    );
    (rules, vec(feature(), 0..120), types(), cuts(), 1..5_usize).prop_map(
        |(rules, features, types, cuts, partitions)| Source {
            rules,
            features,
            types,
            cuts,
            partitions,
        },
    )
}

fn label() -> impl Strategy<Value = Label> {
    (number(), name(), tick()).prop_map(|(number, name, time)| Label { number, name, time })
}

/// Cuts a batch by a recipe, and deals the pieces to partitions.
fn deal(batch: &RecordBatch, cuts: &Cuts, partitions: usize) -> Vec<Vec<RecordBatch>> {
    let mut dealt = vec![Vec::new(); partitions];
    let mut first = 0;
    for &(rows, partition) in cuts.iter().cycle() {
        if first == batch.num_rows() {
            break;
        }
        let rows = rows.min(batch.num_rows() - first);
        dealt[partition % partitions].push(batch.slice(first, rows));
        first += rows;
    }
    dealt
}

fn feature_source(position: usize, source: &Source) -> FeatureSource {
    let batch = feature_batch(&source.features, &source.types);
    let mut entity = Vec::new();
    if source.rules.on_number {
        entity.push(("number".to_owned(), "number".to_owned()));
    }
    if source.rules.on_name {
        entity.push(("name".to_owned(), "name".to_owned()));
    }
    FeatureSource {
        name: format!("s{position}"),
        entity,
        timestamp: "ts".to_owned(),
        created: source.rules.created.then(|| "known".to_owned()),
        ttl: source
            .rules
            .ttl
            .and_then(|ttl| TimeToLive::from_micros((ttl * TICK) as u64)),
        columns: vec![
            FeatureColumn::renamed("value", format!("value{position}")),
            FeatureColumn::renamed("text", format!("text{position}")),
        ],
        input: RowInput::from_batches(batch.schema(), deal(&batch, &source.cuts, source.partitions))
            .expect("slices keep the schema"),
    }
}

/// What the oracle gives, as the output shows it: a winner of nulls alone looks like none.
fn expected(labels: &[Label], source: &Source) -> Vec<Option<Values>> {
    // A time to live of zero is without a limit.
    let rules = Rules {
        ttl: source.rules.ttl.filter(|ttl| *ttl != 0),
        ..source.rules
    };
    labels
        .iter()
        .map(|label| winner(label, &source.features, rules).filter(|v| *v != (None, None)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    #[test]
    fn the_join_gives_what_the_definition_gives(
        labels in vec(label(), 0..40),
        label_types in types(),
        label_cuts in cuts(),
        sources in vec(source(), 1..4),
    ) {
        let batch = label_batch(&labels, &label_types);
        let cut = deal(&batch, &label_cuts, 1);
        let input = RowInput::from_batches(batch.schema(), cut).unwrap();
        let label_input = LabelInput { input, timestamp: "at".to_owned() };
        let features = sources.iter().enumerate().map(|(position, source)| feature_source(position, source)).collect();
        let output = run(label_input, features).unwrap();

        let rows: Vec<i64> = output.column_by_name("row").unwrap().as_primitive::<Int64Type>().values().to_vec();
        prop_assert_eq!(rows, (0..labels.len() as i64).collect::<Vec<_>>(), "every label once, in order");
        for column in 0..batch.num_columns() {
            prop_assert_eq!(output.column(column), batch.column(column), "label columns are kept");
        }
        for (position, source) in sources.iter().enumerate() {
            let got = values(&output, &format!("value{position}"), &format!("text{position}"));
            prop_assert_eq!(got, expected(&labels, source), "source {}: {:?}", position, source.rules);
        }
    }

    /// The same rows in another order, in other batches and partitions: the same winners, ties included.
    #[test]
    fn the_winner_does_not_depend_on_order_or_partitions(
        labels in vec(label(), 1..20),
        source in source(),
        other_cuts in cuts(),
        other_partitions in 1..5_usize,
    ) {
        let answer = |source: &Source| {
            let batch = label_batch(&labels, &Types::plain());
            let input = RowInput::from_batches(batch.schema(), vec![vec![batch]]).unwrap();
            let output = run(LabelInput { input, timestamp: "at".to_owned() }, vec![feature_source(0, source)]).unwrap();
            values(&output, "value0", "text0")
        };
        let mut other = source.clone();
        other.features.reverse();
        other.cuts = other_cuts;
        other.partitions = other_partitions;
        prop_assert_eq!(answer(&source), answer(&other));
    }
}

#[test]
fn the_null_count_of_an_unmatched_source_is_the_number_of_labels() {
    let labels = [
        Label {
            number: Some(1),
            name: None,
            time: Some(5),
        },
        Label {
            number: None,
            name: None,
            time: None,
        },
    ];
    let batch = label_batch(&labels, &Types::plain());
    let input = RowInput::from_batches(batch.schema(), vec![vec![batch]]).unwrap();
    let rules = Rules {
        on_number: true,
        on_name: false,
        created: false,
        ttl: None,
    };
    let source = Source {
        rules,
        features: Vec::new(),
        types: Types::plain(),
        cuts: vec![(1, 0)],
        partitions: 1,
    };
    let output = run(
        LabelInput {
            input,
            timestamp: "at".to_owned(),
        },
        vec![feature_source(0, &source)],
    )
    .unwrap();
    assert_eq!(output.column_by_name("value0").unwrap().null_count(), 2);
}
