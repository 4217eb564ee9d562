"""Sums that several programs make of what they measured."""

from collections.abc import Mapping, Sequence
from statistics import median, quantiles


def percentiles_ms(took_s: Sequence[float], *percents: int) -> dict[str, float]:
    """Return percentiles in milliseconds by name, such as p50_ms; 0 where there is nothing."""
    many = list(took_s) if len(took_s) > 1 else list(took_s or [0.0]) * 2
    cuts = quantiles(many, n=100, method="inclusive")
    return {f"p{percent}_ms": cuts[percent - 1] * 1000 for percent in percents}


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median over the rounds of every figure, 0 in a round without it."""
    names = dict.fromkeys(name for each in rounds for name in each)
    return {name: median(each.get(name, 0.0) for each in rounds) for name in names}


def cell(value: float) -> str:
    """Return three digits of a figure, as a table shows it."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
