"""One file a workload: `NAME`, `VARIANTS`, and `run(context, variant)`, which gives its table."""
