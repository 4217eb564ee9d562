"""Every alert and recording rule, and the files of the chart that they are written to.

One file becomes one PrometheusRule. What a rule means and what to do is in RUNBOOK.md.
"""

from dashboards.rules import answers, cluster, slo, stages
from dashboards.rules.format import Alert, Group, Recording, written

FILES: dict[str, tuple[Group, ...]] = {
    "slo.yaml": slo.groups(),
    "stages.yaml": stages.groups(),
    "cluster.yaml": cluster.groups(),
    "answers.yaml": answers.groups(),
}


def rules() -> tuple[Recording | Alert, ...]:
    """Return every rule."""
    return tuple(rule for groups in FILES.values() for group in groups for rule in group.rules)


def alerts() -> tuple[Alert, ...]:
    """Return every alert; several may share a name, each with its own labels."""
    return tuple(rule for rule in rules() if isinstance(rule, Alert))


def rendered() -> dict[str, str]:
    """Return file name to YAML text of every rule file."""
    return {name: written(groups) for name, groups in FILES.items()}
