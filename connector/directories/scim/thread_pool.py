"""Work done by several threads at once, whose results come one by one to the thread that asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

from connector.directories.scim.protocol import Item, Result


class Crowd:
    """At most `size` threads, which are started when they are needed.

    `hurry` is called where somebody interrupts the program while it waits for them.
    """

    def __init__(self, size: int, hurry: Callable[[], None]) -> None:
        self._size = size
        self._hurry = hurry
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="scim")

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        done: SimpleQueue[Future[Result]] = SimpleQueue()
        busy = 0
        source = iter(items)
        try:
            while True:
                while busy < self._size:
                    try:
                        item = next(source)
                    except StopIteration:
                        break
                    self._pool.submit(work, item).add_done_callback(done.put)
                    busy += 1
                if not busy:
                    return
                future = done.get()
                busy -= 1
                yield future.result()
        except BaseException as reason:
            if not isinstance(reason, Exception | GeneratorExit):
                self._hurry()
            raise
        finally:
            while busy:
                done.get()
                busy -= 1

    def close(self) -> None:
        """Let the threads end; they have nothing to do."""
        self._pool.shutdown()
