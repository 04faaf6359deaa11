//! `kind = "asset"`: an asset of this project, or a table of another one.

use super::Reading;
use crate::key::AssetKey;
use crate::sensor::{AssetSource, SensorSource};
use crate::table::{FieldSpec, FieldType, TableReader, TableSpec};

pub(super) static ASSET: TableSpec = TableSpec {
    name: "asset sensor",
    doc: "Materializations of an asset of this project, or new snapshots of a table of another project.",
    fields: &[
        FieldSpec::required("asset", FieldType::AssetKey, "The asset: `silver.flights`."),
        FieldSpec::optional(
            "project",
            FieldType::Text,
            "The folder of the other project, from this one's or absolute: `../weather`. Its state is only read.",
        ),
    ],
};

pub(super) fn read(table: &TableReader<'_>, _: &Reading<'_>) -> Option<SensorSource> {
    let asset: AssetKey = table.asset_key("asset")?.value;
    let project = match table.has("project") {
        true => Some(table.string("project")?.value.to_owned()),
        false => None,
    };
    Some(SensorSource::Asset(AssetSource { asset, project }))
}
