#!/usr/bin/python3
"""Two-phase commit as the classic lab exercise has it, with kazoo: a baseline to be measured against.

Usage: tpc_lab.py HOSTS --clients COUNT --transactions COUNT [--parallel COUNT] [--warm-up COUNT]

A transaction is a node below /task_2. Each client, a process with a session of its own, learns of it by a watch on
/task_2, votes by an ephemeral child and watches that. The coordinator watches the children: when all are there it reads
one vote after the other and writes the outcome into one child after the other. Who sees the outcome carries it out, in
memory only, and deletes its child; when no child is left the transaction is over. Nobody sleeps, nothing is written
down, a client or coordinator that dies is not coped with.

--parallel: so many transactions are in flight at once; the exercise knows of one. Prints one line of JSON: the median
is from the making of a transaction's node until its last child is gone; the first ones, --warm-up, are not counted.
"""

import argparse
import concurrent.futures
import functools
import json
import multiprocessing
import statistics
import threading
import time

from kazoo.client import KazooClient

ROOT = "/task_2"
PATIENCE = 60  # seconds for anything that must happen at all
VOTE, COMMIT, ABORT = b"commit", b"committed", b"aborted"


def connected(hosts):
    client = KazooClient(hosts)
    client.start()
    return client


class Client:
    """Takes part in every transaction that appears, and agrees."""

    def __init__(self, hosts, name):
        self.zk = connected(hosts)
        self.name = name
        self.known = set()
        self.values = {}  # what it has carried out
        self.zk.ChildrenWatch(ROOT, self.take_part)

    def take_part(self, transactions):
        fresh = set(transactions) - self.known
        self.known = set(transactions)
        for transaction in fresh:
            path = f"{ROOT}/{transaction}/{self.name}"
            self.zk.create(path, VOTE, ephemeral=True)
            self.zk.DataWatch(path, functools.partial(self.see, path))

    def see(self, path, data, stat):
        if data == VOTE:
            return True
        if data == COMMIT:
            self.values[path] = data
        self.zk.delete(path)
        return False  # no more watching


def take_part(hosts, name, pipe):
    client = Client(hosts, name)
    pipe.send("ready")
    pipe.recv()
    pipe.send(len(client.values))
    client.zk.stop()


class Transaction:
    """One, as the coordinator sees it."""

    def __init__(self, zk, number, clients):
        self.zk = zk
        self.path = f"{ROOT}/transaction-{number}"
        self.clients = clients
        self.complete, self.over = threading.Event(), threading.Event()

    def look(self, children):
        if len(children) == self.clients:
            self.complete.set()
        if self.complete.is_set() and not children:
            self.over.set()
            return False  # no more watching
        return True

    def wait(self, event):
        if not event.wait(PATIENCE):
            raise TimeoutError(f"{self.path} does not get on")

    def run(self):
        """Answers how many ms it took."""
        begin = time.monotonic()
        self.zk.create(self.path)
        self.zk.ChildrenWatch(self.path, self.look)
        self.wait(self.complete)
        children = [f"{self.path}/{name}" for name in self.zk.get_children(self.path)]
        votes = [self.zk.get(child)[0] for child in children]
        outcome = COMMIT if all(vote == VOTE for vote in votes) else ABORT
        for child in children:
            self.zk.set(child, outcome)
        self.wait(self.over)
        end = time.monotonic()
        self.zk.delete_async(self.path)  # so that /task_2 does not grow; nobody waits for it
        return (end - begin) * 1000


def coordinate(hosts, clients, transactions, parallel, warm_up):
    """Answers the ms of each transaction, and the seconds of all."""
    zk = connected(hosts)
    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        def run(numbers):
            return list(pool.map(lambda number: Transaction(zk, number, clients).run(), numbers))

        run(range(warm_up))
        begin = time.monotonic()
        times = run(range(warm_up, warm_up + transactions))
        seconds = time.monotonic() - begin
    zk.stop()
    return times, seconds


def received(pipe):
    if not pipe.poll(PATIENCE):
        raise TimeoutError("a client says nothing")
    return pipe.recv()


def prepare(hosts):
    """Run by a process of its own: none has threads yet when the others are forked."""
    zk = connected(hosts)
    zk.ensure_path("/")  # the chroot
    zk.delete(ROOT, recursive=True)  # of an earlier run
    zk.create(ROOT)
    zk.stop()


def measure(hosts, clients, transactions, parallel, warm_up):
    preparation = multiprocessing.Process(target=prepare, args=(hosts,))
    preparation.start()
    preparation.join()
    if preparation.exitcode:
        raise SystemExit(preparation.exitcode)
    pipes = []
    for number in range(clients):
        ours, theirs = multiprocessing.Pipe()
        multiprocessing.Process(target=take_part, args=(hosts, f"client-{number}", theirs), daemon=True).start()
        pipes.append(ours)
    for pipe in pipes:
        received(pipe)
    times, seconds = coordinate(hosts, clients, transactions, parallel, warm_up)
    for pipe in pipes:
        pipe.send("end")
    for pipe in pipes:
        if (count := received(pipe)) != warm_up + transactions:
            raise AssertionError(f"a client has carried out {count} of {warm_up + transactions} transactions")
    for process in multiprocessing.active_children():
        process.join(PATIENCE)
    return {
        "transactions": transactions,
        "seconds": round(seconds, 3),
        "median_ms": round(statistics.median(times), 3),
        "per_second": round(transactions / seconds, 1),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hosts", metavar="HOSTS")
    parser.add_argument("--clients", type=int, required=True, metavar="COUNT")
    parser.add_argument("--transactions", type=int, required=True, metavar="COUNT")
    parser.add_argument("--parallel", type=int, default=1, metavar="COUNT")
    parser.add_argument("--warm-up", type=int, default=50, metavar="COUNT")
    arguments = parser.parse_args()
    if min(arguments.clients, arguments.transactions, arguments.parallel) < 1 or arguments.warm_up < 0:
        parser.error("counts are of 1 at least")
    print(json.dumps(measure(**vars(arguments))))


main()
