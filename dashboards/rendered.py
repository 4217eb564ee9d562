"""What is generated here: pages and rules for the chart, and the catalogue of metrics.

A folder of the chart holds nothing else, so what no code writes any more is found there.
"""

from pathlib import Path

from dashboards import catalogue, rules
from dashboards.pages import PAGES

ROOT = Path(__file__).parents[1]
_PAGES = Path("charts/admirer/dashboards")
_RULES = Path("charts/admirer/rules")
_CATALOGUE = Path("docs/metrics.md")


def rendered() -> dict[Path, str]:
    """Return the text of every generated file by its path below `ROOT`."""
    return {
        **{_PAGES / f"{page.name}.json": page.json() for page in PAGES},
        **{_RULES / name: text for name, text in rules.rendered().items()},
        _CATALOGUE: catalogue.rendered(),
    }


def left_over(root: Path = ROOT) -> list[Path]:
    """Return files among the generated ones that no code writes."""
    found = {file for folder in (_PAGES, _RULES) for file in (root / folder).glob("*")}
    return sorted(found - {root / path for path in rendered()})


def drifted(root: Path = ROOT) -> list[str]:
    """Return, in words, each file below `root` that is not what it would be if written now."""
    wrong = []
    for path, text in rendered().items():
        if not (root / path).exists():
            wrong.append(f"{path} is missing")
        elif (root / path).read_text(encoding="utf-8") != text:
            wrong.append(f"{path} differs")
    return wrong + [f"{file.relative_to(root)} is left over" for file in left_over(root)]


def write(root: Path = ROOT) -> None:
    """Write every file below `root`, and remove those that are left over."""
    for path, text in rendered().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for file in left_over(root):
        file.unlink()
