#!/usr/bin/python3
"""get_kazoo.py PATH: what `zk-node get` does, as briefly as kazoo allows."""

import os
import sys

from kazoo.client import KazooClient

client = KazooClient(os.environ["ZK_HOSTS"])
client.start()
data, stat = client.get(sys.argv[1])
sys.stdout.buffer.write(data)
client.stop()
