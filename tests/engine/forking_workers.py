"""Dask workers that are quickly there and quickly replaced: `forking_workers.py ADDRESS COUNT`.

This process loads everything once and forks COUNT workers of one thread; when one dies, it forks
another. With a third argument the workers see no file below that folder, as on another machine.
"""

import asyncio
import os
import sys
from pathlib import Path

import counting  # noqa: F401
from distributed import Worker

import suite.engine.workers  # noqa: F401


def serve(address):
    async def work():
        async with Worker(address, nthreads=1, memory_limit=0, dashboard=False) as worker:
            await worker.finished()

    asyncio.run(work())


def hide(folder):
    seen = Path.read_text

    def read_text(path, *arguments, **settings):
        if path.is_relative_to(folder):
            raise FileNotFoundError(path)
        return seen(path, *arguments, **settings)

    Path.read_text = read_text


def main(address, count, hidden=None):
    if hidden is not None:
        hide(hidden)
    living = set()
    while True:
        while len(living) < int(count):
            child = os.fork()
            if child == 0:
                try:
                    serve(address)
                finally:
                    os._exit(1)
            living.add(child)
        dead, _ = os.wait()
        living.remove(dead)


if __name__ == "__main__":
    main(*sys.argv[1:])
