"""An asset in Python that fails half way: the client reports the exception and ends with a code."""

from dagster_pipes import open_dagster_pipes

with open_dagster_pipes() as context:
    context.log.warning("about to fail")
    raise ValueError("no numbers today")
