"""The addresses of one session for clients of Binance spot: every address of theirs that could leave this server."""

from __future__ import annotations

from typing import Any, Final

PREFIX: Final = "/x/binance"
CLIENT_KEY: Final = "zeon"
"""What clients send as API key and secret. Both are ignored: the bot key in the address says which session it is."""

_CCXT: Final = {
    "public": "api/v3",
    "private": "api/v3",
    "v1": "api/v1",
    "sapi": "sapi/v1",
    "sapiV2": "sapi/v2",
    "sapiV3": "sapi/v3",
    "sapiV4": "sapi/v4",
    "fapiPublic": "fapi/v1",
    "fapiPublicV2": "fapi/v2",
    "fapiPublicV3": "fapi/v3",
    "fapiPrivate": "fapi/v1",
    "fapiPrivateV2": "fapi/v2",
    "fapiPrivateV3": "fapi/v3",
    "fapiData": "futures/data",
    "dapiPublic": "dapi/v1",
    "dapiPrivate": "dapi/v1",
    "dapiPrivateV2": "dapi/v2",
    "dapiData": "futures/data",
    "eapiPublic": "eapi/v1",
    "eapiPrivate": "eapi/v1",
    "papi": "papi/v1",
    "papiV2": "papi/v2",
}
_CCXT_STREAMS: Final = {
    "spot": "stream/ws",
    "margin": "stream/ws",
    "linear": "fapi/ws",
    "inverse": "dapi/ws",
    "stock": "equity/ws",
    "option": "eapi/public/ws",
    "optionMarket": "eapi/market/ws",
    "optionPrivate": "eapi/private/ws",
    "papi": "papi/ws",
}
"""ccxt.pro takes an address for spot if it has `/stream` in it, and only then."""
_CCXT_CALLS: Final = {"spot": "ws-api/v3", "linear": "ws-fapi/v1", "inverse": "ws-dapi/v1"}
_PYTHON_BINANCE: Final = {
    "API_URL": "api",
    "MARGIN_API_URL": "sapi",
    "FUTURES_URL": "fapi",
    "FUTURES_DATA_URL": "futures/data",
    "FUTURES_COIN_URL": "dapi",
    "FUTURES_COIN_DATA_URL": "futures/data",
    "OPTIONS_URL": "eapi",
    "PAPI_URL": "papi",
    "WEBSITE_URL": "",
}
_PYTHON_BINANCE_CALLS: Final = {"WS_API_URL": "ws-api/v3", "WS_FUTURES_URL": "ws-fapi/v1"}
_PYTHON_BINANCE_STREAMS: Final = {"STREAM_URL": "", "FSTREAM_URL": "fapi/", "DSTREAM_URL": "dapi/"}


def addresses(server: str, key: str) -> dict[str, Any]:
    """Return the addresses of a session, and the settings for each client; `server` is such as http://127.0.0.1:8000.

    `key` is a bot key, or the id of the session on a server with `ZEON_AUTH=none`.
    """
    http, ws = _bases(server, key)
    return {
        "rest": f"{http}/api/v3",
        "streams": f"{ws}/stream/ws",
        "combinedStreams": f"{ws}/stream",
        "wsApi": f"{ws}/ws-api/v3",
        "ccxt": ccxt_config(server, key),
        "freqtrade": freqtrade_config(server, key),
        "pythonBinance": python_binance_config(server, key),
        "binanceConnector": binance_connector_config(server, key),
    }


def ccxt_config(server: str, key: str) -> dict[str, Any]:
    """Return the settings of ccxt and ccxt.pro: `ccxt.binance(zeon.ccxt_config(server, key))`."""
    http, ws = _bases(server, key)
    api: dict[str, Any] = {name: f"{http}/{path}" for name, path in _CCXT.items()}
    streams: dict[str, Any] = {name: f"{ws}/{path}" for name, path in _CCXT_STREAMS.items()}
    streams["ws-api"] = {name: f"{ws}/{path}" for name, path in _CCXT_CALLS.items()}
    return {
        "apiKey": CLIENT_KEY,
        "secret": CLIENT_KEY,
        "urls": {"api": {**api, "ws": streams}},
        "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False},
    }


def freqtrade_config(server: str, key: str) -> dict[str, Any]:
    """Return the section `exchange` of a freqtrade configuration; add the pairs."""
    config = ccxt_config(server, key)
    # Its limiter waits for a clock that stands still while the session is stepped.
    settings = {"urls": config["urls"], "options": config["options"], "enableRateLimit": False}
    return {"name": "binance", "key": CLIENT_KEY, "secret": CLIENT_KEY, "ccxt_config": settings}


def python_binance_config(server: str, key: str) -> dict[str, dict[str, str]]:
    """Return the class attributes of python-binance by class; it has no other way to set its addresses."""
    http, ws = _bases(server, key)
    rest = {name: f"{http}/{path}" for name, path in _PYTHON_BINANCE.items()}
    rest |= {name: f"{ws}/{path}" for name, path in _PYTHON_BINANCE_CALLS.items()}
    streams = {name: f"{ws}/{path}" for name, path in _PYTHON_BINANCE_STREAMS.items()}
    return {"Client": rest, "AsyncClient": rest, "BinanceSocketManager": streams}


def binance_connector_config(server: str, key: str) -> dict[str, str]:
    """Return the arguments of binance-connector: `base_url` of `Spot`, `stream_url` of its stream clients."""
    http, ws = _bases(server, key)
    return {"base_url": http, "stream_url": ws, "ws_api_url": f"{ws}/ws-api/v3"}


def _bases(server: str, key: str) -> tuple[str, str]:
    """Return the beginning of all addresses, for calls and for streams."""
    http = f"{server.rstrip('/')}{PREFIX}/{key}"
    return http, f"ws{http.removeprefix('http')}"
