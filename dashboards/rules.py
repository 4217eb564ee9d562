"""Every alert and recording rule, and the files of the chart that they are written to.

One file becomes one PrometheusRule. What a rule means and what to do is in RUNBOOK.md.
"""

from dashboards import rules_answers, rules_cluster, rules_slo, rules_stages
from dashboards.rules_format import Alert, Group, Recording, written

FILES: dict[str, tuple[Group, ...]] = {
    "slo.yaml": rules_slo.groups(),
    "stages.yaml": rules_stages.groups(),
    "cluster.yaml": rules_cluster.groups(),
    "answers.yaml": rules_answers.groups(),
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
