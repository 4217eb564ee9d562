"""Options of a load test beside Locust's own; each can be set in the environment too."""

import argparse
from pathlib import Path
from typing import Any

from load_tests.limits import Limits
from load_tests.shapes import SHAPES

DEFAULT_SECONDS = 60
"""Default duration, in seconds."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add our options to Locust's, where its page of a new test shows them too."""
    limits = Limits()
    # Locust's parser takes `env_var` beside what argparse knows.
    group: Any = parser.add_argument_group("admirer")

    def option(name: str, text: str, **more: object) -> None:
        variable = f"LOAD_TEST_{name.upper().replace('-', '_')}"
        group.add_argument(f"--{name}", env_var=variable, help=text, **more)

    def value(name: str, default: str | float, text: str, **more: object) -> None:
        described = f"{text} Default: {default}." if default != "" else text
        option(name, described.replace("%", "%%"), default=default, type=type(default), **more)

    value("shape", "step", "Shape of the number of users over time.", choices=sorted(SHAPES))
    value("photos", "bundles/demo/photos", "Folder of JPEGs, and questions.jsonl if there is one.")
    value("think-time-s", 1.0, "Mean seconds between an answer and the next question.")
    option("any-answer", "Accept answers other than those of questions.jsonl.", action="store_true")
    option("allow-degraded", "Do not count degraded answers as failures.", action="store_true")
    value("max-failures-ratio", limits.max_failures_ratio, "Largest share of failed requests.")
    value("max-p95-ms", limits.max_p95_ms, "Largest p95 of answered questions, in milliseconds.")
    value("max-refused-ratio", limits.max_refused_ratio, "Largest share of refused requests.")
    value("wait-s", 0.0, "Most seconds to wait for the app to be ready.")
    value("report-dir", "", "Output folder of the report: plot and figures.")
    option("metrics-port", "Port for Prometheus; nothing is exported without it.", type=int)
    option("app-pid", "Process id of the app, whose memory is plotted; found if unset.", type=int)


def limits_of(options: argparse.Namespace) -> Limits:
    """Return the limits that were asked."""
    return Limits(options.max_failures_ratio, options.max_p95_ms, options.max_refused_ratio)


def report_dir(options: argparse.Namespace) -> Path | None:
    """Return where the report goes, if anywhere."""
    return Path(options.report_dir) if options.report_dir else None
