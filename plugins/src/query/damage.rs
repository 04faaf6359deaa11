//! Which file is to blame when decoding fails: the engine's error does not say, so the query's files are read again one by one.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::lakehouse::LakeError;

/// `error`, or the name of the first file of `plan` that cannot be decoded, if that is what it is about.
pub(crate) async fn name_damaged_file(plan: Arc<dyn ExecutionPlan>, error: DataFusionError) -> DataFusionError {
    if !matches!(
        error.find_root(),
        DataFusionError::ParquetError(_) | DataFusionError::ArrowError(..)
    ) {
        return error;
    }
    let mut files = Vec::new();
    collect(&plan, &mut files);
    let search = tokio::task::spawn_blocking(move || files.into_iter().find_map(|path| Some((damage(&path)?, path))));
    match search.await {
        Ok(Some((reason, path))) => LakeError::Corrupt {
            path: path.display().to_string(),
            reason: format!("the file is damaged: {reason}"),
        }
        .into(),
        Ok(None) | Err(_) => error,
    }
}

fn collect(plan: &Arc<dyn ExecutionPlan>, files: &mut Vec<PathBuf>) {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>()
        && let Some(config) = scan.data_source().downcast_ref::<FileScanConfig>()
    {
        for file in config.file_groups.iter().flat_map(|group| group.iter()) {
            let path = PathBuf::from(format!("/{}", file.object_meta.location));
            if !files.contains(&path) {
                files.push(path);
            }
        }
    }
    plan.children().into_iter().for_each(|child| collect(child, files));
}

fn damage(path: &PathBuf) -> Option<String> {
    let read = || -> Result<(), Box<dyn std::error::Error>> {
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.build()? {
            batch?;
        }
        Ok(())
    };
    read().err().map(|error| error.to_string())
}
