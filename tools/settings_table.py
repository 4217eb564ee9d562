"""Write docs/settings.md from `AppSettings`, so that there is one list of options.

Run `python -m tools.settings_table` to write it again. Classes that several stages share (scaling,
engine, batch) are listed once, under `<stage>`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deployments.settings import BatchSettings, Scaling
from models.settings import EngineSettings
from serve.settings import AppSettings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
_SHARED: dict[type[BaseModel], str] = {
    Scaling: "<stage>.scaling.",
    EngineSettings: "<stage>.engine.",
    BatchSettings: "<stage>.batch.",
}
_INTRODUCTION = """# Settings

<!-- Written by make docs from the app's settings classes; change those. -->

These are the `args` of a Serve config file ([examples](../serve/config)) and, in camelCase, the
values of [the chart](../charts/admirer/README.md). Environment variables override them: a name
begins with `ADMIRER_` and has two underscores for each dot, as in
`ADMIRER_ANSWERER__OPENAI__BASE_URL`.

`<stage>` is `captioner`, `tagger`, `retriever`, `assembler` (only scaling) or `answerer`. The keys
of `<stage>.scaling` stand directly under `ingress`. A stage may have defaults of its own; the table
shows those of the shared class.
"""


def page() -> str:
    """Return the text of docs/settings.md."""
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in rows()]
    return "\n".join([_INTRODUCTION, *lines, ""])


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield (name, default, meaning) of every setting, shared classes once."""
    yield from _walk(AppSettings, "", set())


def _walk(
    model: type[BaseModel], prefix: str, seen: set[type[BaseModel]]
) -> Iterator[tuple[str, str, str]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            if inner in _SHARED and inner in seen:
                continue
            seen.add(inner)
            yield from _walk(inner, _SHARED.get(inner, f"{prefix}{name}."), seen)
            continue
        yield f"{prefix}{name}", _default(field), field.description or ""
        for entry in get_args(inner):
            if isinstance(entry, type) and issubclass(entry, BaseModel):
                yield from _walk(entry, f"{prefix}{name}.<name>.", seen)


def _default(field: FieldInfo) -> str:
    return "" if field.is_required() or field.default is None else str(field.default)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
