"""A relay between a client and a server that closes connections at a given byte, in the middle of an event."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Relay:
    """Forwards bytes. It closes the connection of each answer after as many bytes as the next of `cuts` says."""

    def __init__(self, server_port: int, cuts: list[int]) -> None:
        self._server_port = server_port
        self._cuts = iter(cuts)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.cut = 0

    def close(self) -> None:
        """Accept no more connections, and wait until the open ones end."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(30)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                thread = threading.Thread(target=self._relay, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server, suppress(OSError):
            asking = threading.Thread(target=_pass_on, args=(client, server))
            asking.start()
            self._answer(server, client, next(self._cuts, None))
            for writer in (client, server):
                with suppress(OSError):
                    writer.shutdown(socket.SHUT_RDWR)
            asking.join(30)

    def _answer(self, server: socket.socket, client: socket.socket, most: int | None) -> None:
        left = most
        while chunk := server.recv(65_536 if left is None else min(left, 65_536)):
            client.sendall(chunk)
            if left is not None and (left := left - len(chunk)) <= 0:
                self.cut += 1
                return


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(65_536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def relay(server_port: int, cuts: list[int]) -> Iterator[Relay]:
    """Run a relay until the block ends."""
    running = Relay(server_port, cuts)
    try:
        yield running
    finally:
        running.close()
