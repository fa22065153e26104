# One ZooKeeper server for the whole run; every test has a chroot of its own in it (helpers.bash).
# shellcheck shell=bash

# The server lives until our end of a pipe is closed, so it goes with the run however that ends; and in a session
# of its own, because after a Ctrl-C the test that it hits still cleans up.
setup_suite() {
  local scripts
  scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")/../scripts" && pwd)
  # A short tick, because tests want sessions that expire soon: the shortest takes two ticks.
  # shellcheck disable=SC2016 # it is the inner shell's variable
  coproc KEEPER { exec setsid "$scripts/zk-server" run --tick 100 -- sh -c 'echo "$ZK_HOSTS" && exec cat >/dev/null' 3>&- 4>&-; }
  KEEPER_ID=$!
  KEEPER_PIPE=${KEEPER[1]:-}
  read -r TEST_SERVER <&"${KEEPER[0]:-0}"
  export TEST_SERVER
}

teardown_suite() {
  exec {KEEPER_PIPE}>&-
  wait "$KEEPER_ID"
}
