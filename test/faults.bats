# zk-lock: no overlap, ever. Servers, connections and zk-lock itself are frozen, killed, cut off and lied to, RUNS times each
# (make faults: 20). What was inside when is in a log on one clock, and interval.py --check judges it. And two-phase commit:
# nothing is lost.
# shellcheck disable=SC2016 # what stands in single quotes is for awk, and for other shells
load helpers

: "${RUNS:=2}"

# Every fault hits two locks at once: under /willing the commands end by TERM, under /deaf they ignore it.
readonly kinds=(willing deaf)

setup() {
  test_setup
  ENSEMBLE=$BATS_TEST_TMPDIR/ensemble
  host=()
}

teardown() {
  if [[ -e $ENSEMBLE ]]; then netns-ensemble down "$ENSEMBLE"; fi
  test_teardown
}

# --- contenders: NAME stands for one on each lock ---

by_way_of() { export ZK_HOSTS=$1; }

log_of() { printf '%s\n' "$BATS_TEST_TMPDIR/$1.log"; } # KIND

contend() { # NAME SECONDS [OPTION...]: its command stays inside for SECONDS; it runs on the host of the array `host`
  local name=$1 seconds=$2 kind deaf
  shift 2
  for kind in "${kinds[@]}"; do
    deaf=()
    if [[ $kind == deaf ]]; then deaf=(sh -c 'trap "" TERM; exec "$0" "$@"'); fi
    start "$kind-$name" "${host[@]}" zk-lock -v "$@" "/$kind" "${deaf[@]}" interval.py "$(log_of "$kind")" "$name" "$seconds"
  done
}

each() { # CONDITION NAME: does it hold for both?
  local kind
  for kind in "${kinds[@]}"; do
    "$1" "$kind" "$2" || return
  done
}

entered() { grep -qs " $2 " "$(log_of "$1")"; }

waits() { grep -q "waiting for /$1" "$(err "$1-$2")"; }

in_line_again() { grep -q 'getting in line again' "$(err "$1-$2")"; }

inside_pid() { awk -v name="$2" '$2 == name { print $4; exit }' "$(log_of "$1")"; }

is_out() { dead "$(inside_pid "$1" "$2")"; } # whether its command is dead, that is

tool_ended() { ended "$1-$2"; }

wait_entered() { wait_for "${2:-15}" "$1 to enter" each entered "$1"; }

wait_out() { wait_for "${2:-15}" "the end of what $1 runs" each is_out "$1"; }

# The holder is inside and the next in line.
begin() { # HOLDER NEXT OPTION...
  contend "$1" 1000 "${@:3}"
  wait_entered "$1"
  contend "$2" 0.2 "${@:3}"
  wait_for 10 "$2 to wait" each waits "$2"
}

# SIGNAL NAME: to both
signal_each() {
  local kind
  for kind in "${kinds[@]}"; do signal "$1" "$kind-$2"; done
}

assert_ends() { # NAME STATUS
  local kind
  for kind in "${kinds[@]}"; do
    finish "$kind-$1" 20
    assert_equal "$kind-$1 $status" "$kind-$1 $2"
  done
}

# Lets the commands that are inside end by themselves, and the next ones be inside for a moment.
assert_is_held_to_the_end_by() { # HOLDER NEXT
  local kind
  for kind in "${kinds[@]}"; do
    alive "$(inside_pid "$kind" "$1")" || fail "the command of $kind-$1 has ended"
    touch "$(log_of "$kind").end"
  done
  assert_ends "$1" 0
  assert_ends "$2" 0
  for kind in "${kinds[@]}"; do rm "$(log_of "$kind").end"; done
}

assert_no_overlap() { # COUNT: how many were inside, each lock
  local kind
  for kind in "${kinds[@]}"; do
    interval.py --check "$(log_of "$kind")" "$1" || fail "$kind: not one after the other"
  done
}

passed() { (($(microseconds) >= $1)); } # MOMENT

wait_until_passed() { wait_for 30 "time to pass" passed "$1"; } # MOMENT

last_transaction() { # as a number; fails if the server does not answer
  local answer
  answer=$(four_letter srvr 2>/dev/null) && [[ $answer =~ Zxid:\ (0x[0-9a-f]+) ]] && printf '%d\n' "${BASH_REMATCH[1]}"
}

committed() { (($(last_transaction || printf 0) >= $1)); } # NUMBER

# --- the server ---

@test "zk-lock and a server that is frozen for longer than the session timeout: out by its own clock, no overlap" {
  local round frozen
  own_server
  for ((round = 1; round <= RUNS; round++)); do
    begin "holder$round" "next$round" --session-timeout 1.5s
    own_server_freeze
    frozen=$(microseconds)
    wait_out "holder$round" 2 # no server says so
    wait_until_passed $((frozen + 2000000))
    own_server_thaw
    assert_ends "holder$round" 120
    assert_ends "next$round" 0
  done
  assert_no_overlap $((2 * RUNS))
}

@test "zk-lock and a server that is frozen for about the session timeout: held or lost, no overlap" {
  local round frozen kind
  own_server
  for ((round = 1; round <= RUNS; round++)); do
    begin "holder$round" "next$round" --session-timeout 1s
    own_server_freeze
    frozen=$(microseconds)
    wait_until_passed $((frozen + 400000 + RANDOM * 25)) # up to 1.2 s
    own_server_thaw
    for kind in "${kinds[@]}"; do touch "$(log_of "$kind").end"; done
    assert_ends "next$round" 0
    for kind in "${kinds[@]}"; do
      finish "$kind-holder$round"
      [[ $status == 0 || $status == 120 ]] || fail "$kind-holder$round: status $status"
      rm "$(log_of "$kind").end"
    done
  done
  assert_no_overlap $((2 * RUNS))
}

@test "zk-lock and a server that is killed and back within the session timeout: the command goes on" {
  local round before
  own_server
  for ((round = 1; round <= RUNS; round++)); do
    begin "holder$round" "next$round" --session-timeout 20s
    own_server_kill9
    own_server_restart
    before=$(last_transaction)
    wait_for 10 "both to be confirmed again" committed $((before + 2))
    assert_is_held_to_the_end_by "holder$round" "next$round"
  done
  assert_no_overlap $((2 * RUNS))
}

@test "zk-lock and a server that is killed and back after the session timeout: lost without its word, no overlap" {
  local round
  own_server
  for ((round = 1; round <= RUNS; round++)); do
    begin "holder$round" "next$round" --session-timeout 1.5s
    own_server_kill9
    wait_out "holder$round" 2
    assert_ends "holder$round" 120 # the server is still away
    own_server_restart
    assert_ends "next$round" 0
  done
  assert_no_overlap $((2 * RUNS))
}

@test "zk-lock and three servers whose leader is killed: the command goes on under the new leader" {
  local round leader
  own_server --servers 3 --tick 200
  for ((round = 1; round <= RUNS; round++)); do
    begin "holder$round" "next$round" --session-timeout 20s
    leader=$(leader_of_own)
    own_server_kill9 "$leader"
    wait_for 15 "another leader" leader_of_own
    own_server_restart
    assert_is_held_to_the_end_by "holder$round" "next$round"
  done
  assert_no_overlap $((2 * RUNS))
}

leader_of_own() { zk-server status --dir "$OWN_DIR" | awk '$3 == "leader" { print NR; found = 1 } END { exit !found }'; }

# --- the connection ---

@test "zk-lock whose connection is a black hole: out before the next is in" {
  local round
  proxy_start
  for ((round = 1; round <= RUNS; round++)); do
    contend "holder$round" 1000 --hosts "$PROXY$CHROOT" --session-timeout 1.5s
    wait_entered "holder$round"
    contend "next$round" 0.2
    wait_for 10 "the next to wait" each waits "next$round"
    proxy_mode drop
    assert_ends "next$round" 0
    each is_out "holder$round" || fail "the command lives still"
    proxy_mode pass
    assert_ends "holder$round" 120
  done
  assert_no_overlap $((2 * RUNS))
}

@test "zk-lock whose connection is reset 20 times goes on, for longer than its session timeout" {
  local round again before begun
  own_server # with nobody else's connections and transactions
  proxy_start
  by_way_of "$PROXY$CHROOT"
  for ((round = 1; round <= RUNS; round++)); do
    begun=$(microseconds)
    begin "holder$round" "next$round" --session-timeout 2.5s
    for again in {1..20}; do
      wait_for 5 "all connections" connections_are 4
      before=$(last_transaction)
      proxy_mode rst
      wait_for 5 "reset $again" connections_are 0
      proxy_mode pass
      wait_for 5 "both to be confirmed, $again" committed $((before + 2))
    done
    wait_until_passed $((begun + 2600000))
    assert_is_held_to_the_end_by "holder$round" "next$round"
  done
  assert_no_overlap $((2 * RUNS))
}

connections_are() { (($(four_letter cons | grep -c 'sid=0x') == $1)); } # COUNT: of clients with a session

# --- zk-lock itself ---

@test "zk-lock that is frozen for longer than its session timeout: its command is out before the next is in" {
  local round
  for ((round = 1; round <= RUNS; round++)); do
    begin "holder$round" "next$round" --session-timeout 1.5s
    signal_each STOP "holder$round"
    assert_ends "next$round" 0
    each is_out "holder$round" || fail "the command lives still"
    signal_each CONT "holder$round"
    assert_ends "holder$round" 120
  done
  assert_no_overlap $((2 * RUNS))
}

@test "zk-lock that is killed with -9: its command is out before the next is in" {
  local round
  for ((round = 1; round <= RUNS; round++)); do
    begin "holder$round" "next$round" --session-timeout 1.5s
    signal_each KILL "holder$round"
    assert_ends "next$round" 0
    assert_ends "holder$round" 137
  done
  assert_no_overlap $((2 * RUNS))
}

@test "zk-lock that is frozen while it waits gets in line again, and is in neither too early nor twice" {
  local round
  for ((round = 1; round <= RUNS; round++)); do
    contend "holder$round" 1000 --session-timeout 10s
    wait_entered "holder$round"
    contend "frozen$round" 0.2 --session-timeout 1s
    wait_for 10 "one to wait" each waits "frozen$round"
    contend "next$round" 0.2
    wait_for 10 "another to wait" each waits "next$round"
    signal_each STOP "frozen$round"
    wait_for 10 "the end of its session" queues_have 2
    signal_each CONT "frozen$round"
    wait_for 10 "it to notice" each in_line_again "frozen$round"
    wait_for 10 "it to be in line again" queues_have 3
    assert_is_held_to_the_end_by "holder$round" "next$round"
    assert_ends "frozen$round" 0
    # It had lost its place.
    run -0 grep -h start "$(log_of willing)" "$(log_of deaf)"
    run -0 awk -v round="$round" '$2 ~ round "$" { print $2 }' <<<"$output"
    assert_output "$(printf '%s\n' "holder$round" "next$round" "frozen$round" "holder$round" "next$round" "frozen$round")"
  done
  assert_no_overlap $((3 * RUNS))
}

queues_have() { ephemerals_are "$1" /willing && ephemerals_are "$1" /deaf; }

# --- three servers on three hosts ---

ensemble() { # TICK SYNC: see netns-ensemble
  requires_namespaces
  TICK=$1 SYNC=$2 netns-ensemble up "$ENSEMBLE"
}

go_to() { # N: the next contenders run there, with the server of that host as their only one
  host=(netns-ensemble run "$ENSEMBLE" "$1")
  by_way_of "$(netns-ensemble address "$1")"
}

mode_is() { [[ $(netns-ensemble mode "$ENSEMBLE" "$1") == "$2" ]]; } # N MODE

all_serve() { for n in 1 2 3; do netns-ensemble mode "$ENSEMBLE" "$n" >/dev/null || return; done; }

# Returns as soon as the server at $1 knows of a transaction more.
readonly next_transaction='
last() {
  exec 3<>"/dev/tcp/${1%:*}/${1#*:}" && printf srvr >&3 && IFS= read -r -d "" answer <&3
  [[ $answer =~ Zxid:\ (0x[0-9a-f]+) ]] && zxid=${BASH_REMATCH[1]}
}
last "$1" || exit
before=$zxid
for attempt in {1..500}; do
  last "$1" && [[ $zxid != "$before" ]] && exit
  sleep 0.005
done
exit 1'

# One round: the holder is on host N, the next one on another, and the cable of N is pulled.
cut_off() { # N ROUND SESSION_TIMEOUT
  go_to "$1"
  contend "holder$2" 1000 --session-timeout "$3"
  wait_entered "holder$2"
  go_to $(($1 % 3 + 1))
  contend "next$2" 0.2 --session-timeout "$3"
  wait_for 10 "the next to wait" each waits "next$2"
  # At any moment of the tick, by which servers expire sessions; but just after a heartbeat was answered, of which the
  # others may not have heard.
  wait_until_passed $(($(microseconds) + RANDOM * 30))
  netns-ensemble run "$ENSEMBLE" "$1" bash -c "$next_transaction" - "$(netns-ensemble address "$1")" || fail "no heartbeat"
  netns-ensemble cut "$ENSEMBLE" "$1"
  wait_entered "next$2" 40
}

heal() { # N ROUND
  netns-ensemble heal "$ENSEMBLE" "$1"
  assert_ends "next$2" 0
  assert_ends "holder$2" 120
  wait_for 30 "all servers to be back" all_serve
}

# The shortest session that such servers give, two ticks: there the lease rule has least to spare.
@test "zk-lock on a follower that is cut off, and says nothing of it: out before the next is in" {
  local round leader follower
  ensemble 1000 8
  for ((round = 1; round <= RUNS; round++)); do
    leader=$(netns-ensemble leader "$ENSEMBLE")
    follower=$((leader % 3 + 1))
    cut_off "$follower" "$round" 2s
    # All the time the client was connected to a server that had not noticed anything.
    mode_is "$follower" follower || fail "the follower has left the ensemble too early for this test"
    local kind
    for kind in "${kinds[@]}"; do refute grep 'no connection' "$(err "$kind-holder$round")"; done
    heal "$follower" "$round"
  done
  assert_no_overlap $((2 * RUNS))
}

@test "zk-lock on a leader that is cut off: out before the next is in under the new leader" {
  local round leader
  ensemble 1000 3
  for ((round = 1; round <= RUNS; round++)); do
    leader=$(netns-ensemble leader "$ENSEMBLE")
    cut_off "$leader" "$round" 2s
    heal "$leader" "$round"
  done
  assert_no_overlap $((2 * RUNS))
}

# --- lost replies ---

swallowed() { (($(grep -c swallowed "$(proxy_log)") >= $1)); } # COUNT

@test "zk-lock whose create is carried out and the reply lost has one node, and keeps its place" {
  local round
  proxy_start
  for ((round = 1; round <= RUNS; round++)); do
    contend "holder$round" 1000
    wait_entered "holder$round"
    proxy_mode swallow:create2:2 # of both
    contend "unlucky$round" 0.2 --hosts "$PROXY$CHROOT"
    wait_for 10 "two lost replies" swallowed $((2 * round))
    wait_for 10 "the unlucky to wait" each waits "unlucky$round"
    queues_have 2 || fail "there are other nodes: $(ephemerals)"
    contend "next$round" 0.2
    wait_for 10 "the next to wait" each waits "next$round"
    queues_have 3 || fail "there are other nodes: $(ephemerals)"
    assert_is_held_to_the_end_by "holder$round" "unlucky$round"
    assert_ends "next$round" 0
  done
  assert_no_overlap $((3 * RUNS))
  local kind
  for kind in "${kinds[@]}"; do
    run -0 awk '$5 == "start" { sub(/[0-9]+$/, "", $2); print $2 }' "$(log_of "$kind")"
    assert_output "$(for ((round = 1; round <= RUNS; round++)); do printf '%s\n' holder unlucky next; done)"
  done
}

@test "zk-lock whose making of the lock's folder is carried out and the reply lost goes on" {
  local round
  proxy_start
  for ((round = 1; round <= RUNS; round++)); do
    proxy_mode swallow:container
    run -0 --separate-stderr zk-lock --hosts "$PROXY$CHROOT" "/folder-$round/lock" echo inside
    assert_output inside
    swallowed "$round" || fail "nothing was lost"
  done
}

@test "zk-lock whose release is carried out and the reply lost finds that it is done, status 0" {
  local round operation lost=0
  proxy_start
  for ((round = 1; round <= RUNS; round++)); do
    for operation in delete close; do
      proxy_mode "swallow:$operation"
      run -0 --separate-stderr zk-lock --hosts "$PROXY$CHROOT" /l echo inside
      assert_output inside
      refute_stderr
      ephemerals_are 0 || fail "a node is left: $(ephemerals)"
      swallowed $((++lost)) || fail "no reply to $operation was lost"
    done
  done
}

@test "zk-lock whose heartbeats are carried out and the replies lost holds the lock" {
  local round begun
  proxy_start
  for ((round = 1; round <= RUNS; round++)); do
    contend "holder$round" 1000 --hosts "$PROXY$CHROOT" --session-timeout 2s
    wait_entered "holder$round"
    contend "next$round" 0.2
    wait_for 10 "the next to wait" each waits "next$round"
    begun=$(microseconds)
    proxy_mode swallow:multi:4
    wait_for 10 "four lost replies" swallowed $((4 * round))
    wait_until_passed $((begun + 2500000))
    assert_is_held_to_the_end_by "holder$round" "next$round"
  done
  assert_no_overlap $((2 * RUNS))
}

@test "zk-lock takes no node of another session for its own, even if the name has its own unique part" {
  local round node id stranger
  proxy_start
  for ((round = 1; round <= RUNS; round++)); do
    start "holder$round" zk-lock /l -c 'echo inside; exec sleep 1000'
    wait_for 5 "the holder" grep -q inside "$(out "holder$round")"
    start "victim$round" zk-lock -v --hosts "$PROXY$CHROOT" /l echo inside
    wait_for 5 "its wait" grep -q 'waiting for' "$(err "victim$round")"
    node=$(ephemerals /l | tail -n +2 | head -n 1)
    if zk get "$node" | grep -q "\"pid\":$(pid_of "holder$round")"; then node=$(ephemerals /l | head -n 1); fi
    id=${node#/l/}
    id=${id%%-*}
    # Nodes as an older session of its own would have left them, between it and the place it will get.
    for stranger in 1 2 3; do start "stranger$stranger-$round" zk.py hold "/l/$id-write-" --sequence; done
    wait_for 10 "the strangers" ephemerals_are 5 /l
    # It must make a new node, and never hears of it: it looks for it by its unique part.
    proxy_mode swallow:create2
    zk delete "$node"
    signal TERM "holder$round"
    finish "holder$round"
    wait_for 10 "the lost reply" swallowed "$round"
    wait_for 10 "its wait for a stranger" waits_again "victim$round"
    ephemerals_are 4 /l || fail "there are other nodes: $(ephemerals)"
    running "victim$round" || fail "it did not wait"
    for stranger in 1 2 3; do
      signal TERM "stranger$stranger-$round"
      finish "stranger$stranger-$round"
    done
    finish "victim$round"
    assert_success
    assert_output inside
  done
}

waits_again() { (($(grep -c 'waiting for' "$(err "$1")") > 1)); }

# --- two-phase commit: a register and its coordinators, killed RUNS * 5 times while clients write and read ---

# OPTION...: of tpc_history.py. What clients have seen is linearizable, also with what is there in the end: so nothing
# that was acknowledged is lost, and nothing aborted is visible. All replicas have the same, and nothing else is left.
survives() {
  load registers
  cd "$BATS_TEST_TMPDIR" || return
  allow_lingering
  start history tpc_history.py --seconds 0 --rounds $((5 * RUNS)) --clients 3 --parallel 8 --keys 12 --apart "$@" history
  finish history $((60 + 25 * RUNS))
  assert_success
  run -0 linearizable.py history
  assert_output --partial 'linearizable: '
  (($(grep -c '"result": "committed"' history) >= 20 * RUNS)) || fail "hardly anything was committed"
  replicas a b c
  assert_same_stores a b c
  committed x=last # its coordinator clears up what the others have left in the log
  wait_nothing_left
  leave a b c
}

@test "tpc-participants and tpc-coordinators that are all killed with -9 at once, at any moment: nothing is lost" {
  survives --faults all
}

@test "tpc-participants and tpc-coordinators that are killed and frozen, one by one and all at once: nothing is lost" {
  survives --faults replica,coordinator,freeze,all
}
