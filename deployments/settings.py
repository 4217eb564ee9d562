"""One frozen settings class for each stage, and how each is scaled.

Field names are also the keys of a Serve config file's `args` and of the chart's values;
the README's table is generated from the descriptions here.
"""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from deployments.messages import Similarity
from deployments.yielding import IDLE_POLICY
from models.settings import EngineSettings


class Settings(BaseModel):
    """What every settings class shares: no change after start, no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Autoscaling(Settings):
    """Replica bounds and how fast the number follows the load (Ray Serve's autoscaling_config)."""

    min_replicas: int = Field(default=1, ge=0, description="Replicas that always run.")
    max_replicas: int = Field(default=1, ge=1, description="Most replicas under load.")
    target_ongoing_requests: float = Field(
        default=8,
        gt=0,
        description="Requests a replica should have; about one batch for a model, tens or"
        " hundreds for what waits on others.",
    )
    upscale_delay_s: float = Field(default=2, ge=0, description="Load must last this long.")
    downscale_delay_s: float = Field(default=120, ge=0, description="Calm must last this long.")
    look_back_period_s: float = Field(
        default=5, gt=0, description="Time over which the load is averaged."
    )

    @model_validator(mode="after")
    def _bounds_are_ordered(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("min_replicas must not exceed max_replicas")
        return self


class Scaling(Settings):
    """Resources, queue limits and replicas of one deployment."""

    num_cpus: float = Field(default=0.1, ge=0, description="CPUs that Ray reserves for a replica.")
    num_gpus: float = Field(
        default=0, ge=0, description="GPUs of a replica; a fraction shares one."
    )
    autoscaling: Autoscaling = Autoscaling()
    max_ongoing_requests: int = Field(
        default=32, ge=1, description="Requests that one replica works on at a time."
    )
    max_queued_requests: int = Field(
        default=64, ge=1, description="Requests that may wait at each caller; more are refused."
    )
    graceful_shutdown_timeout_s: float = Field(
        default=20, gt=0, description="Time for accepted work when a replica stops."
    )
    health_check_period_s: float = Field(
        default=10, gt=0, description="Seconds between two checks of a replica."
    )
    health_check_timeout_s: float = Field(
        default=30, gt=0, description="A check that takes longer has failed."
    )

    @model_validator(mode="after")
    def _can_scale_up(self) -> Self:
        if self.autoscaling.target_ongoing_requests > self.max_ongoing_requests:
            raise ValueError(
                "target_ongoing_requests above max_ongoing_requests would never scale up"
            )
        return self


class BatchSettings(Settings):
    """Limits of the greedy batcher in front of a model."""

    max_size: int = Field(default=8, ge=1, le=1024, description="Items in one run of the model.")
    max_waiting: int = Field(
        default=64, ge=1, description="Items that may wait in a replica; more are refused."
    )
    niceness: int = Field(
        default=0,
        ge=0,
        le=IDLE_POLICY,
        description="Added to the nice value of its threads: they yield the cores, batches grow."
        f" {IDLE_POLICY} is Linux's idle policy: hardly a turn while others want the core.",
    )


class CaptionerSettings(Settings):
    """The captioner: photo to one sentence."""

    scaling: Scaling = Scaling()
    engine: EngineSettings = EngineSettings()
    batch: BatchSettings = BatchSettings()
    cache_photos: int = Field(
        default=0, ge=0, description="Last photos whose caption a replica keeps; 0 keeps none."
    )
    num_beams: int = Field(default=1, ge=1, le=16, description="1 is greedy search.")
    max_new_tokens: int = Field(default=110, ge=1, le=512, description="Longest caption in tokens.")


class TaggerSettings(Settings):
    """The tagger: photo to labelled boxes."""

    scaling: Scaling = Scaling()
    engine: EngineSettings = EngineSettings()
    batch: BatchSettings = BatchSettings()
    cache_photos: int = Field(
        default=0, ge=0, description="Last photos whose tags a replica keeps; 0 keeps none."
    )
    score_threshold: float | None = Field(
        default=None, ge=0, le=1, description="Unset takes the bundle's own."
    )
    max_tags: int = Field(
        default=32, ge=1, le=200, description="Most tags of a photo, the surest first."
    )


class RetrieverSettings(Settings):
    """The retriever: photo and question to the most similar solved examples."""

    scaling: Scaling = Scaling()
    engine: EngineSettings = EngineSettings()
    batch: BatchSettings = BatchSettings()
    similarity: Similarity = Field(
        default="image_question",
        description="What is compared: the mean of image and question (PICa), one of them, or"
        " nothing (random, seeded).",
    )
    max_examples: int = Field(default=64, ge=1, le=1024, description="Most examples of one search.")
    seed: int = Field(default=0, description="Of the random similarity.")


class AssemblerSettings(Settings):
    """The assembler: all of the above to a few-shot prompt."""

    scaling: Scaling = Scaling()
    form: Literal["chat", "completion"] = Field(
        default="chat", description="Chat messages, or PICa's one text that ends at 'Answer:'."
    )
    instruction: str = Field(
        default="Answer the question about the photo in a few words.",
        min_length=1,
        max_length=2000,
        description="The system message; the demo answerer was trained with this one.",
    )
    token_budget: int = Field(
        default=3000, ge=64, description="Most tokens of a prompt; the least similar examples go."
    )
    bytes_per_token: float = Field(
        default=3, gt=0, description="Low estimate for the model's tokenizer."
    )
    tokens_per_message: int = Field(default=8, ge=0, description="Cost of a message's own marks.")


class OpenAISettings(Settings):
    """A language model behind the OpenAI API."""

    base_url: str = Field(
        default="https://api.openai.com/v1",
        min_length=1,
        description="Any server that speaks the API.",
    )
    api_key: SecretStr | None = Field(
        default=None, description="Unset takes OPENAI_API_KEY from the environment."
    )
    model: str | None = Field(default=None, description="Unset takes the bundle's own.")
    timeout_s: float = Field(
        default=20, gt=0, description="Of one attempt's first byte, and of each further piece."
    )
    max_retries: int = Field(
        default=2, ge=0, le=10, description="Further attempts within the request's deadline."
    )


class Price(Settings):
    """What a language model costs."""

    prompt_dollars_per_million: float = Field(ge=0, description="Of a million tokens read.")
    completion_dollars_per_million: float = Field(ge=0, description="Of a million tokens written.")

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the dollars that so many tokens cost."""
        return (
            prompt_tokens * self.prompt_dollars_per_million
            + completion_tokens * self.completion_dollars_per_million
        ) / 1e6


class AnswererSettings(Settings):
    """The answerer: prompt to answer."""

    scaling: Scaling = Scaling(max_ongoing_requests=128, max_queued_requests=256)
    engine: EngineSettings = EngineSettings()
    batch: BatchSettings = BatchSettings()
    openai: OpenAISettings = OpenAISettings()
    max_new_tokens: int = Field(default=16, ge=1, le=4096, description="Longest answer in tokens.")
    temperature: float = Field(default=0, ge=0, le=2, description="Of an OpenAI-API model.")
    prices: dict[str, Price] = Field(
        default={}, description="By the name of the model; one that is not here costs nothing."
    )
