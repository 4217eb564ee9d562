"""Structured fields of log lines.

Ray Serve writes them as keys of JSON logs (`logging_config` of the Serve config file), and drops
them from text logs: so the message itself must contain the essentials. Logs of every level may
be stored elsewhere: never log photos, questions, texts of models or keys.
"""

from deployments.telemetry.traces import current


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a log call, with the id of a sampled trace; None is left out.

    Values must be JSON types; names must not be attributes of a LogRecord.
    """
    place = current().context
    if place is not None and place.is_sampled:
        values["trace_id"] = place.trace_id
    return {
        "ray_serve_extra_fields": {
            name: value for name, value in values.items() if value is not None
        }
    }
