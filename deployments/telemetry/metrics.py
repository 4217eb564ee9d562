"""Every metric of ours: its name, labels, unit and help, and how a stage reports one.

No Ray here, so that dashboards can read the names: `ray_metrics` beside it exports them. Ray
puts `ray_` before each name, `_total` behind each counter, and the labels `deployment`, `replica`
and `application` on all of them. Use quantiles of histograms only: Ray makes their sums up from
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
    """One metric; `labels` are those beside Ray's own, each of a bounded set of values."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def unit(self) -> str:
        """The last word of the name: seconds, bytes, tokens, or what is counted."""
        return self.name.rpartition("_")[2]

    @property
    def exported(self) -> str:
        """The name that Prometheus sees; a histogram's series end in `_bucket` and `_count`."""
        return f"ray_{self.name}{'_total' if self.kind == 'counter' else ''}"


REQUESTS = Metric(
    "counter",
    "admirer_requests",
    "Requests by route and by what became of them: ok, the code of the problem document,"
    " client_gone (the caller hung up) or interrupted (the server stopped).",
    ("route", "code"),
)
REQUEST_SECONDS = Metric(
    "histogram",
    "admirer_request_seconds",
    "From the first byte of a request to the end of its answer; of requests that were answered.",
    ("route",),
    _SECONDS,
)
STAGE_CALLS = Metric(
    "counter",
    "admirer_stage_calls",
    "Calls of a stage by what became of them: ok, the code of the error, or cancelled (nobody"
    " waited for it any more).",
    ("stage", "code"),
)
STAGE_SECONDS = Metric(
    "histogram",
    "admirer_stage_seconds",
    "A call of a stage as its caller sees it: transport, queue and work.",
    ("stage",),
    _SECONDS,
)
DEGRADED_ANSWERS = Metric(
    "counter",
    "admirer_degraded_answers",
    "Answers that did without a stage.",
    ("stage",),
)
QUEUE_SECONDS = Metric(
    "histogram",
    "admirer_queue_seconds",
    "From a call's arrival in a replica to the start of the model's run that serves it.",
    buckets=_SECONDS,
)
MODEL_SECONDS = Metric(
    "histogram",
    "admirer_model_seconds",
    "One run of the model on one batch.",
    buckets=_SECONDS,
)
BATCH_ITEMS = Metric(
    "histogram", "admirer_batch_items", "Items in one run of the model.", buckets=_COUNTS
)
BATCH_MAX_ITEMS = Metric("gauge", "admirer_batch_max_items", "Most items in one run of the model.")
BATCH_NICENESS = Metric(
    "gauge", "admirer_batch_niceness", "How far the model's threads yield cores to others."
)
MODEL_ERRORS = Metric(
    "counter", "admirer_model_errors", "Items for which the model gave an error instead of a value."
)
CACHE_LOOKUPS = Metric(
    "counter",
    "admirer_cache_lookups",
    "Photos that were looked up among the last ones of a replica: hit or miss.",
    ("outcome",),
)
PHOTO_BYTES = Metric(
    "histogram",
    "admirer_photo_bytes",
    "Photos as they were sent.",
    buckets=(1e4, 3e4, 1e5, 3e5, 1e6, 3e6, 1e7),
)
PHOTO_PIXELS = Metric(
    "histogram",
    "admirer_photo_pixels",
    "Width times height of photos as they were sent.",
    buckets=(1e4, 1e5, 3e5, 1e6, 3e6, 1e7, 4e7),
)
PHOTO_INTENSITY = Metric(
    "histogram",
    "admirer_photo_intensity_ratio",
    "Mean brightness of photos, 0 black to 1 white; a change of its distribution is drift.",
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
)
ANSWER_CHARACTERS = Metric(
    "histogram",
    "admirer_answer_characters",
    "Length of answers; a change of its distribution is drift.",
    buckets=_CHARACTERS,
)
QUESTION_CHARACTERS = Metric(
    "histogram", "admirer_question_characters", "Length of questions.", buckets=_CHARACTERS
)
BEST_SIMILARITY = Metric(
    "histogram",
    "admirer_best_similarity",
    "Similarity of the most similar example; low ones mean questions unlike the bank's.",
    buckets=(0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0),
)
BANK_EXAMPLES = Metric("gauge", "admirer_bank_examples", "Solved examples that a replica searches.")
LLM_REQUESTS = Metric(
    "counter",
    "admirer_llm_requests",
    "Prompts by what became of them: ok, timeout, refused, empty, unavailable, too_long,"
    " overloaded, cancelled or error.",
    ("model", "outcome"),
)
LLM_SECONDS = Metric(
    "histogram",
    "admirer_llm_seconds",
    "From a prompt to the end of the language model's answer, retries included.",
    ("model",),
    _SECONDS,
)
LLM_FIRST_TOKEN_SECONDS = Metric(
    "histogram",
    "admirer_llm_first_token_seconds",
    "From the start of the model's work on a prompt to the first token of its answer.",
    ("model",),
    _SECONDS,
)
LLM_RETRIES = Metric(
    "counter", "admirer_llm_retries", "Attempts after the first of a prompt.", ("model",)
)
LLM_PROMPT_TOKENS = Metric(
    "counter", "admirer_llm_prompt_tokens", "Tokens that the language model read.", ("model",)
)
LLM_COMPLETION_TOKENS = Metric(
    "counter", "admirer_llm_completion_tokens", "Tokens that the language model wrote.", ("model",)
)
LLM_COST_DOLLARS = Metric(
    "counter",
    "admirer_llm_cost_dollars",
    "Tokens times the prices in the settings; nothing for a model without a price.",
    ("model",),
)
FEEDBACK = Metric(
    "counter",
    "admirer_feedback",
    "What people said of answers: helpful or unhelpful.",
    ("verdict",),
)
STAGE_MAX_REPLICAS = Metric(
    "gauge",
    "admirer_stage_max_replicas",
    "Most replicas that the settings let a stage have.",
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
    """Where a stage reports; never slow, and never a reason for a request to fail."""

    def record(
        self, metric: Metric, value: float = 1.0, labels: Mapping[str, str] | None = None
    ) -> None:
        """Add to a counter, observe into a histogram, or set a gauge."""
        ...


class NoMeters:
    """For one process without Ray, and for tests that do not look."""

    def record(
        self, metric: Metric, value: float = 1.0, labels: Mapping[str, str] | None = None
    ) -> None:
        """Report nothing."""


NO_METERS = NoMeters()
