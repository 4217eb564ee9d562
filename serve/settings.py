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
    StageSettings,
    TaggerSettings,
)
from deployments.stages import STAGES, Stage
from models.pixels import MAX_EDGE


class ImageUrlSettings(Settings):
    """Photos that a request names by URL instead of sending them."""

    enabled: bool = Field(
        default=False,
        description="Let requests name a photo by URL. The app then connects to public addresses"
        " that callers choose.",
    )
    max_bytes: int = Field(
        default=10_000_000, ge=1, description="Largest download of a photo, in bytes."
    )
    timeout_s: float = Field(
        default=5,
        gt=0,
        le=60,
        description="Seconds that a download may take, redirects included.",
    )


class Limits(Settings):
    """Limits of one request, and of the requests of one ingress replica."""

    max_bytes: int = Field(default=10_000_000, ge=1, description="Largest encoded photo, in bytes.")
    max_pixels: int = Field(
        default=40_000_000,
        ge=1,
        description="Largest decoded photo, in pixels; stops decompression bombs.",
    )
    max_edge: int = Field(
        default=MAX_EDGE,
        ge=32,
        description="Longer edge in pixels to which the ingress scales larger photos down.",
    )
    max_question_characters: int = Field(
        default=500, ge=1, description="Longest question, in characters."
    )
    max_n_shot: int = Field(
        default=64, ge=0, description="Most solved examples that a request may ask for."
    )
    max_embeddings: int = Field(
        default=32, ge=1, description="Most photos and texts in one embeddings request."
    )
    max_concurrent_requests: int = Field(
        default=256,
        ge=1,
        description="Most requests that one ingress replica handles concurrently; more are refused"
        " at once, which keeps the latency of the others.",
    )
    timeout_s: float = Field(
        default=30,
        gt=0,
        le=110,
        description="Deadline of a request in seconds. At most 110: HAProxy closes connections"
        " after 120 s when replicas change.",
    )
    image_url: ImageUrlSettings = ImageUrlSettings()


class TracingSettings(Settings):
    """OpenTelemetry traces of requests, from the ingress to the language model."""

    endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="Base URL of an OTLP/HTTP receiver, such as http://collector:4318; unset means"
        " OTEL_EXPORTER_OTLP_ENDPOINT. Without either, tracing is off. Headers are read from"
        " OTEL_EXPORTER_OTLP_HEADERS.",
    )
    sampling_ratio: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of requests that are traced, from 0 to 1. A caller's traceparent header"
        " takes precedence.",
    )
    timeout_s: float = Field(
        default=5, gt=0, le=60, description="Seconds that one export of spans may take."
    )


class Degrade(Settings):
    """Stages whose failure degrades the answer; the failure of any other stage is an error."""

    captioner: bool = Field(
        default=False, description="Answer without a caption when the captioner fails."
    )
    tagger: bool = Field(default=True, description="Answer without tags when the tagger fails.")
    retriever: bool = Field(
        default=True, description="Answer without examples when the retriever fails."
    )
    timeout_s: float = Field(
        default=5,
        gt=0,
        description="Seconds to wait for a stage that may be missing before the answer goes on"
        " without it.",
    )


class AppSettings(BaseSettings):
    """Settings of the whole app."""

    model_config = SettingsConfigDict(
        env_prefix="ADMIRER_", env_nested_delimiter="__", frozen=True, extra="forbid"
    )

    bundle: str = Field(
        default="bundles/demo",
        min_length=1,
        description="Bundle: path of its folder, or of the file that names every model.",
    )
    n_shot: int = Field(
        default=4,
        ge=0,
        le=64,
        description="Solved examples in a prompt where the request does not say.",
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

    def stage(self, name: Stage) -> StageSettings:
        """Return the settings of one stage."""
        own: StageSettings = getattr(self, name)
        return own

    def scalings(self) -> dict[str, Scaling]:
        """Return how each deployment is scaled, by its name."""
        return {"ingress": self.ingress, **{name: self.stage(name).scaling for name in STAGES}}

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
