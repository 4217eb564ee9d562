"""Draws pages as pictures, where there is no Grafana to take them of.

Everything is read from the JSON that Grafana would get, and every value from a Prometheus, so a
picture shows what the page would: the same panels at the same places from the same queries.
"""
