//! Where a project keeps its tables, as declared.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::secret::SecretReference;

/// A folder or a place in an S3-compatible store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warehouse {
    /// A folder from the project's folder, or a URL: `file:///…` or `s3://bucket/prefix`.
    pub url: String,
    /// How the store is reached; `None` for a folder.
    pub s3: Option<S3Store>,
}

/// How an S3-compatible store is reached. Holds no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Store {
    /// Its URL; `None` is AWS.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// Whether the bucket is named in the path and not in the host; `None` is so where there is an endpoint.
    pub path_style: Option<bool>,
    /// How long one request may take.
    pub timeout: Option<Duration>,
    /// How long a request that failed is tried again.
    pub retry_within: Option<Duration>,
    /// Where its keys are found; `None` leaves it to the machine's role.
    pub keys: Option<S3Keys>,
}

/// Where the keys of a store are found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Keys {
    /// The id of the key.
    pub id: SecretReference,
    /// The key.
    pub secret: SecretReference,
    /// The token of a session, where there is one.
    pub session_token: Option<SecretReference>,
}
