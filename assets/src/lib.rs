//! Floor 0: names, partitions, the TOML language, diagnostics, the graph of assets and selections over it.
//!
//! Nothing here reads a file, a clock or an environment variable: text comes in, checked values come out.
//! Files reach the reader through [`files::ProjectFiles`], time as a value.

pub mod alert;
pub mod asset;
pub mod automation;
pub mod check;
pub mod condition;
pub mod contract;
pub mod cron;
pub mod declaration;
pub mod diagnostic;
pub mod files;
pub mod fingerprint;
pub mod freshness;
pub mod graph;
pub mod key;
pub mod kind;
pub mod openlineage;
pub mod outcome;
pub mod partition;
pub mod pattern;
pub mod project;
pub mod quantity;
pub mod schedule;
pub mod schema;
pub mod secret;
pub mod selection;
pub mod sensor;
pub mod span;
pub mod sql;
pub mod step_rules;
pub mod table;
pub mod warehouse;

pub use alert::Alert;
pub use asset::{Asset, AssetInput, InputRole, Location, ModelReference, PartitionedBy, WriteMode};
pub use automation::Automation;
pub use contract::{Contract, DeclaredColumn, SchemaPolicy};
pub use declaration::{declared_columns, declared_types};
pub use fingerprint::Fingerprint;
pub use freshness::Freshness;
pub use graph::AssetGraph;
pub use key::{AssetKey, AssetPartition};
pub use partition::PartitionKey;
pub use project::{Loaded, Project, load};
pub use schedule::Schedule;
pub use secret::SecretReference;
pub use sensor::Sensor;
pub use step_rules::StepRules;
pub use warehouse::Warehouse;
