"""Draws dashboards as pictures without Grafana.

Everything is read from the JSON that Grafana would get, and every value from a Prometheus, so a
picture shows what the page would: the same panels at the same places from the same queries.
"""
