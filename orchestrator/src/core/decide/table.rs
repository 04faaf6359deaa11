//! A table that someone changes by hand: taken back to an older snapshot, a snapshot of it named, rid of those that
//! nobody needs, or of its small files, or cut into other partitions.
//!
//! A rollback brings partitions back to the materializations that they had, as far as staleness is concerned: what reads them
//! sees the old data versions again, and is stale or fresh by that. The partitions themselves are left as they are for as long as
//! they would be made from the same code, rows and files that someone took back: see [`super::super::staleness::Sight`].

use assets::{AssetKey, Fingerprint};
use state::event::{Event, Micros, Rollback};

use super::super::effect::{Answer, Decision, Effect, RequestId};
use super::super::input::{PreparedRepartition, PreparedRollback, TableChange, TableChangeKind};
use super::super::restored::is_of_unknown_origin;
use super::super::staleness::Sight;
use super::super::world::World;

pub(super) fn change(world: &World, at: Micros, request: RequestId, change: &TableChange) -> Decision {
    let mut decision = Decision::default();
    let answer = decide(world, at, change, &mut decision.events);
    decision.effects.push(Effect::Reply { request, answer });
    decision
}

fn decide(world: &World, at: Micros, change: &TableChange, events: &mut Vec<Event>) -> Answer {
    let table = &change.table;
    let emptied = match &change.what {
        TableChangeKind::Repartition(repartition) => repartition.emptied.as_ref(),
        _ => None,
    };
    let mut moved = std::iter::once(table).chain(emptied);
    if moved.any(|table| world.pointer(&table.table) != table.from.as_ref()) {
        return Answer::TableMoved;
    }
    let refused = match &change.what {
        TableChangeKind::Rollback(rollback) => refused(world, change, rollback),
        // A merge that has looked at the small files would be in vain.
        TableChangeKind::Compaction(_) => about_to_write(world, &table.table),
        TableChangeKind::Repartition(repartition) => {
            declared_otherwise(world, change, repartition).or_else(|| about_to_write(world, &table.table))
        }
        TableChangeKind::Tag | TableChangeKind::Expiry(_) => None,
    };
    if let Some(reason) = refused {
        return Answer::Refused { reasons: vec![reason] };
    }
    events.extend(std::iter::once(table).chain(emptied).map(|table| Event::PointerMoved {
        table: table.table.clone(),
        from: table.from.clone(),
        to: table.to.clone(),
    }));
    match &change.what {
        TableChangeKind::Tag => {}
        TableChangeKind::Rollback(rollback) => take_back(world, at, change, rollback, events),
        TableChangeKind::Expiry(expiry) => events.push(Event::SnapshotsExpired {
            table: table.table.clone(),
            snapshots: expiry.snapshots,
            files: expiry.files,
            bytes: expiry.bytes,
            by: expiry.by.clone(),
        }),
        TableChangeKind::Compaction(compaction) => events.push(Event::FilesCompacted {
            table: table.table.clone(),
            files: compaction.files,
            into: compaction.into,
            bytes: compaction.bytes,
            by: compaction.by.clone(),
        }),
        TableChangeKind::Repartition(repartition) => {
            events.push(Event::TableRepartitioned {
                table: table.table.clone(),
                was: repartition.was.clone(),
                is: repartition.is.clone(),
                rows: repartition.rows,
                files: repartition.files,
                into: repartition.into,
                by: repartition.by.clone(),
            });
            let partitions = world
                .asset(&table.table)
                .into_iter()
                .flat_map(|known| &known.partitions);
            let made = partitions.filter(|(_, known)| known.materialization.is_some());
            events.extend(made.map(|(partition, _)| Event::PartitionCutAway {
                step: assets::AssetPartition::new(table.table.clone(), partition.clone()),
            }));
        }
    }
    Answer::TableChanged
}

/// Why a table must not be cut as it was prepared: its asset is another by now.
fn declared_otherwise(world: &World, change: &TableChange, repartition: &PreparedRepartition) -> Option<String> {
    let table = &change.table.table;
    let declared = world.definitions().get(table);
    let same = declared.is_some_and(|asset| asset.fingerprint == repartition.fingerprint);
    (!same).then(|| format!("{table} was declared otherwise meanwhile: ask again"))
}

/// Why a table cannot be taken back now.
fn refused(world: &World, change: &TableChange, rollback: &PreparedRollback) -> Option<String> {
    let asset = &change.table.table;
    let Some(definition) = world.definitions().get(asset) else {
        return Some(format!(
            "{asset} is not declared: declare it, or read the old rows with `query --as-of`"
        ));
    };
    if change.table.to.snapshot_id.is_none() || rollback.partitions.is_empty() && change.table.from.is_none() {
        return Some(format!("{asset} was never materialized"));
    }
    // Which files its rows are of is known by what made it: without that, the next step would add them once more.
    let adds_files =
        definition.write.keeps_rows() && world.asset(asset).is_some_and(|known| known.observation.is_some());
    let unknown = rollback.partitions.iter().find(|one| {
        let restored = one.restored.as_ref();
        restored.is_some_and(is_of_unknown_origin)
    });
    if let Some(unknown) = unknown.filter(|_| adds_files) {
        let step = assets::AssetPartition::new(asset.clone(), unknown.partition.clone());
        return Some(format!(
            "nothing is known any more of how {step} was made then, so the rows of its files would be added once more: read the \
             old rows with `query --as-of`, or declare `write = \"replace\"` and make it from its files"
        ));
    }
    // What a run is about to publish would stand on the rows that are taken back.
    about_to_write(world, asset)
}

/// The run that is to make an asset, and what to do about it.
pub fn about_to_write(world: &World, asset: &AssetKey) -> Option<String> {
    let run = world
        .open_runs()
        .find(|run| run.groups.iter().any(|group| group.asset == *asset && group.open > 0))?;
    Some(format!(
        "{} is to make {asset}: wait for its end, or stop it with `millpond cancel {}`",
        run.id, run.id
    ))
}

fn take_back(world: &World, at: Micros, change: &TableChange, rollback: &PreparedRollback, events: &mut Vec<Event>) {
    let asset = &change.table.table;
    let definitions = world.definitions();
    let sight = Sight::new(world, definitions, at);
    let snapshot_id = change.table.to.snapshot_id.unwrap_or_default();
    events.push(Event::RolledBack {
        asset: asset.clone(),
        rollback: Rollback {
            snapshot_id,
            to_snapshot: rollback.to_snapshot,
            from_snapshot: change.table.from.as_ref().and_then(|from| from.snapshot_id),
            partitions: rollback.partitions.len() as u64,
            by: rollback.by.clone(),
            note: rollback.note.clone(),
        },
    });
    for restored in &rollback.partitions {
        let version = match definitions.get(asset) {
            Some(definition) => sight.made_from(definition, restored.partition.as_ref()),
            None => Fingerprint::of(["not declared"]),
        };
        events.push(Event::PartitionRolledBack {
            step: assets::AssetPartition::new(asset.clone(), restored.partition.clone()),
            restored: restored.restored.clone(),
            version,
        });
    }
}
