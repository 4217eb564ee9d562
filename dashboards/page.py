"""What every dashboard has: uid, variables, links to the others, annotations.

Bookmarks and alerts contain uids, so they never change.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from dashboards.panels import DATASOURCE, Panel
from dashboards.promql import Scope
from dashboards.queries import requests
from deployments.telemetry.metrics import BUILD_INFO, STAGE_MAX_REPLICAS

CHOSEN = Scope(
    namespace="$namespace",
    application="$application",
    deployment="$deployment",
    window="$__rate_interval",
)
"""Values of the variables at the top of the page."""

TAG = "admirer"


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels under it, from left to right and down."""

    title: str
    panels: Sequence[Panel]
    repeat: str | None = None
    """Variable over whose values the row is repeated."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotation on all graphs wherever its expression returns something."""

    name: str
    expression: str
    colour: str


RELEASES = Annotation(
    "Another bundle or version",
    requests.new_release(Scope("$namespace", "$application", window="10m")),
    "purple",
)


@dataclass(frozen=True, slots=True)
class Page:
    """One dashboard."""

    name: str
    """Name of its file."""
    title: str
    description: str
    rows: Sequence[Row]
    annotations: Sequence[Annotation] = field(default=(RELEASES,))

    @property
    def uid(self) -> str:
        """Its address, as in /d/<uid>."""
        return f"admirer-{self.name}"

    def json(self) -> str:
        """Return the page as Grafana imports it, the same text every time."""
        return json.dumps(self._built(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"

    def _built(self) -> model.Dashboard:
        page = (
            dashboard.Dashboard(f"admirer / {self.title}")
            .uid(self.uid)
            .description(self.description)
            .tags([TAG])
            .editable()
            .tooltip(model.DashboardCursorSync.CROSSHAIR)
            .time("now-1h", "now")
            .refresh("30s")
            .timezone("browser")
            .link(
                dashboard.DashboardLink("Pages")
                .type(model.DashboardLinkType.DASHBOARDS)
                .tags([TAG])
                .as_dropdown(False)
                .include_vars(True)
                .keep_time(True)
            )
        )
        for variable in _variables():
            page.with_variable(variable)
        for annotation in self.annotations:
            page.annotation(
                dashboard.AnnotationQuery()
                .name(annotation.name)
                .datasource(DATASOURCE)
                .enable(True)
                .icon_color(annotation.colour)
                .expr(annotation.expression)
            )
        numbers = count(1)
        for row in self.rows:
            heading = dashboard.Row(row.title).id(next(numbers))
            page.with_row(heading.repeat(row.repeat) if row.repeat else heading)
            for panel in row.panels:
                page.with_panel(panel.id(next(numbers)))
        return page.build()


def _variables() -> list[dashboard.DatasourceVariable | dashboard.QueryVariable]:
    source = dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    build, stages = BUILD_INFO.exported, STAGE_MAX_REPLICAS.exported
    within = 'namespace=~"$namespace"'
    return [
        source,
        _variable("namespace", "Namespace", f"label_values({build}, namespace)"),
        _variable("application", "Application", f"label_values({build}{{{within}}}, application)"),
        _variable("deployment", "Stage", f"label_values({stages}{{{within}}}, stage)"),
    ]


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    """Return a variable of which several values or all may be chosen.

    All is `.*`, which also takes series that lack the label: outside Kubernetes, no scrape adds
    a namespace.
    """
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .query({"query": query, "refId": name})
        .datasource(DATASOURCE)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )
