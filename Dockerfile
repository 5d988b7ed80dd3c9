# With CUDA:  docker build --tag lightning-template .
# CPU only:   docker build --tag lightning-template:cpu --build-arg TORCH_INDEX=<address> .
#             with the address of PyTorch's own index for CPU builds, as its installation page shows
# Then:       docker run --gpus all --shm-size 16g lightning-template python scripts/fit.py --model gat
FROM python:3.11-slim

# torch and torchvision come from the same place, or torchvision's operators are missing. Empty: pip's default, with CUDA.
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

WORKDIR /app
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "torch>=2.11" "torchvision>=0.26"
COPY . .
RUN pip install --editable ".[export,sweep]" \
    && useradd --create-home --uid 1000 runner \
    && mkdir -p data lightning_logs \
    && chown runner data lightning_logs

USER 1000
EXPOSE 6006
CMD ["python", "scripts/fit.py", "--list"]
