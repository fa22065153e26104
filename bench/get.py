"""Whole process times of reading one node."""

import os
import statistics
import subprocess
import sys

from kazoo.client import KazooClient

from command import WARM_UP, milliseconds
from report import in_turn
from stage import BENCH, JARS, Problem, built

TIMES = 5  # as many runs as asked for; ZooKeeper's own shell, which takes a second, has those asked for
DATA = b"colour=blue"


def measure(stage, report, runs):
    hosts = stage.zookeeper()
    environment = {**os.environ, "ZK_HOSTS": hosts}
    client = KazooClient(hosts)
    client.start()
    client.create("/x", DATA)
    client.stop()
    client.close()
    class_path = ":".join(f"{JARS}/{jar}.jar" for jar in ("zookeeper", "slf4j-nop"))
    commands = {
        "zk-node": [built("bin/zk-node"), "get", "/x"],
        "floor": [stage.compile_floor("floor_read"), "/x"],
        "kazoo": [sys.executable, str(BENCH / "get_kazoo.py"), "/x"],
        "zkCli": ["java", "-cp", class_path, "org.apache.zookeeper.ZooKeeperMain", "-server", hosts, "get", "/x"],
    }
    for command in commands.values():
        if DATA not in subprocess.run(command, env=environment, capture_output=True, check=True).stdout:
            raise Problem(f"{' '.join(command)} does not print the node")
    measurements = {name: milliseconds(command, environment) for name, command in commands.items()}
    for _ in range(WARM_UP):
        measurements["floor"]()

    def against(peers, count):
        """Measures zk-node and {name: (what, goal)} in turn."""
        report.section("Read a node", "ms of the whole process", count, "zk-node/")
        times = in_turn({name: measurements[name] for name in ("zk-node", *peers)}, count)
        ours = statistics.median(times["zk-node"])
        report.row("zk-node get /x", times["zk-node"])
        for name, (what, goal) in peers.items():
            ratio = ours / statistics.median(times[name])
            if goal:
                report.at_most(what, times[name], ratio, goal)
            else:
                report.row(what, times[name], ratio=ratio)

    against({"kazoo": ("kazoo's get, in a short script", 0.2), "floor": ("the C client alone", None)}, TIMES * runs)
    against({"zkCli": ("zkCli.sh get /x", 0.05)}, runs)
