#!/usr/bin/python3
"""watch_kazoo.py PATH: tells what a node holds, now and whenever it changes, as briefly as kazoo allows."""

import os
import signal
import sys

from kazoo.client import KazooClient

client = KazooClient(os.environ["ZK_HOSTS"])
client.start()


@client.DataWatch(sys.argv[1])
def tell(data, stat):
    print(data.decode(), flush=True)


signal.pause()
