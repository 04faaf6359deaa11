"""An asset in Python over the published client of the Dagster Pipes protocol: reads its input, reports, leaves rows."""

import pyarrow as pa
import pyarrow.parquet as pq
from dagster_pipes import open_dagster_pipes

with open_dagster_pipes() as context:
    context.log.info(f"{context.asset_key} {context.partition_key} try {context.retry_number}")
    window = context.partition_time_window
    print(f"from {window['start']} to {window['end']}", flush=True)
    source = context.extras["inputs"]["silver.numbers"]
    numbers = pa.concat_tables([pq.read_table(file) for file in source["files"]])
    factor = context.extras["params"]["factor"]
    rows = pa.table(
        {
            "day": numbers["day"],
            "number": numbers["number"],
            "times": [value * factor for value in numbers["number"].to_pylist()],
        }
    )
    pq.write_table(rows, context.extras["output_folder"] + "/part-0.parquet")
    context.report_asset_check("not empty", passed=rows.num_rows > 0, metadata={"rows": rows.num_rows})
    context.report_asset_check("is small", passed=False, severity="WARN")
    context.report_custom_message({"any": "payload"})
    context.report_asset_materialization(
        metadata={
            "mean": 2.5,
            "rows read": numbers.num_rows,
            "report": {"raw_value": "# Title", "type": "md"},
        },
        data_version=f"snapshot-{source['snapshot_id'] > 0}",
    )
