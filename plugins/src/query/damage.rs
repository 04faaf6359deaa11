//! Which file is to blame when decoding fails: the engine's error does not say, so the query's files are read again one by one.

use std::fs::File;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::ChunkReader;

use crate::lakehouse::{LakeError, is_of_store};

/// `error`, or the name of the first file of `plan` that cannot be decoded, if that is what it is about.
pub(crate) async fn name_damaged_file(
    plan: Arc<dyn ExecutionPlan>,
    runtime: &RuntimeEnv,
    error: DataFusionError,
) -> DataFusionError {
    let undecoded = matches!(
        error.find_root(),
        DataFusionError::ParquetError(_) | DataFusionError::ArrowError(..)
    );
    if !undecoded || is_of_store(&error) {
        return error;
    }
    let mut files = Vec::new();
    collect(&plan, &mut files);
    for (url, path) in files {
        let local = url == ObjectStoreUrl::local_filesystem();
        let (name, found) = if local {
            let name = format!("/{path}");
            let opened = name.clone();
            let look = move || File::open(opened).map_or_else(|error| Some(error.to_string()), damage);
            (name, tokio::task::spawn_blocking(look).await)
        } else {
            let bytes = match runtime.object_store(&url) {
                Ok(store) => async { store.get(&path).await?.bytes().await }.await,
                Err(_) => return error,
            };
            match bytes {
                Ok(bytes) => {
                    let look = tokio::task::spawn_blocking(move || damage(bytes));
                    (format!("{}{path}", url.as_str()), look.await)
                }
                // It cannot be read whole either: that is what is wrong.
                Err(error) => return DataFusionError::ObjectStore(Box::new(error)),
            }
        };
        match found {
            Ok(Some(reason)) => {
                return LakeError::Corrupt {
                    path: name,
                    reason: format!("the file is damaged: {reason}"),
                }
                .into();
            }
            Ok(None) => {}
            Err(_) => return error,
        }
    }
    error
}

fn collect(plan: &Arc<dyn ExecutionPlan>, files: &mut Vec<(ObjectStoreUrl, Path)>) {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>()
        && let Some(config) = scan.data_source().downcast_ref::<FileScanConfig>()
    {
        for file in config.file_groups.iter().flat_map(|group| group.iter()) {
            let found = (config.object_store_url.clone(), file.object_meta.location.clone());
            if !files.contains(&found) {
                files.push(found);
            }
        }
    }
    plan.children().into_iter().for_each(|child| collect(child, files));
}

fn damage(file: impl ChunkReader + 'static) -> Option<String> {
    let read = || -> Result<(), Box<dyn std::error::Error>> {
        for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
            batch?;
        }
        Ok(())
    };
    read().err().map(|error| error.to_string())
}
