"""Reading the bytes of a url: every way a network can fail becomes one message, and progress goes to a terminal."""

from __future__ import annotations

import http.client
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from registry.errors import WeightsError

# For connecting and for each read, so a slow transfer goes on and a dead one ends.
TIMEOUT_SECONDS = 20.0
_CHUNK = 1 << 18
_REDRAW_SECONDS = 0.2


def chunks_of(url: str, remedy: str, *, progress: bool = True) -> Iterator[bytes]:
    """The content of a url, piece by piece.

    Args:
        url: where to read.
        remedy: what to do when it cannot be read; ends every message.
        progress: say on standard error how far it is, if that is a terminal.

    Raises:
        WeightsError: for no network, a refusal, a timeout or a transfer that ends early.
    """
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "vision-registry"})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            total = _length(response.headers.get("Content-Length"))
            done = 0
            with _Meter(url.rpartition("/")[2], total, shown=progress) as meter:
                while chunk := response.read(_CHUNK):
                    done += len(chunk)
                    meter.show(done)
                    yield chunk
    except urllib.error.HTTPError as error:
        with error:
            reason = f"the server answered {error.code} {error.reason}"
        raise WeightsError(f"cannot fetch {url}: {reason}; {remedy}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WeightsError(f"cannot fetch {url}: {_reason(error)}; {remedy}") from error
    # http.client ends a sized read that falls short without an error.
    if total is not None and done != total:
        raise WeightsError(f"cannot fetch {url}: the transfer ended after {done} of {total} bytes; {remedy}")


def _length(header: str | None) -> int | None:
    return int(header) if header is not None and header.isdecimal() else None


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {TIMEOUT_SECONDS:g} seconds"
    if isinstance(cause, http.client.IncompleteRead):
        return "the transfer ended early"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, OSError):
        return "the answer is not HTTP"
    return str(cause).strip() or type(cause).__name__


class _Meter:
    """One line on a terminal that says how much has arrived."""

    def __init__(self, name: str, total: int | None, *, shown: bool) -> None:
        self._name = name
        self._total = total
        # sys.stderr is None where there is no console at all.
        self._shown = shown and sys.stderr is not None and sys.stderr.isatty()
        self._done = 0
        self._drawn = 0.0

    def __enter__(self) -> _Meter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._draw()
            print(file=sys.stderr, flush=True)

    def show(self, done: int) -> None:
        self._done = done
        now = time.monotonic()
        if self._shown and now - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            self._draw()

    def _draw(self) -> None:
        of = "" if self._total is None else f" of {self._total / 1e6:.1f}"
        print(f"\r{self._name}: {self._done / 1e6:.1f}{of} MB", end="", file=sys.stderr, flush=True)
