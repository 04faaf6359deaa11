//! `GET /api/v1/openapi.json`: what `/api/v1` is, for programs.
//!
//! The operations stand in one list, in the order of the routes; a test holds the two against each other.

use axum::Json;
use serde_json::{Map, Value, json};

/// One operation: method, path, what it does, the parameters of its query (a name that ends in `*` is a whole number).
struct Operation(&'static str, &'static str, &'static str, &'static [&'static str]);

const OPERATIONS: &[Operation] = &[
    Operation(
        "get",
        "/api/v1/overview",
        "What runs, what ran, what fails, and the state of every asset",
        &[],
    ),
    Operation(
        "get",
        "/api/v1/assets",
        "The assets",
        &["q", "state", "layer", "kind", "owner", "tag", "after"],
    ),
    Operation(
        "get",
        "/api/v1/assets/{key}",
        "One asset",
        &["partition", "before*", "year*"],
    ),
    Operation(
        "get",
        "/api/v1/runs",
        "Runs, newest first",
        &["status", "asset", "before*"],
    ),
    Operation("post", "/api/v1/runs", "Ask for a run", &[]),
    Operation(
        "get",
        "/api/v1/runs/{run}",
        "One run: its attempts, what it read and wrote, a part of its steps",
        &[
            "asset",
            "status",
            "after_asset",
            "after_partition",
            "unfold",
            "after_attempt*",
        ],
    ),
    Operation(
        "get",
        "/api/v1/runs/{run}/log",
        "Part of the log of an attempt",
        &["attempt", "offset*", "line*", "level", "stream", "partition", "find"],
    ),
    Operation("post", "/api/v1/runs/{run}/cancel", "Stop a run", &[]),
    Operation("post", "/api/v1/runs/{run}/pause", "Start nothing more of a run", &[]),
    Operation("post", "/api/v1/runs/{run}/resume", "Let a paused run go on", &[]),
    Operation(
        "post",
        "/api/v1/runs/{run}/retry",
        "Run again what a run left undone",
        &[],
    ),
    Operation(
        "get",
        "/api/v1/backfills",
        "Backfills, newest first",
        &["state", "before*"],
    ),
    Operation(
        "get",
        "/api/v1/backfills/preview",
        "What a backfill would run, and how long it would take",
        &["selection", "from", "to", "only", "max_in_flight*", "batch*"],
    ),
    Operation(
        "get",
        "/api/v1/backfills/{run}",
        "One backfill: its steps by partition",
        &["from", "to", "partition"],
    ),
    Operation("post", "/api/v1/query", "The result of one SELECT", &[]),
    Operation("get", "/api/v1/query/names", "Names that a query may use", &["table"]),
    Operation(
        "get",
        "/api/v1/log",
        "All that happened, newest first",
        &["asset", "run", "level", "kind", "before*"],
    ),
    Operation("get", "/api/v1/openapi.json", "This description", &[]),
    Operation("get", "/api/v1/models", "The models", &[]),
    Operation(
        "get",
        "/api/v1/models/{model}",
        "One model and its versions",
        &["before*"],
    ),
    Operation(
        "post",
        "/api/v1/models/{model}/aliases/{alias}",
        "Point an alias at a version",
        &[],
    ),
    Operation(
        "get",
        "/api/v1/schedules",
        "Schedules and their ticks",
        &["schedule", "before*"],
    ),
    Operation("post", "/api/v1/schedules/{schedule}/pause", "Pause a schedule", &[]),
    Operation("post", "/api/v1/schedules/{schedule}/resume", "Resume a schedule", &[]),
    Operation("post", "/api/v1/schedules/{schedule}/tick", "Tick a schedule now", &[]),
    Operation(
        "get",
        "/api/v1/automation",
        "Assets that are made by themselves",
        &["before*"],
    ),
    Operation("post", "/api/v1/automation/pause", "Pause all automation", &[]),
    Operation("post", "/api/v1/automation/resume", "Resume all automation", &[]),
    Operation(
        "post",
        "/api/v1/automation/{key}/pause",
        "Pause the automation of an asset",
        &[],
    ),
    Operation(
        "post",
        "/api/v1/automation/{key}/resume",
        "Resume the automation of an asset",
        &[],
    ),
    Operation(
        "get",
        "/api/v1/alerts",
        "Alerts and their messages",
        &["alert", "open_before*", "before*"],
    ),
    Operation("post", "/api/v1/alerts/{alert}/test", "Send a test message", &[]),
    Operation(
        "get",
        "/api/v1/sensors",
        "Sensors and their ticks",
        &["sensor", "before*"],
    ),
    Operation(
        "get",
        "/api/v1/sensors/{sensor}/events",
        "What a sensor told of",
        &["before*"],
    ),
    Operation("post", "/api/v1/sensors/{sensor}/pause", "Pause a sensor", &[]),
    Operation("post", "/api/v1/sensors/{sensor}/resume", "Resume a sensor", &[]),
    Operation(
        "post",
        "/api/v1/sensors/{sensor}/tick",
        "Let a sensor look now",
        &["test"],
    ),
    Operation(
        "get",
        "/api/v1/events",
        "Events after a number, oldest first",
        &["after*", "newest", "wait*"],
    ),
    Operation("get", "/api/v1/definitions", "The definitions in force", &[]),
    Operation("post", "/api/v1/definitions/look", "Read the files now", &[]),
    Operation(
        "get",
        "/api/v1/log-level",
        "What is worth a line in the daemon's own log",
        &[],
    ),
    Operation("post", "/api/v1/log-level", "Change it", &[]),
];

/// `GET /api/v1/openapi.json`
pub async fn serve() -> Json<Value> {
    Json(description())
}

fn description() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for Operation(method, path, summary, query) in OPERATIONS {
        let inside = path.split('{').skip(1).filter_map(|part| part.split('}').next());
        let in_path =
            inside.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
        let in_query = query.iter().map(|name| match name.strip_suffix('*') {
            Some(name) => json!({ "name": name, "in": "query", "schema": { "type": "integer" } }),
            None => json!({ "name": name, "in": "query", "schema": { "type": "string" } }),
        });
        let parameters: Vec<Value> = in_path.chain(in_query).collect();
        let object = json!({ "schema": { "type": "object" } });
        let mut operation = json!({
            "summary": summary,
            "parameters": parameters,
            "responses": {
                "200": { "description": "The answer", "content": { "application/json": object } },
                "default": {
                    "description": "Why not",
                    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
                },
            },
        });
        if let Some(body) = body(method, path) {
            operation["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": body } } });
        }
        let entry = paths.entry((*path).to_owned()).or_insert_with(|| json!({}));
        entry[*method] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Millpond",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the dashboard shows, for programs. `Authorization: Bearer TOKEN`, with the token that the state folder holds. Lists have a cursor (`next`): pass it as `before` or `after`, and no entry comes twice or is passed over while new ones arrive.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["error"],
                    "properties": { "error": { "type": "string", "description": "What is wrong and what to do" } },
                },
            },
        },
    })
}

/// What a request has to say beside its path.
fn body(method: &str, path: &str) -> Option<Value> {
    let text = |description: &str| json!({ "type": "string", "description": description });
    match (method, path) {
        ("post", "/api/v1/runs") => Some(json!({
            "type": "object",
            "required": ["selection"],
            "additionalProperties": false,
            "properties": {
                "selection": text("Which assets"),
                "partition": text("One partition"),
                "from": text("The first partition of a range"),
                "to": text("The last"),
                "these": { "type": "array", "items": { "type": "string" } },
                "steps": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["asset"],
                        "properties": { "asset": { "type": "string" }, "partition": { "type": ["string", "null"] } },
                    },
                },
                "force": { "type": "boolean", "description": "Also what is fresh" },
                "only": { "enum": ["missing", "failed"] },
                "pace": {
                    "type": "object",
                    "properties": {
                        "newest_first": { "type": "boolean" },
                        "max_in_flight": { "type": "integer", "minimum": 1 },
                        "batch": { "type": "integer", "minimum": 1 },
                        "priority": { "type": "integer" },
                    },
                },
                "trigger": text("Who asks"),
            },
        })),
        ("post", "/api/v1/query") => Some(json!({
            "type": "object",
            "required": ["sql"],
            "properties": { "sql": text("One SELECT"), "as_of": text("A time, or the id of a snapshot") },
        })),
        ("post", "/api/v1/models/{model}/aliases/{alias}") => Some(json!({
            "type": "object",
            "required": ["version"],
            "additionalProperties": false,
            "properties": { "version": { "type": "integer", "minimum": 1 } },
        })),
        ("post", "/api/v1/log-level") => Some(json!({
            "type": "object",
            "required": ["level"],
            "additionalProperties": false,
            "properties": { "level": text("`info`, `debug`, `info,orchestrator::edge=trace`") },
        })),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let routes = include_str!("routes.rs");
        let mut expected = Vec::new();
        for rest in routes.split(".route(\"").skip(1) {
            let (path, rest) = rest.split_once('"').unwrap();
            let handlers = rest.split(".route(").next().unwrap();
            if path.starts_with("/api/") {
                for method in ["get", "post"] {
                    if handlers.contains(&format!("{method}(")) {
                        expected.push(format!("{method} {path}"));
                    }
                }
            }
        }
        let mut found: Vec<String> = OPERATIONS.iter().map(|one| format!("{} {}", one.0, one.1)).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        let described = description();
        assert_eq!(
            described["paths"]["/api/v1/runs/{run}"]["get"]["parameters"][0]["name"],
            "run"
        );
    }
}
