"""Read Serve config files strictly.

Ray ignores unknown keys at most levels, so that a typo silently leaves the default; here unknown
keys are refused at every level.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from ray.serve.schema import ServeDeploySchema

from serve.settings import AppSettings

FOLDER = Path(__file__).parent / "config"
DEMO = FOLDER / "demo.yaml"
BUILDER = "serve.app:build"


def read(file: Path) -> dict[str, Any]:
    """Return a checked Serve config file, as `serve deploy` would send it.

    Raises:
        ValueError: A key that does not exist, or a value out of bounds; the message names it.
    """
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    check(config)
    return dict(config)


def check(config: object) -> None:
    """Check a whole config, including the app's `args`.

    Raises:
        ValueError: A key that does not exist, or a value out of bounds; the message names it.
    """
    unknown = sorted(_unknown_keys(ServeDeploySchema, config, ""))
    if unknown:
        raise ValueError(f"unknown in a Serve config file: {', '.join(unknown)}")
    for application in ServeDeploySchema.model_validate(config).applications:
        if application.import_path == BUILDER:
            AppSettings.model_validate(application.args)


def _unknown_keys(annotation: Any, value: object, place: str) -> Iterator[str]:  # noqa: ANN401
    """Yield the path of every key in `value` that no class in `annotation` has."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unknown_keys(annotation, item, f"{place}[{number}]")
    models = list(_models(annotation))
    if not isinstance(value, dict) or not models:
        return
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    for key, item in value.items():
        path = f"{place}.{key}".lstrip(".")
        if key in fields:
            yield from _unknown_keys(fields[key].annotation, item, path)
        else:
            yield path


def _models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401
    """Yield the pydantic classes inside an annotation such as `list[A] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
