"""The catalogue of our metrics as a document, generated from `deployments.telemetry.metrics`.

Ray's own series are not in it: `dashboards.ray_series` names those that we use.
"""

from deployments.telemetry.metrics import METRICS, Metric

_HEAD = """# Metrics

Written by `python -m dashboards` from `deployments/telemetry/metrics.py`; do not edit. Every
series also has the labels `application`, `deployment` and `replica` that Ray adds. Histograms
have `_bucket` and `_count`; do not use their `_sum`, which Ray makes up from the middles of the
buckets. No label's value comes from a caller.

| name | type | unit | labels | what it is |
| --- | --- | --- | --- | --- |
"""


def rendered() -> str:
    """Return the document."""
    return _HEAD + "".join(_row(metric) for metric in METRICS)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.exported}` | {metric.kind} | {metric.unit} | {labels} | {metric.help} |\n"
