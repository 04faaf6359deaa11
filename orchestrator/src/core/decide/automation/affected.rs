//! From partitions upstream to those that read them: a mapping backwards, on sets of indexes.

use assets::partition::{Mapped, PartitionMapping, PartitionSet, Partitioning};
use assets::{Asset, AssetInput, InputRole, PartitionKey};
use state::event::Micros;

use super::super::super::scope::timestamp;

/// All partitions of an asset that exist; the one index 0 for an asset without partitions.
pub(super) fn everything_of(asset: &Asset, at: Micros) -> PartitionSet {
    let count = asset
        .partitions
        .as_ref()
        .map_or(1, |by| by.partitioning.count(timestamp(at)));
    PartitionSet::from_range(0..count)
}

/// The index of a partition; `None` if the asset cannot have it.
pub(super) fn index(asset: &Asset, partition: Option<&PartitionKey>) -> Option<usize> {
    match (&asset.partitions, partition) {
        (Some(by), Some(key)) => by.partitioning.index_of(key),
        (None, None) => Some(0),
        (Some(_), None) | (None, Some(_)) => None,
    }
}

/// When the next partition of an asset comes to exist.
pub(super) fn grows_at(asset: &Asset, at: Micros) -> Option<Micros> {
    let Partitioning::Time(time) = &asset.partitions.as_ref()?.partitioning else {
        return None;
    };
    let count = time.count(timestamp(at));
    let (_, ends) = time.bounds_at(count)?;
    (time.count(ends) > count).then_some(ends.as_microsecond())
}

/// The partitions of `reader` that see one of these partitions of `upstream`, by any of its inputs.
pub(super) fn affected(reader: &Asset, upstream: &Asset, changed: &PartitionSet, at: Micros) -> PartitionSet {
    let all = everything_of(reader, at);
    let mut found = PartitionSet::new();
    for input in reader.inputs.iter().filter(|input| input.asset == upstream.key) {
        found.union(&by_input(reader, input, upstream, changed, &all, at));
    }
    found
}

fn by_input(
    reader: &Asset,
    input: &AssetInput,
    upstream: &Asset,
    changed: &PartitionSet,
    all: &PartitionSet,
    at: Micros,
) -> PartitionSet {
    let Some(above) = upstream.partitions.as_ref().map(|by| &by.partitioning) else {
        return all.clone();
    };
    if input.role != InputRole::Rows {
        return all.clone();
    }
    if let PartitionMapping::Fixed(keys) = &input.mapping {
        let mut named = keys.iter().filter_map(|key| above.index_of(key));
        return match named.any(|index| changed.contains(index)) {
            true => all.clone(),
            false => PartitionSet::new(),
        };
    }
    let Some(own) = reader.partitions.as_ref().map(|by| &by.partitioning) else {
        return all.clone();
    };
    match &input.mapping {
        PartitionMapping::All | PartitionMapping::Latest | PartitionMapping::Fixed(_) => all.clone(),
        PartitionMapping::Same if own == above => changed.iter().filter(|index| all.contains(*index)).collect(),
        PartitionMapping::Same => {
            let same = changed.iter().filter_map(|index| own.index_of(&above.key_at(index)?));
            same.filter(|index| all.contains(*index)).collect()
        }
        PartitionMapping::Covering | PartitionMapping::Window { .. } => {
            let mut found = PartitionSet::new();
            for stretch in changed.ranges() {
                // What a partition sees moves on with it: so those that see some of a stretch are a stretch.
                let sees = |index: usize| -> (usize, usize) {
                    let key = own.key_at(index);
                    match input
                        .mapping
                        .upstream(Some(own), key.as_ref(), Some(above), timestamp(at))
                    {
                        Ok(Mapped::Indexes(range)) => (range.start, range.end),
                        Ok(Mapped::Whole | Mapped::Listed(_)) | Err(_) => (0, usize::MAX),
                    }
                };
                let count = all.len();
                let first = partition_point(count, |index| sees(index).1 <= stretch.start);
                let after = partition_point(count, |index| sees(index).0 < stretch.end);
                found.insert_range(first..after.max(first));
            }
            found
        }
    }
}

/// The first of `0..count` for which `before` does not hold, where it holds for all up to some point and for none from there.
fn partition_point(count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use assets::partition::{Grain, TimePartitions, WindowEnd};
    use assets::{AssetKey, Fingerprint, Location, PartitionedBy, WriteMode};
    use jiff::civil::date;

    use super::super::super::super::scope::Scopes;
    use super::*;
    use crate::core::{CoreSettings, Definitions, StepScope};

    fn by_time(grain: Grain, zone: &str, end: Option<jiff::civil::DateTime>) -> Partitioning {
        Partitioning::Time(TimePartitions {
            grain,
            start: date(2024, 2, 26).at(0, 0, 0, 0),
            end,
            zone: zone.to_owned(),
        })
    }

    fn asset(name: &str, partitioning: Option<&Partitioning>, inputs: Vec<AssetInput>) -> Asset {
        Asset {
            key: name.parse().unwrap(),
            kind: "sql".to_owned(),
            description: None,
            owner: None,
            tags: Vec::new(),
            partitions: partitioning.map(|partitioning| PartitionedBy {
                name: "set".to_owned(),
                column: "part".to_owned(),
                partitioning: partitioning.clone(),
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
            config: serde_json::Value::Null,
            fingerprint: Fingerprint::of([name]),
            declared_at: Location {
                file: "a.toml".to_owned(),
                line: 1,
                column: 1,
            },
        }
    }

    /// For every pair of sets and every mapping between them: those that are told to see a partition are those whose scope
    /// has it.
    #[test]
    fn a_mapping_backwards_is_the_mapping() {
        let at = jiff::Timestamp::from_second(1_710_400_000).unwrap().as_microsecond();
        let zone = "America/New_York";
        let sets = [
            None,
            Some(by_time(Grain::Day, zone, None)),
            Some(by_time(Grain::Day, zone, Some(date(2024, 3, 5).at(0, 0, 0, 0)))),
            Some(by_time(Grain::Week, zone, None)),
            Some(by_time(Grain::Hour, zone, Some(date(2024, 3, 11).at(5, 0, 0, 0)))),
            Some(by_time(Grain::Day, "Asia/Tokyo", None)),
            Some(Partitioning::Fixed(
                ["a", "b", "c"].map(|key| PartitionKey::new(key).unwrap()).to_vec(),
            )),
        ];
        let window = |length: &str, ending| PartitionMapping::Window {
            length: length.to_owned(),
            ending,
        };
        let key: AssetKey = "layer.above".parse().unwrap();
        let mut tried = 0;
        for above in &sets {
            let upstream = asset("layer.above", above.as_ref(), Vec::new());
            let fixed = above.iter().filter_map(|above| above.key_at(1)).collect();
            for mapping in [
                PartitionMapping::All,
                PartitionMapping::Same,
                PartitionMapping::Covering,
                PartitionMapping::Latest,
                PartitionMapping::Fixed(fixed),
                window("2 days", WindowEnd::Before),
                window("3 days", WindowEnd::With),
                window("30 hours", WindowEnd::Before),
            ] {
                for own in &sets {
                    if mapping.validate(own.as_ref(), above.as_ref()).is_err() {
                        continue;
                    }
                    let input = AssetInput {
                        asset: key.clone(),
                        role: InputRole::Rows,
                        mapping: mapping.clone(),
                        declared: true,
                    };
                    let reader = asset("layer.reader", own.as_ref(), vec![input.clone()]);
                    let graph = assets::AssetGraph::new([upstream.clone(), reader.clone()]).unwrap();
                    let definitions = Definitions::new(graph, CoreSettings::default());
                    let scopes = Scopes::new(&definitions, at);
                    let count = everything_of(&upstream, at).len();
                    for changed in [0..1, 3..4, 5..9, 30..31] {
                        let changed = PartitionSet::from_range(changed.start.min(count)..changed.end.min(count));
                        if changed.is_empty() {
                            continue;
                        }
                        let told = affected(&reader, &upstream, &changed, at);
                        for (place, partition) in scopes.existing(&reader).iter().enumerate() {
                            let sees = match scopes.of(&reader, &input, partition.as_ref()) {
                                StepScope::All => true,
                                StepScope::Keys(keys) => keys
                                    .iter()
                                    .any(|key| changed.contains(index(&upstream, Some(key)).unwrap())),
                            };
                            // More may be looked at than has to be, but nothing less.
                            let exact = !matches!(mapping, PartitionMapping::Latest);
                            let right = told.contains(place) == sees || (!exact && told.contains(place));
                            assert!(right, "{mapping:?} {own:?} of {above:?}: {partition:?} of {changed:?}");
                            tried += 1;
                        }
                    }
                }
            }
        }
        assert!(tried > 5_000, "{tried}");
    }
}
