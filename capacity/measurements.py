"""What was seen of a running app, as a file that another day or machine can plan from.

Only counts and seconds that add up are kept: Ray makes the sums of histograms up, so seconds a
run come from processor time or from a saturated stage's clock, never from a histogram.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from capacity.problems import CapacityError
from load_tests.client.messages import STAGE_OF_TIMING

STAGES = tuple(STAGE_OF_TIMING.values())
MOST_FOREIGN = 0.1
"""Share of the cores that other programs may take while an app is measured."""
Target = Literal["answers", "captioner", "tagger", "retriever"]
"""What is asked: whole questions, or a stage alone through its own route."""
Device = Literal["cpu", "gpu", "hosted"]
"""Where a stage spends its time: shared cores, a GPU, or a server elsewhere."""


class Record(BaseModel):
    """No change after reading, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StageWork(Record):
    """What one stage did during one part of a load test."""

    items: int = Field(ge=0, description="Calls that were answered, however many items each has.")
    runs: int = Field(ge=0, description="Runs of the model; 0 where the stage has none.")
    cpu_s: float | None = Field(default=None, ge=0, description="Of its replicas' processes.")
    took_s: tuple[float, ...] = Field(default=(), description="Of each call, by Server-Timing.")


class Part(Record):
    """Some seconds of load: a rate (open), or so many callers who wait (closed)."""

    kind: Literal["open", "closed"]
    target: Target
    rate: float | None = Field(default=None, gt=0, description="Asked a second, where open.")
    callers: int | None = Field(default=None, ge=1, description="Who wait, where closed.")
    seed: int = 0
    lasted_s: float = Field(default=0.0, description="Within which was asked, where open.")
    seconds: float = Field(gt=0)
    sent: int = Field(ge=1)
    refused: int = Field(ge=0, description="Told to come back: 503 with Retry-After.")
    failed: int = Field(ge=0, description="Everything else that is no answer.")
    took_s: tuple[float, ...] = Field(description="Of each answer, as its caller saw it.")
    stages: dict[str, StageWork]
    ingress_cpu_s: float | None = None
    plane_cpu_s: float | None = Field(
        default=None, description="Of the proxy, Ray's own processes and this client."
    )
    foreign_cores: float = Field(
        default=0, ge=0, description="Cores that processes of nobody's concern here kept busy."
    )

    @property
    def cpu_s(self) -> float | None:
        """Processor seconds of everything that belongs to the app, its client included."""
        stages = [work.cpu_s for work in self.stages.values()]
        spent = [*stages, self.ingress_cpu_s, self.plane_cpu_s]
        return None if None in spent else sum(each for each in spent if each is not None)


class Measurements(Record):
    """A load test and what it ran against."""

    version: Literal[1] = 1
    measured: str
    url: str
    cores: float = Field(gt=0, description="That the app's replicas share.")
    devices: dict[str, Device]
    replicas: dict[str, int] = Field(description="Of each stage and of the ingress.")
    max_items: dict[str, int] = Field(description="Batch limit of each stage that has one.")
    niceness: dict[str, int] = Field(
        default={}, description="Of each stage whose model yields cores; 0 of others."
    )
    items_per_call: dict[str, int] = Field(
        description="That a call puts into a batch: the retriever's photo and question are two."
    )
    parts: tuple[Part, ...] = Field(min_length=1)

    @property
    def foreign_share(self) -> float:
        """Share of the cores that other programs kept busy, over the whole load test."""
        taken_s = sum(part.foreign_cores * part.seconds for part in self.parts)
        return taken_s / sum(part.seconds for part in self.parts) / self.cores

    def answers(self, kind: Literal["open", "closed"]) -> list[Part]:
        """Return the parts in which whole questions were asked."""
        return [part for part in self.parts if part.kind == kind and part.target == "answers"]

    def alone(self) -> list[Part]:
        """Return the parts in which each answer had the app for itself."""
        return [part for part in self.answers("closed") if part.callers == 1]

    def full(self) -> list[Part]:
        """Return the parts in which the most callers waited for answers, if several did at all."""
        closed = self.answers("closed")
        most = max((part.callers or 0 for part in closed), default=0)
        return [part for part in closed if part.callers == most > 1]

    def alone_s(self) -> tuple[float, ...]:
        """Return what answers took that had the app for themselves."""
        return tuple(took_s for part in self.alone() for took_s in part.took_s)

    def check(self) -> None:
        """Make sure that a plan may rest on this.

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
    """Write a load test down."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(measurements.model_dump_json(indent=1) + "\n", "utf-8")


def read(file: Path) -> Measurements:
    """Return a load test that was written down.

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
