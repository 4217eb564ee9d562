"""Ties a load test together for `locust -f load_tests/locustfile.py`; see README.md beside it.

Locust takes every user and shape class that it finds in this module. There is one shape, which
asks the options what it is: with several, Locust would silently take the first.
"""

import sys
from pathlib import Path
from typing import Any

from locust import LoadTestShape, events
from locust.env import Environment
from locust.runners import WorkerRunner

from load_tests.client.questions import PhotosError, read_photos
from load_tests.options import DEFAULT_SECONDS, add_options
from load_tests.reach import why_not_in_time
from load_tests.running import Run
from load_tests.shapes import users_at
from load_tests.users import BadCaller, BatchCaller, Visitor, WebcamVisitor

__all__ = ["BadCaller", "BatchCaller", "ChosenShape", "Visitor", "WebcamVisitor"]


class ChosenShape(LoadTestShape):
    """The shape that `--shape` names, within `--users` and `--run-time`."""

    use_common_options = True

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there should be and how many start a second; None at the end."""
        options = self.runner.environment.parsed_options if self.runner else None
        if options is None:
            return None
        users = users_at(
            options.shape,
            users=options.num_users or 1,
            seconds=options.run_time or DEFAULT_SECONDS,
            now_s=self.get_run_time(),  # type: ignore[no-untyped-call]
        )
        return None if users is None else (users, float(options.spawn_rate or 1))


def begin(environment: Environment, **_: object) -> None:
    """Look at everything that could be wrong, before anybody asks."""
    options: Any = environment.parsed_options
    try:
        read_photos(Path(options.photos))
    except PhotosError as error:
        sys.exit(str(error))
    if isinstance(environment.runner, WorkerRunner):
        return
    # On Locust's page the address can still be given.
    if environment.host or options.headless:
        fault = why_not_in_time(
            environment.host, within_s=options.wait_s, may_degrade=options.allow_degraded
        )
        if fault:
            sys.exit(fault)
    run = Run(environment)
    events.test_start.add_listener(run.start)
    events.test_stop.add_listener(run.stop)
    events.quitting.add_listener(run.quit)


events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(begin)
