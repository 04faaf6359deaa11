//! The checked project that runs are planned with: immutable, shared, and held by each run that started with it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use assets::{Alert, Asset, AssetGraph, AssetKey, Fingerprint, Schedule, Sensor};

use super::upkeep::Upkeep;

/// One version of the project's definitions.
#[derive(Debug, Default)]
pub struct Definitions {
    graph: AssetGraph,
    ordered: Vec<Arc<Asset>>,
    schedules: BTreeMap<String, Schedule>,
    upkeep: Upkeep,
    positions: HashMap<AssetKey, usize>,
    /// The members of each atomic group, by each member.
    published_with: HashMap<AssetKey, Arc<[AssetKey]>>,
    alerts: BTreeMap<String, Alert>,
    sensors: BTreeMap<String, Sensor>,
    fingerprint: Option<Fingerprint>,
    version: Option<Fingerprint>,
    /// What the core needs to know of the project's and the machine's settings.
    pub settings: CoreSettings,
}

/// Settings that bound what runs at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoreSettings {
    /// How many attempts may be in flight: one worker each.
    pub slots: usize,
    /// Most steps in one attempt, for kinds that work partition by partition.
    pub largest_batch: usize,
    /// Kinds whose wanted partitions are all worked on in one attempt, because one pass over their sources makes them all.
    pub together: BTreeSet<String>,
    /// Places of each pool.
    pub pools: BTreeMap<String, u32>,
    /// Bytes of memory that the attempts in flight may be given together.
    pub memory_bytes: u64,
    /// Bytes that an attempt is given where its asset does not say.
    pub step_memory_bytes: u64,
    /// Whether what is long ago may be forgotten: `[retention] enabled`.
    pub forgets: bool,
}

impl Default for CoreSettings {
    fn default() -> Self {
        Self {
            slots: 2,
            largest_batch: 64,
            together: BTreeSet::from(["ingest".to_owned()]),
            pools: BTreeMap::new(),
            memory_bytes: u64::MAX,
            step_memory_bytes: 0,
            forgets: true,
        }
    }
}

impl Definitions {
    /// The definitions of a checked project.
    pub fn new(graph: AssetGraph, settings: CoreSettings) -> Self {
        let ordered: Vec<Arc<Asset>> = graph.topological().cloned().collect();
        let fingerprint = Fingerprint::of(
            ordered
                .iter()
                .flat_map(|asset| [asset.key.as_str(), asset.fingerprint.as_str()]),
        );
        let places = ordered.iter().enumerate();
        Self {
            published_with: published_with(&ordered),
            upkeep: Upkeep::new(&graph),
            positions: places.map(|(place, asset)| (asset.key.clone(), place)).collect(),
            graph,
            ordered,
            schedules: BTreeMap::new(),
            alerts: BTreeMap::new(),
            sensors: BTreeMap::new(),
            fingerprint: Some(fingerprint),
            version: None,
            settings,
        }
    }

    /// The same with these schedules.
    #[must_use]
    pub fn with_schedules(mut self, schedules: BTreeMap<String, Schedule>) -> Self {
        self.schedules = schedules;
        self
    }

    /// Whether one attempt makes all wanted partitions of an asset in one pass.
    pub fn makes_together(&self, asset: &Asset) -> bool {
        asset.rules.together || self.settings.together.contains(&asset.kind)
    }

    /// All assets that are published together with one, itself among them; empty if it is published alone.
    pub fn published_with(&self, key: &AssetKey) -> &[AssetKey] {
        self.published_with.get(key).map_or(&[], |group| group)
    }

    /// The asset under whose name the committer works on one: itself, or the first of its atomic group.
    pub fn committed_as<'k>(&'k self, key: &'k AssetKey) -> &'k AssetKey {
        self.published_with(key).first().unwrap_or(key)
    }

    /// Whether automation may request an asset: by its own rule, or along with another that it is published together with.
    pub fn is_made_by_automation(&self, key: &AssetKey) -> bool {
        let has_rule = |asset: &AssetKey| self.upkeep.rule(asset).is_some();
        has_rule(key) || self.published_with(key).iter().any(has_rule)
    }

    /// Whether any assets are published together.
    pub fn has_atomic_groups(&self) -> bool {
        !self.published_with.is_empty()
    }

    /// The same with these alerts.
    #[must_use]
    pub fn with_alerts(mut self, alerts: BTreeMap<String, Alert>) -> Self {
        self.alerts = alerts;
        self
    }

    /// The same under a name by which they are found again at another start.
    #[must_use]
    pub fn with_version(mut self, version: Fingerprint) -> Self {
        self.version = Some(version);
        self
    }

    /// The name by which they are found again, where they are kept.
    pub fn version(&self) -> Option<&Fingerprint> {
        self.version.as_ref()
    }

    /// Its alerts, by name.
    pub fn alerts(&self) -> &BTreeMap<String, Alert> {
        &self.alerts
    }

    /// The same with these sensors.
    #[must_use]
    pub fn with_sensors(mut self, sensors: BTreeMap<String, Sensor>) -> Self {
        self.sensors = sensors;
        self
    }

    /// Its sensors, by name.
    pub fn sensors(&self) -> &BTreeMap<String, Sensor> {
        &self.sensors
    }

    /// Its schedules, by name.
    pub fn schedules(&self) -> &BTreeMap<String, Schedule> {
        &self.schedules
    }

    /// What looks after itself: automation and freshness.
    pub fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    /// The place of an asset in [`Self::ordered`].
    pub fn position(&self, key: &AssetKey) -> Option<usize> {
        self.positions.get(key).copied()
    }

    /// Who reads whom.
    pub fn graph(&self) -> &AssetGraph {
        &self.graph
    }

    /// The asset of this name.
    pub fn get(&self, key: &AssetKey) -> Option<&Arc<Asset>> {
        self.graph.get(key)
    }

    /// Every asset, upstream first.
    pub fn ordered(&self) -> &[Arc<Asset>] {
        &self.ordered
    }

    /// Changes when any asset's code does; `None` before a project was loaded.
    pub fn fingerprint(&self) -> Option<&Fingerprint> {
        self.fingerprint.as_ref()
    }
}

fn published_with(assets: &[Arc<Asset>]) -> HashMap<AssetKey, Arc<[AssetKey]>> {
    let mut groups: BTreeMap<&str, BTreeSet<&AssetKey>> = BTreeMap::new();
    for asset in assets {
        if let Some(group) = &asset.rules.atomic_group {
            groups.entry(group).or_default().insert(&asset.key);
        }
    }
    let mut found = HashMap::new();
    for members in groups.into_values() {
        let members: Arc<[AssetKey]> = members.into_iter().cloned().collect();
        found.extend(members.iter().map(|member| (member.clone(), Arc::clone(&members))));
    }
    found
}
