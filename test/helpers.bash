# Loaded first by every test file (`load helpers`). What it offers:
#
#   $ZK_HOSTS  $SERVER$CHROOT: the server of the run and a folder in it that belongs to this test alone
#   $BIN       the tools under test; they, scripts/ and test/ are in PATH
#
#   start NAME COMMAND...           in the background, in a session of its own; output to $(out NAME), $(err NAME)
#   pid_of NAME                     print its pid
#   running NAME                    is it?
#   alive PID, dead PID             the same for any process: a zombie is dead
#   signal SIGNAL NAME              send it one (TERM, KILL, STOP, CONT ...)
#   finish NAME [SECONDS]           wait for its end; sets $status, $output and $stderr like `run` does
#   assert_stderr, assert_stderr_line, refute_stderr    as assert_output ..., after `finish` or `run --separate-stderr`
#   out NAME, err NAME              print the name of the file with its standard output, its standard error
#   wait_for SECONDS WHAT CONDITION...   wait until the command CONDITION succeeds; WHAT is for the message if not
#
#   zk COMMAND...                   create, get, delete ... nodes: see zk.py (with `start`, write zk.py)
#   ephemerals [PATH]               print the ephemeral nodes below PATH, one a line, sorted: quick, asks the server
#   ephemerals_are N [PATH]         are there exactly N?
#   watches [PATH]                  print the watched paths below PATH, once for each watching session, sorted
#   four_letter WORD [HOST:PORT]    print what the server says to mntr, cons, dump ...
#
#   kazoo CODE ARGUMENT...          run Python with a connected client `zk`: for what zk does not offer, and for storms
#   json EXPRESSION                 print the Python expression for each line of JSON on standard input, whose fields are
#                                   its variables; the whole is `record`
#
#   own_server [OPTION...]          a server that this test may maltreat (zk-server's options: --servers 3, --tick MS);
#                                   sets OWN_DIR, SERVER and ZK_HOSTS
#   own_server_freeze [N]  own_server_thaw [N]  own_server_kill9 [N]  own_server_pid [N]    N: 1 (default) to 3
#   own_server_stop, own_server_restart [OPTION...]    all of it; its data and ports stay
#   proxy_start [PORT] [NAME]       a proxy before PORT (default: that of SERVER); sets PROXY to its HOST:PORT
#   proxy_mode MODE [NAME]          pass, drop, hold, rst, delay:MS, swallow:OPERATION: see zkproxy.py
#   proxy_log [NAME]                print the name of its log, which tells what it swallowed, opened and reset
#
#   netns up, netns cut N, ...      three servers on three hosts: see netns-ensemble, which is given the folder NET; with
#                                   `start`, write netns-ensemble run "$NET" N COMMAND... It ends with the test
#
#   requires_root REASON            skip unless root
#   requires_namespaces             skip unless network namespaces can be made
#   allow_lingering                 say that nodes of this test may outlive it until their sessions expire. Known
#                                   already after: signal KILL, proxy_mode (but pass), own_server_freeze and _kill9
#
# A test fails if a process it started, however indirectly, or an ephemeral node is left when it has ended.
# A file with a setup or teardown of its own calls test_setup first in the one, test_teardown last in the other.

# shellcheck shell=bash
set -u
bats_require_minimum_version 1.5.0
bats_load_library bats-support
bats_load_library bats-assert
bats_load_library bats-file

: "${BATS_TEST_TIMEOUT:=60}" # nothing here takes long, so what does is stuck

test_setup() {
  local tests variable
  tests=$(cd "$BATS_TEST_DIRNAME" && pwd)
  for variable in "${!ZK_@}"; do unset "$variable"; done # the settings of whoever runs the tests
  BIN=$(realpath -m "${BIN:-$tests/../build/bin}")
  export BIN PATH="$BIN:$tests/../scripts:$tests:$PATH"
  export SERVER=$TEST_SERVER CHROOT=/test-$BATS_SUITE_TEST_NUMBER-$RANDOM
  export ZK_HOSTS=$SERVER$CHROOT
  # In the environment of every process of this test, which is how the forgotten ones are found.
  export ZKUTILS_TEST=$BATS_SUITE_TEST_NUMBER-$$-$RANDOM
  declare -gA pids=() statuses=() proxies=()
  started=() lingering='' own_server_disturbed=''
}

setup() { test_setup; }

teardown() { test_teardown; }

# --- waiting ---

microseconds() { printf '%s\n' "${EPOCHREALTIME//[!0-9]/}"; }

# SECONDS CONDITION...: the only loop that waits; fails if the condition does not become true
await() {
  local whole=${1%.*} fraction=000000 deadline
  if [[ $1 == *.* ]]; then fraction=${1#*.}000000; fi
  deadline=$(($(microseconds) + ${whole:-0} * 1000000 + 10#${fraction:0:6}))
  shift
  until "$@"; do
    if (($(microseconds) > deadline)); then return 1; fi
    if [[ ${BATS_INTERRUPTED:-} && ! ${BATS_TEARDOWN_STARTED:-} ]]; then return 1; fi # by Ctrl-C
    sleep 0.02 # between two looks, not instead of one
  done
}

wait_for() {
  local seconds=$1 what=$2
  shift 2
  await "$seconds" "$@" || fail "waited $seconds s in vain for $what: $*"
}

# --- processes ---

# Runs a command as a user would: with no file of Bats, which would wait for it, with the default signal
# actions, which Bash takes from background processes, and away from the processes of Bats.
launch() {
  local file
  for file in /proc/self/fd/*; do
    file=${file##*/}
    if ((file > 2)); then exec {file}>&-; fi
  done
  exec setsid env --default-signal=INT,QUIT -- "$@"
}

start() {
  local name=$1
  shift
  if running "$name"; then fail "$name is running already"; fi
  : >"$(out "$name")" # at once: nobody is to read what an earlier one of that name said
  : >"$(err "$name")"
  launch "$@" </dev/null >"$(out "$name")" 2>"$(err "$name")" &
  pids[$name]=$!
  unset "statuses[$name]"
  started+=("$name")
}

out() { printf '%s\n' "$BATS_TEST_TMPDIR/$1.out"; }

err() { printf '%s\n' "$BATS_TEST_TMPDIR/$1.err"; }

pid_of() { printf '%s\n' "${pids[$1]?"nothing was started as $1"}"; }

running() { [[ ${pids[$1]:-} && ! ${statuses[$1]:-} ]] && kill -0 "${pids[$1]}" 2>/dev/null; }

ended() { ! running "$1"; }

# The dead stay listed until their parent looks; if that is process 1 of a container, perhaps for ever.
alive() { grep -Eqs '^State:[[:space:]]+[^ZX[:space:]]' "/proc/$1/status"; }

dead() { ! alive "$1"; }

signal() {
  if [[ $1 == KILL || $1 == 9 ]]; then allow_lingering; fi
  kill -s "$1" "$(pid_of "$2")"
}

reap() { # NAME: its status, once it has ended
  if [[ ! ${statuses[$1]:-} ]]; then
    statuses[$1]=0
    wait "${pids[$1]}" 2>/dev/null || statuses[$1]=$?
  fi
}

finish() {
  local name=$1 seconds=${2:-10}
  pid_of "$name" >/dev/null
  await "$seconds" ended "$name" || fail "$name did not end within $seconds s"
  reap "$name"
  # shellcheck disable=SC2034 # they are for the assertions of the test
  status=${statuses[$name]} output=$(<"$(out "$name")") stderr=$(<"$(err "$name")")
  # shellcheck disable=SC2034 # so is this
  mapfile -t lines <"$(out "$name")"
  mapfile -t stderr_lines <"$(err "$name")"
}

# The assertions of bats-assert, about standard error instead of standard output.
assert_stderr() { with_stderr assert_output "$@"; }

assert_stderr_line() { with_stderr assert_line "$@"; }

refute_stderr() { with_stderr refute_output "$@"; }

# shellcheck disable=SC2034 # the assertion sees them
with_stderr() {
  local output=$stderr lines=("${stderr_lines[@]}")
  "$@"
}

show_outputs() {
  local name state
  for name in "${started[@]}"; do
    state="status ${statuses[$name]:-?}"
    if running "$name"; then state="still running"; fi
    printf -- '-- %s (%s) --\n' "$name" "$state"
    sed 's/^/stdout: /' "$(out "$name")"
    sed 's/^/stderr: /' "$(err "$name")"
  done
}

# --- the tree ---

zk() { zk.py "$@"; }

four_letter() {
  local address=${2:-${SERVER%%,*}} answer=
  exec {connection}<>"/dev/tcp/${address%:*}/${address##*:}" || return 1
  printf '%s' "$1" >&"$connection"
  IFS= read -r -d '' -t 5 answer <&"$connection" || true # it ends by end of file
  exec {connection}>&-
  printf '%s' "$answer"
}

ephemerals() { # in the answer to dump they stand after a tab each
  four_letter dump | sed -n "s,^\t$CHROOT\(/.*\),\1,p" | below "${1:-}" | sort
}

ephemerals_are() { (($(ephemerals "${2:-}" | wc -l) == $1)); }

watches() { # in the answer to wchp, each path is followed by its sessions
  four_letter wchp | awk -v chroot="$CHROOT/" '/^\// { path = $0 } /^\t/ && index(path, chroot) == 1 { print substr(path, length(chroot)) }' |
    below "${1:-}" | sort
}

below() { awk -v prefix="${1%/}/" 'index($0, prefix) == 1'; }

allow_lingering() { lingering=yes; }

# --- servers and proxies of a test's own ---

own_server() {
  OWN_DIR=$BATS_TEST_TMPDIR/server
  own_server_start --port 0 --tick 100 "$@"
}

own_server_start() {
  zk-server start --dir "$OWN_DIR" "$@" >"$OWN_DIR.env" 2>"$OWN_DIR.said" || fail "$(<"$OWN_DIR.said")"
  SERVER=$(sed 's/^export ZK_HOSTS=//' "$OWN_DIR.env")
  ZK_HOSTS=$SERVER$CHROOT
}

own_server_pid() { zk-server status --dir "$OWN_DIR" | awk -v n="${1:-1}" 'NR == n && $2 != "-" { print $2; found = 1 } END { exit !found }'; }

own_server_freeze() { own_server_signal STOP "${1:-1}"; }

own_server_thaw() { own_server_signal CONT "${1:-1}"; }

own_server_kill9() {
  own_server_signal KILL "${1:-1}"
  wait_for 5 "the end of the killed server" own_server_is_down "${1:-1}"
}

own_server_signal() {
  allow_lingering
  own_server_disturbed=yes
  kill -s "$1" "$(own_server_pid "$2")"
}

own_server_is_down() { ! own_server_pid "$1" >/dev/null; }

own_server_stop() {
  own_server_disturbed=yes
  zk-server stop --dir "$OWN_DIR"
}

own_server_restart() { own_server_start "$@"; }

proxy_start() {
  local port=${1:-${SERVER##*:}} folder=$BATS_TEST_TMPDIR/proxy-${2:-1} keep
  mkdir "$folder"
  # It ends with its standard input, that is with this shell.
  exec {keep}> >(launch zkproxy.py "$port" "$folder" >"$folder/out" 2>&1)
  proxies[${2:-1}]=$keep
  wait_for 10 "the proxy to listen" test -e "$folder/port"
  PROXY=127.0.0.1:$(<"$folder/port")
  export PROXY
}

proxy_mode() {
  local folder=$BATS_TEST_TMPDIR/proxy-${2:-1}
  [[ $1 =~ ^(pass|drop|hold|rst|delay:[0-9]+|swallow:[a-z0-9-]+(:[0-9]+)?)$ ]] || fail "the proxy has no mode $1"
  if [[ $1 != pass && $1 != delay:* ]]; then allow_lingering; fi
  printf '%s\n' "$1" >"$folder/mode.new"
  mv "$folder/mode.new" "$folder/mode" # nobody reads half of it
}

proxy_log() { printf '%s\n' "$BATS_TEST_TMPDIR/proxy-${1:-1}/log"; }

netns() {
  NET=${NET:-$BATS_TEST_TMPDIR/netns}
  netns-ensemble "$1" "$NET" "${@:2}"
}

requires_root() { ((EUID == 0)) || skip "$1 needs root"; }

# Root of a container, or in a changed root directory, may not be allowed to.
requires_namespaces() {
  local name=zkutils-$$-$RANDOM
  requires_root "making network namespaces"
  if ip netns add "$name" 2>/dev/null; then
    if ip netns exec "$name" true 2>/dev/null; then
      ip netns del "$name"
      return
    fi
    ip netns del "$name"
  fi
  skip "network namespaces cannot be made here"
}

# --- the end of a test: nothing may be left ---

all_ended() {
  local name
  for name in "${started[@]}"; do
    if running "$name"; then return 1; fi
  done
}

marked_processes() { # prints the pids of all processes of this test but those of own_server
  local processes=(/proc/[0-9]*/environ) pid
  # That grep also fails to read processes that end meanwhile means nothing; it must not find itself.
  for pid in $(printf 'ZKUTILS_TEST=%s' "$ZKUTILS_TEST" | env -u ZKUTILS_TEST grep -lszxF -f - "${processes[@]}" | tr -cd '0-9\n'); do
    if ! grep -qszF -e "-Dzkutils.server=${OWN_DIR:-none}/" "/proc/$pid/cmdline"; then printf '%s\n' "$pid"; fi
  done
}

no_marked_processes() { [[ ! $(marked_processes) ]]; }

end_started() { # as a user would, then by force
  local name
  for name in "${started[@]}"; do
    if running "$name"; then
      kill -TERM "${pids[$name]}" && kill -CONT "${pids[$name]}"
    fi
  done 2>/dev/null
  if await 3 all_ended; then return; fi
  lingering=yes
  marked_processes | xargs -r kill -KILL 2>/dev/null
}

end_proxies() {
  local keep
  for keep in "${proxies[@]}"; do exec {keep}>&-; done
}

# Bats ignores failing commands in here; what counts is the status in the end.
test_teardown() {
  local verdict=0 name pid
  # What the test still runs may say goodbye: for that it needs its server. A test that has failed shows why first.
  if [[ ! ${BATS_TEST_COMPLETED:-} && ! ${BATS_TEST_SKIPPED:-} ]]; then
    for name in "${started[@]}"; do if ended "$name"; then reap "$name"; fi; done
    show_outputs
  fi
  if [[ ${OWN_DIR:-} && $own_server_disturbed ]]; then
    zk-server status --dir "$OWN_DIR" | awk '$2 != "-" { print $2 }' | xargs -r kill -CONT
  fi
  end_started
  end_proxies
  if [[ -e $BATS_TEST_TMPDIR/netns/instance ]]; then netns-ensemble down "$BATS_TEST_TMPDIR/netns"; fi
  for name in "${started[@]}"; do reap "$name"; done

  if ! await 5 no_marked_processes; then
    printf 'processes of the test are left:\n'
    for pid in $(marked_processes); do
      printf '  %s %s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline")"
      kill -KILL "$pid"
    done
    verdict=1
  elif [[ ! $lingering && ! $own_server_disturbed ]] && ! await 2 ephemerals_are 0; then
    printf 'ephemeral nodes of the test are left:\n'
    ephemerals | sed 's/^/  /'
    verdict=1
  fi
  if [[ ${OWN_DIR:-} ]]; then zk-server stop --dir "$OWN_DIR"; fi
  return "$verdict"
}

# --- Python ---

kazoo() {
  /usr/bin/python3 -c "import logging, os, sys
from kazoo.client import KazooClient
logging.disable(logging.CRITICAL)
zk = KazooClient(os.environ['ZK_HOSTS'])
zk.start(10)
$1
zk.stop()" "${@:2}"
}

json() {
  /usr/bin/python3 -c 'import json, sys
for line in sys.stdin:
  record = json.loads(line)
  print(eval(sys.argv[1], {"record": record}, record))' "$1"
}
