#!/usr/bin/python3
"""handover_kazoo.py PATH SECONDS: the hand-over benchmark's peer with kazoo's Lock (protocol: README.md)."""

import os
import sys
import time

from kazoo.client import KazooClient


def acquisitions(lock, seconds):
    end = time.monotonic() + seconds
    count = 0
    while True:
        with lock:
            if time.monotonic() >= end:
                return count
            count += 1


def main():
    path, seconds = sys.argv[1], float(sys.argv[2])
    client = KazooClient(os.environ["ZK_HOSTS"])
    client.start()
    lock = client.Lock(path)
    print("ready", flush=True)
    for _ in sys.stdin:
        print(acquisitions(lock, seconds), flush=True)
    client.stop()


main()
