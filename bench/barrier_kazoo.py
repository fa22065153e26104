#!/usr/bin/python3
"""barrier_kazoo.py MEMBERS NUMBER: the barrier benchmark's peer with kazoo's DoubleBarrier (protocol: README.md)."""

import os
import sys
import time

from kazoo.client import KazooClient


def timed(act):
    print("called", flush=True)
    begin = time.monotonic_ns()
    act()
    end = time.monotonic_ns()
    print(begin, end, flush=True)


def main():
    members = int(sys.argv[1])
    client = KazooClient(os.environ["ZK_HOSTS"], timeout=300)
    client.start()
    barrier = None
    print("ready", flush=True)
    for line in sys.stdin:
        what, _, *path = line.split()
        if what == "enter":
            barrier = client.DoubleBarrier(*path, members)
            timed(barrier.enter)
        else:
            timed(barrier.leave)
    client.stop()


main()
