"""The app: deployment graph, pipeline, HTTP API and command line.

A request passes `api` -> `pipeline` -> the five deployments of `deployments/`, which `app` binds.
In this package the bare name `serve` is never bound: Ray's names are imported one by one, ours as
`from serve.api.schemas import ...`.
"""
