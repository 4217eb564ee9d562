"""Every expression of every page as Prometheus would get it, for tests that run them all.

They are read from the JSON that Grafana gets and not from the code that makes it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from dashboards.page import Page
from dashboards.pages import PAGES

Kind = Literal["panel", "variable", "annotation"]


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression and where it is."""

    page: str
    title: str
    """Title or name of the panel, the variable or the annotation."""
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    """Those that its legend or its variable reads."""


def expressions(window: str = "1m") -> list[Expression]:
    """Return every expression, with all variables set to match all.

    Args:
        window: Instead of Grafana's `$__rate_interval`: at least four scrapes.
    """
    found = [each for page in PAGES for each in _of(page, window)]
    return list(dict.fromkeys(found))


def panels_of(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels of a page in Grafana's JSON, without headings of rows."""
    inner = [panel for row in page["panels"] for panel in row.get("panels") or []]
    return [panel for panel in [*page["panels"], *inner] if panel["type"] != "row"]


def filled(text: str, window: str, **variables: str) -> str:
    """Return the expression with variables set; those that are not given match all."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return window if name == "__rate_interval" else variables.get(name, ".*")

    # Not $1, which is of PromQL's label_replace.
    return re.sub(r"\$(?:([a-zA-Z_]\w*)|\{([a-zA-Z_]\w*)\})", value, text)


def _of(page: Page, window: str) -> Iterator[Expression]:
    content = json.loads(page.json())
    for panel in panels_of(content):
        for target in panel.get("targets") or []:
            labels = tuple(re.findall(r"{{\s*(\w+)\s*}}", target.get("legendFormat", "")))
            text = filled(target["expr"], window)
            yield Expression(page.name, panel["title"], "panel", text, labels)
    for variable in content["templating"]["list"]:
        if variable["type"] == "query":
            query = filled(variable["query"]["query"], window)
            series, label = re.fullmatch(r"label_values\((.+), (\w+)\)", query).groups()  # type: ignore[union-attr]
            yield Expression(page.name, variable["name"], "variable", series, (label,))
    for annotation in content["annotations"]["list"]:
        if annotation.get("expr"):
            text = filled(annotation["expr"], window)
            yield Expression(page.name, annotation["name"], "annotation", text)
