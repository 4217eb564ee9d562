"""Answers: the language model, and the distributions of inputs and outputs.

A distribution that changes without a release is drift: other photos, other questions, or another
model behind the same address.
"""

from dashboards.promql import Scope, aggregate, buckets, quantile, rate, select, share
from deployments.telemetry.metrics import (
    ANSWER_CHARACTERS,
    BANK_EXAMPLES,
    BEST_SIMILARITY,
    FEEDBACK,
    LLM_COMPLETION_TOKENS,
    LLM_COST_DOLLARS,
    LLM_FIRST_TOKEN_SECONDS,
    LLM_PROMPT_TOKENS,
    LLM_REQUESTS,
    LLM_RETRIES,
    LLM_SECONDS,
    PHOTO_BYTES,
    PHOTO_INTENSITY,
    PHOTO_PIXELS,
    QUESTION_CHARACTERS,
)

# A prompt that was cancelled or refused by our own queue says nothing about the model. One that
# ran out of time does: its outcome is `timeout`, wherever the time limit was.
_ENDED = ('outcome!~"cancelled|overloaded"',)
_FAILED = ('outcome!~"ok|cancelled|overloaded"',)


def prompt_rate(scope: Scope) -> str:
    """Return prompts per second by model and by result."""
    return rate(LLM_REQUESTS, scope, "model", "outcome")


def llm_fault_share(scope: Scope) -> str:
    """Return the share of prompts that the model failed to answer, by model."""
    failed = rate(LLM_REQUESTS, scope, "model", matchers=_FAILED)
    return share(failed, rate(LLM_REQUESTS, scope, "model", matchers=_ENDED))


def refused_share(scope: Scope) -> str:
    """Return the share of prompts that the model refused to answer, by model."""
    refused = rate(LLM_REQUESTS, scope, "model", matchers=('outcome="refused"',))
    return share(refused, rate(LLM_REQUESTS, scope, "model"))


def retry_share(scope: Scope) -> str:
    """Return retries per prompt, by model."""
    return share(rate(LLM_RETRIES, scope, "model"), rate(LLM_REQUESTS, scope, "model"))


def llm_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of the latency of prompts in seconds, by model."""
    return quantile(q, LLM_SECONDS, scope, "model")


def first_token_seconds(scope: Scope, q: float) -> str:
    """Return the q-quantile of the time to first token in seconds, by model."""
    return quantile(q, LLM_FIRST_TOKEN_SECONDS, scope, "model")


def tokens_read(scope: Scope) -> str:
    """Return prompt tokens per second, by model."""
    return rate(LLM_PROMPT_TOKENS, scope, "model")


def tokens_written(scope: Scope) -> str:
    """Return completion tokens per second, by model."""
    return rate(LLM_COMPLETION_TOKENS, scope, "model")


def tokens_read_each(scope: Scope) -> str:
    """Return tokens per prompt, by model."""
    return share(tokens_read(scope), rate(LLM_REQUESTS, scope, "model"))


def _cost_rate(scope: Scope) -> str:
    """Return dollars per second by model; 0 for a model without a price."""
    return f"({rate(LLM_COST_DOLLARS, scope, 'model')} or 0 * {tokens_read(scope)})"


def cost_per_hour(scope: Scope) -> str:
    """Return dollars per hour by model; 0 for a model without a price."""
    return f"3600 * {_cost_rate(scope)}"


def cost_per_thousand(scope: Scope) -> str:
    """Return dollars per 1000 answers, failed prompts included, by model."""
    answered = rate(LLM_REQUESTS, scope, "model", matchers=('outcome="ok"',))
    return f"1000 * {_cost_rate(scope)} / ({answered} > 0)"


def helpful_share(scope: Scope) -> str:
    """Return the share of ratings that are helpful."""
    helpful = rate(FEEDBACK, scope, matchers=('verdict="helpful"',))
    return share(helpful, rate(FEEDBACK, scope))


def verdict_rate(scope: Scope) -> str:
    """Return ratings per second."""
    return rate(FEEDBACK, scope, "verdict")


def similarity(scope: Scope, q: float) -> str:
    """Return the q-quantile of the similarity of the most similar example."""
    return quantile(q, BEST_SIMILARITY, scope)


def similarity_spread(scope: Scope) -> str:
    """Return questions per second in each bucket of the best example's similarity."""
    return buckets(BEST_SIMILARITY, scope)


def bank_examples(scope: Scope) -> str:
    """Return the number of examples in the bank; the smallest, if replicas differ."""
    return aggregate("min", select(BANK_EXAMPLES, scope), scope)


def photo_intensity(scope: Scope, q: float) -> str:
    """Return the q-quantile of the brightness of photos."""
    return quantile(q, PHOTO_INTENSITY, scope)


def photo_intensity_spread(scope: Scope) -> str:
    """Return photos per second in each bucket of brightness."""
    return buckets(PHOTO_INTENSITY, scope)


def photo_pixels(scope: Scope, q: float) -> str:
    """Return the q-quantile of the pixels of photos."""
    return quantile(q, PHOTO_PIXELS, scope)


def photo_bytes(scope: Scope, q: float) -> str:
    """Return the q-quantile of the bytes of photos."""
    return quantile(q, PHOTO_BYTES, scope)


def question_characters(scope: Scope, q: float) -> str:
    """Return the q-quantile of the length of questions."""
    return quantile(q, QUESTION_CHARACTERS, scope)


def answer_characters(scope: Scope, q: float) -> str:
    """Return the q-quantile of the length of answers."""
    return quantile(q, ANSWER_CHARACTERS, scope)
