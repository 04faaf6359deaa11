//! Where the files of a partition are, and what stands for it in them.

use assets::PartitionKey;
use iceberg::spec::Type;
use serde_json::Value;

use crate::lakehouse::LakeError;
use crate::lakehouse::partition_column::datum_of;

/// The folder of a partition's files.
pub(in crate::lakehouse) fn partition_folder(column: &str, key: &PartitionKey) -> String {
    format!("{column}={}", path_part(key.as_str()))
}

/// A partition's value as it stands in a staged file.
pub(in crate::lakehouse) fn partition_json(key: &PartitionKey, column_type: &Type) -> Result<Value, LakeError> {
    let broken = || LakeError::Internal(format!("partition {key} has no value of type {column_type}"));
    let Type::Primitive(primitive) = column_type else {
        return Err(broken());
    };
    let datum = datum_of(key, primitive).ok_or_else(broken)?;
    iceberg::spec::Literal::from(datum)
        .try_into_json(column_type)
        .map_err(|_| broken())
}

/// A partition value as part of a path: everything but plain letters, digits and `-_.` percent-encoded, and not too long for
/// a file name (nobody reads values off paths, so a long one may be cut and told apart by its hash).
pub(super) fn path_part(value: &str) -> String {
    use sha2::Digest;
    let mut encoded = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    if encoded.len() <= 120 {
        return encoded;
    }
    let hash = hex::encode(sha2::Sha256::digest(value.as_bytes()));
    let mut short: String = encoded.chars().take(100).collect();
    // Not in the middle of an encoded byte.
    while short.rfind('%').is_some_and(|at| at + 2 >= short.len()) {
        short.pop();
    }
    format!("{short}-{}", &hash[..16])
}
