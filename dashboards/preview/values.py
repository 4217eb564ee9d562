"""Numbers with their units, as Grafana writes them."""

import math
from collections.abc import Callable

_Scales = tuple[tuple[float, str], ...]

_SECONDS: _Scales = ((86400, " d"), (3600, " h"), (60, " min"), (1, " s"), (1e-3, " ms"))
_BYTES: _Scales = ((1024**3, " GiB"), (1024**2, " MiB"), (1024, " KiB"), (1, " B"))
_SHORT: _Scales = ((1e9, " G"), (1e6, " M"), (1e3, " K"), (1, ""))


def written(value: float, unit: str) -> str:
    """Return a value with about three digits and its unit, as Grafana names it.

    Raises:
        KeyError: No page has used that unit yet.
    """
    write = _WRITE[unit]
    return "no data" if math.isnan(value) else write(value)


def _scaled(value: float, scales: _Scales) -> str:
    size = abs(value)
    fitting = [each for each in scales if size >= each[0]]
    # Nothing has no size; it is written in the unit itself.
    (whole,) = [each for each in scales if each[0] == 1]
    scale, name = (fitting or [scales[-1]])[0] if size else whole
    return f"{_digits(value / scale)}{name}"


def _digits(value: float) -> str:
    size = abs(value)
    if 0 < size < 0.01:
        return f"{value:.1g}"
    places = 0 if size >= 100 else 1 if size >= 10 else 2
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_WRITE: dict[str, Callable[[float], str]] = {
    "s": lambda value: _scaled(value, _SECONDS),
    "bytes": lambda value: _scaled(value, _BYTES),
    "short": lambda value: _scaled(value, _SHORT),
    "percentunit": lambda value: f"{_digits(100 * value)} %",
    "reqps": lambda value: f"{_digits(value)} /s",
    "currencyUSD": lambda value: f"${_digits(value)}",
    "none": _digits,
}
