#!/usr/bin/python3
"""tree_kazoo.py PATH: the nodes at and below a path with their data, as one would write it with kazoo."""

import os
import sys

from kazoo.client import KazooClient


def show(client, path, depth=0):
    data, stat = client.get(path)
    name = path.rpartition("/")[2]
    print(f"{'  ' * depth}{name}  {data.decode()}  v{stat.version}")
    for child in sorted(client.get_children(path)):
        show(client, f"{path}/{child}", depth + 1)


def main():
    client = KazooClient(os.environ["ZK_HOSTS"])
    client.start()
    show(client, sys.argv[1])
    client.stop()


main()
