"""Conditions of an evaluation: all stages, and all but one (ablations).

If an ablation answers as well as all stages, the one that it leaves out is not worth its cost.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Condition:
    """Where each part of the prompt comes from."""

    name: str
    caption: Literal["said", "true", "none"] = "said"
    tags: Literal["said", "true", "none"] = "said"
    examples: Literal["similar", "random", "none"] = "similar"
    typed: bool = False
    """Asked as people type: American spelling, a capital, no question mark."""


WHOLE = Condition("whole chain")
TRUE_CONTEXT = Condition("true caption and tags", caption="true", tags="true")
QUESTION_ONLY = Condition("question only", caption="none", tags="none", examples="none")

USUAL = (WHOLE, TRUE_CONTEXT, QUESTION_ONLY)
"""Enough to tell where an answer was lost: before the answerer, or in it."""

ALL = (
    *USUAL,
    Condition("no caption", caption="none"),
    Condition("no tags", tags="none"),
    Condition("no examples", examples="none"),
    Condition("random examples", examples="random"),
    Condition("as people type", typed=True),
)
