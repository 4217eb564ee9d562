"""The summary as tables for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from evaluation.ablations import WHOLE


def print_report(summary: Mapping[str, Any], console: Console) -> None:
    """Print stages, answers by kind and condition, and where answers were lost."""
    console.print(
        f"[bold]{summary['bundle']}[/bold]: {summary['questions']} questions about"
        f" {summary['scenes']} held-out scenes, {summary['n_shot']} examples a prompt,"
        f" seed {summary['seed']}; in brackets the 95 % interval"
    )
    console.print(_stages(summary))
    console.print(_answers(summary))
    console.print(_combinations(summary))
    lost = summary["lost"]
    console.print(
        "Wrong answers of the whole chain: "
        + ", ".join(f"{count} lost {place}" for place, count in lost.items())
        + f". Took {summary['took_s']:.0f} s."
    )


def _stages(summary: Mapping[str, Any]) -> Table:
    table = Table("stage", "score", "bar", "chance", title="Every stage by itself")
    stages, bars = summary["stages"], summary["bars"]
    chances = {
        "retriever recall@16": stages["retriever recall@16 by chance"],
        "image to caption, first 1": stages["matching by chance, first 1"],
    }
    for name, score in stages.items():
        if isinstance(score, dict) and "value" in score:
            chance = f"{chances[name]:.3f}" if name in chances else ""
            table.add_row(name, *_against(score, bars.get(name)), chance)
    for name, score in stages["caption F1 by attribute"].items():
        table.add_row(f"  caption F1: {name}", _interval(score))
    return table


def _answers(summary: Mapping[str, Any]) -> Table:
    answers, bars = summary["answers"], summary["bars"]
    kind = Column("kind", no_wrap=True)
    conditions = (Column(name, justify="right", overflow="fold") for name in answers)
    table = Table(
        kind,
        *conditions,
        "n",
        title="Exact match of answers",
        box=SIMPLE,
        padding=(0, 0, 0, 1),
        pad_edge=False,
    )
    whole = answers[WHOLE.name]
    for kind, score in whole["kinds"].items():
        row = [f"{answers[name]['kinds'][kind]['value']:.3f}" for name in answers]
        table.add_row(kind, *row, str(score["count"]))
    table.add_section()
    overall = [each["overall"] for each in answers.values()]
    all_right = [f"{score['value']:.3f}" for score in overall]
    table.add_row("[bold]all[/bold]", *all_right, str(summary["questions"]))
    table.add_row(
        "95 % interval", *(f"{score['low']:.2f}-{score['high']:.2f}" for score in overall)
    )
    worst = [f"{each['worst kind']['value']:.3f}" for each in answers.values()]
    table.add_row("[bold]worst kind[/bold]", *worst)
    table.caption = ", ".join(
        f"bar for {name}: {_against(score, bars[name])[1]}"
        for name, score in (("all", whole["overall"]), ("worst kind", whole["worst kind"]))
    )
    return table


def _combinations(summary: Mapping[str, Any]) -> Table:
    groups = summary["new combinations"]
    table = Table("", *groups, title="Scenes with and without a pair that training never showed")
    for name in groups["with"]:
        table.add_row(name, *(_interval(group[name]) for group in groups.values()))
    return table


def _against(score: Mapping[str, float], bar: float | None) -> tuple[str, str]:
    """Return the score and its bar, marked by whether it is reached."""
    if bar is None:
        return _interval(score), ""
    colour = "green" if score["value"] >= bar else "red"
    return f"[{colour}]{_interval(score)}[/{colour}]", f"[{colour}]{bar:.2f}[/{colour}]"


def _interval(score: Mapping[str, float]) -> str:
    return f"{score['value']:.3f} [dim]({score['low']:.3f}-{score['high']:.3f})[/dim]"
