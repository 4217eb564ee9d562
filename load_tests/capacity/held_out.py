"""How right predictions are: rates and settings that the fit has not seen.

The profile is measured again before every setting's rates, round after round, since cores of a
shared host are fast in one minute and slow in the next: what is tested is the model, and not which
minute it was. Predictions know the profile alone, all of it, and the arrivals, which follow from
rate and seed. How far one rate's rounds lie apart is the noise of the host.

Every step keeps what it saw in a file, and a step whose file is there is not done again, so that
a campaign can be made in pieces. Plans follow from the whole profile and come after all rounds.

    python -m load_tests.capacity.held_out
    python -m load_tests.capacity.held_out --only profile --plans 0:20 --seconds 180
"""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from load_tests.capacity import overlay, traffic
from load_tests.capacity.fit import Model, fit
from load_tests.capacity.held_out_report import Compared, compared, picture, summary, table
from load_tests.capacity.local_app import started_app, write_config
from load_tests.capacity.measure import Rates, Steps, measure
from load_tests.capacity.measurements import (
    Measurements,
    answered_per_s,
    joined,
    read,
    write,
)
from load_tests.capacity.plan import Plan
from load_tests.capacity.prediction import as_measured, calibrated
from load_tests.capacity.search import search
from load_tests.capacity.target import Target, unpriced

console = Console(soft_wrap=True)

PROFILE = "profile"
SHARES = (0.26, 0.4, 0.54, 0.68)
MOVED = 0.02
"""Shares of the rate that the profile's callers reached together; every setting has others."""
IN_FLIGHT = 64
PLANNED_SHARES = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65)
SLACKS = (1.05, 1.4)
"""A plan's p95 in multiples of the least that is promised at its rate."""


def _batches(most: int) -> dict[str, Any]:
    sizes = {"captioner": most, "tagger": most, "retriever": 2 * most}
    return {stage: {"batch": {"max_size": size}} for stage, size in sizes.items()}


def _replicas(*stages: str) -> dict[str, Any]:
    two = {"autoscaling": {"min_replicas": 2, "max_replicas": 2}}
    return {stage: two if stage == "ingress" else {"scaling": two} for stage in stages}


SETTINGS: dict[str, dict[str, Any]] = {
    "as-measured": {},
    "batch-1": _batches(1),
    "batch-2": _batches(2),
    "two-captioners": _replicas("captioner"),
    "two-answerers": _replicas("answerer"),
    "two-each": _replicas("captioner", "tagger", "answerer"),
}


def main(
    *,
    only: Annotated[str, typer.Option(help=f"Of profile and {', '.join(SETTINGS)}.")] = "",
    plans: Annotated[str, typer.Option(help="Also replay these plans: first:end.")] = "",
    seconds: Annotated[float, typer.Option(min=10, help="Of a rate in a round.")] = 60,
    rounds: Annotated[int, typer.Option(min=1, help="Of profile and settings.")] = 3,
    step_s: float = 25,
    out: Path = Path("build/capacity/held-out"),
    command: str = ".venv/bin/admirer",
    config: Path = Path("serve/config/demo.yaml"),
    photos: Path = Path("bundles/demo/photos"),
) -> None:
    """Measure what is wanted and not there yet; compare all that is there with predictions."""
    campaign = Campaign(out, command.split(), config, traffic.questions(photos), seconds)
    names = [name for name in only.split(",") if name] or [PROFILE, *SETTINGS]
    for number in range(rounds):
        campaign.measured_round(number, names, step_s)
    profile = campaign.seen(PROFILE)
    if profile is None:
        raise typer.BadParameter(f"{out} has no profile yet.")
    model = calibrated(fit(profile), profile)
    if plans:
        first, end = (int(each) for each in plans.split(":"))
        for number, plan in enumerate(campaign.plans(profile, model)[first:end], start=first):
            rates = Rates((plan.target.rate,), seconds, 5000 + number)
            campaign.measured(f"plan-{number:02}", overlay.arguments(plan), rates)
    rows = campaign.compare(model)
    if not rows:
        return
    for line in (*table(rows), "", *summary(rows)):
        console.print(line)
    (out / "compared.json").write_text(
        json.dumps([row.model_dump() for row in rows], indent=1) + "\n", "utf-8"
    )
    picture(rows, out / "compared.png")


class Campaign:
    """A folder with what was measured so far.

    Args:
        out: The folder.
        command: The app's command line, without what it does.
        config: The Serve config that settings change.
        asked: Questions, asked in turn.
        seconds: Of each rate in a round.
    """

    def __init__(
        self,
        out: Path,
        command: list[str],
        config: Path,
        asked: list[traffic.Question],
        seconds: float,
    ) -> None:
        self._out, self._command, self._config = out, command, config
        self._asked, self._seconds = asked, seconds

    def seen(self, name: str) -> Measurements | None:
        """Return all of the profile or of a setting's rounds; None where there is none yet."""
        rounds = [read(file) for file in self._rounds(name)]
        return joined(rounds) if rounds else None

    def _rounds(self, name: str) -> list[Path]:
        return sorted(self._out.glob(f"{name}-[0-9][0-9].json"))

    def measured_round(self, number: int, names: Sequence[str], step_s: float) -> None:
        """Measure each setting that is named once, and the profile just before each."""
        settings = [name for name in SETTINGS if name in names]
        if PROFILE in names and not settings:
            self._profiled(number, step_s)
        for name in settings:
            this_round = f"{name}-{number:02}"
            if PROFILE in names and not self._file(this_round).exists():
                self._profiled(len(self._rounds(PROFILE)), step_s)
            self.measured(this_round, SETTINGS[name], self._rates(name, number))

    def _profiled(self, number: int, step_s: float) -> None:
        self.measured(f"{PROFILE}-{number:02}", {}, Steps(step_s=step_s, first_round=number))

    def _rates(self, name: str, number: int) -> Rates:
        """Return a setting's rates, the same in every round, with arrivals of that round."""
        capacity = answered_per_s(read(self._file(f"{PROFILE}-00")).full())
        place = list(SETTINGS).index(name)
        per_s = tuple(round(capacity * (share - MOVED * place), 2) for share in SHARES)
        return Rates(per_s, self._seconds, 100 + 10 * place + 100 * number)

    def _file(self, name: str) -> Path:
        return self._out / f"{name}.json"

    def measured(self, name: str, arguments: dict[str, Any], steps: Steps | Rates) -> None:
        """Measure an app with those arguments, unless that was done before."""
        file = self._file(name)
        if file.exists():
            return
        limits = {"limits": {"max_concurrent_requests": IN_FLIGHT}}
        write_config(self._out / f"{name}.yaml", self._config, {**limits, **arguments})
        console.print(name)
        with started_app(self._command, self._out / f"{name}.yaml") as app:
            seen = asyncio.run(
                measure(app.url, app.metrics_url, self._asked, steps, tell=console.print)
            )
        write(seen, file)

    def plans(self, profile: Measurements, model: Model) -> list[Plan]:
        """Return plans that promise nearly the least p95 that can be promised, and more."""
        file = self._out / "plans.json"
        if not file.exists():
            capacity = answered_per_s(profile.full())
            nodes = unpriced(profile, None, 1)
            made = []
            for share in PLANNED_SHARES:
                rate = round(share * capacity, 2)
                easy = search(model, Target(rate=rate, p95_s=60), nodes)
                for slack in SLACKS:
                    p95_s = round(slack * easy.predicted.p95_s.high, 3)
                    made.append(search(model, Target(rate=rate, p95_s=p95_s), nodes))
            file.write_text(json.dumps([plan.model_dump() for plan in made]) + "\n", "utf-8")
        return [Plan.model_validate(each) for each in json.loads(file.read_text("utf-8"))]

    def compare(self, model: Model) -> list[Compared]:
        """Return every rate that was seen beside its prediction."""
        rows = []
        for name in SETTINGS:
            if (seen := self.seen(name)) is None:
                continue
            setting, parts = as_measured(seen, max_in_flight=IN_FLIGHT), seen.answers("open")
            for rate in sorted({part.rate or 0.0 for part in parts}):
                of_rate = [part for part in parts if part.rate == rate]
                rows.append(compared(name, model, setting, of_rate))
        if (self._out / "plans.json").exists():
            made = json.loads((self._out / "plans.json").read_text("utf-8"))
            for number, each in enumerate(made):
                name, plan = f"plan-{number:02}", Plan.model_validate(each)
                if (file := self._file(name)).exists():
                    row = compared(name, model, plan.setting, read(file).answers("open"))
                    rows.append(row.model_copy(update={"target_s": plan.target.p95_s}))
        return rows


if __name__ == "__main__":
    typer.run(main)
