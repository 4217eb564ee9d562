"""Settings of the five stages and of their scaling, as frozen classes.

Field names are also the keys of a Serve config file's `args` and of the chart's values.
docs/settings.md and the chart's schema are generated from the descriptions here, so each must be
understood without its class and says its unit.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from deployments.messages import Similarity
from deployments.thread_priority import IDLE_POLICY
from models.settings import EngineSettings


class Settings(BaseModel):
    """Base of every settings class: immutable, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Autoscaling(Settings):
    """Bounds and speed of autoscaling (Ray Serve's autoscaling_config)."""

    min_replicas: int = Field(default=1, ge=0, description="Smallest number of replicas.")
    max_replicas: int = Field(default=1, ge=1, description="Largest number of replicas.")
    target_ongoing_requests: float = Field(
        default=8,
        gt=0,
        description="Ongoing requests per replica that autoscaling aims at: about one batch for a"
        " model, tens or hundreds for a stage that waits on others.",
    )
    upscale_delay_s: float = Field(
        default=2, ge=0, description="Seconds that load must last before a replica is added."
    )
    downscale_delay_s: float = Field(
        default=120,
        ge=0,
        description="Seconds that load must stay low before a replica is removed.",
    )
    look_back_period_s: float = Field(
        default=5, gt=0, description="Seconds over which the number of requests is averaged."
    )

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas must not exceed max_replicas")
        return self


class Scaling(Settings):
    """Resources, queue limits, autoscaling and health checks of one deployment."""

    num_cpus: float = Field(
        default=0.1, ge=0, description="CPUs that Ray reserves for each replica."
    )
    num_gpus: float = Field(
        default=0,
        ge=0,
        description="GPUs that Ray reserves for each replica; with a fraction, replicas share one.",
    )
    autoscaling: Autoscaling = Autoscaling()
    max_ongoing_requests: int = Field(
        default=32, ge=1, description="Most requests that one replica handles concurrently."
    )
    max_queued_requests: int = Field(
        default=64,
        ge=1,
        description="Most requests in the queue of each caller of the stage; more are refused.",
    )
    graceful_shutdown_timeout_s: float = Field(
        default=20,
        gt=0,
        description="Seconds that a stopping replica has to finish the requests it accepted.",
    )
    health_check_period_s: float = Field(
        default=10, gt=0, description="Seconds between health checks of a replica."
    )
    health_check_timeout_s: float = Field(
        default=30, gt=0, description="Seconds after which a health check counts as failed."
    )

    @model_validator(mode="after")
    def _can_scale_up(self) -> Self:
        if self.autoscaling.target_ongoing_requests > self.max_ongoing_requests:
            raise ValueError(
                "target_ongoing_requests above max_ongoing_requests would never scale up"
            )
        return self


class BatchSettings(Settings):
    """Limits of the batcher in front of a model."""

    max_size: int = Field(default=8, ge=1, le=1024, description="Largest batch, in items.")
    max_waiting: int = Field(
        default=64, ge=1, description="Most items queued in a replica; more are refused."
    )
    niceness: int = Field(
        default=0,
        ge=0,
        le=IDLE_POLICY,
        description="Increment of the nice value of the model's threads. A higher one leaves the"
        f" CPU to other stages, so that batches grow; {IDLE_POLICY} is Linux's SCHED_IDLE policy.",
    )


class StageSettings(Settings):
    """Settings that every stage has."""

    scaling: Scaling = Scaling()


class CaptionerSettings(StageSettings):
    """The captioner: one sentence about a photo."""

    engine: EngineSettings = EngineSettings()
    batch: BatchSettings = BatchSettings()
    cache_photos: int = Field(
        default=0,
        ge=0,
        description="Photos whose caption a replica caches (LRU); 0 turns the cache off.",
    )
    num_beams: int = Field(default=1, ge=1, le=16, description="Beam width; 1 is greedy search.")
    max_new_tokens: int = Field(
        default=110, ge=1, le=512, description="Longest caption, in tokens."
    )


class TaggerSettings(StageSettings):
    """The tagger: labelled boxes of the objects in a photo."""

    engine: EngineSettings = EngineSettings()
    batch: BatchSettings = BatchSettings()
    cache_photos: int = Field(
        default=0,
        ge=0,
        description="Photos whose tags a replica caches (LRU); 0 turns the cache off.",
    )
    score_threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Lowest confidence of a tag, from 0 to 1; unset means the bundle's.",
    )
    max_tags: int = Field(
        default=32,
        ge=1,
        le=200,
        description="Most tags of a photo; those with the highest confidence are kept.",
    )


class RetrieverSettings(StageSettings):
    """The retriever: the solved examples most similar to a photo and its question."""

    engine: EngineSettings = EngineSettings()
    batch: BatchSettings = BatchSettings()
    similarity: Similarity = Field(
        default="image_question",
        description="What the search compares: the mean of image and question similarity (PICa),"
        " only one of the two, or nothing, which draws examples at random.",
    )
    max_examples: int = Field(
        default=64, ge=1, le=1024, description="Most examples that one search returns."
    )
    seed: int = Field(default=0, description="Random seed of the similarity `random`.")


class AssemblerSettings(StageSettings):
    """The assembler: a few-shot prompt from caption, tags, examples and question."""

    form: Literal["chat", "completion"] = Field(
        default="chat",
        description="Format of the prompt: chat messages, or PICa's single text that ends with"
        " 'Answer:'.",
    )
    instruction: str = Field(
        default="Answer the question about the photo in a few words.",
        min_length=1,
        max_length=2000,
        description="System message of the prompt. The demo answerer was trained with the default.",
    )
    token_budget: int = Field(
        default=3000,
        ge=64,
        description="Longest prompt, in estimated tokens; the least similar examples are left out"
        " first.",
    )
    bytes_per_token: float = Field(
        default=3,
        gt=0,
        description="Bytes of UTF-8 per token, to estimate the length of a prompt. A low value"
        " overestimates it, which is safe.",
    )
    tokens_per_message: int = Field(
        default=8,
        ge=0,
        description="Tokens that the chat template adds around each message, for the same"
        " estimate.",
    )


class OpenAISettings(Settings):
    """Client of a server with the OpenAI API."""

    base_url: str = Field(
        default="https://api.openai.com/v1",
        min_length=1,
        description="Base URL of a server with the OpenAI API.",
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="API key; unset means the environment variable OPENAI_API_KEY.",
    )
    model: str | None = Field(
        default=None, description="Name of the model on that server; unset means the bundle's."
    )
    timeout_s: float = Field(
        default=20,
        gt=0,
        description="Seconds that an attempt may wait for the first byte, and for each further"
        " chunk.",
    )
    max_retries: int = Field(
        default=2,
        ge=0,
        le=10,
        description="Retries of a failed attempt, within the deadline of the request.",
    )


class Price(Settings):
    """Price of a language model."""

    prompt_dollars_per_million: float = Field(
        ge=0, description="Price of a million prompt tokens, in dollars."
    )
    completion_dollars_per_million: float = Field(
        ge=0, description="Price of a million completion tokens, in dollars."
    )

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the price of these tokens, in dollars."""
        return (
            prompt_tokens * self.prompt_dollars_per_million
            + completion_tokens * self.completion_dollars_per_million
        ) / 1e6


class AnswererSettings(StageSettings):
    """The answerer: the language model's answer to a prompt."""

    scaling: Scaling = Scaling(max_ongoing_requests=128, max_queued_requests=256)
    engine: EngineSettings = EngineSettings()
    batch: BatchSettings = BatchSettings()
    openai: OpenAISettings = OpenAISettings()
    max_new_tokens: int = Field(default=16, ge=1, le=4096, description="Longest answer, in tokens.")
    temperature: float = Field(
        default=0,
        ge=0,
        le=2,
        description="Sampling temperature of a model behind the OpenAI API; local models decode"
        " greedily.",
    )
    prices: dict[str, Price] = Field(
        default={},
        description="Prices by name of the model, for the cost metric; a model that is missing here"
        " counts as free.",
    )
