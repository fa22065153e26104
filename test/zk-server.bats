# zk-server: the private server. These tests start servers of their own, each in a folder of its test.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell that is started with it
load helpers

setup() {
  test_setup
  DIR=$BATS_TEST_TMPDIR/server # where test_teardown expects nothing: these tests stop what they start
}

teardown() {
  local dir
  for dir in "$BATS_TEST_TMPDIR"/server*; do
    if [[ -d $dir ]]; then zk-server stop --dir "$dir"; fi
  done
  test_teardown
}

address() { zk-server env --dir "$1" | sed 's/^export ZK_HOSTS=//'; } # DIR

server_pid() { zk-server status --dir "$DIR" | awk '{ print $2 }'; }

use_own_tmpdir() { # so that nobody else's folders are in it
  export TMPDIR=$BATS_TEST_TMPDIR/tmp
  mkdir "$TMPDIR"
}

folder_of_run() { printf '%s\n' "$TMPDIR"/zk-server.*; }

folder_of_run_exists() { [[ -e $(folder_of_run) ]]; }

folder_of_run_is_gone() { [[ ! -e $(folder_of_run) ]]; }

stopped() { [[ $(server_pid | sed -n "$1p") == - ]]; } # SERVER

refuses() { # MESSAGE ARGUMENT...
  local message=$1
  shift
  run -125 --separate-stderr zk-server "$@"
  assert_output ''
  assert_stderr "zk-server: $message"
}

@test "zk-server start leaves a server that answers, and prints the line that leads there" {
  run -0 --separate-stderr zk-server start --port 0 --dir "$DIR"
  assert_line --regexp '^export ZK_HOSTS=127\.0\.0\.1:[0-9]+$'
  assert_stderr --partial "zk-server: ready on 127.0.0.1:"
  run -0 four_letter ruok "${output#*=}"
  assert_output imok
}

@test "zk-server start is content with a server that runs already" {
  run -0 --separate-stderr zk-server start --port 0 --dir "$DIR"
  local line=$output pid
  pid=$(server_pid)
  run -0 --separate-stderr zk-server start --dir "$DIR"
  assert_output "$line"
  assert_stderr "zk-server: running already on ${line#*=}"
  assert_equal "$(server_pid)" "$pid"
}

@test "two zk-server starts at once in one folder start one server" {
  start one zk-server start --port 0 --dir "$DIR"
  start two zk-server start --port 0 --dir "$DIR"
  finish one 40
  assert_success
  local line=$output
  finish two 40
  assert_success
  assert_output "$line"
  run -0 zk-server status --dir "$DIR"
  assert_equal "${#lines[@]}" 1
}

@test "zk-server listens on the loopback address only" {
  zk-server start --servers 3 --port 0 --dir "$DIR"
  local pids
  pids=$(server_pid | paste -sd '|')
  run -0 bash -c "ss -ltnpH | grep -E 'pid=($pids),'"
  # Three ports for clients, three for elections, and the leader's for its followers.
  assert_equal "${#lines[@]}" 7
  refute_line --regexp ' (0\.0\.0\.0|\*|\[::\]):[0-9]+ +[^ ]*:\*'
  local line
  for line in "${lines[@]}"; do assert_regex "$line" '(\[::ffff:127\.0\.0\.1\]|127\.0\.0\.1):[0-9]+ +[^ ]+:\*'; done
}

@test "zk-server status says address, pid and mode, and fails if nothing runs" {
  run -1 zk-server status --dir "$DIR"
  assert_output ''
  zk-server start --port 0 --dir "$DIR"
  run -0 zk-server status --dir "$DIR"
  assert_output --regexp '^127\.0\.0\.1:[0-9]+ [0-9]+ standalone$'
  zk-server stop --dir "$DIR"
  run -1 zk-server status --dir "$DIR"
  assert_output --regexp '^127\.0\.0\.1:[0-9]+ - stopped$'
}

@test "zk-server status calls a frozen server silent" {
  zk-server start --port 0 --dir "$DIR"
  kill -STOP "$(server_pid)"
  run -0 zk-server status --dir "$DIR"
  assert_output --regexp ' silent$'
}

@test "zk-server env prints a line for the shell, or fails and prints nothing if no server runs" {
  run -125 --separate-stderr zk-server env --dir "$DIR"
  assert_output ''
  assert_stderr "zk-server: no server runs in $DIR; start one with: zk-server start"
  zk-server start --port 0 --dir "$DIR"
  run -0 bash -c 'eval "$(zk-server env --dir "$1")" && echo "$ZK_HOSTS"' - "$DIR"
  assert_output --regexp '^127\.0\.0\.1:[0-9]+$'
}

@test "zk-server stop returns when the server is gone, and again when there is none" {
  zk-server start --port 0 --dir "$DIR"
  local pid
  pid=$(server_pid)
  run -0 zk-server stop --dir "$DIR"
  assert_output ''
  dead "$pid"
  run -0 zk-server stop --dir "$DIR"
  assert_output ''
}

@test "zk-server stop ends a frozen server" {
  zk-server start --port 0 --dir "$DIR"
  local pid
  pid=$(server_pid)
  kill -STOP "$pid"
  run -0 timeout 4 zk-server stop --dir "$DIR" # after 5 s it would use force
  dead "$pid"
}

@test "zk-server keeps data, port and tick from stop to start" {
  zk-server start --port 0 --tick 150 --dir "$DIR"
  local before
  before=$(address "$DIR")
  zk --hosts "$before" create /kept "what was there"
  zk-server stop --dir "$DIR"
  zk-server start --dir "$DIR"
  assert_equal "$(address "$DIR")" "$before"
  run -0 zk --hosts "$before" get /kept
  assert_output "what was there"
  run -0 four_letter conf "$before"
  assert_line tickTime=150
}

@test "zk-server keeps what was acknowledged through a kill -9" {
  zk-server start --port 0 --dir "$DIR"
  zk --hosts "$(address "$DIR")" create /kept "what was there"
  kill -KILL "$(server_pid)"
  wait_for 5 "the end of the killed server" stopped 1
  zk-server start --dir "$DIR"
  run -0 zk --hosts "$(address "$DIR")" get /kept
  assert_output "what was there"
}

@test "two zk-servers in two folders have nothing in common" {
  zk-server start --port 0 --dir "$DIR-a"
  zk-server start --port 0 --dir "$DIR-b"
  local a b
  a=$(address "$DIR-a") b=$(address "$DIR-b")
  assert_not_equal "$a" "$b"
  zk --hosts "$a" create /mine
  run -1 zk --hosts "$b" exists /mine
  zk-server stop --dir "$DIR-a"
  run -1 zk-server status --dir "$DIR-a"
  run -0 zk-server status --dir "$DIR-b"
}

@test "zk-server start --servers 3 makes an ensemble with one leader" {
  run -0 --separate-stderr zk-server start --servers 3 --port 0 --dir "$DIR"
  assert_line --regexp '^export ZK_HOSTS=127.0.0.1:[0-9]+,127.0.0.1:[0-9]+,127.0.0.1:[0-9]+$'
  run -0 bash -c 'zk-server status --dir "$1" | cut -d " " -f 3 | sort' - "$DIR"
  assert_output $'follower\nfollower\nleader'
  local servers
  IFS=, read -ra servers <<<"$(address "$DIR")"
  zk --hosts "${servers[0]}" create /shared
  zk --hosts "${servers[1]},${servers[2]}" set /shared seen
}

@test "zk-server start brings back the one server of an ensemble that was killed, with its data" {
  zk-server start --servers 3 --port 0 --dir "$DIR"
  local others victim
  zk --hosts "$(address "$DIR")" create /shared "what was there"
  victim=$(server_pid | sed -n 2p)
  others=$(server_pid | sed 2d)
  kill -KILL "$victim"
  wait_for 5 "the end of the killed server" stopped 2
  run -0 zk-server start --dir "$DIR"
  assert_equal "$(server_pid | sed 2d)" "$others"
  run -0 zk --hosts "$(address "$DIR" | cut -d , -f 2)" get /shared
  assert_output "what was there"
}

@test "zk-server start brings an ensemble back after stop" {
  zk-server start --servers 3 --port 0 --dir "$DIR"
  zk --hosts "$(address "$DIR")" create /shared "what was there"
  zk-server stop --dir "$DIR"
  zk-server start --dir "$DIR"
  run -0 zk --hosts "$(address "$DIR")" get /shared
  assert_output "what was there"
}

@test "zk-server start refuses a port that somebody uses, and says which" {
  local port=${TEST_SERVER##*:}
  run -125 --separate-stderr zk-server start --port "$port" --dir "$DIR"
  assert_output ''
  assert_stderr "zk-server: port $port is used by another program; give another with --port"
}

@test "zk-server start refuses to make an ensemble of a single server's folder" {
  zk-server start --port 0 --dir "$DIR"
  run -125 --separate-stderr zk-server start --servers 3 --dir "$DIR"
  assert_stderr --partial "$DIR was made for 1 server(s), not 3"
}

@test "zk-server start shows the log of a server that does not come up" {
  ZK_SERVER_JAVA_OPTS=-XX:NoSuchOption run -125 --separate-stderr zk-server start --port 0 --dir "$DIR"
  assert_output ''
  assert_stderr --partial "Unrecognized VM option 'NoSuchOption'"
  assert_stderr_line --index -1 --partial "ended as soon as it started; its log is above"
}

@test "zk-server start says what to install if Java is missing" {
  local programs=$BATS_TEST_TMPDIR/programs name
  mkdir "$programs"
  for name in env bash mkdir flock sed grep wc basename realpath; do ln -s "$(command -v "$name")" "$programs/"; done
  run -125 --separate-stderr env PATH="$programs" "$(command -v zk-server)" start --port 0 --dir "$DIR"
  assert_stderr "zk-server: java is not installed; run: install-deps server"
}

@test "zk-server start holds none of its caller's files, so nobody waits for the server's end" {
  # The command substitution would not end while the server held the pipe.
  start caller bash -c 'exec 9>"$2"; said=$(zk-server start --port 0 --dir "$1" 2>&1); echo "$said"' - "$DIR" "$BATS_TEST_TMPDIR/nine"
  finish caller 40
  assert_success
  run ! grep -l nine <(readlink "/proc/$(server_pid)/fd"/*)
}

@test "zk-server run gives the command a server and returns its status" {
  run -7 bash -c 'zk-server run -- bash -c "echo \$ZK_HOSTS; exit 7"'
  assert_output --regexp '^127\.0\.0\.1:[0-9]+$'
  run -0 zk-server run -- bash -c 'zk.py --hosts $ZK_HOSTS create /made'
  assert_output /made
  run -127 zk-server run -- no-such-command
}

@test "zk-server run gives the command its standard input and no other file" {
  run -0 bash -c 'echo hello | zk-server run -- cat'
  assert_output hello
  start files zk-server run -- bash -c 'ls /proc/$$/fd'
  finish files 40
  refute_line --regexp '^[1-9][0-9]$' # Bash has 3 for the list and, as here, 255 at most
}

@test "zk-server run leaves nothing when its command has ended" {
  use_own_tmpdir
  zk-server run -- true
  no_marked_processes
  run -0 ls -A "$TMPDIR"
  assert_output ''
}

@test "zk-server run leaves no server and no file when it is killed with kill -9" {
  use_own_tmpdir
  start run zk-server run -- bash -c 'echo $$ $ZK_HOSTS; exec sleep 1000'
  wait_for 40 "the command to begin" test -s "$(out run)"
  local command
  read -r command _ <"$(out run)"
  assert_dir_exists "$(folder_of_run)"
  signal KILL run
  wait_for 10 "the end of the server's folder" folder_of_run_is_gone
  kill "$command" # it lost its server, but it is not ours to end
  finish run
  assert_equal "$status" 137
  wait_for 5 "the end of the server" no_marked_processes
}

@test "zk-server run leaves nothing when its whole process group is killed" {
  use_own_tmpdir
  start run zk-server run -- bash -c 'echo ready; exec sleep 1000'
  wait_for 40 "the command to begin" grep -q ready "$(out run)"
  kill -KILL -- "-$(pid_of run)"
  finish run
  wait_for 10 "the end of the server's folder" folder_of_run_is_gone
  wait_for 5 "the end of the server" no_marked_processes
}

@test "zk-server run leaves nothing when it is killed while the server starts" {
  use_own_tmpdir
  start run zk-server run -- touch "$BATS_TEST_TMPDIR/ran"
  wait_for 10 "the folder of the server" folder_of_run_exists
  signal KILL run
  wait_for 40 "the end of the server's folder" folder_of_run_is_gone
  wait_for 5 "the end of the server" no_marked_processes
  assert_file_not_exists "$BATS_TEST_TMPDIR/ran"
}

@test "zk-server run forwards TERM and HUP to the command and returns its status" {
  local name
  for name in TERM HUP; do
    start run zk-server run -- bash -c "trap 'echo got $name; kill %1; exit 9' $name; echo ready; sleep 1000 & wait"
    wait_for 40 "the command to begin" grep -q ready "$(out run)"
    signal "$name" run
    finish run
    assert_equal "$status" 9
    assert_output $'ready\ngot '"$name"
  done
}

@test "zk-server run ends with the command that Ctrl-C ends" {
  start run zk-server run -- bash -c 'echo ready; exec sleep 1000'
  wait_for 40 "the command to begin" grep -q ready "$(out run)"
  kill -INT -- "-$(pid_of run)" # as the terminal does: to the whole process group
  finish run
  assert_equal "$status" 130
}

@test "zk-server does not let Ctrl-C reach a started server" {
  start caller bash -c 'zk-server start --port 0 --dir "$1"; echo ready; sleep 1000' - "$DIR"
  wait_for 40 "the server" grep -q ready "$(out caller)"
  kill -INT -- "-$(pid_of caller)"
  finish caller
  run -0 zk-server status --dir "$DIR"
  assert_output --partial standalone
}

@test "zk-server run refuses a port that somebody uses" {
  local port=${TEST_SERVER##*:}
  run -125 --separate-stderr zk-server run --port "$port" -- true
  assert_output ''
  assert_stderr "zk-server: port $port is used by another program; give another with --port"
}

@test "zk-server deletes empty container nodes within seconds" {
  zk-server start --port 0 --dir "$DIR"
  run -0 bash -c 'tr "\0" "\n" </proc/"$1"/cmdline' - "$(server_pid)"
  assert_line -- -Dznode.container.checkIntervalMs=1000
}

@test "zk-server --help prints what it does and how" {
  run -0 --separate-stderr zk-server --help
  assert_line --index 0 --partial "zk-server: a private ZooKeeper server"
  assert_line --partial "Usage: zk-server start"
  assert_stderr ''
  local text=$output
  run -0 zk-server run --help
  assert_output "$text"
  run -0 zk-server start -h
  assert_output "$text"
}

@test "zk-server refuses wrong usage with a sentence and status 125" {
  refuses "needs a command; see zk-server --help"
  refuses "does not know the command 'restart'; see zk-server --help" restart
  refuses "does not know '--quick'; see zk-server --help (a command to run goes after --)" start --quick
  refuses "--port needs a value; see zk-server --help" start --port
  refuses "--port cannot be '21x'; see zk-server --help" start --port 21x
  refuses "--port cannot be ''; see zk-server --help" start --port ''
  refuses "--tick cannot be '0'; see zk-server --help" start --tick 0
  refuses "--servers can be 1 or 3, not '2'" start --servers 2
  refuses "run needs a command: zk-server run -- COMMAND" run
  refuses "run needs a command: zk-server run -- COMMAND" run --
  refuses "stop takes no arguments; see zk-server --help" stop -- now
}
