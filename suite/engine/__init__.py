"""The engine: where shards run, inline, in local processes or on a Dask cluster."""
