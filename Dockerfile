# The launcher and the trainer, run by a user without rights: docs/docker.md.
#   docker build -t yacs-sweep .                                torch for the CPU
#   docker build -t yacs-sweep --build-arg TORCH=registry .     torch with CUDA
#   docker build -t yacs-sweep --build-arg ALSO="psycopg[binary] starlette uvicorn" .     for a database, and --serve
# Pins are those of requirements.txt, and the set-up is the checkout's own.
FROM debian:bookworm-slim AS base
# Debian's point releases mend Python; a pinned one is soon gone from its mirrors.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*
# Any user may be given with --user: folders that are written to are open to all.
RUN useradd --uid 1000 --create-home --shell /bin/bash sweep && chmod 1777 /home/sweep
ENV HOME=/home/sweep PYTHONUNBUFFERED=1
WORKDIR /app

FROM base AS libraries
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv
COPY requirements.txt requirements-dev.txt ./
COPY tools/setup.sh tools/
ARG TORCH=cpu
ARG ALSO=""
# Without bytecode each launcher would compile what it imports: a user without rights keeps none.
RUN --mount=type=cache,target=/root/.cache \
    HOME=/root UV_LINK_MODE=copy PYTHONDONTWRITEBYTECODE=1 SETUP_TORCH=${TORCH} tools/setup.sh \
    && if [ -n "${ALSO}" ]; then .venv/bin/uv pip install --python .venv/bin/python -c requirements-dev.txt ${ALSO}; fi \
    && rm -f .venv/bin/uv .venv/bin/uvx

# What developing needs, for .devcontainer/: the environment is made in the working tree.
FROM base AS dev
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends chromium chromium-driver git make openssh-client postgresql procps python3-venv \
    && rm -rf /var/lib/apt/lists/*
USER 1000

FROM base AS run
RUN install -d -m 1777 log datasets
COPY --from=libraries /app/.venv .venv
COPY . .
RUN .venv/bin/python -m compileall -q yacs_sweep configs data engine modeling utils tools
ENV PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 1000
ENTRYPOINT ["python", "tools/sweep.py"]
CMD ["--help"]
