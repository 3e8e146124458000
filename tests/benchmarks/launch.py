"""Runs one command and says, as JSON, what it cost: seconds of wall and processor, and the largest memory it had.

A process of its own, since Linux counts the memory of whoever starts a program as that program's: this one is small.
"""

import json
import os
import sys
import time


def main() -> None:
    """`launch.py STDOUT STDERR COMMAND…`: the command's standard input is empty."""
    stdout, stderr, *command = sys.argv[1:]
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, stdout, flags, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, stderr, flags, 0o600),
    ]
    start = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=files)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - start
    spent = {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss * 1024}
    print(json.dumps(spent | {"code": os.waitstatus_to_exitcode(status)}))


main()
