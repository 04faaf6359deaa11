//! `GET /api/v1/openapi.json`: what `/api/v1` is, for programs, generated from the types that are asked and answered.
//!
//! The operations stand in one list, in the order of the routes; a test holds the two against each other, and
//! `tests/interop/api.py` holds the answers of a daemon against all of it. What a column, an asset's declaration or a comparison of
//! rows is made of is left open.

use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use axum::{Json, http::header};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use state::schedule::Tick;
use state::sqlite::queries::Page;
use state::sqlite::queries::sensors::SensorEventRow;

use super::api;
use super::pages::{
    alerts, asset, assets, automation, backfill, backfill_new, backfills, definitions, graph, log, model, models,
    overview, own_log, query, replay, run, runs, schedules, sensors, stream,
};
use crate::edge::environments::MergedEnvironment;
use crate::edge::replay::With;
use crate::wire::{
    AliasBody, ErrorBody, GcAnswer, GcBody, LevelBody, MergeBody, PublishBody, PublishedStaged, RepartitionAnswer,
    RepartitionBody, RollbackAnswer, RollbackBody, RunAnswer, RunBody, SensorLooked, TagAnswer, TagBody, TestAnswer,
};

/// Describes a type.
type Describe = fn(&mut SchemaGenerator) -> Schema;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// An object whose fields are not described.
fn object(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({ "type": "object" })
}

/// What became of a pause or of its end; of what it was is named beside it.
fn paused(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "object",
        "required": ["paused"],
        "properties": { "paused": { "type": "boolean", "description": "Whether it is paused now." } },
    })
}

/// The run that is being stopped.
fn canceling(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "object",
        "required": ["canceling"],
        "properties": { "canceling": { "type": "string", "description": "The run." } },
    })
}

/// An alias that points elsewhere now.
fn moved(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({
        "type": "object",
        "required": ["model", "alias", "from", "to"],
        "properties": {
            "model": { "type": "string" },
            "alias": { "type": "string" },
            "from": { "type": ["integer", "null"], "description": "The version before, if there was one." },
            "to": { "type": "integer", "description": "The version now." },
        },
    })
}

/// One operation: method, path and what it does; its query, its body and its answer.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    query: Option<Describe>,
    body: Option<Describe>,
    answer: Describe,
}

impl Operation {
    const fn get(path: &'static str, summary: &'static str, answer: Describe) -> Self {
        Self {
            method: "get",
            path,
            summary,
            query: None,
            body: None,
            answer,
        }
    }

    const fn post(path: &'static str, summary: &'static str, answer: Describe) -> Self {
        Self {
            method: "post",
            ..Self::get(path, summary, answer)
        }
    }

    const fn query(mut self, query: Describe) -> Self {
        self.query = Some(query);
        self
    }

    const fn body(mut self, body: Describe) -> Self {
        self.body = Some(body);
        self
    }
}

const OPERATIONS: &[Operation] = &[
    Operation::get(
        "/api/v1/overview",
        "What runs, what ran, what fails, and the state of every asset",
        of::<overview::OverviewFacts>,
    ),
    Operation::get("/api/v1/assets", "The assets", of::<assets::AssetsFacts>).query(of::<assets::Asked>),
    Operation::get("/api/v1/assets/{key}", "One asset", of::<asset::AssetFacts>).query(of::<asset::Asked>),
    Operation::get(
        "/api/v1/assets/{key}/columns",
        "Its columns: types, nulls, ranges, and where each comes from",
        of::<asset::columns::ColumnsFacts>,
    )
    .query(of::<asset::columns::Asked>),
    Operation::get(
        "/api/v1/assets/{key}/rows",
        "Some of its rows",
        of::<asset::rows::RowsFacts>,
    )
    .query(of::<asset::rows::Asked>),
    Operation::get(
        "/api/v1/assets/{key}/snapshots",
        "Its snapshots, and what changed between two of them",
        of::<asset::snapshots::SnapshotsFacts>,
    )
    .query(of::<asset::snapshots::Asked>),
    Operation::get(
        "/api/v1/assets/{key}/checks",
        "What its checks found",
        of::<asset::checks::ChecksFacts>,
    )
    .query(of::<asset::checks::Asked>),
    Operation::get("/api/v1/graph", "Which asset reads which", of::<graph::GraphFacts>).query(of::<graph::Asked>),
    Operation::get("/api/v1/runs", "Runs, newest first", of::<runs::RunsFacts>).query(of::<runs::Asked>),
    Operation::post(
        "/api/v1/assets/{key}/rollback",
        "Take a table back to an older snapshot",
        of::<RollbackAnswer>,
    )
    .body(of::<RollbackBody>),
    Operation::post(
        "/api/v1/assets/{key}/repartition",
        "Cut a table into the partitions of its asset",
        of::<RepartitionAnswer>,
    )
    .body(of::<RepartitionBody>),
    Operation::post(
        "/api/v1/assets/{key}/tags/{tag}",
        "Give a snapshot a name, or take the name away",
        of::<TagAnswer>,
    )
    .body(of::<TagBody>),
    Operation::post("/api/v1/runs", "Ask for a run", of::<RunAnswer>).body(of::<RunBody>),
    Operation::get(
        "/api/v1/runs/{run}",
        "One run: its attempts, what it read and wrote, a part of its steps",
        of::<run::RunFacts>,
    )
    .query(of::<run::Asked>),
    Operation::get(
        "/api/v1/runs/{run}/log",
        "Part of the log of an attempt",
        of::<log::LogFacts>,
    )
    .query(of::<log::Asked>),
    Operation::post("/api/v1/runs/{run}/cancel", "Stop a run", canceling),
    Operation::post("/api/v1/runs/{run}/pause", "Start nothing more of a run", paused),
    Operation::post("/api/v1/runs/{run}/resume", "Let a paused run go on", paused),
    Operation::post(
        "/api/v1/runs/{run}/retry",
        "Run again what a run left undone",
        of::<RunAnswer>,
    ),
    Operation::get(
        "/api/v1/runs/{run}/replay",
        "The last replay of a run since the daemon started",
        of::<replay::ReplayOfRun>,
    ),
    Operation::post(
        "/api/v1/runs/{run}/replay",
        "Make again what a run has published, and compare; nothing is published",
        of::<replay::ReplayOfRun>,
    )
    .body(of::<With>),
    Operation::post(
        "/api/v1/runs/{run}/replay/cancel",
        "Stop the replay of a run",
        canceling,
    ),
    Operation::get(
        "/api/v1/backfills",
        "Backfills, newest first",
        of::<backfills::BackfillsFacts>,
    )
    .query(of::<backfills::Asked>),
    Operation::get(
        "/api/v1/backfills/preview",
        "What a backfill would run, and how long it would take",
        of::<backfill_new::PreviewFacts>,
    )
    .query(of::<backfill_new::Asked>),
    Operation::get(
        "/api/v1/backfills/{run}",
        "One backfill: its steps by partition",
        of::<backfill::BackfillFacts>,
    )
    .query(of::<backfill::Asked>),
    Operation::post("/api/v1/query", "The result of one SELECT", of::<query::QueryResult>).body(of::<query::Asked>),
    Operation::get("/api/v1/query/names", "Names that a query may use", of::<query::Names>)
        .query(of::<query::NamesAsked>),
    Operation::get(
        "/api/v1/log",
        "All that happened, newest first",
        of::<stream::StreamFacts>,
    )
    .query(of::<stream::Asked>),
    Operation::post(
        "/api/v1/gc",
        "Remove old versions of tables that nobody needs",
        of::<GcAnswer>,
    )
    .body(of::<GcBody>),
    Operation::post(
        "/api/v1/environments/{name}/merge",
        "Have what an environment made count in the project",
        of::<MergedEnvironment>,
    )
    .body(of::<MergeBody>),
    Operation::post(
        "/api/v1/runs/{run}/staged/publish",
        "Publish rows of a run that a check kept back",
        of::<PublishedStaged>,
    )
    .body(of::<PublishBody>),
    Operation::get(
        "/api/v1/log/daemon",
        "The newest lines of the daemon's own log, newest first",
        of::<own_log::OwnLogFacts>,
    )
    .query(of::<own_log::Asked>),
    Operation::get("/api/v1/openapi.json", "This description", object),
    Operation::get("/api/v1/models", "The models", of::<models::ModelsFacts>),
    Operation::get(
        "/api/v1/models/{model}",
        "One model and its versions",
        of::<model::ModelFacts>,
    )
    .query(of::<model::Asked>),
    Operation::post(
        "/api/v1/models/{model}/aliases/{alias}",
        "Point an alias at a version",
        moved,
    )
    .body(of::<AliasBody>),
    Operation::get(
        "/api/v1/schedules",
        "Schedules and their ticks",
        of::<schedules::SchedulesFacts>,
    )
    .query(of::<schedules::Asked>),
    Operation::post("/api/v1/schedules/{schedule}/pause", "Pause a schedule", paused),
    Operation::post("/api/v1/schedules/{schedule}/resume", "Resume a schedule", paused),
    Operation::post("/api/v1/schedules/{schedule}/tick", "Tick a schedule now", of::<Tick>),
    Operation::get(
        "/api/v1/automation",
        "Assets that are made by themselves",
        of::<automation::AutomationFacts>,
    )
    .query(of::<automation::Asked>),
    Operation::post("/api/v1/automation/pause", "Pause all automation", paused),
    Operation::post("/api/v1/automation/resume", "Resume all automation", paused),
    Operation::post(
        "/api/v1/automation/{key}/pause",
        "Pause the automation of an asset",
        paused,
    ),
    Operation::post(
        "/api/v1/automation/{key}/resume",
        "Resume the automation of an asset",
        paused,
    ),
    Operation::get("/api/v1/alerts", "Alerts and their messages", of::<alerts::AlertsFacts>).query(of::<alerts::Asked>),
    Operation::post("/api/v1/alerts/{alert}/test", "Send a test message", of::<TestAnswer>),
    Operation::get(
        "/api/v1/sensors",
        "Sensors and their ticks",
        of::<sensors::SensorsFacts>,
    )
    .query(of::<sensors::Asked>),
    Operation::get(
        "/api/v1/sensors/{sensor}/events",
        "What a sensor told of",
        of::<Page<SensorEventRow, String>>,
    )
    .query(of::<api::sensors::Events>),
    Operation::post("/api/v1/sensors/{sensor}/pause", "Pause a sensor", paused),
    Operation::post("/api/v1/sensors/{sensor}/resume", "Resume a sensor", paused),
    Operation::post(
        "/api/v1/sensors/{sensor}/tick",
        "Let a sensor look now",
        of::<SensorLooked>,
    )
    .query(of::<api::sensors::Look>),
    Operation::get(
        "/api/v1/events",
        "Events after a number, oldest first",
        of::<api::events::Events>,
    )
    .query(of::<api::events::Asked>),
    Operation::get(
        "/api/v1/definitions",
        "The definitions in force",
        of::<definitions::DefinitionsFacts>,
    ),
    Operation::post(
        "/api/v1/definitions/look",
        "Read the files now",
        of::<definitions::DefinitionsFacts>,
    ),
    Operation::get(
        "/api/v1/log-level",
        "What is worth a line in the daemon's own log",
        of::<LevelBody>,
    ),
    Operation::post("/api/v1/log-level", "Change it", of::<LevelBody>).body(of::<LevelBody>),
];

/// `GET /api/v1/openapi.json`
pub async fn serve() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| Json(description()).0.to_string());
    ([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response()
}

fn description() -> Value {
    let mut answers = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    // What is asked is small, and its fields stand where they are asked.
    let mut questions = SchemaSettings::draft2020_12()
        .for_deserialize()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let mut described = json!({
            "summary": operation.summary,
            "parameters": parameters(operation, &mut questions),
            "responses": {
                "200": {
                    "description": "The answer",
                    "content": { "application/json": { "schema": (operation.answer)(&mut answers) } },
                },
                "default": {
                    "description": "Why not",
                    "content": { "application/json": { "schema": of::<ErrorBody>(&mut answers) } },
                },
            },
        });
        if let Some(body) = operation.body {
            let schema = body(&mut questions);
            described["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": schema } } });
        }
        let entry = paths.entry(operation.path.to_owned()).or_insert_with(|| json!({}));
        entry[operation.method] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Millpond",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the dashboard shows, for programs. `Authorization: Bearer TOKEN`, with the token that the state \
                folder holds. Lists have a cursor (`next`): passed as `before` or `after` it gives the entries that follow, none \
                twice and none passed over while new ones arrive.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": answers.take_definitions(true),
        },
    })
}

/// The parts of the path, and the fields of the query.
fn parameters(operation: &Operation, questions: &mut SchemaGenerator) -> Vec<Value> {
    let inside = operation.path.split('{').skip(1);
    let in_path = inside
        .filter_map(|part| part.split('}').next())
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let mut parameters: Vec<Value> = in_path.collect();
    let Some(query) = operation.query else {
        return parameters;
    };
    let query = query(questions).to_value();
    let required = query["required"].as_array().cloned().unwrap_or_default();
    for (name, schema) in query["properties"].as_object().into_iter().flatten() {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let mut parameter = json!({
            "name": name,
            "in": "query",
            "required": required.iter().any(|one| one == name),
            "schema": schema,
        });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameters.push(parameter);
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let routes = include_str!("routes.rs");
        let mut expected = Vec::new();
        for rest in routes.split(".route(").skip(1) {
            let (path, rest) = rest.trim_start().strip_prefix('"').unwrap().split_once('"').unwrap();
            if !path.starts_with("/api/") {
                continue;
            }
            for method in ["get", "post"] {
                if rest.contains(&format!("{method}(")) {
                    expected.push(format!("{method} {path}"));
                }
            }
        }
        let mut found: Vec<String> = OPERATIONS
            .iter()
            .map(|one| format!("{} {}", one.method, one.path))
            .collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn questions_and_answers_are_those_of_the_types() {
        let described = description();
        let run = &described["paths"]["/api/v1/runs/{run}"]["get"];
        let names: Vec<&str> = run["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert!(names[0] == "run" && names.contains(&"unfold"), "{names:?}");
        let body = &described["paths"]["/api/v1/runs"]["post"]["requestBody"]["content"]["application/json"]["schema"];
        assert_eq!(body["required"], json!(["selection"]));
        assert_eq!(body["additionalProperties"], false);
        let schemas = described["components"]["schemas"].as_object().unwrap();
        assert_eq!(schemas["RunStatus"]["oneOf"].as_array().map_or(0, Vec::len), 6);
        // Whatever is referred to is there.
        let text = described.to_string();
        for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        assert!(!text.contains("\"#/$defs/"));
    }
}
