"""Every setting of the app, as one frozen tree.

One class validates the `args` of a Serve config file, the chart's values and the tests.
Environment variables named ADMIRER_<FIELD>__<FIELD> override what a file says. Names that
Kubernetes injects for a Service called `admirer` (ADMIRER_PORT, ADMIRER_SERVICE_HOST, ...)
must stay unused here, which is why no top-level field is called `port` or `service_*`.
"""

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from deployments.settings import (
    AnswererSettings,
    AssemblerSettings,
    Autoscaling,
    CaptionerSettings,
    RetrieverSettings,
    Scaling,
    Settings,
    TaggerSettings,
)


class ImageUrlSettings(Settings):
    """Photos that a request names by address instead of sending them."""

    enabled: bool = Field(
        default=False, description="Fetching what a caller names makes the app a client of it."
    )
    max_bytes: int = Field(default=10_000_000, ge=1, description="Of a fetched photo.")
    timeout_s: float = Field(
        default=5, gt=0, le=60, description="Of the whole fetch, redirects included."
    )


class Limits(Settings):
    """The most that one request may send or take."""

    max_bytes: int = Field(default=10_000_000, ge=1, description="Of an encoded photo.")
    max_pixels: int = Field(
        default=40_000_000, ge=1, description="Of a decoded photo; stops decompression bombs."
    )
    max_edge: int = Field(
        default=1024, ge=32, description="Longer edge in pixels to which photos are shrunk once."
    )
    max_question_characters: int = Field(default=500, ge=1, description="Of one question.")
    max_n_shot: int = Field(default=64, ge=0, description="Most examples that a request may ask.")
    max_embeddings: int = Field(default=32, ge=1, description="Photos and texts of one request.")
    max_concurrent_requests: int = Field(
        default=256,
        ge=1,
        description="That one ingress replica works on; more are refused, so that these are fast.",
    )
    timeout_s: float = Field(
        default=30,
        gt=0,
        le=110,
        description="Of a whole request; HAProxy ends what takes 120 s when replicas change.",
    )
    image_url: ImageUrlSettings = ImageUrlSettings()


class TracingSettings(Settings):
    """OpenTelemetry traces of requests, through every stage to the language model."""

    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Base URL of an OTLP/HTTP receiver, such as http://collector:4318. Unset takes"
        " OTEL_EXPORTER_OTLP_ENDPOINT; without either nothing is traced. Headers that it wants"
        " come from OTEL_EXPORTER_OTLP_HEADERS.",
    )
    sampling_ratio: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of the requests that are traced; where a caller's traceparent header"
        " decides, that holds.",
    )
    timeout_s: float = Field(default=5, gt=0, le=60, description="Of one export.")


class Degrade(Settings):
    """Stages without which a poorer answer is given; the failure of any other is an error."""

    captioner: bool = Field(default=False, description="Answer without a caption.")
    tagger: bool = Field(default=True, description="Answer without tags.")
    retriever: bool = Field(default=True, description="Answer without examples.")
    timeout_s: float = Field(
        default=5, gt=0, description="Longest wait for a stage that the answer can do without."
    )


class AppSettings(BaseSettings):
    """Settings of the whole app."""

    model_config = SettingsConfigDict(
        env_prefix="ADMIRER_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    bundle: str = Field(
        default="bundles/demo", min_length=1, description="Folder or file that names every model."
    )
    n_shot: int = Field(
        default=4, ge=0, le=64, description="Solved examples in a prompt unless a request says."
    )
    limits: Limits = Limits()
    degrade: Degrade = Degrade()
    tracing: TracingSettings = TracingSettings()
    ingress: Scaling = Scaling(
        autoscaling=Autoscaling(target_ongoing_requests=64),
        max_ongoing_requests=256,
        max_queued_requests=256,
    )
    captioner: CaptionerSettings = CaptionerSettings()
    tagger: TaggerSettings = TaggerSettings()
    retriever: RetrieverSettings = RetrieverSettings()
    assembler: AssemblerSettings = AssemblerSettings()
    answerer: AnswererSettings = AnswererSettings()

    @model_validator(mode="after")
    def _one_request_fits_the_queue(self) -> Self:
        if self.limits.max_embeddings > self.retriever.batch.max_waiting:
            raise ValueError(
                "limits.max_embeddings above retriever.batch.max_waiting could never be served"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the strongest first: environment, then the config file's args."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings
