"""Dask workers that are quickly there and quickly replaced: `forking_workers.py ADDRESS COUNT`.

This process loads everything once and forks COUNT workers of one thread; when one dies, it forks
another. When the test's process is gone, so are they.
"""

import argparse
import asyncio
import os
import signal
import time
from pathlib import Path

import counting  # noqa: F401
from distributed import Worker

import suite.engine.workers  # noqa: F401


def serve(address, port):
    settings = {"nthreads": 1, "memory_limit": 0, "dashboard": False, "port": port}

    async def work():
        async with Worker(address, **settings) as worker:
            await worker.finished()

    asyncio.run(work())


def hide(folder):
    seen = Path.read_text

    def read_text(path, *arguments, **settings):
        if path.is_relative_to(folder):
            raise FileNotFoundError(path)
        return seen(path, *arguments, **settings)

    Path.read_text = read_text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("count", type=int)
    parser.add_argument("--port", type=int, help="of each worker; any free one")
    parser.add_argument("--hide", help="a folder in which the workers see no file")
    asked = parser.parse_args()
    if asked.hide is not None:
        hide(asked.hide)
    test, living = os.getppid(), set()
    while os.getppid() == test:
        while len(living) < asked.count:
            child = os.fork()
            if child == 0:
                try:
                    serve(asked.address, asked.port)
                finally:
                    os._exit(1)
            living.add(child)
        time.sleep(0.02)
        dead, _ = os.waitpid(-1, os.WNOHANG)
        living.discard(dead)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
