"""One call of binance-connector: the request as JSON on stdin, the answer as JSON on stdout."""

import json
import queue
import sys

from binance.error import ClientError
from binance.spot import Spot
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient


def main() -> None:
    request = json.load(sys.stdin)
    config, name, arguments, params = (request[key] for key in ("config", "name", "arguments", "params"))
    if name == "stream":
        print(json.dumps(first_message(config, *arguments, **params)))
        return
    client = Spot("zeon", "zeon", base_url=config["base_url"])
    try:
        print(json.dumps(getattr(client, name)(*arguments, **params)))
    except ClientError as error:
        print(json.dumps({"error": error.error_code}))


def first_message(config: dict, name: str, **params: str) -> dict:
    """Subscribe to a stream and return its first message."""
    messages = queue.Queue()
    client = SpotWebsocketStreamClient(config["stream_url"], on_message=lambda _, text: messages.put(json.loads(text)))
    try:
        getattr(client, name)(**params)
        while "e" not in (message := messages.get(timeout=10)):
            pass
        return message
    finally:
        client.stop()


main()
