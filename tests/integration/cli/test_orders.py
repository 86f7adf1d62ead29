"""`zeon orders` with a running server, and without one."""

from __future__ import annotations

from tests.integration.cli.test_sessions import DAY, NEW, cli
from tests.support.cli import Cli
from tests.support.postgres import Database
from tests.support.server_process import StartServer

__all__ = ["cli"]


def test_a_session_is_traded_from_the_command_line(cli: Cli, database: Database, start_server: StartServer) -> None:
    session_id = cli.json(*NEW, *DAY, "--profile", "manual", "--ms-per-candle", 0)["id"]
    assert "zeon serve" in cli.error("orders", "place", session_id, "buy", "--qty", 1)
    assert cli("orders", "list", session_id) == "The session has no orders.\n"
    assert cli("orders", "list", session_id, "--open") == "No order is open.\n"
    start_server(database)
    placed = cli.json("orders", "place", session_id, "buy", "--qty", "0.010", "--key", "k", "--client-order-id", "a")
    assert (placed["orderId"], placed["qty"], placed["clientOrderId"]) == (1, 0.01, "a")
    assert cli.json("orders", "place", session_id, "buy", "--qty", "0.010", "--key", "k", "--client-order-id", "a") == (
        placed
    )
    limit = cli.json("orders", "place", session_id, "sell", "--type", "limit", "--cash", 100, "--limit", 60000)
    assert cli.json("orders", "show", session_id, 2) == limit
    assert [order["orderId"] for order in cli.json("orders", "list", session_id, "--open")] == [1, 2]
    assert "limit" in cli("orders", "list", session_id)
    assert cli.json("orders", "cancel", session_id, 2)["cancelled"] == [2]
    assert cli.error("orders", "cancel", session_id, 2) == "Order 2 is cancelled; it cannot be cancelled."
    assert cli.error("orders", "cancel", session_id, 9) == "There is no order 9 in this session."
    assert cli.json("orders", "close", session_id) == []
    assert cli.json("orders", "account", session_id)["equity"] == 10_000
    assert cli("orders", "close", session_id) == "There is no position to close.\n"
    assert "10,000" in cli("orders", "account", session_id)
    cli("orders", "cancel", session_id)
    assert cli("orders", "account", session_id).endswith("open orders  none\n")
    assert "side" in cli.error("orders", "place", session_id, "hold", code=2)
    assert "not a number" in cli.error("orders", "place", session_id, "buy", "--qty", "much", code=2)
