"""Write the settings table of README from `AppSettings`, so that there is one list of options.

Run `python -m serve.settings_table` to rewrite the table; with `--check` it only compares.
Classes that several stages share (scaling, engine, batch) are listed once, under `<stage>`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from deployments.settings import BatchSettings, Scaling
from models.settings import EngineSettings
from serve.settings import AppSettings

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- settings: begin (make docs) -->", "<!-- settings: end -->"
_SHARED: dict[type[BaseModel], str] = {
    Scaling: "<stage>.scaling.",
    EngineSettings: "<stage>.engine.",
    BatchSettings: "<stage>.batch.",
}


def rows(model: type[BaseModel] = AppSettings, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield (name, default, meaning) of every setting, shared classes once."""
    seen: set[type[BaseModel]] = set()
    yield from _walk(model, prefix, seen)


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
        else:
            yield f"{prefix}{name}", _default(field), field.description or ""


def _default(field: FieldInfo) -> str:
    return "" if field.default is None else str(field.default)


def table() -> str:
    """Return the Markdown table."""
    lines = ["| setting | default | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in rows()]
    return "\n".join(lines)


def main() -> int:
    """Rewrite the table in README, or compare it; return the exit status."""
    text = README.read_text()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    wanted = f"{before}{BEGIN}\n{table()}\n{END}{after}"
    if "--check" in sys.argv[1:]:
        if text != wanted:
            print("README's settings table is out of date: run make docs", file=sys.stderr)  # noqa: T201
        return int(text != wanted)
    README.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
