# The page in a container, built from packages only: docs/deploying.md says how to run it.
FROM python:3.12-slim

# Threads of several libraries, each as many as there are cores, would get in each other's way.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 OMP_WAIT_POLICY=passive
WORKDIR /app

# The threads of what Numba compiles; PyTorch brings its own.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*

# First what changes least. PyTorch for CPUs, from PyTorch's own index, is a tenth of the one with CUDA, which an empty
# build argument gives.
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
COPY requirements.txt .
RUN pip install -r requirements.txt

COPY app.py LICENSE ./
COPY longt5 longt5
COPY app app
COPY assets assets

RUN useradd --system --no-create-home reader
USER reader

ENV LONGT5_HOST=0.0.0.0 LONGT5_PORT=7860 HF_HOME=/tmp/huggingface NUMBA_CACHE_DIR=/tmp/numba
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=5)"]
CMD ["python", "app.py"]
