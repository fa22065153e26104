# One ZooKeeper server for the whole run; every test has a chroot of its own in it (helpers.bash).
# shellcheck shell=bash

setup_suite() {
  local scripts
  scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../scripts" && pwd)
  export TEST_SERVER_DIR=$BATS_SUITE_TMPDIR/server
  # A short tick, because tests want sessions that expire soon: the shortest takes two ticks.
  "$scripts/zk-server" start --port 0 --tick 100 --dir "$TEST_SERVER_DIR" >"$BATS_SUITE_TMPDIR/env"
  TEST_SERVER=$(sed 's/^export ZK_HOSTS=//' "$BATS_SUITE_TMPDIR/env")
  export TEST_SERVER
}

teardown_suite() {
  local scripts
  scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../scripts" && pwd)
  "$scripts/zk-server" stop --dir "$TEST_SERVER_DIR"
}
