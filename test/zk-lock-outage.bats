# zk-lock where waiting would be in vain: for itself, for a server that has fallen silent, for nothing.
# shellcheck shell=bash

load helpers

setup() {
  test_setup
  cd "$BATS_TEST_TMPDIR" || return
}

@test "zk-lock --shared under itself is refused when a writer waits between, which waits for the one above" {
  # shellcheck disable=SC2016 # for the command
  start outer zk-lock --shared /l sh -c 'echo inside; until test -e go; do sleep 0.02; done; zk-lock --shared /l echo inner'
  wait_for 5 "outer to be inside" grep -q inside "$(out outer)"
  run -0 zk-lock --shared /l zk-lock --shared /l echo both # nobody waits: they share it
  assert_output both
  start writer zk-lock /l echo written
  wait_for 5 "the writer" ephemerals_are 2 /l
  touch go
  finish outer
  assert_failure 125
  assert_stderr --partial 'it would wait for itself'
  finish writer
  assert_success
}

@test "zk-lock refuses more lock names than fit the environment of the command" {
  local name names=()
  for name in {1..130}; do names+=(--also "/$name-$(printf '%0900d' 0)"); done
  run -125 --separate-stderr zk-lock "${names[@]}" /l touch ran
  assert_stderr --partial 'too long for the command'
  assert_not_exist ran
}

@test "zk-lock -n does not wait for a server that has fallen silent" {
  proxy_start
  proxy_mode delay:300
  start asking zk-lock --hosts "$PROXY$CHROOT" --session-timeout 2s -n /l touch ran
  wait_for 5 "the connection" grep -q 'connection 1' "$(proxy_log)"
  proxy_mode drop
  finish asking 15
  assert_failure 125
  assert_not_exist ran
}

@test "zk-lock has a guard that is not hit by who kills zk-lock by its command line" {
  local guard
  start holder zk-lock /l sh -c 'echo inside; exec sleep 1000'
  wait_for 5 "the holder to be inside" grep -q inside "$(out holder)"
  guard=$(pgrep -P "$(pid_of holder)")
  run -0 tr -d '\0' <"/proc/$guard/cmdline"
  assert_output lease-guard
  run -0 cat "/proc/$guard/comm"
  assert_output lease-guard
  signal TERM holder
  finish holder
}
