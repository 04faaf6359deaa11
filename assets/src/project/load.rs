//! Reading every file of a project.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use toml::de::DeTable;

use super::{ASSETS_FOLDER, Loaded, PROJECT_FILE, Project, resolve};
use crate::declaration::{
    self, ALERT, ASSET, ASSET_FILE, Ahead, AlertDraft, AssetDraft, ReadFiles, Reading, SCHEDULE, SENSOR, ScheduleDraft,
    SensorDraft, Settings, Surrounding, check_asset_file, mask_secret_lines, mask_secrets, read_alert, read_asset,
    read_partitions, read_schedule, read_sensor, read_settings,
};
use crate::diagnostic::{Code, Diagnostic, DiagnosticSink};
use crate::files::ProjectFiles;
use crate::key::AssetKey;
use crate::kind::KindCompiler;
use crate::partition::Partitioning;
use crate::span::{SourceId, Sources, Span, Spanned};
use crate::sql::QueryCache;
use crate::table::{self, TableReader, TableSpec, read_source};

/// Reads a project and reports every mistake in it.
pub fn load(files: &dyn ProjectFiles, kinds: &dyn KindCompiler) -> Loaded {
    load_with(files, kinds, &QueryCache::default())
}

/// The same with the queries that an earlier start has parsed; those that it had not are added.
pub fn load_with(files: &dyn ProjectFiles, kinds: &dyn KindCompiler, cache: &QueryCache) -> Loaded {
    let mut sources = Sources::default();
    let sink = DiagnosticSink::default();
    let project = Loader {
        files,
        kinds,
        cache,
        sink: &sink,
        sources: &mut sources,
    }
    .load();
    let diagnostics = sink.finish();
    Loaded {
        project: project.filter(|_| !diagnostics.has_errors()),
        diagnostics,
        sources,
    }
}

struct Loader<'l> {
    files: &'l dyn ProjectFiles,
    kinds: &'l dyn KindCompiler,
    cache: &'l QueryCache,
    sink: &'l DiagnosticSink,
    sources: &'l mut Sources,
}

/// A file whose table is at hand.
struct Opened {
    text: Arc<str>,
    /// Whether it is TOML all through.
    whole: bool,
}

impl<'l> Loader<'l> {
    fn load(mut self) -> Option<Project> {
        let root = match read_source(self.files, PROJECT_FILE, None, self.sources) {
            Ok(source) => source,
            Err(diagnostic) if diagnostic.code == Code::MissingFile => {
                self.sink
                    .report(diagnostic.help("a project is a folder with this file; `millpond init` makes one"));
                return None;
            }
            Err(diagnostic) => {
                self.sink.report(*diagnostic);
                return None;
            }
        };
        let root_text = Arc::clone(self.sources.text(root));
        let (root_table, project_complete) = self.parse(root, &root_text);
        let empty = DeTable::new();
        let root_table = root_table.as_ref().unwrap_or(&empty);
        // A missing table is told at the start of the file.
        let reader = TableReader::new(root_table, Span::new(root, 0..0), &declaration::PROJECT_FILE, self.sink);
        if project_complete {
            reader.check();
        } else {
            reader.check_known_keys();
        }
        let settings = read_settings(&reader, self.sources);
        let mut partitions: BTreeMap<String, Option<Partitioning>> = BTreeMap::new();
        for (name, value) in reader.map("partitions") {
            let set = value
                .as_table(&declaration::PARTITIONS)
                .and_then(|table| read_partitions(name, &table, &settings.timezone));
            partitions.insert(name.value.to_owned(), set);
        }
        let specs: HashMap<&'static str, &'static TableSpec> = self
            .kinds
            .kinds()
            .into_iter()
            .map(|kind| (kind.name, kind.spec))
            .collect();
        let paths = self.asset_files();
        let ahead = self.ahead(&paths, &root_text, &settings, project_complete);
        let surrounding = Surrounding {
            settings: &settings,
            partitions: &partitions,
            project_complete,
            kinds: self.kinds,
            specs: &specs,
            files: self.files,
            ahead: &ahead,
            sink: self.sink,
        };
        let mut drafts = Drafts::default();
        let mut broken: Vec<Arc<str>> = Vec::new();
        if !project_complete {
            broken.push(Arc::clone(&root_text));
        }
        ahead.during(|| {
            self.read_file(&reader, &surrounding, &mut drafts);
            for path in &paths {
                let Some(opened) = self.read_assets_of(path, &surrounding, &mut drafts) else {
                    continue;
                };
                if !opened.whole {
                    broken.push(opened.text);
                }
            }
        });
        let (schedules, sensors, alerts) = (drafts.schedules, drafts.sensors, drafts.alerts);
        let mut drafts = drafts.list;
        drafts.sort_by(|a, b| a.key.cmp(&b.key));
        resolve::link(&mut drafts, self.kinds, self.sink);
        let graph = resolve::resolve(drafts, &broken, self.sources, self.sink)?;
        let schedules = schedules
            .into_iter()
            .filter_map(|draft| draft.resolve(&graph, self.sink))
            .map(|schedule| (schedule.name.clone(), schedule))
            .collect();
        let alerts = alerts
            .into_iter()
            .filter_map(|draft| draft.resolve(&graph, self.sink))
            .map(|alert| (alert.name.clone(), alert))
            .collect();
        let sensors = sensors
            .into_iter()
            .filter_map(|draft| draft.resolve(&graph, self.sink))
            .map(|sensor| (sensor.name.clone(), sensor))
            .collect();
        let Settings {
            name,
            timezone,
            warehouse,
            s3,
            execution,
            pools,
            daemon,
            retention,
            maintenance,
            params,
            openlineage,
        } = settings;
        let partitions = partitions
            .into_iter()
            .filter_map(|(name, set)| Some((name, set?)))
            .collect();
        Some(Project {
            name,
            timezone,
            warehouse,
            s3,
            execution,
            pools,
            daemon,
            retention,
            maintenance,
            params,
            partitions,
            schedules,
            alerts,
            openlineage,
            sensors,
            graph,
        })
    }

    /// The queries that these files seem to name, to be read while the files are. One that cannot be read is told later.
    fn ahead<'a>(&self, paths: &[String], root: &str, settings: &'a Settings, project_complete: bool) -> Ahead<'a>
    where
        'l: 'a,
    {
        let texts: Vec<String> = paths
            .iter()
            .filter_map(|path| String::from_utf8(self.files.read(path).ok()?).ok())
            .collect();
        let declarations = std::iter::once(root).chain(texts.iter().map(String::as_str));
        Ahead::new(declarations, self.files, &settings.params, project_complete, self.cache)
    }

    fn asset_files(&self) -> Vec<String> {
        match self.files.list(ASSETS_FOLDER, "toml") {
            Ok(paths) => paths,
            Err(error) => {
                let message = format!("failed to list the files of `{ASSETS_FOLDER}`: {error}");
                self.sink.report(Diagnostic::without_place(Code::Unreadable, message));
                Vec::new()
            }
        }
    }

    /// The table of a file, and whether it is TOML all through. Secrets are hidden from here on.
    fn parse<'t>(&mut self, source: SourceId, text: &'t Arc<str>) -> (Option<DeTable<'t>>, bool) {
        let before = self.sink.count();
        let table = table::parse(text, source, self.sink);
        let whole = self.sink.count() == before;
        if let Some(table) = &table {
            mask_secrets(table, source, self.sources, self.sink);
        }
        if !whole {
            mask_secret_lines(text, source, self.sources);
        }
        (table, whole)
    }

    fn read_assets_of(&mut self, path: &str, surrounding: &Surrounding<'_>, drafts: &mut Drafts) -> Option<Opened> {
        let source = match read_source(self.files, path, None, self.sources) {
            Ok(source) => source,
            Err(diagnostic) => {
                self.sink.report(*diagnostic);
                return None;
            }
        };
        let text = Arc::clone(self.sources.text(source));
        let whole = {
            let (table, whole) = self.parse(source, &text);
            if let Some(table) = &table {
                let reader = TableReader::new(table, Span::new(source, 0..0), &ASSET_FILE, self.sink);
                // What could be read of a broken file may stand in the wrong table.
                if whole {
                    check_asset_file(&reader);
                } else {
                    reader.check_known_keys();
                }
                self.read_file(&reader, surrounding, drafts);
            }
            whole
        };
        Some(Opened { text, whole })
    }

    /// The assets, schedules, sensors and alerts of one file.
    fn read_file(&mut self, file: &TableReader<'_>, surrounding: &Surrounding<'_>, drafts: &mut Drafts) {
        for (name, value) in file.map("sensor") {
            let Some(table) = value.as_table(&SENSOR) else {
                continue;
            };
            if let Some(first) = drafts.sensor_places.get(name.value) {
                self.sink.report(
                    Diagnostic::new(
                        Code::DuplicateSensor,
                        format!("sensor `{}` is declared twice", name.value),
                        name.span,
                    )
                    .label("declared again here")
                    .note("first declared here", Some(*first)),
                );
                continue;
            }
            drafts.sensor_places.insert(name.value.to_owned(), name.span);
            let reading = Reading {
                sources: self.sources,
                params: &surrounding.settings.params,
                params_complete: surrounding.project_complete,
                sink: self.sink,
            };
            drafts.sensors.extend(read_sensor(name, table, &reading));
        }
        for (name, value) in file.map("schedule") {
            let Some(table) = value.as_table(&SCHEDULE) else {
                continue;
            };
            if let Some(first) = drafts.schedule_places.get(name.value) {
                self.sink.report(
                    Diagnostic::new(
                        Code::DuplicateSchedule,
                        format!("schedule `{}` is declared twice", name.value),
                        name.span,
                    )
                    .label("declared again here")
                    .note("first declared here", Some(*first)),
                );
                continue;
            }
            drafts.schedule_places.insert(name.value.to_owned(), name.span);
            let zone = &surrounding.settings.timezone;
            drafts.schedules.extend(read_schedule(name, &table, zone, self.sources));
        }
        for (name, value) in file.map("alert") {
            let Some(table) = value.as_table(&ALERT) else { continue };
            if let Some(first) = drafts.alert_places.get(name.value) {
                self.sink.report(
                    Diagnostic::new(
                        Code::DuplicateAlert,
                        format!("alert `{}` is declared twice", name.value),
                        name.span,
                    )
                    .label("declared again here")
                    .note("first declared here", Some(*first)),
                );
                continue;
            }
            drafts.alert_places.insert(name.value.to_owned(), name.span);
            drafts.alerts.extend(read_alert(name, &table, self.sources));
        }
        for (layer, tables) in file.map("asset") {
            for (name, value) in tables.as_map().unwrap_or_default() {
                let Some(table) = value.as_table(&ASSET) else { continue };
                let Some(key) = self.asset_key(layer, name) else {
                    continue;
                };
                if let Some(first) = drafts.places.get(&key.value) {
                    self.sink.report(
                        Diagnostic::new(
                            Code::DuplicateAsset,
                            format!("`{}` is declared twice", key.value),
                            key.span,
                        )
                        .label("declared again here")
                        .note("first declared here", Some(*first)),
                    );
                    continue;
                }
                drafts.places.insert(key.value.clone(), key.span);
                drafts
                    .list
                    .push(read_asset(key, table, surrounding, &mut drafts.read, self.sources));
            }
        }
    }

    fn asset_key(&self, layer: Spanned<&str>, name: Spanned<&str>) -> Option<Spanned<AssetKey>> {
        match AssetKey::new(layer.value, name.value) {
            Ok(key) => Some(Spanned::new(key, name.span)),
            Err(error) => {
                let diagnostic = Diagnostic::new(Code::BadName, error.to_string(), name.span);
                let lower = format!("{}.{}", layer.value, name.value)
                    .to_lowercase()
                    .replace('-', "_");
                self.sink.report(match lower.parse::<AssetKey>() {
                    Ok(near) => diagnostic.help(format!("`[asset.{near}]` would do")),
                    Err(_) => diagnostic.help("an asset is declared as `[asset.LAYER.NAME]`"),
                });
                None
            }
        }
    }
}

/// The assets, schedules and alerts read so far.
#[derive(Default)]
struct Drafts {
    list: Vec<AssetDraft>,
    places: HashMap<AssetKey, Span>,
    schedules: Vec<ScheduleDraft>,
    schedule_places: HashMap<String, Span>,
    alerts: Vec<AlertDraft>,
    alert_places: HashMap<String, Span>,
    sensors: Vec<SensorDraft>,
    sensor_places: HashMap<String, Span>,
    read: ReadFiles,
}
