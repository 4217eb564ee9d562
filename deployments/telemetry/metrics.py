"""All metrics: name, labels, unit, help.

This module does not import Ray, so that dashboards can read the names; `ray_metrics` exports them.
Ray prefixes each name with `ray_`, adds `_total` to each counter, and the labels `deployment`,
`replica` and `application` to all. Use only quantiles of histograms: Ray computes their sums from
the middles of the buckets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
_COUNTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_CHARACTERS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `labels` are those besides Ray's own, each with a bounded set of values."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def unit(self) -> str:
        """Last word of the name: seconds, bytes, tokens, or what is counted."""
        return self.name.rpartition("_")[2]

    @property
    def exported(self) -> str:
        """The name that Prometheus sees; a histogram's series end in `_bucket` and `_count`."""
        return f"ray_{self.name}{'_total' if self.kind == 'counter' else ''}"


REQUESTS = Metric(
    "counter",
    "admirer_requests",
    "Requests by route and result: ok, the code of the problem document, client_gone (the caller"
    " disconnected) or interrupted (the server stopped).",
    ("route", "code"),
)
REQUEST_SECONDS = Metric(
    "histogram",
    "admirer_request_seconds",
    "Latency of a request, first byte to end of response; answered requests only.",
    ("route",),
    _SECONDS,
)
STAGE_CALLS = Metric(
    "counter",
    "admirer_stage_calls",
    "Calls of a stage by result: ok, the code of the error, or cancelled (its result was no"
    " longer needed).",
    ("stage", "code"),
)
STAGE_SECONDS = Metric(
    "histogram",
    "admirer_stage_seconds",
    "Latency of a stage call as its caller sees it: transport, queue and work.",
    ("stage",),
    _SECONDS,
)
DEGRADED_ANSWERS = Metric(
    "counter",
    "admirer_degraded_answers",
    "Answers made without a stage that failed.",
    ("stage",),
)
QUEUE_SECONDS = Metric(
    "histogram",
    "admirer_queue_seconds",
    "Queue time of an item in a replica, before the model run.",
    buckets=_SECONDS,
)
MODEL_SECONDS = Metric(
    "histogram",
    "admirer_model_seconds",
    "Inference time of one batch.",
    buckets=_SECONDS,
)
BATCH_ITEMS = Metric("histogram", "admirer_batch_items", "Batch size, in items.", buckets=_COUNTS)
BATCH_MAX_ITEMS = Metric("gauge", "admirer_batch_max_items", "Largest allowed batch, in items.")
BATCH_NICENESS = Metric(
    "gauge", "admirer_batch_niceness", "Increment of the nice value of the model's threads."
)
MODEL_ERRORS = Metric(
    "counter", "admirer_model_errors", "Items for which the model raised an error."
)
CACHE_LOOKUPS = Metric(
    "counter",
    "admirer_cache_lookups",
    "Lookups in a replica's photo cache: hit or miss.",
    ("outcome",),
)
PHOTO_BYTES = Metric(
    "histogram",
    "admirer_photo_bytes",
    "Size of photos as received.",
    buckets=(1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7),
)
PHOTO_PIXELS = Metric(
    "histogram",
    "admirer_photo_pixels",
    "Width times height of photos as received.",
    buckets=(1e4, 1e5, 3e5, 1e6, 3e6, 1e7, 4e7),
)
PHOTO_INTENSITY = Metric(
    "histogram",
    "admirer_photo_intensity_ratio",
    "Mean brightness of photos, 0 (black) to 1 (white); its distribution shows drift.",
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
)
ANSWER_CHARACTERS = Metric(
    "histogram",
    "admirer_answer_characters",
    "Length of answers; its distribution shows drift.",
    buckets=_CHARACTERS,
)
QUESTION_CHARACTERS = Metric(
    "histogram", "admirer_question_characters", "Length of questions.", buckets=_CHARACTERS
)
BEST_SIMILARITY = Metric(
    "histogram",
    "admirer_best_similarity",
    "Similarity of the most similar example; low if the bank has no such question.",
    buckets=(0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
)
BANK_EXAMPLES = Metric("gauge", "admirer_bank_examples", "Solved examples in a replica's bank.")
LLM_REQUESTS = Metric(
    "counter",
    "admirer_llm_requests",
    "Prompts by result: ok, timeout, refused, empty, unavailable, too_long, overloaded, cancelled"
    " or error.",
    ("model", "outcome"),
)
LLM_SECONDS = Metric(
    "histogram",
    "admirer_llm_seconds",
    "Latency of a prompt, retries included.",
    ("model",),
    _SECONDS,
)
LLM_FIRST_TOKEN_SECONDS = Metric(
    "histogram",
    "admirer_llm_first_token_seconds",
    "Time to first token, from the start of inference.",
    ("model",),
    _SECONDS,
)
LLM_RETRIES = Metric("counter", "admirer_llm_retries", "Retries of prompts.", ("model",))
LLM_PROMPT_TOKENS = Metric("counter", "admirer_llm_prompt_tokens", "Prompt tokens.", ("model",))
LLM_COMPLETION_TOKENS = Metric(
    "counter", "admirer_llm_completion_tokens", "Completion tokens.", ("model",)
)
LLM_COST_DOLLARS = Metric(
    "counter",
    "admirer_llm_cost_dollars",
    "Tokens times the prices in the settings; 0 for a model without a price.",
    ("model",),
)
FEEDBACK = Metric(
    "counter",
    "admirer_feedback",
    "Ratings of answers: helpful or unhelpful.",
    ("verdict",),
)
STAGE_MAX_REPLICAS = Metric(
    "gauge",
    "admirer_stage_max_replicas",
    "max_replicas of a stage in the settings.",
    ("stage",),
)
BUNDLE_INFO = Metric(
    "gauge", "admirer_bundle_info", "1 for the bundle that this app serves.", ("bundle",)
)
BUILD_INFO = Metric("gauge", "admirer_build_info", "1 for the version of the app.", ("version",))

METRICS = (
    REQUESTS, REQUEST_SECONDS, STAGE_CALLS, STAGE_SECONDS, STAGE_MAX_REPLICAS, DEGRADED_ANSWERS,
    QUEUE_SECONDS, MODEL_SECONDS, BATCH_ITEMS, BATCH_MAX_ITEMS, BATCH_NICENESS,
    MODEL_ERRORS, CACHE_LOOKUPS,
    PHOTO_BYTES, PHOTO_PIXELS, PHOTO_INTENSITY, QUESTION_CHARACTERS,
    BEST_SIMILARITY, BANK_EXAMPLES,
    LLM_REQUESTS, LLM_SECONDS, LLM_FIRST_TOKEN_SECONDS, LLM_RETRIES,
    LLM_PROMPT_TOKENS, LLM_COMPLETION_TOKENS, LLM_COST_DOLLARS,
    ANSWER_CHARACTERS, FEEDBACK, BUNDLE_INFO, BUILD_INFO,
)  # fmt: skip


class Meters(Protocol):
    """Reports metrics; must be fast and never raise."""

    def record(
        self, metric: Metric, value: float = 1.0, labels: Mapping[str, str] | None = None
    ) -> None:
        """Add to a counter, observe into a histogram, or set a gauge."""
        ...


class NoMeters:
    """No-op, for one process without Ray and for tests."""

    def record(
        self, metric: Metric, value: float = 1.0, labels: Mapping[str, str] | None = None
    ) -> None:
        """Do nothing."""


NO_METERS = NoMeters()
