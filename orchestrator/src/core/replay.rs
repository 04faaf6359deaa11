//! The attempt that makes a partition again from what it was made from: the same code, seed and partition, the versions of its inputs
//! that were pinned then. Nothing of it is published, so it is no decision and leaves no event.

use std::sync::Arc;

use assets::{Asset, InputRole, PartitionKey, WriteMode};
use state::event::{Micros, PinnedVersion};
use state::ids::RunId;

use super::decide::{seed_of, tables_read};
use super::effect::{StartAttempt, StartInput, StartModel, StartPartition};
use super::staleness::Sight;
use super::world::World;

/// The attempt; an error says why there is none.
///
/// `pinned` are the versions that the inputs had; with `None` they are those of now.
pub fn replay(
    world: &World,
    at: Micros,
    run: &RunId,
    asset: &Arc<Asset>,
    partition: Option<&PartitionKey>,
    pinned: Option<&[PinnedVersion]>,
) -> Result<StartAttempt, String> {
    if asset.write != WriteMode::Replace {
        return Err("its rows were added to what was there: no step alone made what is there now".to_owned());
    }
    let definitions = world.definitions();
    let sight = Sight::new(world, definitions, at);
    let rows = asset.inputs.iter().filter(|input| input.role == InputRole::Rows);
    let scopes = rows
        .map(|input| (input.asset.clone(), sight.scopes().of(asset, input, partition)))
        .collect();
    let bounds = partition
        .zip(asset.partitions.as_ref())
        .and_then(|(key, by)| by.partitioning.bounds(key))
        .map(|(start, end)| (start.as_microsecond(), end.as_microsecond()));
    let mut inputs = Vec::new();
    for table in tables_read(asset) {
        let version = match pinned {
            None => world.pointer(table).cloned(),
            Some(pinned) => {
                let found = pinned.iter().find(|pinned| pinned.asset == *table);
                found
                    .ok_or_else(|| format!("it reads {table} now, and did not then"))?
                    .table
                    .clone()
            }
        };
        inputs.push(StartInput {
            asset: table.clone(),
            table: version,
            partition_column: definitions
                .get(table)
                .and_then(|upstream| upstream.partitions.as_ref())
                .map(|by| by.column.clone()),
        });
    }
    let mut models = Vec::new();
    for input in &asset.inputs {
        let InputRole::Model(reference) = &input.role else {
            continue;
        };
        let version = match pinned {
            None => sight.model_version(&input.asset, reference),
            Some(pinned) => pinned
                .iter()
                .find(|pinned| pinned.asset == input.asset)
                .and_then(|pinned| pinned.model_version),
        };
        let version = version.ok_or_else(|| format!("it used no version of {} then", input.asset))?;
        let record = world.model(&input.asset).and_then(|model| model.versions.get(&version));
        let record = record.ok_or_else(|| format!("version {version} of {} is not there any more", input.asset))?;
        models.push(StartModel {
            model: input.asset.clone(),
            version,
            artifact: record.artifact.clone(),
        });
    }
    Ok(StartAttempt {
        attempt: world.next_attempt_id(at),
        run: run.clone(),
        number: 1,
        asset: Arc::clone(asset),
        partitions: vec![StartPartition {
            key: partition.cloned(),
            bounds,
            scopes,
            has: Vec::new(),
        }],
        table: world.pointer(&asset.key).cloned(),
        inputs,
        models,
        observation: world.asset(&asset.key).and_then(|record| record.observation.clone()),
        seed: seed_of(asset),
    })
}
