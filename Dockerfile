# One target per service; compose and the cloud build choose with --target.
#
# The base is named by its tag. A build that must be repeatable adds the digest as well:
#   docker buildx imagetools inspect python:3.11.14-slim-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg BASE_DIGEST=@sha256:… --target receiver .
# cloudbuild.yaml does both in each build. Any Debian 12 with Python 3.11 and its venv serves too.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm
ARG BASE_DIGEST=

# BASE_IMAGE carries the tag.
# hadolint ignore=DL3006
FROM ${BASE_IMAGE}${BASE_DIGEST} AS base
ENV LANG=C.UTF-8 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

# What all services share: an init, no installer. Nothing is written but in /tmp.
# Linux closes the environment of a program whose file its user may not read: so tini, which starts
# with the service's keys, does not show them to a decoder that was taken over.
FROM base AS runtime
# Debian keeps one version of a package, so a build with a pinned one fails after the next fix.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && chmod 0711 /usr/bin/tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
    && rm -rf "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')/ensurepip" \
        /usr/local/lib/python3*/site-packages/* /usr/local/bin/pip* /usr/share/python-wheels
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    HOST=0.0.0.0 \
    PORT=8080 \
    LECTERN_BACKEND=gcp \
    LECTERN_DATA_DIR=/tmp/lectern \
    LOG_FORMAT=json
WORKDIR /app
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--"]
LABEL org.opencontainers.image.title="Lectern" \
    org.opencontainers.image.description="Compresses lecture recordings for learning platforms."

# The code with its bytecode, which the services could not write.
FROM base AS code
COPY core /app/core
COPY infra /app/infra
COPY receiver /app/receiver
COPY transcoder /app/transcoder
COPY confirmer /app/confirmer
COPY functions /app/functions
RUN python3 -m compileall -q /app

# All that the lock names. The environment gets no pip of its own, and finds the code in /app also
# where Python is isolated from its environment, as in the processes that read recordings.
# pyvips is Python alone, but comes without a wheel: setuptools, by its own hash, makes one.
# Behind a proxy with a certificate authority of its own: --secret id=authorities,src=$PIP_CERT
FROM base AS locked
COPY requirements-gcp.lock /build/
RUN --mount=type=secret,id=authorities,target=/run/authorities.pem \
    if [ -s /run/authorities.pem ]; then export PIP_CERT=/run/authorities.pem; fi \
    && python3 -m venv /build/pip \
    && python3 -m venv --without-pip /venv \
    && awk '/^[a-z]/ { keep = /^setuptools==/ } keep' /build/requirements-gcp.lock \
        >/build/setuptools.lock \
    && /build/pip/bin/pip --python /venv/bin/python install --no-deps --only-binary :all: \
        --require-hashes -r /build/setuptools.lock \
    && /build/pip/bin/pip --python /venv/bin/python install --no-deps --only-binary :all: \
        --no-binary pyvips --no-build-isolation \
        --require-hashes -r /build/requirements-gcp.lock \
    && /venv/bin/python -c 'import pathlib, sysconfig; \
        pathlib.Path(sysconfig.get_path("purelib"), "lectern.pth").write_text("/app\n")'

# The same without what only the command line and the installation need. `pip check` fails when
# something that stays needs something that went.
FROM locked AS encoding
ARG COMMAND_LINE_ONLY="rich markdown-it-py mdurl pygments setuptools"
# Unquoted: a list of words.
# hadolint ignore=SC2086
RUN /build/pip/bin/pip --python /venv/bin/python uninstall --yes ${COMMAND_LINE_ONLY} \
    && /build/pip/bin/pip --python /venv/bin/python check

# The same without what only the transcoder works with.
FROM encoding AS serving
ARG ENCODING_ONLY="av imageio-ffmpeg pyvips pyvips-binary"
# Unquoted: a list of words.
# hadolint ignore=SC2086
RUN /build/pip/bin/pip --python /venv/bin/python uninstall --yes ${ENCODING_ONLY} \
    && /build/pip/bin/pip --python /venv/bin/python check

FROM runtime AS receiver
# Unpinned for the same reason.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends haproxy \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
COPY --from=serving /venv /venv
COPY --from=code /app/core /app/core
COPY --from=code /app/infra /app/infra
COPY --from=code /app/receiver /app/receiver
USER 10001:10001
CMD ["python", "-m", "receiver"]

FROM runtime AS transcoder
COPY --from=encoding /venv /venv
COPY --from=code /app/core /app/core
COPY --from=code /app/infra /app/infra
COPY --from=code /app/transcoder /app/transcoder
USER 10001:10001
CMD ["python", "-m", "transcoder"]

FROM runtime AS confirmer
COPY --from=serving /venv /venv
COPY --from=code /app/core /app/core
COPY --from=code /app/infra /app/infra
COPY --from=code /app/confirmer /app/confirmer
USER 10001:10001
CMD ["python", "-m", "confirmer"]

# FUNCTION_TARGET chooses: sweep, dead_letter or upload_finalized.
FROM runtime AS functions
COPY --from=serving /venv /venv
COPY --from=code /app/core /app/core
COPY --from=code /app/infra /app/infra
COPY --from=code /app/functions /app/functions
ENV FUNCTION_SOURCE=/app/functions/entry.py
USER 10001:10001
CMD ["functions-framework"]

# Never deployed: the tests' Cloud Storage server, the example LMS and the smoke test run from it.
FROM locked AS locked-dev
COPY requirements-dev.lock /build/
RUN --mount=type=secret,id=authorities,target=/run/authorities.pem \
    if [ -s /run/authorities.pem ]; then export PIP_CERT=/run/authorities.pem; fi \
    && /build/pip/bin/pip --python /venv/bin/python install --no-deps --only-binary :all: \
        --no-binary pyvips --no-build-isolation --require-hashes -r /build/requirements-dev.lock

FROM runtime AS dev
COPY --from=locked-dev /venv /venv
COPY --from=code /app /app
COPY pyproject.toml /app/
COPY lectern /app/lectern
COPY tests /app/tests
ENV LECTERN_BACKEND=embedded
USER 10001:10001
CMD ["python", "-m", "lectern", "--help"]
