"""Why there is no plan: every reason is one sentence for whoever asked."""


class CapacityError(Exception):
    """There is no plan; the message is one clear sentence."""
