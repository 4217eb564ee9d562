"""Recording rules and alerts, and how they are written as YAML.

An alert also names its operands, the expressions that it compares: its own expression is empty
while all is well, so that a misspelt metric would look healthy. A test runs the operands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any, Literal

import yaml

from dashboards.promql import Scope

RUNBOOK = "dashboards/RUNBOOK.md"
"""As a link from the repository's root."""

APP = "{{ $labels.namespace }}/{{ $labels.application }}"
"""The app in a summary; its application name is that of every release, its namespace is not."""

SCOPE = Scope(by=("namespace", "application"))
"""Labels that rules keep; during an upgrade both clusters count as one app."""

Severity = Literal["page", "ticket"]
"""Needs action now, or on the next working day."""


@dataclass(frozen=True)
class Recording:
    """A recording rule; `name` is level:metric:operations."""

    name: str
    expr: str

    @property
    def operands(self) -> tuple[str, ...]:
        """The expression itself, which returns data on a healthy app."""
        return (self.expr,)

    def document(self) -> dict[str, Any]:
        """Return the rule as Prometheus reads it."""
        return {"record": self.name, "expr": self.expr}


@dataclass(frozen=True)
class Alert:
    """An alerting rule."""

    name: str
    severity: Severity
    summary: str
    """One line that names the stage, as a template over the labels."""
    description: str
    """What to do first."""
    expr: str
    operands: tuple[str, ...]
    """Parts of `expr` that return data on a healthy app."""
    page: str
    """Uid of the dashboard that shows more."""
    hold: str = "5m"
    """Duration of `for`."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def runbook(self) -> str:
        """The address of the alert's section."""
        return f"{RUNBOOK}#{self.name.lower()}"

    def document(self) -> dict[str, Any]:
        """Return the rule as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.hold,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": self.runbook,
                "dashboard": self.page,
            },
        }


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated together, in this order."""

    name: str
    rules: tuple[Recording | Alert, ...]

    def document(self) -> dict[str, Any]:
        """Return the group as Prometheus reads it."""
        return {"name": self.name, "rules": [rule.document() for rule in self.rules]}


class _Writer(yaml.SafeDumper):
    """Writes expressions of several lines as block scalars."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists in mappings."""
        del indentless
        super().increase_indent(flow, False)


def _text(writer: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Writer.add_representer(str, _text)


def written(groups: tuple[Group, ...]) -> str:
    """Return the YAML text of a rule file."""
    document = {"groups": [group.document() for group in groups]}
    text = yaml.dump(document, Dumper=_Writer, sort_keys=False, width=100, allow_unicode=True)
    return f"# Written by `make dashboards`; change dashboards/rules/ instead.\n{text}"


def laid_out(expr: str) -> str:
    """Return an expression without the indentation that it has in Python."""
    return dedent(expr).strip()
