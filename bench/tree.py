"""Whole process times of showing a tree of 10,000 nodes: level by level, or one request after the other."""

import os
import statistics
import subprocess
import sys

from kazoo.client import KazooClient

from command import milliseconds
from report import in_turn
from stage import BENCH, Problem, built

SHARE = 4  # a kazoo walk takes seconds: so many times fewer runs than asked for
DATA = b"twenty bytes of data"
AT_ONCE = 1000  # nodes that one transaction creates
SHAPES = {  # how many children each node has, level by level
    "/flat": ("10,000 below one", (10_000,)),
    "/nested": ("10 x 10 x 100", (10, 10, 100)),
}


def paths(root, shape):
    """A node and all below it, parents first."""
    yield root
    if shape:
        for number in range(shape[0]):
            yield from paths(f"{root}/node-{number:05}", shape[1:])


def plant(hosts, nodes):
    client = KazooClient(hosts)
    client.start()
    for begin in range(0, len(nodes), AT_ONCE):
        transaction = client.transaction()
        for path in nodes[begin:begin + AT_ONCE]:
            transaction.create(path, DATA)
        if transaction.commit()[0] != nodes[begin]:
            raise Problem(f"{nodes[begin]} and others could not be created")
    client.stop()
    client.close()


def measure(stage, report, runs):
    hosts = stage.zookeeper()
    environment = {**os.environ, "ZK_HOSTS": hosts}
    runs = max(1, runs // SHARE)
    for root, (shape, levels) in SHAPES.items():
        nodes = list(paths(root, levels))
        plant(hosts, nodes)
        commands = {
            "zk-tree": [built("bin/zk-tree"), "--max", "20000", root],
            "kazoo": [sys.executable, str(BENCH / "tree_kazoo.py"), root],
        }
        for command in commands.values():
            output = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
            if output.count(DATA) != len(nodes):
                raise Problem(f"{' '.join(command)} shows {output.count(DATA)} nodes, not {len(nodes)}")

        report.section(f"Show a tree of {len(nodes)} nodes, {shape}", "ms of the whole process", runs, "/zk-tree")
        times = in_turn({name: milliseconds(command, environment) for name, command in commands.items()}, runs)
        ratio = statistics.median(times["kazoo"]) / statistics.median(times["zk-tree"])
        report.row(f"zk-tree {root}", times["zk-tree"])
        report.at_least("kazoo, get and get_children of each", times["kazoo"], ratio, 5.0, best=min)
