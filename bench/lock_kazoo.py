#!/usr/bin/python3
"""lock_kazoo.py PATH COMMAND...: what zk-lock does, as briefly as kazoo allows."""

import os
import subprocess
import sys

from kazoo.client import KazooClient

client = KazooClient(os.environ["ZK_HOSTS"])
client.start()
with client.Lock(sys.argv[1]):
    status = subprocess.call(sys.argv[2:])
client.stop()
sys.exit(status)
