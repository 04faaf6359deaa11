//! Where lineage is told of what ran, as declared (OpenLineage, <https://openlineage.io>).

use crate::secret::SecretReference;

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLineage {
    /// The namespace of the project's jobs; the project's name if not declared.
    pub namespace: String,
    /// A server or a file.
    pub to: LineageTarget,
}

/// What takes the events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineageTarget {
    /// A server that speaks OpenLineage over HTTP: `/api/v1/lineage` below this address.
    Url {
        /// The address.
        url: String,
        /// Sent as `Authorization: Bearer …`.
        token: Option<SecretReference>,
    },
    /// A file, from the project's folder, that grows by one line of JSON per event.
    File(String),
}
