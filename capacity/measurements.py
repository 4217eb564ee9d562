"""Measurements of a running app, as a file from which to plan later or on another machine.

Only counts and additive seconds are kept. Seconds per model run come from CPU time or from the wall
clock of a saturated stage, never from a histogram: Ray's sums of histograms are estimates.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from capacity.problems import CapacityError
from load_tests.client.messages import STAGE_OF_TIMING

STAGES = tuple(STAGE_OF_TIMING.values())
MOST_FOREIGN = 0.1
"""Largest share of the CPU cores that other programs may use during a measurement."""
Target = Literal["answers", "captioner", "tagger", "retriever"]
"""Whole questions, or one stage through its own route."""
Device = Literal["cpu", "gpu", "hosted"]
"""Where a stage runs: shared CPU cores, a GPU, or a remote server."""


class Record(BaseModel):
    """Base of the records: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StageWork(Record):
    """Work of one stage during one part of a load test."""

    items: int = Field(ge=0, description="Answered calls, each with one or more items.")
    runs: int = Field(ge=0, description="Model runs; 0 for a stage without a model.")
    cpu_s: float | None = Field(default=None, ge=0, description="CPU seconds of its replicas.")
    took_s: tuple[float, ...] = Field(
        default=(), description="Seconds of each call, by Server-Timing."
    )


class Part(Record):
    """One part of a load test: arrivals at a rate (open), or a number of callers (closed)."""

    kind: Literal["open", "closed"]
    target: Target
    rate: float | None = Field(default=None, gt=0, description="Questions per second, if open.")
    callers: int | None = Field(default=None, ge=1, description="Number of callers, if closed.")
    seed: int = 0
    lasted_s: float = Field(default=0.0, description="Seconds of arrivals, if open.")
    seconds: float = Field(gt=0)
    sent: int = Field(ge=1)
    refused: int = Field(ge=0, description="Refusals: 503 with Retry-After.")
    failed: int = Field(ge=0, description="All other failures.")
    took_s: tuple[float, ...] = Field(
        description="Latency of each answer in seconds, as its caller saw it."
    )
    stages: dict[str, StageWork]
    ingress_cpu_s: float | None = None
    plane_cpu_s: float | None = Field(
        default=None, description="CPU seconds of the proxy, Ray's own processes and this client."
    )
    foreign_cores: float = Field(
        default=0, ge=0, description="CPU cores used by other processes on the machine."
    )

    @property
    def cpu_s(self) -> float | None:
        """CPU seconds of all processes of the app, its client included."""
        stages = [work.cpu_s for work in self.stages.values()]
        spent = [*stages, self.ingress_cpu_s, self.plane_cpu_s]
        return None if None in spent else sum(each for each in spent if each is not None)


class Measurements(Record):
    """A load test and the app that it measured."""

    version: Literal[1] = 1
    measured: str
    url: str
    cores: float = Field(gt=0, description="CPU cores that the app's replicas share.")
    devices: dict[str, Device]
    replicas: dict[str, int] = Field(description="Replicas of each stage and of the ingress.")
    max_items: dict[str, int] = Field(description="Batch limit of each stage that has one.")
    niceness: dict[str, int] = Field(
        default={}, description="Increment of the nice value, of each stage that has one."
    )
    items_per_call: dict[str, int] = Field(
        description="Items of a call in a batch: the retriever's photo and question are two."
    )
    parts: tuple[Part, ...] = Field(min_length=1)

    @property
    def foreign_share(self) -> float:
        """Share of the CPU cores used by other programs, over the whole load test."""
        taken_s = sum(part.foreign_cores * part.seconds for part in self.parts)
        return taken_s / sum(part.seconds for part in self.parts) / self.cores

    def answers(self, kind: Literal["open", "closed"]) -> list[Part]:
        """Return the parts in which whole questions were asked."""
        return [part for part in self.parts if part.kind == kind and part.target == "answers"]

    def alone(self) -> list[Part]:
        """Return the parts with one caller, without concurrency."""
        return [part for part in self.answers("closed") if part.callers == 1]

    def full(self) -> list[Part]:
        """Return the closed parts with the most callers, if that is more than one."""
        closed = self.answers("closed")
        most = max((part.callers or 0 for part in closed), default=0)
        return [part for part in closed if part.callers == most > 1]

    def alone_s(self) -> tuple[float, ...]:
        """Return the latency of answers without concurrency, in seconds."""
        return tuple(took_s for part in self.alone() for took_s in part.took_s)

    def check(self) -> None:
        """Check that these measurements suffice for a plan.

        Raises:
            CapacityError: Something failed, or a kind of part is missing.
        """
        failed = sum(part.failed for part in self.parts)
        if failed:
            sent = sum(part.sent for part in self.parts)
            raise CapacityError(
                f"{failed} of {sent} requests of the load test failed; a plan needs one without"
                " errors."
            )
        if self.foreign_share > MOST_FOREIGN:
            raise CapacityError(
                f"Other programs took {self.foreign_share:.0%} of the cores during the load test; a"
                f" plan needs one with at most {MOST_FOREIGN:.0%}."
            )
        if len(self.alone_s()) < 5 or not self.answers("open"):
            raise CapacityError(
                "The load test lacks answers that were asked one after another, or a rate; run"
                " it again."
            )


def answered_per_s(parts: Sequence[Part]) -> float:
    """Return the answers a second of all those parts together."""
    return sum(len(part.took_s) for part in parts) / sum(part.seconds for part in parts)


def write(measurements: Measurements, file: Path) -> None:
    """Write the measurements to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(measurements.model_dump_json(indent=1) + "\n", "utf-8")


def read(file: Path) -> Measurements:
    """Return measurements from a file.

    Raises:
        CapacityError: There is no such file, or it is something else.
    """
    try:
        return Measurements.model_validate_json(file.read_text("utf-8"))
    except OSError as error:
        raise CapacityError(f"{file} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole file"
        raise CapacityError(
            f"{file} is not a load test of this version: {field}: {first['msg']}."
        ) from None
