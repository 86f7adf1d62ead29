"""Which connection makes room for another."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

import pytest

from app.web.wire.connections import ConnectionLimits, Connections, has_unread_bytes


@dataclass(eq=False)
class Client:
    """A connection whose state the test sets."""

    address: str = "127.0.0.1"
    opened_at: float = 0.0
    silent_since: float = 0.0
    answering: bool = False
    bytes_wait: bool = False
    ended: bool = field(default=False, init=False)

    def has_bytes(self) -> bool:
        return self.bytes_wait

    def end(self) -> None:
        self.ended = True

    def check(self, now: float) -> None:
        pass


class Door:
    """Connections with a clock that the test moves."""

    def __init__(self, **limits: float) -> None:
        self.connections = Connections(ConnectionLimits(**limits))  # type: ignore[arg-type]
        self.now = 100.0

    def open(self, **state: object) -> Client:
        client = Client(opened_at=self.now, silent_since=self.now, **state)  # type: ignore[arg-type]
        self.let_in = self.connections.add(client)
        return client

    def open_after(self, pause_s: float, **state: object) -> Client:
        self.now += pause_s
        return self.open(**state)


@pytest.fixture
async def door() -> Door:
    return Door(max_open=3, per_address=100, over=2)


async def test_the_connection_that_was_silent_longest_makes_room(door: Door) -> None:
    first, second, third = (door.open_after(1) for _ in range(3))
    first.silent_since = door.now + 0.5
    door.open_after(5)
    assert [client.ended for client in (first, second, third)] == [False, True, False]
    second_again = door.open_after(5)
    assert [client.ended for client in (first, third, second_again)] == [False, True, False]


async def test_a_connection_that_sends_now_and_then_makes_room_when_all_are_younger_than_a_second(door: Door) -> None:
    """What counts is its age, not its silence: a client that sends a byte twice a second could stay for ever."""
    slow = door.open()
    door.now += 0.9
    door.open(), door.open()
    door.now += 0.5
    slow.silent_since = door.now - 0.1
    door.open()
    assert slow.ended


async def test_an_answer_under_way_and_bytes_that_wait_keep_a_connection(door: Door) -> None:
    answered, waiting = door.open(answering=True), door.open(bytes_wait=True)
    silent = door.open_after(1)
    door.open_after(1)
    assert [client.ended for client in (answered, waiting, silent)] == [False, False, True]


async def test_a_connection_whose_answer_has_ended_makes_room_again(door: Door) -> None:
    clients = [door.open(answering=True) for _ in range(3)]
    door.open_after(1)
    assert not door.let_in
    clients[1].answering, clients[1].silent_since = False, door.now
    door.connections.answer_ended(clients[1])
    door.open_after(1)
    assert door.let_in
    assert [client.ended for client in clients] == [False, True, False]


async def test_no_connection_younger_than_a_second_makes_room(door: Door) -> None:
    clients = [door.open() for _ in range(3)]
    door.open_after(0.9)
    assert not door.let_in
    assert not any(client.ended for client in clients)


async def test_beyond_the_cap_the_oldest_that_sends_nothing_goes(door: Door) -> None:
    for _ in range(3):
        door.open(answering=True)
    over = [door.open(bytes_wait=True), door.open(), door.open()]
    assert [client.ended for client in over] == [False, True, False]
    assert len(door.connections) == 5


async def test_each_address_has_a_cap_of_its_own() -> None:
    door = Door(max_open=100, per_address=2)
    clients = [door.open(address=address) for address in ("a", "a", "b", "b")]
    door.connections.request_came(clients[2])
    door.open_after(1, address="a")
    door.open(address="b")
    assert [client.ended for client in clients] == [True, False, False, False]
    for _ in range(5):
        door.open_after(1, address="c")
    assert len(door.connections) == 7


async def test_closed_connections_are_forgotten(door: Door) -> None:
    for _ in range(10_000):
        door.connections.discard(door.open_after(0.01))
    queue = door.connections._queue
    assert len(queue._young) + len(queue._silent) < 200
    assert not door.connections._by_address


async def test_a_socket_tells_whether_bytes_wait_on_it() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not has_unread_bytes(ours.fileno())
        theirs.send(b"x")
        assert has_unread_bytes(ours.fileno())
        ours.recv(1)
        assert not has_unread_bytes(ours.fileno())
