//! JSON Schema (draft 2020-12) of a project's files, for editors, from the descriptions that the reader judges by.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::declaration::{ASSET, ASSET_FILE, PROJECT_FILE, SENSOR, SENSOR_KINDS};
use crate::kind::KindCompiler;
use crate::table::{FieldSpec, FieldType, TableSpec};

/// The schema of `millpond.toml`.
pub fn project_schema(kinds: &dyn KindCompiler) -> Value {
    Builder::default().document(&PROJECT_FILE, kinds)
}

/// The schema of the files under `assets/`.
pub fn asset_file_schema(kinds: &dyn KindCompiler) -> Value {
    Builder::default().document(&ASSET_FILE, kinds)
}

/// Collects the tables that are referred to by name.
#[derive(Default)]
struct Builder {
    definitions: Map<String, Value>,
    /// The name given to each description, by its address.
    names: BTreeMap<usize, String>,
}

impl Builder {
    fn document(mut self, root: &'static TableSpec, kinds: &dyn KindCompiler) -> Value {
        let mut document = self.table(root);
        let asset_kinds = kinds.kinds();
        let asset = self.of_kinds(&ASSET, asset_kinds.iter().map(|kind| (kind.name, kind.doc, kind.spec)));
        self.definitions.insert("asset".to_owned(), asset);
        let sensor = self.of_kinds(
            &SENSOR,
            SENSOR_KINDS.iter().map(|kind| (kind.name, kind.spec.doc, kind.spec)),
        );
        self.definitions.insert("sensor".to_owned(), sensor);
        document["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        document["title"] = json!(root.name);
        document["$defs"] = Value::Object(self.definitions);
        document
    }

    /// The keys that all kinds have, and for each kind (its name, what it is, its keys) its own beside them.
    fn of_kinds(
        &mut self,
        common: &'static TableSpec,
        kinds: impl Iterator<Item = (&'static str, &'static str, &'static TableSpec)> + Clone,
    ) -> Value {
        let mut every = self.table(common);
        every["properties"]["kind"]["enum"] = kinds.clone().map(|(name, ..)| name).collect();
        let by_kind = kinds.map(|(name, doc, spec)| {
            let mut own = self.table(spec);
            own.as_object_mut()
                .expect("a table is an object")
                .remove("additionalProperties");
            own["description"] = json!(doc);
            json!({ "if": { "properties": { "kind": { "const": name } } }, "then": own })
        });
        every["allOf"] = by_kind.collect();
        let object = every.as_object_mut().expect("a table is an object");
        object.remove("additionalProperties");
        object.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
        every
    }

    fn table(&mut self, spec: &'static TableSpec) -> Value {
        let properties: Map<String, Value> = spec
            .fields
            .iter()
            .map(|field| (field.name.to_owned(), self.field(field)))
            .collect();
        let mut table = json!({
            "type": "object",
            "description": spec.doc,
            "properties": properties,
            "additionalProperties": false,
        });
        let required: Vec<&str> = spec
            .fields
            .iter()
            .filter(|field| field.required)
            .map(|field| field.name)
            .collect();
        if !required.is_empty() {
            table["required"] = json!(required);
        }
        table
    }

    fn field(&mut self, field: &'static FieldSpec) -> Value {
        let mut schema = self.kind(&field.kind);
        schema["description"] = json!(field.doc);
        schema
    }

    fn kind(&mut self, kind: &'static FieldType) -> Value {
        match kind {
            FieldType::String => json!({ "type": "string" }),
            FieldType::Text => json!({ "type": "string", "minLength": 1 }),
            FieldType::Name => json!({ "type": "string", "pattern": "^[a-z_][a-z0-9_]{0,119}$" }),
            FieldType::AssetKey => {
                json!({ "type": "string", "pattern": "^[a-z_][a-z0-9_]{0,119}\\.[a-z_][a-z0-9_]{0,119}$" })
            }
            FieldType::Choice(choices) => json!({ "type": "string", "enum": choices }),
            FieldType::Integer => json!({ "type": "integer" }),
            FieldType::IntegerWithin(least, most) => {
                let mut schema = json!({ "type": "integer" });
                if *least > i64::MIN {
                    schema["minimum"] = json!(least);
                }
                if *most < i64::MAX {
                    schema["maximum"] = json!(most);
                }
                schema
            }
            FieldType::Float => json!({ "type": "number" }),
            FieldType::FloatWithin(least, most) => json!({ "type": "number", "minimum": least, "maximum": most }),
            FieldType::Boolean => json!({ "type": "boolean" }),
            FieldType::Date => json!({ "type": "string", "format": "date" }),
            FieldType::DateTime => json!({ "type": "string" }),
            FieldType::Duration | FieldType::CalendarDuration => json!({ "type": "string", "pattern": "^\\s*[0-9]" }),
            FieldType::ByteSize => json!({ "type": "string", "pattern": "^\\s*[0-9.]+\\s*[a-zA-Z]*\\s*$" }),
            FieldType::StringList => json!({ "type": "array", "items": { "type": "string", "minLength": 1 } }),
            FieldType::List(element) => json!({ "type": "array", "items": self.kind(element) }),
            FieldType::Table(spec) => self.reference(spec),
            FieldType::Map(element) => json!({ "type": "object", "additionalProperties": self.kind(element) }),
            FieldType::OneOf(types) => {
                let types: Vec<Value> = types.iter().map(|kind| self.kind(kind)).collect();
                json!({ "anyOf": types })
            }
            FieldType::Asset => json!({ "$ref": "#/$defs/asset" }),
            FieldType::Sensor => json!({ "$ref": "#/$defs/sensor" }),
            FieldType::Any => json!({}),
        }
    }

    /// A table is defined once under its name; two descriptions with one name are told apart by a number.
    fn reference(&mut self, spec: &'static TableSpec) -> Value {
        let address = std::ptr::from_ref(spec) as usize;
        if let Some(name) = self.names.get(&address) {
            return json!({ "$ref": format!("#/$defs/{name}") });
        }
        let plain: String = spec
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let taken =
            |name: &String| name == "asset" || name == "sensor" || self.names.values().any(|known| known == name);
        let name = std::iter::once(plain.clone())
            .chain((2..=self.names.len() + 2).map(|number| format!("{plain}_{number}")))
            .find(|name| !taken(name))
            .expect("there are more numbers than tables");
        // Before its fields, so that a table may hold itself.
        self.names.insert(address, name.clone());
        let table = self.table(spec);
        self.definitions.insert(name.clone(), table);
        json!({ "$ref": format!("#/$defs/{name}") })
    }
}
