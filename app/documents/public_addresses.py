"""Which addresses of a network are of the open internet, and connections to those only."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias, TypeVar

import httpcore

from app.documents.addresses import ELSEWHERE
from app.documents.document import DocumentError
from app.work import check

T = TypeVar("T")
IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve: TypeAlias = Callable[[str, int], list[str]]
"""Host and port -> the addresses that its name stands for, as text. Raises OSError."""
Allowed: TypeAlias = Callable[[IPAddress], bool]

TICK_SECONDS = 0.1  # a stop and a passed deadline are looked at this often
CONNECT_SECONDS = 15.0
STALL_SECONDS = 30.0

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

PRIVATE = f"{{host}} is not on the open internet, and nothing else is fetched; {ELSEWHERE}."
NO_HOST = "There is no server {host}; check the address for typing errors."
NO_ANSWER = f"The server {{host}} does not answer; try again later, or {ELSEWHERE}."
SLOW = f"The server {{host}} took too long; try again later, or {ELSEWHERE}."


def is_public(address: IPAddress) -> bool:
    """Whether an address is one of the open internet.

    An IPv6 address that stands for an IPv4 one (mapped, NAT64, 6to4) is what that one is.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour is not None:
        return is_public(address.sixtofour)
    # Teredo and documentation are in the range of global unicast; `is_global` knows them.
    return address in _GLOBAL_UNICAST and address.is_global and address.teredo is None


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, in the system's order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class PublicNetwork(httpcore.NetworkBackend):
    """Connects to checked addresses, and to no other.

    A name is resolved once, every address it stands for is checked, and the connection is made to one of those: what
    the name stands for a moment later does not matter. Waiting ends with `stop` and with the deadline.
    """

    def __init__(
        self,
        seconds: float,
        stop: threading.Event | None,
        *,
        resolve: Resolve = resolve,
        allowed: Allowed = is_public,
    ) -> None:
        self._clock = Clock(seconds, stop)
        self._resolve = resolve
        self._allowed = allowed
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first of the host's addresses that takes one.

        Raises:
            DocumentError: the host has an address that is not public, or none that answers.
            app.work.Stopped: `stop` was set.
        """
        for address in self._checked(host, port):
            connect = partial(self._inner.connect_tcp, address, port, CONNECT_SECONDS)
            try:
                stream = self._clock.patiently(connect, host)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
            return _Stream(stream, host, self._clock)
        raise DocumentError(NO_ANSWER.format(host=host))

    def _checked(self, host: str, port: int) -> list[str]:
        try:
            found = self._clock.patiently(lambda: self._resolve(host, port), host)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise DocumentError(NO_HOST.format(host=host))
        for address in found:
            if not self._allowed(ipaddress.ip_address(address.partition("%")[0])):
                raise DocumentError(PRIVATE.format(host=host))
        return found


class Clock:
    """The deadline of a download and the wish to stop it."""

    def __init__(self, seconds: float, stop: threading.Event | None) -> None:
        self._deadline = time.monotonic() + seconds
        self._stop = stop

    def look(self, host: str) -> None:
        """Called at least once a tick.

        Raises:
            DocumentError: the time is over.
            app.work.Stopped: `stop` was set.
        """
        check(self._stop)
        if time.monotonic() > self._deadline:
            raise DocumentError(SLOW.format(host=host))

    def patiently(self, work: Callable[[], T], host: str) -> T:
        """The result of what can't be interrupted: it runs in a thread that is left behind when it is not wanted."""
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                results.append(work())
            except BaseException as error:  # raised again where somebody waits for it
                errors.append(error)

        thread = threading.Thread(target=run, name="longt5-connect", daemon=True)
        thread.start()
        while thread.is_alive():
            self.look(host)
            thread.join(TICK_SECONDS)
        if errors:
            raise errors[0]
        return results[0]


class _Stream(httpcore.NetworkStream):
    """A connection whose waiting ends with the clock."""

    def __init__(self, inner: httpcore.NetworkStream, host: str, clock: Clock) -> None:
        self._inner = inner
        self._host = host
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        stalled = time.monotonic() + STALL_SECONDS
        while True:
            self._clock.look(self._host)
            try:
                return self._inner.read(max_bytes, TICK_SECONDS)
            except httpcore.ReadTimeout:
                if time.monotonic() > stalled:
                    raise DocumentError(SLOW.format(host=self._host)) from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._clock.look(self._host)
        self._inner.write(buffer, CONNECT_SECONDS)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._clock.patiently(
            lambda: self._inner.start_tls(ssl_context, server_hostname, CONNECT_SECONDS), self._host
        )
        return _Stream(inner, self._host, self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
