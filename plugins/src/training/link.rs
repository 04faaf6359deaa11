//! What only the asset of the rows tells: which of its columns are features.

use assets::AssetKey;
use assets::kind::{CompiledKind, OtherAsset};

use super::{TrainingConfig, compile};
use crate::training_set::label_columns;

pub(super) fn link<'o>(compiled: &mut CompiledKind, others: &dyn Fn(&AssetKey) -> Option<OtherAsset<'o>>) {
    let mut config: TrainingConfig = serde_json::from_value(compiled.config.clone()).expect("compile wrote this form");
    let Some(from) = others(&config.from) else {
        // It does not exist or its own declaration is wrong; both are reported elsewhere.
        return;
    };
    if config.features.is_none() {
        config.label_columns = label_columns(&from, others);
        config.partition_column = from.partitions.map(|partitions| partitions.column.clone());
    }
    compiled.code = compile::code(&config);
    compiled.config = serde_json::to_value(config).expect("its numbers are finite and its keys texts");
}
