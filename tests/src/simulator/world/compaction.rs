//! Few files made of a partition's many small ones, as maintenance does: written first, offered on the newest version, and given up where
//! the partition has other files by then.

use std::collections::BTreeSet;

use assets::outcome::{ColumnChanges, Replace, StagedTable, TablePointer};
use assets::{AssetKey, PartitionKey};
use orchestrator::core::{Broken, InvariantId, PreparedCompaction, about_to_write};
use serde_json::Value;

use super::super::lake::{Change, NotBuilt, files_of, fingerprint};
use super::super::sabotage::Sabotage;
use super::tables::Wanted;
use super::{Happening, Simulation};

/// The small files of a partition, and what they became.
#[derive(Debug, Clone)]
pub(super) struct Compacted {
    partition: Option<PartitionKey>,
    staged: StagedTable,
}

/// What the core is told of it.
pub(super) fn prepared(compacted: &[Compacted]) -> PreparedCompaction {
    let removed = compacted.iter().map(|one| match &one.staged.replace {
        Replace::Files { removed, .. } => removed.len() as u64,
        Replace::Whole | Replace::Partition(_) | Replace::Nothing => 0,
    });
    PreparedCompaction {
        files: removed.sum(),
        into: compacted.len() as u64,
        bytes: compacted.len() as u64,
        by: "someone".to_owned(),
    }
}

impl Simulation {
    /// The timetable tends the small files of some table.
    pub(super) fn compact_a_table(&mut self) -> Result<(), Broken> {
        let mut found = Vec::new();
        for (table, pointer) in self.world.pointers() {
            let metadata = Self::there(self.lake.metadata(pointer), "a table")?;
            let parts = Self::there(self.lake.parts(metadata, metadata.current), "a table")?;
            let mut many: Vec<Option<PartitionKey>> = Vec::new();
            for (partition, part) in parts.iter().filter(|(_, part)| part.files.len() > 1) {
                // What comes twice in two files would be lost in one, which is so where a table was cut anew.
                let mut seen = BTreeSet::new();
                let mut once = true;
                for file in &part.files {
                    let rows = Self::there(self.lake.rows(file), "a table")?;
                    once &= rows.keys().all(|key| seen.insert(key));
                }
                if once {
                    many.push(partition.clone());
                }
            }
            if !many.is_empty() && about_to_write(&self.world, table).is_none() {
                found.push((table.clone(), pointer.clone(), many));
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let (table, pointer, many) = self.dice.pick(&found).clone();
        let mut compacted = Vec::new();
        for partition in many {
            let (files, _) = Self::there(self.lake.part(Some(&pointer), partition.as_ref()), "a table")?;
            let seen = fingerprint(files.keys());
            let removed = files.keys().cloned().collect();
            let rows = files.into_values().flatten().collect();
            let cut = Self::there(self.lake.metadata(&pointer), "a table")?.cut().cloned();
            let file = self.lake.stage(&table, "compaction", rows);
            self.changing.insert(file.clone(), self.clock());
            compacted.push(Compacted {
                staged: StagedTable {
                    table: table.clone(),
                    replace: Replace::Files {
                        partition: partition.clone(),
                        removed,
                        seen,
                    },
                    rows: 1,
                    bytes: 1,
                    data_files: Value::from(vec![file]),
                    schema: Value::Null,
                    partition_column: None,
                    partitioned_by: cut,
                    changes: ColumnChanges::default(),
                },
                partition,
            });
        }
        // Writing takes a while, in which others change the table.
        let boot = self.boot;
        let (wanted, tries) = (Wanted::Compact(compacted), 3);
        self.later(
            1800,
            Happening::Want {
                boot,
                table,
                wanted,
                tries,
            },
        );
        Ok(())
    }

    /// Writes the version of a table that has the few files; `None` if they are given up.
    pub(super) fn offer(
        &mut self,
        table: &AssetKey,
        base: &TablePointer,
        compacted: &[Compacted],
    ) -> Result<Option<TablePointer>, Broken> {
        let mut offered = compacted.to_vec();
        if self.sabotage == Some(Sabotage::CompactWhatIsGone) {
            for one in &mut offered {
                let (files, _) = Self::there(self.lake.part(Some(base), one.partition.as_ref()), "a table")?;
                if let Replace::Files { seen, .. } = &mut one.staged.replace {
                    *seen = fingerprint(files.keys());
                }
            }
        }
        let none = BTreeSet::new();
        let changes: Vec<Change<'_>> = offered
            .iter()
            .map(|one| Change {
                partition: one.partition.clone(),
                staged: &one.staged,
                from: &none,
            })
            .collect();
        match self.lake.compact(table, base, &changes) {
            Ok(to) => Ok(Some(to)),
            Err(NotBuilt::MergedMeanwhile | NotBuilt::OtherCut) => {
                self.give_up(compacted);
                Ok(None)
            }
            Err(NotBuilt::Missing(missing)) => {
                let found = format!("a compaction of {table} refers to {}, which is not there", missing.0);
                Err(Broken::new(InvariantId::NeededIsKept, found))
            }
        }
    }

    /// What was written for nothing goes.
    pub(super) fn give_up(&mut self, compacted: &[Compacted]) {
        self.no_longer_changing(compacted);
        for one in compacted {
            self.lake.remove(&files_of(&one.staged));
        }
    }

    pub(super) fn no_longer_changing(&mut self, compacted: &[Compacted]) {
        for file in compacted.iter().flat_map(|one| files_of(&one.staged)) {
            self.changing.remove(&file);
        }
    }
}
