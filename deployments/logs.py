"""What a log line says beside its message.

Ray Serve writes each of these as a key of its own where logs are JSON (`logging_config` of the
Serve config file), and drops them where they are text: so a message says the essential itself.
Lines of every level may be kept by others: no photo, question, text of a model or key goes here.
"""

from deployments.tracing import current


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return the `extra` of a log call, with the trace where one is exported; None is left out.

    Values are what JSON has; names are not Python's own of a log record.
    """
    place = current().context
    if place is not None and place.is_sampled:
        values["trace_id"] = place.trace_id
    return {
        "ray_serve_extra_fields": {
            name: value for name, value in values.items() if value is not None
        }
    }
