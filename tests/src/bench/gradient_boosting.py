"""xgboost's side of the gradient boosting benchmark: reads a JSON request, prints a JSON answer."""
import json
import sys
import time

import duckdb
import numpy
import xgboost

request = json.load(sys.stdin)
connection = duckdb.connect()
connection.execute("SET enable_progress_bar = false")


def load(path):
    columns = connection.execute(f"SELECT * FROM read_parquet('{path}')").fetchnumpy()
    target = numpy.asarray(columns.pop("y"), dtype=numpy.float32)
    features = [numpy.ma.filled(column.astype(numpy.float64), numpy.nan) for column in columns.values()]
    return numpy.column_stack(features).astype(numpy.float32), target


train_x, train_y = load(request["train"])
test_x, test_y = load(request["test"])
start = time.perf_counter()
model = xgboost.train(
    {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": request["max_depth"],
        "eta": request["learning_rate"],
        "lambda": 1.0,
        "min_child_weight": 1.0,
        "max_bin": 256,
        "nthread": request["threads"],
    },
    xgboost.QuantileDMatrix(train_x, train_y, nthread=request["threads"]),
    num_boost_round=request["trees"],
)
seconds = time.perf_counter() - start
predictions = model.predict(xgboost.DMatrix(test_x))
order = numpy.argsort(predictions, kind="stable")
ranks = numpy.empty(len(order))
ranks[order] = numpy.arange(1, len(order) + 1)
positives = test_y == 1
count = positives.sum()
auc = (ranks[positives].sum() - count * (count + 1) / 2) / (count * (len(test_y) - count))
print(json.dumps({"seconds": seconds, "auc": float(auc)}))
