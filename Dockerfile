# Three images of one file: `cpu` (ONNX Runtime, no torch; the default), `gpu` (torch and ONNX
# Runtime on CUDA) and `load-test` (Locust and the demo bundle's photos, nothing of the app). The
# first two hold the demo bundle, so that a cluster is tried before anything is downloaded; weights
# of public checkpoints are never inside.
#
# BASE is a Debian bookworm with Python 3.11 under the name `python`: override it with a digest or
# a mirror, `--build-arg BASE=mirror.example/python@sha256:...` or `make image BASE=...`.
ARG BASE=python:3.11-slim-bookworm

# --- What all images stand on ---------------------------------------------------------------

FROM ${BASE} AS system
# KubeRay's readiness probe of a worker runs wget in bash. A base that has all of it, such as one
# prepared for a network without mirrors, is left as it is.
RUN set -eu; missing=""; \
    for program in bash tini wget; do command -v "$program" >/dev/null || missing="$missing $program"; done; \
    if [ -n "$missing" ]; then \
        apt-get update; \
        apt-get install -y --no-install-recommends $missing; \
        rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log; \
    fi; \
    useradd --uid 1000 --user-group --create-home admirer; \
    # A login shell (KubeRay's `bash -lc "ray start ..."`) forgets the PATH of this file.
    echo 'PATH=/opt/admirer/bin:$PATH' > /etc/profile.d/admirer.sh
ENV PATH=/opt/admirer/bin:$PATH \
    HOME=/home/admirer \
    # The root file system may be read-only: bytecode is compiled here, at build time.
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    # These libraries otherwise report their use to their makers.
    HF_HUB_DISABLE_TELEMETRY=1 ORT_DISABLE_TELEMETRY=1 RAY_USAGE_STATS_ENABLED=0
WORKDIR /app
EXPOSE 8000
# All that is written: Ray's sockets and logs in /tmp, what libraries keep for a user in HOME.
VOLUME ["/tmp", "/home/admirer"]
# tini hands SIGTERM on and reaps what Ray's workers leave. KubeRay puts its own command here, a
# bash that becomes `ray start`.
ENTRYPOINT ["tini", "--"]
CMD ["admirer", "serve", "--host", "0.0.0.0"]

# --- Environments: only these stages install, nothing of pip or uv leaves them --------------

FROM ${BASE} AS installer
COPY requirements/uv.txt /requirements/
RUN python -m venv /uv \
    && /uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements/uv.txt \
    && python -m venv --without-pip /opt/admirer
ENV UV_CACHE_DIR=/uv-cache UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_SYSTEM_CERTS=1

FROM installer AS cpu-environment
COPY requirements/cpu.txt /requirements/
RUN --mount=type=cache,target=/uv-cache \
    /uv/bin/uv pip sync --quiet --python /opt/admirer/bin/python --require-hashes /requirements/cpu.txt

FROM installer AS gpu-environment
COPY requirements/gpu.txt /requirements/
RUN --mount=type=cache,target=/uv-cache \
    /uv/bin/uv pip sync --quiet --python /opt/admirer/bin/python --require-hashes /requirements/gpu.txt

FROM installer AS load-test-environment
COPY requirements/load-test.txt /requirements/
RUN --mount=type=cache,target=/uv-cache \
    /uv/bin/uv pip sync --quiet --python /opt/admirer/bin/python --require-hashes /requirements/load-test.txt

# --- What the images that serve hold of the checkout: no training, evaluation or load tests ---

FROM scratch AS sources
COPY LICENSE README.md admirer_packages.py pyproject.toml /
COPY bank /bank
COPY bundles /bundles
COPY deployments /deployments
COPY models /models
COPY serve /serve

# --- Images: dependencies first, since they are large and change least ----------------------

FROM system AS load-test
COPY --from=load-test-environment /opt/admirer /opt/admirer
COPY LICENSE /app/
COPY load_tests/*.py /app/load_tests/
COPY load_tests/client/*.py /app/load_tests/client/
COPY bundles/demo/photos /app/bundles/demo/photos
RUN python -m compileall -q /app
USER 1000:1000
# Of a master: its workers, its page, its metrics.
EXPOSE 5557 8089 9646
CMD ["locust", "--locustfile", "load_tests/locustfile.py"]
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="admirer-load-test" \
      org.opencontainers.image.description="Asks admirer as people do, and judges the answers (Locust)" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"

FROM system AS gpu
# Read by NVIDIA's container runtime; the driver's libraries are the node's.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-environment /opt/admirer /opt/admirer
COPY --from=sources / /app/
RUN --mount=type=bind,from=installer,source=/uv,target=/uv \
    /uv/bin/uv pip install --quiet --no-cache --offline --python /opt/admirer/bin/python \
        --no-deps --no-build-isolation --editable /app \
    && python -m compileall -q /app && rm -rf /app/*.egg-info
USER 1000:1000
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="admirer" \
      org.opencontainers.image.description="Answers questions about photos (CUDA)" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"

FROM system AS cpu
COPY --from=cpu-environment /opt/admirer /opt/admirer
COPY --from=sources / /app/
RUN --mount=type=bind,from=installer,source=/uv,target=/uv \
    /uv/bin/uv pip install --quiet --no-cache --offline --python /opt/admirer/bin/python \
        --no-deps --no-build-isolation --editable /app \
    && python -m compileall -q /app && rm -rf /app/*.egg-info
USER 1000:1000
ARG VERSION=0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="admirer" \
      org.opencontainers.image.description="Answers questions about photos (CPU, demo bundle)" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
