//! The facets of OpenLineage that are told, each as its published schema says.

use serde_json::{Map, Value, json};

/// Who tells: a URI of the program and its version.
pub const PRODUCER: &str = concat!("urn:millpond:", env!("CARGO_PKG_VERSION"));

/// The schema of a run event.
pub const RUN_EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";

/// A facet: what it says, under the address of its schema.
fn facet(version: &str, name: &str, mut says: Value) -> Value {
    says["_producer"] = json!(PRODUCER);
    says["_schemaURL"] = json!(format!(
        "https://openlineage.io/spec/facets/{version}/{name}.json#/$defs/{name}"
    ));
    says
}

/// A list of facets by name; those that are not there are left out.
pub fn facets<const N: usize>(facets: [(&str, Option<Value>); N]) -> Value {
    let there = facets
        .into_iter()
        .filter_map(|(name, facet)| Some((name.to_owned(), facet?)));
    Value::Object(there.collect::<Map<String, Value>>())
}

/// The run that a step belongs to.
pub fn parent(run_id: &str, namespace: &str, job: &str) -> Value {
    facet(
        "1-0-1",
        "ParentRunFacet",
        json!({ "run": { "runId": run_id }, "job": { "namespace": namespace, "name": job } }),
    )
}

/// The stretch of time that a step makes, as ISO 8601.
pub fn nominal_time(start: &str, end: &str) -> Value {
    facet(
        "1-0-1",
        "NominalTimeRunFacet",
        json!({ "nominalStartTime": start, "nominalEndTime": end }),
    )
}

/// Why a run failed.
pub fn error_message(message: &str, language: &str) -> Value {
    facet(
        "1-0-1",
        "ErrorMessageRunFacet",
        json!({ "message": message, "programmingLanguage": language }),
    )
}

/// Which partition a step makes: a facet of our own.
pub fn partition(key: &str) -> Value {
    json!({
        "_producer": PRODUCER,
        "_schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet",
        "partition": key,
    })
}

/// What sort of job it is.
pub fn job_type(kind: &str) -> Value {
    facet(
        "2-0-3",
        "JobTypeJobFacet",
        json!({ "processingType": "BATCH", "integration": "MILLPOND", "jobType": kind }),
    )
}

/// The query of a job.
pub fn sql(query: &str) -> Value {
    facet("1-0-1", "SQLJobFacet", json!({ "query": query }))
}

/// Who answers for a job.
pub fn ownership(owner: &str) -> Value {
    facet("1-0-1", "OwnershipJobFacet", json!({ "owners": [{ "name": owner }] }))
}

/// What a job is for.
pub fn documentation(description: &str) -> Value {
    facet("1-0-1", "DocumentationJobFacet", json!({ "description": description }))
}

/// The columns of a dataset: names and types.
pub fn schema(columns: &[(String, String)]) -> Value {
    let fields: Vec<Value> = columns
        .iter()
        .map(|(name, kind)| json!({ "name": name, "type": kind }))
        .collect();
    facet("1-1-1", "SchemaDatasetFacet", json!({ "fields": fields }))
}

/// The snapshot of a table, or the version of a model.
pub fn version(version: &str) -> Value {
    facet(
        "1-0-1",
        "DatasetVersionDatasetFacet",
        json!({ "datasetVersion": version }),
    )
}

/// How much was written.
pub fn output_statistics(rows: u64, bytes: u64) -> Value {
    facet(
        "1-0-2",
        "OutputStatisticsOutputDatasetFacet",
        json!({ "rowCount": rows, "size": bytes }),
    )
}

/// What checks found.
pub fn assertions(assertions: &[Value]) -> Value {
    facet(
        "1-0-1",
        "DataQualityAssertionsDatasetFacet",
        json!({ "assertions": assertions }),
    )
}
