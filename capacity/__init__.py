"""The capacity planner: measure each stage, fit, simulate, search, and replay what was found.

Everything here reads answers, their `Server-Timing` and Prometheus text, as any other client
could; what a stage is made of is not known. docs/capacity.md says what is assumed.
"""
