"""A dark canvas with boxes, text and axes, in pixels from the top left."""

from functools import cache
from pathlib import Path
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch
from matplotlib.textpath import TextPath

SHEET, PANEL, EDGE, GRID = "#111217", "#181b1f", "#26292f", "#2a2e34"
WORDS, FAINT = "#d5d6de", "#8e9099"
NAMED = {
    "green": "#73bf69",
    "yellow": "#f2cc0c",
    "red": "#f2495c",
    "blue": "#6e9fff",
    "orange": "#ff9830",
    "purple": "#b877d9",
}
LINES = (
    "#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c",
    "#b877d9", "#8ab8ff", "#ffa6b0", "#96d98d", "#ffcb7d", "#c0d8ff", "#e0b400",
)  # fmt: skip
_DPI = 100


class Canvas:
    """One picture."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=SHEET)
        FigureCanvasAgg(self._figure)

    def save(self, file: Path) -> None:
        """Write the picture as a small PNG."""
        self._figure.savefig(file, dpi=_DPI, facecolor=SHEET, pil_kwargs={"optimize": True})

    def box(self, x: float, y: float, width: float, height: float) -> None:
        """Draw the background of a panel."""
        shape = FancyBboxPatch(
            (x / self.width, 1 - (y + height) / self.height),
            width / self.width,
            height / self.height,
            boxstyle="round,pad=0,rounding_size=0.002",
            mutation_aspect=self.width / self.height,
            facecolor=PANEL,
            edgecolor=EDGE,
            linewidth=1,
            transform=self._figure.transFigure,
            zorder=-2,
        )
        self._figure.add_artist(shape)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 11,
        colour: str = WORDS,
        align: Literal["left", "center", "right"] = "left",
        bold: bool = False,
    ) -> None:
        """Write text vertically centred on `y`; a dollar sign starts no formula."""
        self._figure.text(
            x / self.width,
            1 - y / self.height,
            words.replace("$", r"\$"),
            fontsize=size * 72 / _DPI,
            color=colour,
            ha=align,
            va="center",
            weight="bold" if bold else "normal",
        )

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Return axes without a frame in the rectangle."""
        place = (x / self.width, 1 - (y + height) / self.height)
        axes = self._figure.add_axes((*place, width / self.width, height / self.height))
        axes.set_facecolor("none")
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(length=0, labelsize=9.5 * 72 / _DPI, colors=FAINT, pad=4)
        return axes


@cache
def width_of(words: str, size: float, *, bold: bool = False) -> float:
    """Return the largest width of a text in pixels: letters are drawn on whole pixels."""
    if not words.strip():
        return 0
    font = FontProperties(weight="bold" if bold else "normal")
    path = TextPath((0, 0), words.replace("$", r"\$"), size=size, prop=font)
    return 1.08 * float(path.get_extents().width)


def shortened(words: str, size: float, width: float) -> str:
    """Return the text, truncated to at most `width` pixels."""
    if width_of(words, size) <= width:
        return words
    while words and width_of(words + "…", size) > width:
        words = words[:-1]
    return words.rstrip() + "…"
