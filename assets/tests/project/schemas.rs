//! The JSON Schemas: what they refer to exists, and they know the keys that the reader knows.

use assets::kind::KindCompiler;
use serde_json::Value;

use crate::kinds::TestKinds;

fn references(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                found.push(reference.clone());
            }
            object.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_is_defined() {
    for schema in [
        assets::schema::project_schema(&TestKinds),
        assets::schema::asset_file_schema(&TestKinds),
    ] {
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            assert!(schema.pointer(&reference[1..]).is_some(), "{reference}");
        }
    }
}

#[test]
fn an_asset_has_its_common_keys_and_those_of_its_kind() {
    let schema = assets::schema::asset_file_schema(&TestKinds);
    let asset = &schema["$defs"]["asset"];
    assert_eq!(asset["unevaluatedProperties"], false);
    assert_eq!(asset["required"], serde_json::json!(["kind"]));
    for key in ["kind", "partitions", "checks", "inputs", "freshness", "automation"] {
        assert!(asset["properties"][key]["description"].is_string(), "{key}");
    }
    for (index, kind) in TestKinds.kinds().iter().enumerate() {
        let rule = &asset["allOf"][index];
        assert_eq!(rule["if"]["properties"]["kind"]["const"], kind.name);
        for field in kind.spec.fields {
            assert_eq!(rule["then"]["properties"][field.name]["description"], field.doc);
        }
    }
    assert_eq!(
        schema["$defs"]["check"]["properties"]["severity"]["enum"],
        serde_json::json!(["error", "warn"])
    );
}
