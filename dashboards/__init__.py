"""Grafana dashboards and Prometheus rules as code.

A development package: it writes the JSON and YAML in the chart, and nothing that serves imports it.
Of ours it imports only the metrics and the table of error codes, so that a renamed metric breaks
a test and not a graph in production.
"""
