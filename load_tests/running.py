"""One run of a load test as its master sees it: figures while it lasts, a verdict at its end.

The verdict is the exit code, and the page of Locust has none: there it is in the log, run by run.
"""

import logging
import time
from typing import Any

import gevent
from locust.env import Environment
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from load_tests.limits import Tally, broken
from load_tests.memory import AppMemory
from load_tests.options import limits_of, report_dir
from load_tests.report import Moment, Sample, sample_between, write

SAMPLE_EVERY_S = 3.0

logger = logging.getLogger(__name__)


class Run:
    """Listens to a test's start and end."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        options: Any = environment.parsed_options
        self._options = options
        self._samples: list[Sample] = []
        self._sampling: gevent.Greenlet | None = None
        if options.metrics_port:
            _export(environment, options.metrics_port)

    def start(self, **_: object) -> None:
        """Begin to take samples."""
        self._samples = []
        self._sampling = gevent.spawn(self._sample)

    def stop(self, **_: object) -> None:
        """Judge the run and write its report, once."""
        if self._sampling is None:
            return
        self._sampling.kill()
        self._sampling = None
        lines = broken(limits_of(self._options), self._tally())
        self._environment.process_exit_code = 1 if lines else 0
        for line in lines:
            logger.error(line)
        if not lines:
            logger.info("All limits were kept.")
        folder = report_dir(self._options)
        if folder is not None and self._samples:
            write(folder, self._samples, self._environment.host or "")
            logger.info("The plot is in %s.", folder)

    def quit(self, **_: object) -> None:
        """Judge a run that is broken off; one whose users raised an exception has failed."""
        self.stop()
        if self._environment.runner and self._environment.runner.exceptions:
            logger.error("The load test itself failed; its exceptions are above.")
            self._environment.process_exit_code = 1

    def _tally(self) -> Tally:
        return Tally.of(self._environment.stats.entries.values())

    def _sample(self) -> None:
        memory = AppMemory.of(self._environment.host or "", self._options.app_pid)
        before, began = Moment(0.0, Tally()), time.monotonic()
        while True:
            gevent.sleep(SAMPLE_EVERY_S)
            # In a thread: the kernel takes a tenth of a second, which would delay every user.
            memory_bytes = gevent.get_hub().threadpool.apply(memory.read)
            now = Moment(time.monotonic() - began, self._tally())
            runner = self._environment.runner
            users = runner.user_count if runner else 0
            self._samples.append(sample_between(before, now, users, memory_bytes))
            before = now


def _export(environment: Environment, port: int) -> None:
    """Export the number of users to Prometheus; the dashboards mark load tests in every graph."""
    registry = CollectorRegistry()
    users = Gauge(
        "admirer_load_test_users",
        "Simulated users.",
        registry=registry,
    )
    users.set_function(lambda: environment.runner.user_count if environment.runner else 0)
    start_http_server(port, registry=registry)
