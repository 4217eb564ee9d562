"""Builders of Grafana panels, with all choices of style in one place.

Every panel needs title, unit and description: the person on call may never have seen it before.
Colours of thresholds mean the same everywhere: green is within the objective, yellow is worth a
look, red needs action.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import text as words
from grafana_foundation_sdk.models import common as styles
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import heatmap as heatmap_styles
from grafana_foundation_sdk.models import prometheus as formats
from grafana_foundation_sdk.models import text as text_styles

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = timeseries.Panel | stat.Panel | bargauge.Panel | heatmap.Panel | table.Panel | words.Panel
_Some = TypeVar("_Some", timeseries.Panel, stat.Panel, bargauge.Panel, heatmap.Panel, table.Panel)


@dataclass(frozen=True, slots=True)
class About:
    """Title, unit and description of a panel."""

    title: str
    unit: str
    """As Grafana names it: s, percentunit, reqps, ..."""
    description: str
    """What it shows, and what a bad value means."""


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel, and the name of its lines."""

    expression: str
    legend: str


Limits = Sequence[tuple[float | None, str]]
"""Thresholds: a lower bound and its colour; the first has no bound."""


def high(yellow: float, red: float) -> Limits:
    """Return thresholds of a value that is bad when it is high."""
    return ((None, "green"), (yellow, "yellow"), (red, "red"))


def low(red: float, yellow: float) -> Limits:
    """Return thresholds of a value that is bad when it is low: red below the first, then yellow."""
    return ((None, "red"), (red, "yellow"), (yellow, "green"))


Text = styles.BigValueTextMode

Names = Mapping[int, tuple[str, str]]
"""Text and colour of each number of a status (Grafana's value mappings)."""

_PLAIN: Limits = ((None, "blue"),)


def lines(
    about: About,
    *queries: Query,
    width: int = 8,
    height: int = 8,
    limits: Limits | None = None,
    least: float | None = 0,
    most: float | None = None,
    stacked: bool = False,
) -> timeseries.Panel:
    """Return a time series panel; its thresholds are drawn as dashed lines.

    Args:
        about: The panel's.
        queries: What is drawn.
        width: Of 24 columns.
        height: In rows of the grid.
        limits: Colours by value.
        least: Lower end of the axis; None leaves it to the values.
        most: Upper end of the axis, unless a value is above.
        stacked: Stack the series; for series whose sum has a meaning.
    """
    panel = (
        _described(timeseries.Panel(), about, queries, width, height)
        .line_width(2)
        .fill_opacity(30 if stacked else 8)
        .gradient_mode(styles.GraphGradientMode.OPACITY)
        .show_points(styles.VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(styles.LegendDisplayMode.LIST)
            .placement(styles.LegendPlacement.BOTTOM)
            .calcs(["lastNotNull"])
        )
        .tooltip(
            common.VizTooltipOptions()
            .mode(styles.TooltipDisplayMode.MULTI)
            .sort(styles.SortOrder.DESCENDING)
        )
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.PALETTE_CLASSIC))
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(styles.StackingMode.NORMAL).group("A"))
    if least is not None:
        panel.min(least)
    if most is not None:
        panel.axis_soft_max(most)
    if limits is not None:
        panel.thresholds(_thresholds(limits)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(styles.GraphThresholdsStyleMode.DASHED)
        )
    return panel


def number(
    about: About,
    *queries: Query,
    limits: Limits = _PLAIN,
    names: Names | None = None,
    text: Text = Text.AUTO,
    past: bool = True,
    width: int = 4,
    height: int = 4,
) -> stat.Panel:
    """Return a stat panel: the current value, large.

    Args:
        about: The panel's.
        queries: One value each, or a few.
        limits: Colours by value.
        names: Text and colour instead of a value.
        text: Whether the value is shown, its name, or both.
        past: Draw a sparkline; not for names, and not for expensive queries.
        width: Of 24 columns.
        height: In rows of the grid.
    """
    panel = (
        _described(stat.Panel(), about, (), width, height)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .color_mode(styles.BigValueColorMode.VALUE)
        .graph_mode(styles.BigValueGraphMode.AREA if past else styles.BigValueGraphMode.NONE)
        .text_mode(text)
        .thresholds(_thresholds(limits))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )
    for index, query in enumerate(queries):
        target = _target(query, index)
        panel.with_target(target.range() if past else target.instant())
    if names:
        panel.mappings([_mapping(names)])
    return panel


def bars(
    about: About, query: Query, *, limits: Limits, most: float = 1, width: int = 8, height: int = 8
) -> bargauge.Panel:
    """Return a bar gauge of current values."""
    return (
        _described(bargauge.Panel(), about, (query,), width, height)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .orientation(styles.VizOrientation.HORIZONTAL)
        .display_mode(styles.BarGaugeDisplayMode.BASIC)
        .min(0)
        .max(most)
        .thresholds(_thresholds(limits))
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )


def spread(about: About, expression: str, *, width: int = 12, height: int = 8) -> heatmap.Panel:
    """Return a heatmap of a histogram over time; the unit is that of its buckets."""
    return (
        _described(heatmap.Panel(), about, (), width, height)
        .with_target(
            _target(Query(expression, "{{le}}"), 0).format(formats.PromQueryFormat.HEATMAP).range()
        )
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions()
            .mode(heatmap_styles.HeatmapColorMode.SCHEME)
            .scheme("Turbo")
            .steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(about.unit))
        .cell_gap(1)
        .show_legend()
    )


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, whose rows are the values of the label `deployment`."""

    title: str
    expression: str
    unit: str
    limits: Limits | None = None
    names: Names | None = None


def stages_table(about: About, *columns: Column, width: int = 24, height: int = 9) -> table.Panel:
    """Return a table of current values, a row for each stage; `about.unit` is the default unit."""
    panel = _described(table.Panel(), about, (), width, height)
    for index, column in enumerate(columns):
        target = _target(Query(column.expression, ""), index)
        panel.with_target(target.format(formats.PromQueryFormat.TABLE).instant())
        panel.override_by_name(column.title, _column_style(column))
    names = {f"Value #{_letter(index)}": each.title for index, each in enumerate(columns)}
    steps: dict[str, dict[str, object]] = {
        "joinByField": {"byField": "deployment", "mode": "outer"},
        "filterFieldsByName": {"include": {"pattern": "^(deployment|Value #.*)$"}},
        "organize": {"renameByName": {"deployment": "Stage", **names}},
    }
    for step, settings in steps.items():
        panel.with_transformation(model.DataTransformerConfig(step, options=settings))
    return panel


def note(title: str, description: str, markdown: str, *, width: int, height: int) -> words.Panel:
    """Return a text panel."""
    return (
        words.Panel()
        .title(title)
        .description(description)
        .mode(text_styles.TextMode.MARKDOWN)
        .content(markdown)
        .span(width)
        .height(height)
    )


def _described(
    panel: _Some, about: About, queries: Sequence[Query], width: int, height: int
) -> _Some:
    panel.title(about.title).description(about.description).unit(about.unit)
    panel.datasource(DATASOURCE).span(width).height(height)
    for index, query in enumerate(queries):
        panel.with_target(_target(query, index).range())
    return panel


def _target(query: Query, index: int) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .datasource(DATASOURCE)
        .expr(query.expression)
        .legend_format(query.legend)
        .ref_id(_letter(index))
    )


def _letter(index: int) -> str:
    return chr(ord("A") + index)


def _thresholds(limits: Limits) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value=value, color=colour) for value, colour in limits]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _mapping(names: Names) -> model.ValueMap:
    return model.ValueMap(
        options={
            str(value): model.ValueMappingResult(text=name, color=colour, index=index)
            for index, (value, (name, colour)) in enumerate(names.items())
        }
    )


def _column_style(column: Column) -> list[model.DynamicConfigValue]:
    style = [model.DynamicConfigValue("unit", column.unit)]
    if column.limits is not None:
        style.append(model.DynamicConfigValue("thresholds", _thresholds(column.limits).build()))
    if column.names is not None:
        style.append(model.DynamicConfigValue("mappings", [_mapping(column.names)]))
    if column.limits is not None or column.names is not None:
        style.append(model.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    return style
