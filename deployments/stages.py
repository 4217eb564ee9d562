"""The one table of the stages, in the order of their work.

Whatever concerns each of the five reads it here: the graph, the pipeline, the start of the app, the
chart's schema. Clients of the HTTP API, which import nothing of the app, know the timings alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from deployments.settings import (
    AnswererSettings,
    AssemblerSettings,
    CaptionerSettings,
    RetrieverSettings,
    StageSettings,
    TaggerSettings,
)

Stage = Literal["captioner", "tagger", "retriever", "assembler", "answerer"]
"""A stage's name: of its module, Serve deployment, Helm key, metric label and span."""


@dataclass(frozen=True, slots=True)
class StageEntry:
    """What the app needs to know of a stage beside its name."""

    method: str
    """What a question calls on it; also its key in `timings_ms` and `Server-Timing`."""
    settings: type[StageSettings]
    is_optional: bool = False
    """Whether `degrade.<stage>` may let an answer do without it."""


STAGES: Mapping[Stage, StageEntry] = {
    "captioner": StageEntry("caption", CaptionerSettings, is_optional=True),
    "tagger": StageEntry("tag", TaggerSettings, is_optional=True),
    "retriever": StageEntry("retrieve", RetrieverSettings, is_optional=True),
    "assembler": StageEntry("assemble", AssemblerSettings),
    "answerer": StageEntry("answer", AnswererSettings),
}
