"""Why a bundle cannot be built."""


class PackingError(Exception):
    """One line that names the part and says what to do; nothing was left under the final name."""
