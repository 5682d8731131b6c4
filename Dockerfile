# One image for every command: `docker run coda-streaming --help`.
#
# On x86-64 the default torch wheel carries CUDA, which nothing here uses: about 3 GB less with
#   docker build --build-arg PIP_EXTRA_INDEX_URL=<PyTorch's index of CPU wheels> .
FROM python:3.11-slim AS packages
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_EXTRA_INDEX_URL=$PIP_EXTRA_INDEX_URL PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# hnswlib builds from source with -march=native by default: such an image dies of SIGILL on another machine.
ENV HNSWLIB_NO_NATIVE=1
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/coda
COPY pyproject.toml /tmp/
# The dependencies alone, so that a change of our code does not install torch again.
RUN python -c "import tomllib; print(*tomllib.load(open('/tmp/pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        > /tmp/requirements.txt \
    && /opt/coda/bin/pip install -r /tmp/requirements.txt

FROM python:3.11-slim
COPY --from=packages /opt/coda /opt/coda
# lightgbm's OpenMP; where hnswlib is built it comes with the compiler.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 coda && mkdir -p /data /keys /home/coda/.cache && chown coda /data /keys /home/coda/.cache
COPY . /app
WORKDIR /app
USER coda
# Other containers scrape the metrics, so inside the container they are on all interfaces.
ENV PATH=/opt/coda/bin:$PATH PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 CODA_METRICS_HOST=0.0.0.0
ENTRYPOINT ["python", "-m", "streams.cli"]
CMD ["--help"]
