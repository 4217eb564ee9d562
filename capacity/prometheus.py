"""Counts from an app's Prometheus text: runs of each model, items, batch limits, replicas.

Counts only. Ray makes the sums of histograms up from the middles of their buckets.
"""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from capacity.problems import CapacityError

RUNS = "ray_admirer_model_seconds_count"
ITEMS = "ray_admirer_queue_seconds_count"
MAX_ITEMS = "ray_admirer_batch_max_items"
NICENESS = "ray_admirer_batch_niceness"


class Counts:
    """One reading, by the name of a series and the deployment."""

    def __init__(self, text: str) -> None:
        self._values: dict[tuple[str, str], list[float]] = {}
        # Ray's own series are many, and parsing them would load the cores that are measured.
        ours = "\n".join(line for line in text.splitlines() if "admirer_" in line)
        for family in text_string_to_metric_families(ours):
            for sample in family.samples:
                if sample.name in {RUNS, ITEMS, MAX_ITEMS, NICENESS}:
                    series = (sample.name, sample.labels.get("deployment", ""))
                    self._values.setdefault(series, []).append(sample.value)

    def total(self, name: str, stage: str) -> int:
        """Return the sum over replicas; 0 where there is no such series."""
        return int(sum(self._values.get((name, stage), [])))

    def most(self, name: str) -> dict[str, int]:
        """Return the greatest of any replica by stage, where it is not 0."""
        found = (
            (stage, int(max(each))) for (of, stage), each in self._values.items() if of == name
        )
        return {stage: most for stage, most in found if most}


def read(metrics_url: str) -> Counts:
    """Return what the counters say now.

    Raises:
        CapacityError: There are no metrics there.
    """
    try:
        response = httpx.get(metrics_url, timeout=10, trust_env=False)
        return Counts(response.raise_for_status().text)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise CapacityError(f"No metrics can be read at {metrics_url}: {reason}.") from None
