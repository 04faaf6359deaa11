//! Fresh or stale, and because of what: one partition's newest result against code, inputs and sources as they are now.
//!
//! What a step saw of an input is one fingerprint over the data versions of the upstream partitions in its scope. A data
//! version is a function of code, inputs and sources, not of the run: an upstream step that runs again and makes the same
//! rows leaves everything downstream fresh.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use assets::automation::is_named;
use assets::outcome::{Staged, StagedTable};
use assets::{
    Asset, AssetInput, AssetKey, AssetPartition, Fingerprint, InputRole, ModelReference, PartitionKey, WriteMode,
};
use state::event::Micros;
use state::ids::{AttemptId, RunId};

use super::definitions::Definitions;
use super::effect::StepScope;
use super::scope::Scopes;
use super::world::{AssetRecord, LastMaterialization, PartitionRollback, RollbackAsked, SourceRead, World, sources_of};

/// Why a partition has to be made (again).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaleReason {
    /// There is no result.
    NeverMaterialized,
    /// The last try failed.
    LastFailed,
    /// The asset's code is not the one that made the result.
    CodeChanged {
        /// Then.
        was: Fingerprint,
        /// Now.
        is: Fingerprint,
    },
    /// Rows of an input are others than those that were read.
    InputChanged {
        /// The input.
        asset: AssetKey,
        /// A partition of it that was made since, if that is the cause (not a partition that came or went).
        example: Option<ChangedInput>,
    },
    /// The asset reads this since.
    InputAdded(AssetKey),
    /// The asset no longer reads this.
    InputRemoved(AssetKey),
    /// A raw file is not what it was.
    SourceChanged {
        /// Its path.
        file: String,
        /// In what way.
        how: SourceChange,
    },
    /// A step upstream is part of the same plan.
    UpstreamWillChange(AssetKey),
    /// An alias of a model that it reads points to another version.
    ModelMoved {
        /// The model.
        model: AssetKey,
        /// The alias.
        alias: String,
        /// Version that was read, if it is still known.
        from: Option<u64>,
        /// Version now.
        to: Option<u64>,
    },
    /// It is fresh and was asked for all the same.
    Forced,
}

/// A partition upstream that was made after it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedInput {
    /// The partition.
    pub partition: Option<PartitionKey>,
    /// What changed it.
    pub by: ChangedBy,
    /// Its snapshot.
    pub snapshot_id: Option<i64>,
}

/// What changed a partition upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangedBy {
    /// It was made anew.
    Run(RunId),
    /// It was taken back.
    Rollback(Arc<RollbackAsked>),
}

/// How a raw file differs from the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceChange {
    /// It was not there.
    New,
    /// Its content differs.
    Changed,
    /// It is not there any more.
    Gone,
}

impl fmt::Display for StaleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverMaterialized => write!(f, "never materialized"),
            Self::LastFailed => write!(f, "the last attempt failed"),
            Self::CodeChanged { was, is } => {
                write!(
                    f,
                    "its code changed from {} to {}",
                    &was.as_str()[..8],
                    &is.as_str()[..8]
                )
            }
            Self::InputChanged {
                asset,
                example: Some(changed),
            } => {
                let step = AssetPartition::new(asset.clone(), changed.partition.clone());
                match (&changed.by, changed.snapshot_id) {
                    (ChangedBy::Run(run), Some(snapshot)) => {
                        write!(f, "{step} changed (snapshot {snapshot} of {run})")
                    }
                    (ChangedBy::Run(run), None) => write!(f, "{step} changed ({run})"),
                    (ChangedBy::Rollback(asked), _) => {
                        write!(f, "{step} was {asked} (snapshot {})", asked.snapshot_id)
                    }
                }
            }
            Self::InputChanged { asset, example: None } => write!(f, "{asset} has other partitions than were read"),
            Self::InputAdded(asset) => write!(f, "it reads {asset} since"),
            Self::InputRemoved(asset) => write!(f, "it no longer reads {asset}"),
            Self::SourceChanged { file, how } => match how {
                SourceChange::New => write!(f, "{file} is new"),
                SourceChange::Changed => write!(f, "{file} changed"),
                SourceChange::Gone => write!(f, "{file} is gone"),
            },
            Self::UpstreamWillChange(asset) => write!(f, "{asset} is materialized in this run"),
            Self::ModelMoved { model, alias, from, to } => {
                write!(f, "{model}@{alias} moved")?;
                if let Some(from) = from {
                    write!(f, " from version {from}")?;
                }
                match to {
                    Some(to) => write!(f, " to version {to}"),
                    None => write!(f, " away"),
                }
            }
            Self::Forced => write!(f, "asked for, though fresh"),
        }
    }
}

/// The world seen through one version of the definitions at one moment.
pub struct Sight<'a> {
    world: &'a World,
    definitions: &'a Definitions,
    scopes: Scopes<'a>,
    /// Fingerprints over all partitions of an asset, since many steps see the same whole.
    wholes: RefCell<BTreeMap<AssetKey, Fingerprint>>,
}

impl<'a> Sight<'a> {
    /// The world through these definitions at `at`.
    pub fn new(world: &'a World, definitions: &'a Definitions, at: Micros) -> Self {
        let scopes = Scopes::new(definitions, at);
        Self {
            world,
            definitions,
            scopes,
            wholes: RefCell::default(),
        }
    }

    /// The world.
    pub fn world(&self) -> &'a World {
        self.world
    }

    /// The definitions.
    pub fn definitions(&self) -> &'a Definitions {
        self.definitions
    }

    /// The mappings.
    pub fn scopes(&self) -> &Scopes<'a> {
        &self.scopes
    }

    /// What the partition would see of each of its inputs now. An input that has no version yet (a model whose alias points
    /// nowhere) is left out.
    pub fn input_versions(&self, asset: &Asset, partition: Option<&PartitionKey>) -> BTreeMap<AssetKey, Fingerprint> {
        let inputs = asset.inputs.iter();
        inputs
            .filter_map(|input| Some((input.asset.clone(), self.input_version(asset, input, partition)?)))
            .collect()
    }

    fn input_version(
        &self,
        asset: &Asset,
        input: &AssetInput,
        partition: Option<&PartitionKey>,
    ) -> Option<Fingerprint> {
        if let InputRole::Model(reference) = &input.role {
            return self
                .model_version(&input.asset, reference)
                .map(|version| self.model_fingerprint(&input.asset, version));
        }
        Some(match self.scopes.of(asset, input, partition) {
            StepScope::All => self.whole_version(&input.asset),
            StepScope::Keys(keys) => {
                let record = self.world.asset(&input.asset);
                version_of(keys.into_iter().filter_map(|key| {
                    let key = Some(key);
                    let made = record?.partitions.get(&key)?.materialization.as_ref()?;
                    Some((key, made))
                }))
            }
        })
    }

    fn whole_version(&self, asset: &AssetKey) -> Fingerprint {
        if let Some(known) = self.wholes.borrow().get(asset) {
            return known.clone();
        }
        let partitions = self
            .world
            .asset(asset)
            .into_iter()
            .flat_map(|record| &record.partitions);
        let version =
            version_of(partitions.filter_map(|(key, record)| Some((key.clone(), record.materialization.as_ref()?))));
        self.wholes.borrow_mut().insert(asset.clone(), version.clone());
        version
    }

    /// The version that a reference means now.
    pub fn model_version(&self, model: &AssetKey, reference: &ModelReference) -> Option<u64> {
        let record = self.world.model(model)?;
        match reference {
            ModelReference::Alias(alias) => record.aliases.get(alias).copied(),
            ModelReference::Version(version) => record.versions.contains_key(version).then_some(*version),
        }
    }

    fn model_fingerprint(&self, model: &AssetKey, version: u64) -> Fingerprint {
        let known = self.world.model(model).and_then(|record| record.versions.get(&version));
        let content = known.map_or("", |known| known.sha256.as_str());
        Fingerprint::of(["model", &version.to_string(), content])
    }

    /// Why the partition's newest result is not what would be made now; `None` if it is fresh, or if someone took it back and
    /// wants it left so.
    pub fn stale(&self, asset: &Asset, partition: Option<&PartitionKey>) -> Option<StaleReason> {
        let reason = self.differs(asset, partition)?;
        self.stands_by_rollback(asset, partition).is_none().then_some(reason)
    }

    /// The rollback that brought back what a partition shows, as long as the same would be made of it as was taken back. It is
    /// over when what it is made from changes, or when someone makes it anew, be it in vain.
    pub fn stands_by_rollback(&self, asset: &Asset, partition: Option<&PartitionKey>) -> Option<&'a PartitionRollback> {
        let record = self.world.partition(&asset.key, partition)?;
        let rollback = record.rolled_back.as_deref().filter(|rollback| !rollback.tried)?;
        (self.made_from(asset, partition) == rollback.version).then_some(rollback)
    }

    fn differs(&self, asset: &Asset, partition: Option<&PartitionKey>) -> Option<StaleReason> {
        let asset_record = self.world.asset(&asset.key);
        let record = asset_record.and_then(|record| record.partitions.get(&partition.cloned()));
        let failed = record
            .and_then(|record| record.failure)
            .map(|_| StaleReason::LastFailed);
        let Some(made) = record.and_then(|record| record.materialization.as_ref()) else {
            return Some(failed.unwrap_or(StaleReason::NeverMaterialized));
        };
        if made.fingerprint != asset.fingerprint {
            return Some(StaleReason::CodeChanged {
                was: made.fingerprint.clone(),
                is: asset.fingerprint.clone(),
            });
        }
        if let Some(removed) = made
            .inputs
            .keys()
            .find(|key| asset.inputs.iter().all(|input| input.asset != **key))
        {
            return Some(StaleReason::InputRemoved(removed.clone()));
        }
        asset
            .inputs
            .iter()
            .find_map(|input| self.input_stale(asset, input, partition, made))
            .or_else(|| source_stale(asset, asset_record?, partition, made))
            .or(failed)
    }

    fn input_stale(
        &self,
        asset: &Asset,
        input: &AssetInput,
        partition: Option<&PartitionKey>,
        made: &LastMaterialization,
    ) -> Option<StaleReason> {
        let is = self.input_version(asset, input, partition);
        let Some(was) = made.inputs.get(&input.asset) else {
            return is.map(|_| StaleReason::InputAdded(input.asset.clone()));
        };
        if is.as_ref() == Some(was) {
            return None;
        }
        if let InputRole::Model(reference) = &input.role {
            let known = self.world.model(&input.asset);
            let mut versions = known.into_iter().flat_map(|record| record.versions.keys().copied());
            let from = versions.find(|version| self.model_fingerprint(&input.asset, *version) == *was);
            let alias = match reference {
                ModelReference::Alias(alias) => alias.clone(),
                ModelReference::Version(version) => version.to_string(),
            };
            let to = self.model_version(&input.asset, reference);
            return Some(StaleReason::ModelMoved {
                model: input.asset.clone(),
                alias,
                from,
                to,
            });
        }
        let example = self.newest_after(asset, input, partition, made.at);
        Some(StaleReason::InputChanged {
            asset: input.asset.clone(),
            example,
        })
    }

    /// Whether it would see other rows, or another model, than those it was made from; of these inputs, or of all if none is
    /// named.
    pub(super) fn inputs_changed(
        &self,
        asset: &Asset,
        partition: Option<&PartitionKey>,
        made: &LastMaterialization,
        of: &[AssetKey],
    ) -> bool {
        let is = self.input_versions(asset, partition);
        // An input that has no version (any more) is no reason to make it: it cannot be.
        is.iter()
            .filter(|(input, _)| is_named(of, input))
            .any(|(input, version)| made.inputs.get(input) != Some(version))
            || made
                .inputs
                .keys()
                .filter(|key| is_named(of, key))
                .any(|key| asset.inputs.iter().all(|input| input.asset != *key))
    }

    /// Whether its raw files are others than those it was made from.
    pub(super) fn source_changed(
        &self,
        asset: &Asset,
        record: &AssetRecord,
        partition: Option<&PartitionKey>,
        made: &LastMaterialization,
    ) -> bool {
        source_stale(asset, record, partition, made).is_some()
    }

    /// What the partition would be made from now: its code, what it sees of its inputs, its raw files.
    pub(super) fn made_from(&self, asset: &Asset, partition: Option<&PartitionKey>) -> Fingerprint {
        self.made_from_inputs(asset, partition, &self.input_versions(asset, partition))
    }

    /// The same, where what it sees of its inputs is known.
    pub(super) fn made_from_inputs(
        &self,
        asset: &Asset,
        partition: Option<&PartitionKey>,
        inputs: &BTreeMap<AssetKey, Fingerprint>,
    ) -> Fingerprint {
        let mut parts: Vec<&str> = vec![asset.fingerprint.as_str()];
        for (key, version) in inputs {
            parts.extend(["input", key.as_str(), version.as_str()]);
        }
        let fed = self
            .world
            .asset(&asset.key)
            .and_then(|record| record.fed.get(&partition.cloned()));
        for content in fed.map_or_else(Vec::new, |fed| contents(fed)) {
            parts.extend(["source", content]);
        }
        Fingerprint::of(parts)
    }

    fn newest_after(
        &self,
        asset: &Asset,
        input: &AssetInput,
        partition: Option<&PartitionKey>,
        since: Micros,
    ) -> Option<ChangedInput> {
        let record = self.world.asset(&input.asset)?;
        let seen = match self.scopes.of(asset, input, partition) {
            StepScope::All => record.partitions.keys().cloned().collect(),
            StepScope::Keys(keys) => keys.into_iter().map(Some).collect::<Vec<_>>(),
        };
        let changed = seen.into_iter().filter_map(|key| {
            let partition = record.partitions.get(&key)?;
            let made = partition.materialization.as_ref();
            let by = match (&partition.rolled_back, made) {
                (Some(rollback), _) => ChangedBy::Rollback(Arc::clone(&rollback.asked)),
                (None, made) => ChangedBy::Run(made?.run.clone()),
            };
            let at = match &partition.rolled_back {
                Some(rollback) => rollback.at,
                None => made?.at,
            };
            let snapshot_id = made.and_then(|made| made.snapshot_id);
            let changed = ChangedInput {
                partition: key,
                by,
                snapshot_id,
            };
            (at > since).then_some((at, changed))
        });
        changed.max_by_key(|(at, _)| *at).map(|(_, changed)| changed)
    }
}

fn version_of<'m>(made: impl Iterator<Item = (Option<PartitionKey>, &'m LastMaterialization)>) -> Fingerprint {
    let made: Vec<(Option<PartitionKey>, &str)> = made.map(|(key, made)| (key, made.data_version.as_str())).collect();
    Fingerprint::of(
        made.iter()
            .flat_map(|(key, version)| [key.as_ref().map_or("", PartitionKey::as_str), version]),
    )
}

fn source_stale(
    asset: &Asset,
    record: &AssetRecord,
    partition: Option<&PartitionKey>,
    made: &LastMaterialization,
) -> Option<StaleReason> {
    record.observation.as_ref()?;
    let is = record.fed.get(&partition.cloned()).map_or(&[][..], Vec::as_slice);
    if is == made.sources || contents(is) == contents(&made.sources) {
        return None;
    }
    if asset.write.keeps_rows() {
        // What was added stays, whether or not its file does.
        let has: BTreeSet<&str> = contents(&made.sources).into_iter().collect();
        if contents(is).into_iter().all(|content| has.contains(content)) {
            return None;
        }
    }
    let (is, was) = (by_path(is), by_path(&made.sources));
    let reason = |file: &str, how| StaleReason::SourceChanged {
        file: file.to_owned(),
        how,
    };
    let differs = is.iter().find_map(|(path, content)| match was.get(path) {
        None => Some(reason(path, SourceChange::New)),
        Some(old) if old != content => Some(reason(path, SourceChange::Changed)),
        Some(_) => None,
    });
    differs.or_else(|| {
        was.keys()
            .find(|path| !is.contains_key(*path))
            .map(|path| reason(path, SourceChange::Gone))
    })
}

fn by_path(sources: &[SourceRead]) -> BTreeMap<&str, &str> {
    sources
        .iter()
        .map(|source| (source.path.as_str(), source.sha256.as_str()))
        .collect()
}

/// Contents without names: a file that was renamed is the same version.
fn contents(sources: &[SourceRead]) -> Vec<&str> {
    let mut contents: Vec<&str> = sources.iter().map(|source| source.sha256.as_str()).collect();
    contents.sort_unstable();
    contents
}

/// What the rows of a step are a function of; `before` is what they were a function of until now. A command that reports no data version may write anything, so that each of its
/// attempts is a version of its own.
pub(super) fn data_version(
    asset: &Asset,
    inputs: &BTreeMap<AssetKey, Fingerprint>,
    staged: &Staged,
    before: Option<&Fingerprint>,
    attempt: &AttemptId,
) -> Fingerprint {
    if let Some(before) = before
        && staged.tables.first().is_some_and(StagedTable::changes_nothing)
    {
        return before.clone();
    }
    if let Some(reported) = &staged.data_version {
        return Fingerprint::of(["reported", reported]);
    }
    let mut parts: Vec<&str> = vec![asset.fingerprint.as_str()];
    for (key, version) in inputs {
        parts.extend(["input", key.as_str(), version.as_str()]);
    }
    let sources = sources_of(&staged.sources, staged.partition.as_ref());
    for content in contents(&sources) {
        parts.extend(["source", content]);
    }
    // What was merged before is part of what there is.
    if let Some(before) = before.filter(|_| asset.write == WriteMode::Merge) {
        parts.extend(["onto", before.as_str()]);
    }
    if asset.kind == "command" {
        parts.extend(["attempt", attempt.as_str()]);
    }
    Fingerprint::of(parts)
}
