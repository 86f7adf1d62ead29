FROM python:3.13.9-slim-trixie
RUN useradd --create-home zeon
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock && pip install --no-cache-dir --no-deps .
USER zeon
WORKDIR /home/zeon
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "app.healthcheck"]
CMD ["zeon", "serve"]
