//! Whether the columns that a step would publish are those that its asset promises.

use assets::{AssetKey, Contract, SchemaPolicy};
use iceberg::spec::{NestedFieldRef, Schema, Type};

use super::partition_column::APPENDED;
use super::schema::widest;
use super::{LakeError, LakeTable};

/// Refuses columns that are not as promised, all differences at once. `schema` is that of the table once the rows are in it,
/// `existing` the table as it is.
pub fn check_contract(
    table: &AssetKey,
    contract: &Contract,
    existing: Option<&LakeTable>,
    schema: &Schema,
) -> Result<(), LakeError> {
    let policy = contract.schema;
    if policy == Some(SchemaPolicy::Ignore) {
        return Ok(());
    }
    let columns = || {
        let fields = schema.as_struct().fields().iter();
        fields.filter(|field| field.name != APPENDED)
    };
    let mut differences = Vec::new();
    let gone = contract
        .dropped()
        .filter(|name| columns().any(|field| field.name == *name));
    differences.extend(gone.map(|name| format!("`{name}` is declared as dropped and is there")));
    for declared in contract.kept() {
        let Some(field) = columns().find(|field| field.name == declared.name) else {
            differences.push(format!("`{}` is missing", declared.name));
            continue;
        };
        let is = field.field_type.to_string();
        let Some(wanted) = declared.column_type.as_ref().filter(|wanted| **wanted != is) else {
            continue;
        };
        if policy != Some(SchemaPolicy::Evolve) || !widens(wanted, &field.field_type) {
            differences.push(format!("`{}` is declared {wanted} and is {is}", declared.name));
        }
    }
    if policy == Some(SchemaPolicy::Fail) && contract.kept().next().is_some() {
        let known = |name: &str| contract.columns.iter().any(|column| column.name == name);
        let others = columns().filter(|field| !known(&field.name));
        differences.extend(others.map(|field| format!("`{}` ({}) is not declared", field.name, field.field_type)));
    }
    if let (Some(policy), Some(existing)) = (policy, existing) {
        differences.extend(since(policy, existing, schema, contract));
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(LakeError::Contract {
        table: table.clone(),
        differences,
        evolves: policy == Some(SchemaPolicy::Evolve),
    })
}

/// How the columns differ from those that the table has, in ways that a policy does not allow.
fn since(policy: SchemaPolicy, existing: &LakeTable, schema: &Schema, contract: &Contract) -> Vec<String> {
    let before = existing.metadata().current_schema().as_struct();
    let strict = policy == SchemaPolicy::Fail && contract.kept().next().is_none();
    let mut differences = Vec::new();
    for was in before.fields().iter().filter(|was| was.name != APPENDED) {
        // A column that was renamed goes on under its id.
        let same = schema.as_struct().field_by_name(&was.name);
        match same.or_else(|| schema.as_struct().field_by_id(was.id)) {
            None if contract.dropped().any(|dropped| dropped == was.name) => {}
            None if strict || policy == SchemaPolicy::Evolve => {
                differences.push(format!("`{}` was {}, is missing", was.name, was.field_type));
            }
            Some(is) if is.field_type != was.field_type => {
                let wider = widest(&was.field_type, &is.field_type).is_some_and(|widest| widest == *is.field_type);
                if strict || (policy == SchemaPolicy::Evolve && !wider) {
                    differences.push(format!("`{}` was {}, is {}", was.name, was.field_type, is.field_type));
                }
            }
            _ => {}
        }
    }
    if strict {
        let fields = schema.as_struct().fields().iter();
        let there = |is: &NestedFieldRef| {
            before.field_by_name(&is.name).is_some() || before.field_by_id(is.id).is_some() || is.name == APPENDED
        };
        let added = fields.filter(|is| !there(is));
        differences.extend(added.map(|is| format!("`{}` ({}) is new", is.name, is.field_type)));
    }
    differences
}

/// Whether values of the declared type are values of this one.
fn widens(declared: &str, is: &Type) -> bool {
    let Ok(declared) = serde_json::from_value::<Type>(serde_json::Value::from(declared)) else {
        return false;
    };
    widest(&declared, is).is_some_and(|widest| widest == *is)
}
