//! The rows of one step of a `features` asset.

use arrow::datatypes::{DataType, Schema};
use assets::outcome::{Failure, FailureClass};

use super::FeaturesConfig;
use crate::checks::missing_column;
use crate::kind::Output;
use crate::sql::run_query;
use crate::step_run::StepContext;

pub(super) async fn materialize(context: &StepContext<'_>) -> Result<Output, Failure> {
    let config: FeaturesConfig = context.config()?;
    let rows = run_query(&config.query, context).await?;
    judge(&config, &rows.schema())?;
    Ok(Output::rows(rows))
}

/// The declared columns are there, and those of time hold times.
fn judge(config: &FeaturesConfig, schema: &Schema) -> Result<(), Failure> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let entity = config.entity.iter().map(|column| ("entity", column));
    let times = [
        ("timestamp", Some(&config.timestamp)),
        ("created", config.created.as_ref()),
    ];
    let times = times.into_iter().filter_map(|(key, column)| Some((key, column?)));
    for (key, column) in entity.chain(times.clone()) {
        if schema.index_of(column).is_err() {
            let message = format!(
                "`{key}` of the asset: {} in the query's result",
                missing_column(column, &names)
            );
            return Err(Failure::new(FailureClass::Declaration, message));
        }
    }
    for (key, column) in times {
        let data_type = schema.field_with_name(column).expect("it was found above").data_type();
        if !matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) {
            let message = format!("`{key}` of the asset: the column `{column}` holds {data_type} and no times");
            return Err(Failure::new(FailureClass::Declaration, message)
                .with_help(format!("cast it in the query: CAST({column} AS TIMESTAMP)")));
        }
    }
    Ok(())
}
