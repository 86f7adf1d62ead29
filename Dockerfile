FROM python:3.13-slim
RUN useradd --create-home zeon
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt .
USER zeon
WORKDIR /home/zeon
EXPOSE 8000
CMD ["zeon", "serve"]
