# sfic-bench with torch for CPUs, or with PyPI's torch, which has CUDA, by --build-arg TORCH_INDEX=https://pypi.org/simple:
#   docker build -t sfic-bench .
#   docker run --rm -v "$PWD:/work" sfic-bench flops --backbone resnet50
FROM python:3.12-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=train,report,onnx,openvino,hub

# torch.compile on a CPU needs a compiler.
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++=4:12.2.0-3 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/sfic-bench
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY sfic_bench sfic_bench
RUN pip install --no-cache-dir --extra-index-url "${TORCH_INDEX}" -c constraints.txt ".[${EXTRAS}]" \
    && useradd --create-home --uid 1000 bench

USER 1000
WORKDIR /work
ENTRYPOINT ["sfic-bench"]
CMD ["--help"]
