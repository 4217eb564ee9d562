"""The error of the planner."""


class CapacityError(Exception):
    """There is no plan; the message is one clear sentence."""
