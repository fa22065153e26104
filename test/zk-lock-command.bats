# zk-lock: how it runs its command. Signals, terminals, kill -9, what the command sees, its strange habits, and its end
# when the lock is lost.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells that are started with it
load helpers

readonly long=20s at_once=1 # a release within $at_once second is no expiry of a session of $long
readonly every_signal=(TERM INT HUP QUIT USR1 USR2)

# It says that it is inside, its token and its pid, and stays.
readonly stay='echo inside $ZK_LOCK_TOKEN $$; exec sleep 1000'

setup() {
  test_setup
  cd "$BATS_TEST_TMPDIR" || return
  # One that answers signals, together with a child in its group.
  cat >answers.py <<'END'
import os, signal, sys
who = 'command' if os.fork() else 'child'
def answer(number, frame):
    os.write(1, f'{who} {signal.Signals(number).name[3:]}\n'.encode())
    if number == signal.SIGUSR2:
        sys.exit(7)
for name in sys.argv[1:]:
    signal.signal(signal.Signals['SIG' + name], answer)
os.write(1, f'{who} inside\n'.encode())
while True:
    signal.pause()
END
}

teardown() {
  terminal kill-server 2>/dev/null
  test_teardown
}

# --- looking at what was started ---

says() { grep -qE -- "$2" "$(out "$1")"; } # NAME REGEX

holds() { says "$1" '^inside'; }

wait_inside() { wait_for "${2:-5}" "$1 to be inside" holds "$1"; } # NAME [SECONDS]

# LINE WORD: the pid, or token, that NAME printed
word_of() { awk -v line="$2" -v word="$3" '$1 == line { print $word; exit }' "$(out "$1")"; } # NAME LINE WORD

token_of() { word_of "$1" inside 2; }

command_of() { word_of "$1" inside 3; }

guard_of() { pgrep -P "$(pid_of "$1")" -x lease-guard; }

node_of() { zk-lock --list --json "$1" | sed -n '1s/.*"node":"\([^"]*\)".*/\1/p'; } # LOCK: the first one's

number_of() { kill -l "$1"; }

# What a waiter runs to tell whether those in the file `pids` are gone when it enters.
readonly look_around='echo inside $ZK_LOCK_TOKEN $$
for pid in $(cat pids); do
  if grep -Eqs "^State:[[:space:]]+[^ZX[:space:]]" /proc/$pid/status; then echo "$pid is still there: $(tr "\0" " " </proc/$pid/cmdline)"; fi
done'

# --- signals ---

@test "zk-lock hands TERM, INT, HUP, QUIT, USR1 and USR2 on to the whole group of its command, and goes on while that does" {
  start holder zk-lock --session-timeout "$long" /l python3 answers.py "${every_signal[@]}"
  wait_for 5 "the command" says holder 'command inside'
  wait_for 5 "its child" says holder 'child inside'
  local name
  for name in "${every_signal[@]}"; do
    signal "$name" holder
    wait_for 5 "the command to get $name" says holder "command $name"
    wait_for 5 "its child to get $name" says holder "child $name"
    if [[ $name != USR2 ]]; then running holder || fail "zk-lock ended although its command did not"; fi
  done
  finish holder
  assert_failure 7
}

@test "zk-lock that gets TERM, INT, HUP, QUIT, USR1 or USR2 ends as its command does, with 128+N, and has released the lock" {
  local name
  for name in "${every_signal[@]}"; do
    start "$name" zk-lock --session-timeout "$long" /l -c "$stay"
    wait_inside "$name"
    start "after-$name" zk-lock --session-timeout "$long" /l echo inside
    wait_for 5 "a waiter" ephemerals_are 2 /l
    signal "$name" "$name"
    wait_inside "after-$name" "$at_once"
    finish "$name"
    assert_equal "$name $status" "$name $((128 + $(number_of "$name")))"
    dead "$(command_of "$name")" || fail "the command lives after $name"
    finish "after-$name"
    assert_success
  done
}

@test "zk-lock lets nobody in before what its command started is ended, too, even if it ignores the signal" {
  local name
  for name in "${every_signal[@]}"; do
    # The command ends at once, what it started must be killed. It says so itself: then the trap is set.
    start "$name" zk-lock --session-timeout "$long" --grace 0.2s /l -c \
      "sh -c 'trap \"\" ${every_signal[*]}; echo inside; exec sleep 1000' & echo child \$!; exec sleep 1000"
    wait_inside "$name"
    wait_for 5 "the pid" says "$name" '^child'
    word_of "$name" child 2 >pids
    start "after-$name" zk-lock --session-timeout "$long" /l -c "$look_around"
    wait_for 5 "a waiter" ephemerals_are 2 /l
    signal "$name" "$name"
    finish "after-$name"
    assert_success
    refute_output --partial 'still there'
    finish "$name"
    assert_equal "$name $status" "$name $((128 + $(number_of "$name")))"
  done
}

@test "zk-lock holds the lock as long as its command takes to clean up after TERM, longer than the session timeout" {
  start holder zk-lock --session-timeout 1s /l python3 -c '
import signal, sys, time
def clean_up(number, frame):
    print("cleaning", flush=True)
    time.sleep(2.5)
    print("clean", flush=True)
    sys.exit(3)
signal.signal(signal.SIGTERM, clean_up)
print("inside", flush=True)
signal.pause()'
  wait_inside holder
  start waiter zk-lock /l cat "$(out holder)"
  wait_for 5 "the waiter" ephemerals_are 2 /l
  signal TERM holder
  finish waiter
  assert_success
  assert_line clean
  finish holder
  assert_failure 3
}

@test "zk-lock that gets a signal while its command is suspended ends it all the same" {
  start holder zk-lock --session-timeout "$long" /l -c "$stay"
  wait_inside holder
  kill -STOP "$(command_of holder)"
  wait_for 5 "zk-lock to say so" grep -q 'is suspended' "$(err holder)"
  signal TERM holder
  finish holder 5
  assert_failure 143
}

@test "zk-lock that gets TSTP is suspended while it waits, and not while it holds the lock" {
  start holder zk-lock --session-timeout "$long" /l -c "$stay"
  wait_inside holder
  start waiter zk-lock --session-timeout "$long" /l -c "$stay"
  wait_for 5 "the waiter" ephemerals_are 2 /l
  signal TSTP waiter
  wait_for 5 "the waiter to be suspended" is_suspended waiter
  signal CONT waiter
  signal TERM holder
  wait_inside waiter
  signal TSTP waiter
  signal USR1 waiter # comes after it, and what it does proves that TSTP has been dealt with
  finish waiter
  assert_failure 138
  finish holder
}

is_suspended() { grep -q '^State:.T' "/proc/$(pid_of "$1")/status"; }

@test "zk-lock that gets a signal while it waits leaves at once, with 128+N and no node" {
  start holder zk-lock --session-timeout "$long" /l -c "$stay"
  wait_inside holder
  local name
  for name in "${every_signal[@]}"; do
    start "$name" zk-lock --session-timeout "$long" /l touch ran
    wait_for 5 "a waiter" ephemerals_are 2 /l
    signal "$name" "$name"
    finish "$name" "$at_once"
    assert_equal "$name $status" "$name $((128 + $(number_of "$name")))"
    ephemerals_are 1 /l || fail "a node is left: $(ephemerals /l)"
  done
  refute [ -e ran ]
}

@test "zk-lock starts nothing if a signal came between acquiring and starting" {
  local name round
  for round in 1 2; do
    for name in "${every_signal[@]}"; do
      start holder zk-lock /l -c "$stay"
      wait_inside holder
      start frozen zk-lock /l touch ran
      wait_for 5 "a waiter" ephemerals_are 2 /l
      signal STOP frozen
      signal TERM holder
      finish holder # the lock is the frozen one's now
      signal "$name" frozen
      signal CONT frozen
      finish frozen
      assert_equal "$round $name $status" "$round $name $((128 + $(number_of "$name")))"
      refute [ -e ran ]
    done
  done
}

@test "zk-lock that gets a signal at any moment of its first 20 ms leaves neither a process nor a node" {
  local moment begun
  for moment in {1..20}; do
    start "early-$moment" zk-lock "/l-$moment" -c "$stay"
    # No pause between two looks: the moments are short.
    until [[ $(<"/proc/$(pid_of "early-$moment")/comm") == zk-lock ]]; do :; done
    begun=$(microseconds)
    until (($(microseconds) >= begun + moment * 1000)); do :; done
    signal TERM "early-$moment"
    finish "early-$moment" 5
    assert_equal "$moment: $status" "$moment: 143"
    ephemerals_are 0 "/l-$moment" || fail "a node is left"
    no_marked_processes || fail "a command is left"
  done
}

# --- terminals ---

# A real one, of which the shell in it knows no difference.
terminal() { tmux -S "$BATS_TEST_TMPDIR/terminal" -f /dev/null "$@"; }

open_terminal() { # [COMMAND...]: by default a shell
  (($# > 0)) || set -- env PS1='shell> ' HISTFILE= bash --norc --noprofile -i
  (launch tmux -S "$BATS_TEST_TMPDIR/terminal" -f /dev/null new-session -d -x 150 -y 50 -- "$@") </dev/null >/dev/null 2>&1
}

type_in() { # LINE: as a person would, who sees the prompt
  wait_for 5 "the prompt" prompts
  terminal send-keys -l "$1"
  terminal send-keys Enter
}

press() { terminal send-keys "$1"; }

screen() { terminal capture-pane -p | sed '/^ *$/d'; }

prompts() { [[ $(screen | tail -n 1) == 'shell> ' || $(screen | tail -n 1) == 'shell>' ]]; }

shows() { screen | grep -qE -- "$1"; } # REGEX

wait_shows() { await "${3:-5}" shows "$1" || fail "waited in vain for $2 on the screen:"$'\n'"$(screen)"; } # REGEX WHAT

# The shell has its terminal back when a program that it starts can read from it, and Ctrl-C reaches it.
assert_terminal_is_given_back() {
  type_in 'read -r line; echo "read: $line"'
  terminal send-keys -l 'some words'
  press Enter
  wait_shows '^read: some words' 'what the shell read'
  type_in 'sleep 1000'
  wait_for 5 "sleep to have the terminal" in_foreground sleep
  press C-c
  wait_for 5 "the end of sleep" prompts
}

# Not in one line with the command, because Bash gives up a line when Ctrl-C has ended a part of it.
assert_shell_saw() { # STATUS...: of the last command, or of all in a pipe
  type_in 'echo "status: ${PIPESTATUS[*]}"'
  wait_shows "^status: $*\$" "the status $*"
}

in_foreground() { [[ $(terminal display-message -p '#{pane_current_command}') == "$1" ]]; }

@test "zk-lock on a terminal: Ctrl-C ends the command and releases the lock, and the terminal is the shell's again" {
  open_terminal
  type_in "zk-lock --session-timeout $long /l -c 'echo inside; exec sleep 1000'"
  wait_shows '^inside' 'the command'
  start waiter zk-lock /l echo inside
  wait_for 5 "the waiter" ephemerals_are 2 /l
  press C-c
  wait_inside waiter "$at_once"
  finish waiter
  assert_shell_saw 130
  assert_terminal_is_given_back
}

@test "zk-lock on a terminal: Ctrl-C ends the script that called it, too, as if it had called the command" {
  open_terminal
  cat >script <<'END'
zk-lock --session-timeout 20s /l -c 'echo inside; exec sleep 1000'
echo gone on
END
  type_in 'bash script'
  wait_shows '^inside' 'the command'
  press C-c
  assert_shell_saw 130
  refute shows 'gone on'
}

@test "zk-lock on a terminal: a script that calls it can read from the terminal before, in and after it" {
  open_terminal
  cat >script <<'END'
read -r before
zk-lock /l -c 'read -r in; echo "$in" >in'
read -r after
echo "read: $before $(<in) $after"
END
  type_in 'bash script'
  local word
  for word in some more words; do
    terminal send-keys -l "$word"
    press Enter
  done
  wait_shows '^read: some more words' 'what the script read'
}

@test "zk-lock on a terminal: Ctrl-\\ ends the command with QUIT" {
  open_terminal
  type_in "zk-lock --session-timeout $long /l -c 'ulimit -c 0; echo inside; exec sleep 1000'; echo status: \$?"
  wait_shows '^inside' 'the command'
  press C-\\
  wait_shows 'status: 131' 'the status'
  ephemerals_are 0 /l || fail "the lock is held still"
  assert_terminal_is_given_back
}

@test "zk-lock on a terminal: Ctrl-C leaves nothing of the command behind, whatever ignores INT" {
  open_terminal
  # In a script, what runs in the background ignores INT.
  type_in "zk-lock --session-timeout $long --grace 0.2s /l -c 'sleep 1000 & echo \$! >child.pid; echo inside; wait'"
  wait_shows '^inside' 'the command'
  read -r child <child.pid
  press C-c
  assert_shell_saw 130
  dead "$child" || fail "its child $child is left"
}

@test "zk-lock on a terminal: Ctrl-Z does not suspend the command, and is told why" {
  open_terminal
  type_in "zk-lock --session-timeout $long /l -c 'echo inside; until test -e go; do sleep 0.02; done; echo gone on'; echo status: \$?"
  wait_shows '^inside' 'the command'
  press C-z
  wait_shows 'zk-lock: the command is not suspended' 'the message'
  touch go
  wait_shows '^gone on' 'the command to go on'
  wait_shows '^status: 0' 'the status'
  assert_terminal_is_given_back
}

@test "zk-lock on a terminal: an interactive shell works under it, job control included" {
  open_terminal
  type_in "zk-lock /l env PS1='inner> ' bash --norc --noprofile -i; echo status: \$?"
  wait_shows '^inner>' 'the prompt'
  terminal send-keys -l 'sleep 1000; echo "slept $((40 + 2)): $?"'
  press Enter
  wait_for 5 "sleep to have the terminal" in_foreground sleep
  press C-z
  wait_shows 'Stopped' 'the suspended job'
  terminal send-keys -l 'fg'
  press Enter
  wait_for 5 "sleep to have the terminal again" in_foreground sleep
  press C-c
  wait_for 5 "the shell to have the terminal" in_foreground bash
  terminal send-keys -l 'echo $((6 * 7)) >answer; exit 4'
  press Enter
  wait_shows '^status: 4' 'the status'
  assert_file_contains answer 42
  assert_terminal_is_given_back
}

@test "zk-lock on a terminal: less works under it" {
  seq 1000 >numbers
  open_terminal
  type_in "zk-lock /l less numbers; echo status: \$?"
  wait_shows '^1$' 'the first line'
  press G
  wait_shows '^1000$' 'the last line'
  press q
  wait_shows '^status: 0' 'the status'
  assert_terminal_is_given_back
}

@test "zk-lock on a terminal: a pipe into less works, and Ctrl-C ends a command in a pipe" {
  open_terminal
  # While the command runs, less has the keyboard.
  type_in "zk-lock /l -c 'seq 1000; until test -e go; do sleep 0.02; done' | less; echo status: \${PIPESTATUS[@]}"
  wait_shows '^1$' 'the first line'
  press Space
  wait_shows '^60$' 'the second page'
  touch go
  press G
  wait_shows '^1000$' 'the last line'
  press q
  wait_shows '^status: 0 0' 'the statuses'
  type_in "zk-lock --session-timeout $long /l -c '$stay' | cat"
  wait_shows '^inside' 'the command'
  press C-c
  assert_shell_saw 130 130
  ephemerals_are 0 /l || fail "the lock is held still"
  assert_terminal_is_given_back
}

@test "zk-lock on a terminal: less works under it when its input is a pipe, too" {
  open_terminal
  type_in "seq 1000 | zk-lock /l less; echo status: \${PIPESTATUS[@]}"
  wait_shows '^1$' 'the first line'
  press G
  wait_shows '^1000$' 'the last line'
  press q
  wait_shows '^status: 0 0' 'the statuses'
  assert_terminal_is_given_back
}

@test "zk-lock in the background of a terminal: a command that wants to read gets the terminal with fg" {
  open_terminal
  type_in "zk-lock --session-timeout $long /l -c 'read -r line; echo \"read: \$line\"' &"
  wait_shows 'zk-lock: the command is suspended' 'the message'
  press Enter
  type_in fg
  terminal send-keys -l 'some words'
  press Enter
  wait_shows '^read: some words' 'what the command read'
  assert_terminal_is_given_back
}

@test "zk-lock killed on a terminal: the shell has the terminal again" {
  open_terminal
  type_in "zk-lock --session-timeout 1s /l -c 'echo inside; exec sleep 1000'; echo status: \$?"
  wait_shows '^inside' 'the command'
  pkill -KILL -x zk-lock -t "$(terminal display-message -p '#{s|/dev/||:pane_tty}')"
  allow_lingering
  wait_shows 'status: 137' 'the status'
  assert_terminal_is_given_back
}

@test "zk-lock whose terminal goes away hands HUP on and releases the lock" {
  open_terminal
  type_in "zk-lock --session-timeout $long /l python3 -c '
import signal, sys
def hung_up(number, frame):
    open(\"hup\", \"w\").close()
    sys.exit(3)
signal.signal(signal.SIGHUP, hung_up)
print(\"inside\", flush=True)
signal.pause()'"
  wait_shows '^inside' 'the command'
  start waiter zk-lock /l echo inside
  wait_for 5 "the waiter" ephemerals_are 2 /l
  terminal kill-session
  wait_inside waiter "$at_once"
  finish waiter
  assert_file_exists hup
}

@test "zk-lock whose terminal goes away with it as the only program releases the lock, although the command ignores HUP" {
  open_terminal zk-lock --session-timeout "$long" --grace 0.2s /l -c "trap '' HUP; $stay"
  wait_shows '^inside' 'the command'
  start waiter zk-lock /l echo inside
  wait_for 5 "the waiter" ephemerals_are 2 /l
  local inside
  read -r _ _ inside < <(screen)
  terminal kill-session
  # It is the command's right not to end, and it holds the lock until it does.
  refute await 1 holds waiter
  kill -TERM "$inside"
  wait_inside waiter "$at_once"
  finish waiter
}

# --- kill -9 ---

# A command with a child and a daemon, which wrote their pids.
readonly family='sleep 1000 & echo $! >pids
setsid sh -c "echo \$\$ >>pids; exec sleep 1000 </dev/null >/dev/null 2>&1" &
until [ $(wc -l <pids) = 2 ]; do sleep 0.01; done
echo $$ >>pids; echo inside $ZK_LOCK_TOKEN $$; wait'

# The same, of members that do not listen.
readonly deaf_family="trap '' TERM; $family"

all_dead() {
  local pid
  while read -r pid; do
    if alive "$pid"; then return 1; fi
  done <pids
}

@test "zk-lock killed with -9 takes its command, the children and the daemons of it along" {
  start holder zk-lock --session-timeout "$long" /l -c "$family"
  wait_inside holder
  signal KILL holder
  wait_for 1 "the end of all that it started" all_dead
  assert_equal "$(wc -l <pids)" 3
}

@test "zk-lock killed with -9 takes them along after the grace period, if they ignore TERM" {
  start holder zk-lock --session-timeout "$long" --grace 0.5s /l -c "$deaf_family"
  wait_inside holder
  signal KILL holder
  refute await 0.25 all_dead
  wait_for 1 "the end of all that it started" all_dead
}

@test "zk-lock killed with -9 is followed by the next within the session timeout, with a higher token and nobody else there" {
  local killed family_now
  for family_now in "$family" "$deaf_family"; do
    start holder zk-lock --session-timeout 2s /l -c "$family_now"
    wait_inside holder
    start next zk-lock --session-timeout 2s /l -c "$look_around"
    wait_for 5 "the waiter" ephemerals_are 2 /l
    killed=$(microseconds)
    signal KILL holder
    wait_inside next
    # The server counts in ticks, and looks up the next time it has something to do.
    (($(microseconds) - killed < 2500000)) || fail "that took $(($(microseconds) - killed)) us"
    finish next
    assert_success
    refute_output --partial 'still there'
    (($(token_of next) > $(token_of holder))) || fail "tokens $(token_of holder), $(token_of next)"
    finish holder
    rm pids
  done
}

@test "zk-lock whose guard is killed with -9 ends the command, releases the lock at once and says so" {
  start holder zk-lock --session-timeout "$long" /l -c "$deaf_family"
  wait_inside holder
  start next zk-lock /l -c "$look_around"
  wait_for 5 "the waiter" ephemerals_are 2 /l
  kill -KILL "$(guard_of holder)"
  wait_inside next "$at_once"
  finish holder
  assert_failure 120
  assert_stderr --partial 'guard was killed'
  finish next
  refute_output --partial 'still there'
}

@test "zk-lock whose guard is killed with -9 while it waits does not run its command without one" {
  start holder zk-lock --session-timeout "$long" /l -c "$stay"
  wait_inside holder
  start guardless zk-lock --session-timeout "$long" /l touch ran
  wait_for 5 "the waiter" ephemerals_are 2 /l
  kill -KILL "$(guard_of guardless)"
  signal TERM holder
  finish guardless
  assert_failure 120
  refute [ -e ran ]
  run -0 zk-lock -n /l true
}

@test "zk-lock whose guard is frozen ends the command all the same when its node is deleted" {
  start holder zk-lock --session-timeout "$long" --grace 0.2s /l -c "$deaf_family"
  wait_inside holder
  kill -STOP "$(guard_of holder)"
  zk delete "$(node_of /l)"
  finish holder 2
  assert_failure 120
  all_dead || fail "something of the command is left"
}

@test "zk-lock whose guard is frozen ends the command before the next is inside when the server is silent" {
  proxy_start
  start holder zk-lock --hosts "$PROXY$CHROOT" --session-timeout 1.5s /l -c "$deaf_family"
  wait_inside holder
  start next zk-lock --session-timeout 1.5s /l -c "$look_around"
  wait_for 5 "the waiter" ephemerals_are 2 /l
  kill -STOP "$(guard_of holder)"
  proxy_mode drop
  finish next
  refute_output --partial 'still there'
  finish holder
  assert_failure 120
}

# --- what the command sees ---

@test "zk-lock gives its command no descriptor but 0, 1 and 2" {
  # The shell stays itself, and ls looks at it from outside. Not sh, which keeps what it redirects in 10.
  local look='ls /proc/$$/fd >seen; ls -l /proc/$$/fd >details; :'
  run -0 zk-lock /l bash -c "$look"
  assert_equal "$(paste -sd ' ' seen)" '0 1 2'
  local sockets
  sockets=$(grep -c socket: details || true)
  assert_equal "$sockets" 0

  # Also if zk-lock itself has got more, or fewer: then others would take their place.
  exec {extra}</dev/null {more}</dev/null 100</dev/null
  run -0 zk-lock /l bash -c "$look" 5</dev/null 9>/dev/null
  exec {extra}<&- {more}<&- 100<&-
  assert_equal "$(paste -sd ' ' seen)" '0 1 2'
  local closing
  for closing in '<&-' '>&-' '2>&-' '<&- >&-' '>&- 2>&-' '<&- >&- 2>&-'; do
    rm seen details
    bash -c "zk-lock /l bash -c '$look' $closing" || fail "zk-lock failed with $closing"
    assert_equal "$closing: $(paste -sd ' ' seen)" "$closing: 0 1 2"
    refute grep -E 'socket:|anon_inode:|pipe:.*pipe:' details
  done
}

@test "zk-lock does not touch a connection to its server that its caller has open" {
  proxy_start
  start holder zk-lock --session-timeout "$long" /l -c "$stay"
  wait_inside holder
  start caller bash -c 'exec 7<>"/dev/tcp/${0%:*}/${0#*:}"
    zk-lock --hosts "$0$CHROOT" --session-timeout 1s /l echo inside &
    read -r -t 3 <&7
    echo "read: $?"
    wait' "$PROXY"
  wait_for 5 "the waiter" ephemerals_are 2 /l
  proxy_mode drop # so it looks for a connection that is better
  wait_for 5 "the result" says caller '^read:'
  says caller '^read: 142' || fail "the connection has ended" # 142: nothing came within the time
  proxy_mode pass
  signal TERM holder
  wait_inside caller
  finish holder
  finish caller
}

@test "zk-lock gives its command an empty signal mask and the default actions, whatever it had itself" {
  local expected=$'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000'
  run -0 zk-lock /l grep -E '^Sig(Blk|Ign)' /proc/self/status
  assert_output "$expected"
  run -0 env --ignore-signal=INT,QUIT,PIPE,USR1,TSTP --block-signal=TERM,USR2,CHLD,ALRM \
    zk-lock /l grep -E '^Sig(Blk|Ign)' /proc/self/status
  assert_output "$expected"
}

@test "zk-lock under nohup leaves HUP ignored for its command, and does not end by it itself" {
  start holder nohup zk-lock --session-timeout "$long" /l -c "grep SigIgn /proc/self/status; $stay"
  wait_inside holder
  says holder $'^SigIgn:\t0000000000000001' || fail "HUP is not ignored"
  signal HUP holder
  signal TERM holder
  finish holder
  assert_failure 143 # not 129
}

@test "zk-lock runs its command in a process group of its own, without a shell" {
  start holder zk-lock /l awk 'BEGIN { print "inside"; fflush(); while (1) getline <"/dev/null" }'
  wait_inside holder
  local guard command
  guard=$(guard_of holder)
  command=$(pgrep -P "$guard")
  assert_equal "$(ps -o comm= -p "$command")" awk
  assert_equal "$(ps -o pgid= -p "$command" | tr -d ' ')" "$command"
  # What stops or interrupts the group of zk-lock does not reach the guard, either.
  assert_equal "$(ps -o pgid= -p "$guard" | tr -d ' ')" "$guard"
  signal TERM holder
  finish holder
}

# --- strange habits ---

@test "zk-lock does not mind a command that closes its standard input, or all that it has" {
  run -5 zk-lock --session-timeout 1s /l -c 'exec <&-; sleep 1.2; exit 5'
  run -6 zk-lock --session-timeout 1s /l -c 'exec <&- >&- 2>&-; sleep 1.2; exit 6'
}

@test "zk-lock returns when its command makes itself a daemon, releases the lock, and lets the daemon live" {
  start holder zk-lock -v --session-timeout "$long" /l -c 'setsid sh -c "echo \$\$ >pids; exec sleep 1000" & until test -s pids; do sleep 0.01; done'
  finish holder 5
  assert_success
  assert_stderr --partial 'left in the background'
  run -0 zk-lock -n /l true
  all_dead && fail "the daemon is dead"
  kill -TERM "$(<pids)"
  wait_for 2 "the end of the daemon" all_dead
}

@test "zk-lock that lost the lock kills a command that ignores TERM, after the grace period" {
  start holder zk-lock --session-timeout 3s --grace 0.6s /l bash -c '
    trap "printf \"TERM %s\n\" \${EPOCHREALTIME/./}" TERM
    while true; do printf "inside %s\n" ${EPOCHREALTIME/./}; sleep 0.02; done'
  wait_inside holder
  zk delete "$(node_of /l)"
  finish holder
  assert_failure 120
  local asked last
  asked=$(word_of holder TERM 2)
  last=$(awk '$1 == "inside" { last = $2 } END { print last }' "$(out holder)")
  # It is asked once, and goes on until the grace is over.
  assert_equal "$(grep -c TERM "$(out holder)")" 1
  ((last - asked > 400000 && last - asked < 1500000)) || fail "it lived for $((last - asked)) us after TERM"
}

@test "zk-lock does not touch what its command prints: a gigabyte, or nothing" {
  zk-lock --session-timeout 1s /l head -c 1000000000 /dev/zero | wc -c >size
  assert_equal "$(<size)" 1000000000
  zk-lock --session-timeout 1s /l head -c 1000000000 /dev/zero >/dev/null
  run -0 --separate-stderr zk-lock /l true
  assert_output ''
  assert_stderr ''
}

@test "zk-lock leaves its standard input to the command" {
  run -0 --separate-stderr bash -c 'printf "one\ntwo\n" | zk-lock /l cat'
  assert_output $'one\ntwo'
  # All of it: what the command does not read is there for the next.
  run -0 bash -c '{ zk-lock /l head -c 4; cat; } <<<"one two"'
  assert_output 'one two'
}

@test "zk-lock keeps its lock although nobody reads what it and its command have to say" {
  mkfifo pipe
  start reader cat pipe
  exec {pipe}>pipe
  signal STOP reader
  dd if=/dev/zero of=pipe oflag=nonblock bs=4096 2>/dev/null || true # until it is full
  proxy_start
  local talk='exec zk-lock "$@" --session-timeout 1.5s -c "echo inside; sleep 3" 2>pipe'
  start silent bash -c "$talk" - -v /silent
  start talking bash -c "$talk" - -vv --hosts "$PROXY$CHROOT" /talking
  start blocked bash -c 'exec zk-lock --session-timeout 1.5s /blocked -c "echo inside >&2; sleep 3; echo outside" >pipe'
  wait_inside talking
  # Now there is something to be said about a lost connection, and about a new one.
  proxy_mode rst
  wait_for 5 "the reset" grep -q reset "$(proxy_log)"
  proxy_mode pass
  finish talking
  assert_success
  finish silent
  assert_success
  # This one waits for its reader, and goes on holding the lock.
  running blocked || fail "it did not wait for its reader"
  run -124 zk-lock --nonblock /blocked true
  exec {pipe}>&-
  signal CONT reader
  finish blocked
  assert_success
  finish reader
}

@test "zk-lock and a pipe whose reader has gone: the command gets PIPE as it would alone, zk-lock none" {
  run -0 --separate-stderr bash -c 'zk-lock /l seq 1000000 | head -n 1; echo "${PIPESTATUS[0]}"'
  assert_output $'1\n141'
  assert_stderr ''
  mkfifo pipe
  start reader sh -c 'exec <pipe'
  run -3 bash -c 'exec 2>pipe; until test -e gone; do sleep 0.02; done; exec zk-lock -v /l sh -c "exit 3"' &
  local shell=$!
  finish reader
  touch gone
  wait "$shell"
}

# --- the grace period ---

@test "zk-lock refuses a grace period that does not fit the session timeout, and says which one would" {
  run -125 zk-lock --session-timeout 3s --grace 1.5s /l touch ran
  refute [ -e ran ]
  assert_output --partial '--grace 1.5s does not fit a session timeout of 3s'
  # Both ways out that it names are ways out.
  [[ $output =~ at\ most\ ([0-9.]+m?s).*--session-timeout\ ([0-9.]+m?s) ]] || fail "no advice: $output"
  local grace=${BASH_REMATCH[1]} timeout=${BASH_REMATCH[2]}
  run -0 zk-lock --session-timeout 3s --grace "$grace" /l true
  run -0 zk-lock --session-timeout "$timeout" --grace 1.5s /l true
}

@test "zk-lock has a grace period that fits a session of 1 s, too" {
  proxy_start
  start holder zk-lock --hosts "$PROXY$CHROOT" --session-timeout 1s /l bash -c '
    trap "echo TERM; while true; do :; done" TERM
    echo inside; while true; do sleep 0.01; done'
  wait_inside holder
  start next zk-lock --session-timeout 1s /l -c "$look_around"
  wait_for 5 "the waiter" ephemerals_are 2 /l
  pgrep -P "$(guard_of holder)" >pids
  proxy_mode drop
  finish next
  refute_output --partial 'still there'
  finish holder
  assert_failure 120
  assert_line TERM
}

@test "zk-lock --on-lost continue lets the command go on, and says 120 in the end" {
  start holder zk-lock --session-timeout 3s --on-lost continue /l -c 'echo inside; until test -e go; do sleep 0.02; done; exit 3'
  wait_inside holder
  start next zk-lock --session-timeout 3s /l echo inside
  wait_for 5 "the waiter" ephemerals_are 2 /l
  zk delete "$(node_of /l)"
  finish next
  assert_success
  running holder || fail "the command was stopped"
  touch go
  finish holder
  assert_failure 120
  assert_stderr --partial 'ended with status 3'
}

# --- others take the lock away ---

# A command that notes when it gets TERM.
readonly note_term='trap "echo TERM \${EPOCHREALTIME/./}; exit 0" TERM
echo inside; echo session $ZK_SESSION_ID; while true; do sleep 0.01; done'

start_noting() { # [OPTION...]
  start holder zk-lock --session-timeout "$long" "$@" /folder/l bash -c "$note_term"
  wait_for 5 "the holder to be inside" says holder '^session'
}

assert_was_stopped_since() { # MOMENT
  finish holder
  assert_failure 120
  assert_output --partial TERM
  local late=$(($(word_of holder TERM 2) - $1))
  ((late < 1000000)) || fail "TERM came $late us later"
  assert_stderr --partial 'lost /folder/l'
}

close_session() { zk closesession "0x$(printf '%x' "$(word_of holder session 2)")"; }

@test "zk-lock whose node somebody else deletes stops the command at once, status 120" {
  start_noting
  zk delete "$(node_of /folder/l)"
  assert_was_stopped_since "$(microseconds)"
  assert_stderr --partial 'deleted by someone else'
}

@test "zk-lock whose folder somebody else deletes, with all in it, stops the command at once, status 120" {
  start_noting
  zk deleteall /folder
  assert_was_stopped_since "$(microseconds)"
  assert_stderr --partial 'deleted by someone else'
}

@test "zk-lock whose session somebody else closes stops the command at once, status 120" {
  proxy_start
  # The server cuts the connection when a second client comes with the session; it must not be back before that says goodbye.
  proxy_mode delay:200
  start_noting --hosts "$PROXY$CHROOT"
  close_session
  assert_was_stopped_since "$(microseconds)"
}

@test "zk-lock that hears only when it releases the lock that the session was closed says 120, too" {
  proxy_start
  start holder zk-lock --hosts "$PROXY$CHROOT" --session-timeout "$long" /l -c \
    'echo session $ZK_SESSION_ID; until test -e go; do sleep 0.01; done'
  wait_for 5 "the holder to be inside" says holder '^session'
  proxy_mode drop
  close_session
  ephemerals_are 0 /l || fail "the session lives"
  touch go
  wait_for 5 "the end of the command" dead "$(pgrep -P "$(guard_of holder)")"
  proxy_mode pass
  finish holder
  assert_failure 120
}

@test "zk-lock that lost the lock says 120 although its command ended well, and another can be inside" {
  start holder zk-lock --session-timeout "$long" /l -c 'trap "exit 0" TERM; echo inside; while :; do sleep 0.01; done'
  wait_inside holder
  zk delete "$(node_of /l)"
  finish holder
  assert_failure 120
  run -0 zk-lock -n /l true
}

# --- under itself ---

@test "zk-lock under itself, on the same lock, is refused instead of waiting for itself" {
  local outer inner
  for outer in '' --shared --limit=1; do
    for inner in '' --shared --limit=1; do
      if [[ $outer == --shared && $inner == --shared ]]; then continue; fi # they share it
      # shellcheck disable=SC2086 # none, or one word
      start nested zk-lock $outer /l zk-lock $inner /l touch ran
      finish nested 3
      assert_equal "${outer:-exclusive} ${inner:-exclusive} $status" "${outer:-exclusive} ${inner:-exclusive} 125"
      refute [ -e ran ]
    done
  done
}

@test "zk-lock under itself is refused with another lock between, too" {
  start nested zk-lock /a zk-lock /b zk-lock /a touch ran
  finish nested 3
  assert_failure 125
  start nested zk-lock --also /a /b zk-lock /a touch ran
  finish nested 3
  assert_failure 125
  refute [ -e ran ]
}

@test "zk-lock under itself, on another lock, works, and so it does when the lock above is gone" {
  run -0 zk-lock /a zk-lock /b echo both
  assert_output both
  # The one above has lost its lock, and its command goes on: then there is nothing to wait for.
  run -120 --separate-stderr zk-lock --on-lost continue /a -c 'zk.py delete "$ZK_LOCK_NODE"; zk-lock /a echo alone'
  assert_output alone
}
