"""What every long training here needs: a clock that survives interruption, checkpoints, a log.

The schedule runs on minutes trained, not on steps: on a shared machine the throughput may halve,
and a run that is told to take 40 minutes should end its decay then.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, process_time
from typing import Any

import torch
from torch import nn

SAVE_EVERY_S = 120.0


class Run:
    """One training run in a folder: `log.txt`, `checkpoint.pt`, and the minutes trained so far."""

    def __init__(self, folder: Path, minutes: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._minutes = minutes
        self._trained_s = 0.0
        self._core_s = 0.0
        self._since, self._core_since = monotonic(), process_time()

    @property
    def minutes(self) -> float:
        """Wall minutes trained, earlier tries counted in."""
        return (self._trained_s + monotonic() - self._since) / 60

    @property
    def core_minutes(self) -> float:
        """Processor minutes spent, earlier tries counted in."""
        return (self._core_s + process_time() - self._core_since) / 60

    @property
    def fraction(self) -> float:
        """How much of the run is over, 0 to 1, by the clock."""
        return min(1.0, self.minutes / self._minutes)

    def log(self, line: str) -> None:
        """Print a line with the time trained, and append it to the log."""
        text = f"{self.minutes:7.1f} min {self.core_minutes:6.1f} core-min  {line}"
        print(text, flush=True)
        with (self._folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint atomically, so that an interruption leaves the last one."""
        clock = {"minutes": self.minutes, "core_minutes": self.core_minutes}
        unfinished = self._folder / f"checkpoint.{os.getpid()}.part"
        torch.save({**state, "clock": clock}, unfinished)
        unfinished.replace(self._folder / "checkpoint.pt")

    def resume(self) -> dict[str, Any] | None:
        """Return the last checkpoint, or None; the clock continues from there."""
        path = self._folder / "checkpoint.pt"
        if not path.exists():
            return None
        state: dict[str, Any] = torch.load(path, weights_only=True)
        self._trained_s = 60 * state["clock"]["minutes"]
        self._core_s = 60 * state["clock"]["core_minutes"]
        self._since, self._core_since = monotonic(), process_time()
        return state

    def repeat(
        self,
        step: Callable[[], None],
        *,
        save: Callable[[], None],
        report: Callable[[], None],
        report_every_s: float,
    ) -> None:
        """Step until the minutes are over; save every two minutes, report now and then."""
        reported = saved = monotonic()
        while self.fraction < 1:
            step()
            if monotonic() - saved > SAVE_EVERY_S:
                save()
                saved = monotonic()
            if monotonic() - reported > report_every_s:
                report()
                reported = monotonic()
        save()
        report()


class Average:
    """Exponential moving average of a module's weights, in step with short runs.

    `decay` is approached as the steps go by, so that early weights are forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._decay = decay
        self._steps = 0
        self._weights = [weight.detach().clone() for weight in module.parameters()]

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Update the average with the weights after a step."""
        self._steps += 1
        share = 1 - min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._weights, list(module.parameters()), share)

    @contextmanager
    def inside(self, module: nn.Module) -> Iterator[None]:
        """Give the module the averaged weights, in evaluation mode, within the block."""
        own = [weight.detach().clone() for weight in module.parameters()]
        _copy(self._weights, module)
        module.eval()
        try:
            yield
        finally:
            _copy(own, module)
            module.train()

    def state(self) -> dict[str, Any]:
        """Return the state for `load`."""
        return {"steps": self._steps, "weights": self._weights}

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self._steps, self._weights = state["steps"], state["weights"]


class Learner:
    """A module with its optimizer and its averaged weights, kept together in checkpoints.

    AdamW with a clipped gradient; the rate follows `warm_then_cosine`.
    """

    def __init__(
        self,
        run: Run,
        module: nn.Module,
        *,
        peak_rate: float,
        warm_steps: int,
        decay_from: float,
        average_decay: float,
    ) -> None:
        self._run, self._module = run, module
        self._peak_rate, self._warm_steps, self._decay_from = peak_rate, warm_steps, decay_from
        self._optimizer = torch.optim.AdamW(
            module.parameters(), lr=peak_rate, betas=(0.9, 0.98), weight_decay=0.05, fused=True
        )
        self.average = Average(module, average_decay)
        self.step = 0
        self._resume()

    def _resume(self) -> None:
        state = self._run.resume()
        if state is None:
            count = sum(weight.numel() for weight in self._module.parameters())
            self._run.log(f"new model of {count / 1e6:.2f} M weights, training heads included")
            return
        self._module.load_state_dict(state["teacher"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.average.load(state["average"])
        self.step = state["step"]
        self._run.log(f"resumed at step {self.step}")

    def save(self) -> None:
        """Write the checkpoint."""
        self._run.save(
            {
                "teacher": self._module.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "average": self.average.state(),
                "step": self.step,
            }
        )

    def learn(self, loss: torch.Tensor) -> None:
        """Make one optimizer step on `loss`."""
        factor = warm_then_cosine(self.step, self._warm_steps, self._run.fraction, self._decay_from)
        for group in self._optimizer.param_groups:
            group["lr"] = self._peak_rate * factor
        loss.backward()
        nn.utils.clip_grad_norm_(self._module.parameters(), 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.average.update(self._module)
        self.step += 1


class Smoothed:
    """Running means of named losses, for the log."""

    def __init__(self, *names: str, share: float = 0.02) -> None:
        self._means = dict.fromkeys(names, 0.0)
        self._share = share

    def note(self, name: str, loss: torch.Tensor) -> None:
        """Add one step's loss."""
        self._means[name] += self._share * (float(loss.detach()) - self._means[name])

    def __str__(self) -> str:
        return " ".join(f"{name} {mean:.3f}" for name, mean in self._means.items())


@torch.no_grad()
def _copy(weights: Iterable[torch.Tensor], module: nn.Module) -> None:
    for weight, value in zip(module.parameters(), weights, strict=True):
        weight.copy_(value)


def warm_then_cosine(step: int, warm_steps: int, fraction: float, decay_from: float) -> float:
    """Return the factor of the peak learning rate: linear warm-up, plateau, cosine decay to 2 %."""
    warm = min(1.0, (step + 1) / warm_steps)
    if fraction <= decay_from:
        return warm
    angle = math.pi * (fraction - decay_from) / (1 - decay_from)
    return warm * max(0.02, (1 + math.cos(angle)) / 2)
