# zk-lock: the queue, the command line and the connection, on a healthy server. How it runs its command, and what
# happens when things break, have files of their own.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells and awks that are started with it
load helpers

# Under `run`: what hangs is ended here, because Bats at its timeout would wait for the end of the output first.
zk-lock() { timeout --foreground -s KILL 20 zk-lock "$@"; }

# --- contenders ---

# NAME OPTION... PATH: a contender; once inside, it stays there until `leave NAME`
contend() {
  local name=$1 here=$BATS_TEST_TMPDIR
  shift
  mkfifo "$here/$name.gate"
  # The gate is opened for both directions on both sides: so nobody waits for the other to open it.
  start "$name" zk-lock "$@" -- sh -c 'exec 3<>"$1.gate"; echo "$ZK_LOCK_TOKEN" >"$1.token"; read -r _ <&3' - "$here/$name"
}

inside() { [[ -s $BATS_TEST_TMPDIR/$1.token ]]; } # NAME

# What --list says does not prove it: it works out by itself who may be inside.
outside() { if inside "$1"; then fail "$1 is inside"; fi; } # NAME

token_of() { cat "$BATS_TEST_TMPDIR/$1.token"; } # NAME

wait_inside() { wait_for 10 "$1 to be inside" inside "$1"; } # NAME

hold() { # NAME OPTION... PATH: a contender that is inside when this returns
  contend "$@"
  wait_inside "$1"
}

leave() { # NAME: sees it out
  printf '\n' 1<>"$BATS_TEST_TMPDIR/$1.gate"
  finish "$1"
  assert_success
}

waiting_are() { (($(zk-lock --list "$2" | grep -c '^waiting') == $1)); } # N PATH

in_line() { wait_for 10 "$1 to wait for $2" waiting_are "$1" "$2"; } # N PATH

# NAME OPTION... PATH: a holder without a command, which `end_input` ends
hold_by_hand() {
  local fifo=$BATS_TEST_TMPDIR/$1.in
  mkfifo "$fifo"
  exec {input}<>"$fifo"
  start "$1" sh -c 'exec zk-lock "$@" <"$0"' "$fifo" "${@:2}"
  wait_for 10 "$1 to be inside" test -s "$(out "$1")"
}

end_input() { exec {input}>&-; }

# --- looking ---

nodes() { zk-lock --list --json "$1" | json node; } # PATH: of holders and waiters, in order

session_of() { zk-lock --list --json "$2" | sed -n "${1}p" | json 'hex(session)'; } # N PATH: of the Nth of them

# COMMAND...: as `run` does it; sets took and cpu, in milliseconds
measure() {
  local stat begin
  read -ra stat </proc/self/stat
  cpu=$((stat[15] + stat[16])) # of the children that have ended, in ticks of 10 ms
  begin=$(microseconds)
  run "$@"
  took=$((($(microseconds) - begin) / 1000))
  read -ra stat </proc/self/stat
  cpu=$(((stat[15] + stat[16] - cpu) * 10))
}

assert_between() { (($1 <= $2 && $2 <= $3)) || fail "$2 is not between $1 and $3"; } # LOW VALUE HIGH

says() { [[ ${stderr-} == *"$1"* ]] || fail "standard error does not say '$1': ${stderr-}"; } # TEXT

# TEXT ARGUMENT...: zk-lock refuses the arguments, and says TEXT to that
refuses() {
  run -125 --separate-stderr zk-lock "${@:2}"
  assert_output ''
  says "$1"
}

# --- one at a time, in order ---

@test "zk-lock lets contenders in in the order in which they came" {
  local n
  hold first /l
  for n in 1 2 3 4 5; do
    start "c$n" zk-lock /l -c "echo $n >>'$BATS_TEST_TMPDIR/order'"
    in_line "$n" /l
  done
  leave first
  for n in 1 2 3 4 5; do
    finish "c$n"
    assert_success
  done
  assert_equal "$(<"$BATS_TEST_TMPDIR/order")" $'1\n2\n3\n4\n5'
}

@test "zk-lock keeps the order when some who wait are killed or give up" {
  local n before=0 order=$BATS_TEST_TMPDIR/order
  hold first /l
  for n in killed-next late killed-later; do
    start "$n" zk-lock --session-timeout 400ms /l -c "echo $n >>'$order'"
    in_line "$((++before))" /l
  done
  start impatient zk-lock --wait 500ms /l -c "echo impatient >>'$order'"
  in_line 4 /l
  start last zk-lock /l -c "echo last >>'$order'"
  in_line 5 /l

  signal KILL killed-next
  signal KILL killed-later
  finish impatient
  assert_failure 124
  # Each of the two who are left has looked again, and watches the one who is before it now.
  in_line 2 /l
  local all
  mapfile -t all < <(nodes /l)
  wait_for 5 "the watches to move up" watches_equal "${all[0]}" "${all[0]}" "${all[1]}"
  assert_not_exist "$order"

  leave first
  finish late
  assert_success
  finish last
  assert_success
  assert_equal "$(<"$order")" $'late\nlast'
}

watches_equal() { [[ $(watches) == "$(printf '%s\n' "$@" | sort)" ]]; } # PATH...

@test "a waiting zk-lock watches only the contender before it" {
  local n all
  hold first /l
  for n in 1 2 3 4 5; do
    start "c$n" zk-lock /l true
    in_line "$n" /l
  done
  mapfile -t all < <(nodes /l)
  assert_equal "${#all[@]}" 6
  # All but the last are watched by the one behind, and the holder's node also by the holder itself.
  wait_for 5 "each to watch one node" watches_equal "${all[0]}" "${all[@]:0:5}"
  leave first
  for n in 1 2 3 4 5; do finish "c$n"; done
}

# Who has been busy, as the server saw it: session, packets received and sent. Not those whose last request was a
# heartbeat: that says nothing about what woke them.
traffic() {
  four_letter cons | sed -nE '/lop=(PING|EXIS|MULT)/d; s/.*recved=([0-9]+),sent=([0-9]+),sid=(0x[0-9a-f]+).*/\3 \1 \2/p' | sort
}

@test "zk-lock wakes one of 100 waiters when the lock is released" {
  local n before session requests answers
  hold first --session-timeout 60s /l
  contend second --session-timeout 60s /l
  in_line 1 /l
  for n in {1..99}; do start "c$n" zk-lock --session-timeout 60s /l true; done
  in_line 100 /l
  wait_for 10 "all 100 to watch one, and the holder to watch itself" watches_are 101

  before=$(traffic)
  leave first
  wait_inside second
  wait_for 5 "the watches of who has left to go" watches_are 100
  run -0 awk 'NR == FNR { received[$1] = $2; sent[$1] = $3; next }
    $2 > received[$1] || $3 > sent[$1] { print $1, $2 - received[$1], $3 - sent[$1] }' <(printf '%s\n' "$before") <(traffic)
  assert_equal "${#lines[@]}" 1
  read -r session requests answers <<<"$output"
  assert_equal "$session" "$(session_of 1 /l)"
  # It reads the list and watches its own node, perhaps with a heartbeat; the event itself is one packet more.
  assert_between 2 "$requests" 3
  assert_equal "$answers" "$((requests + 1))"

  leave second
  for n in {1..99}; do
    finish "c$n" 30
    assert_success
  done
}

watches_are() { (($(watches | wc -l) == $1)); }

@test "zk-lock gives each of 200 contenders started at once its turn, alone" {
  local n script='mkdir "$1/busy" || echo overlap; echo "$2"; rmdir "$1/busy"'
  for n in {1..200}; do start "c$n" zk-lock /l sh -c "$script" - "$BATS_TEST_TMPDIR" "$n"; done
  for n in {1..200}; do
    finish "c$n" 50
    assert_success
    assert_output "$n"
  done
}

@test "a waiting zk-lock uses no processor time" {
  local name before
  hold writer /l
  hold permit --limit 1 /m
  contend w /l
  in_line 1 /l
  contend r -s /l
  in_line 2 /l
  contend p1 --limit 1 /m
  in_line 1 /m
  contend p2 --limit 1 /m
  in_line 2 /m
  before=$(for name in w r p1 p2; do ticks "$name"; done)
  sleep 2 # the time that is looked at
  paste <(printf '%s\n' "$before") <(for name in w r p1 p2; do ticks "$name"; done) >"$BATS_TEST_TMPDIR/ticks"
  run -0 awk '$4 > $2 + 1 { print $1, $4 - $2 }' "$BATS_TEST_TMPDIR/ticks"
  assert_output ''
  for name in writer permit; do leave "$name"; done
  for name in w r p1 p2; do leave "$name"; done
}

ticks() { # NAME: prints it, and its processor time in ticks of 10 ms
  local stat
  read -ra stat <"/proc/$(pid_of "$1")/stat"
  printf '%s %s\n' "$1" "$((stat[13] + stat[14]))"
}

@test "zk-lock enters a free lock one round trip after it has connected" {
  zk create /l
  proxy_start
  proxy_mode delay:500
  local begin
  begin=$(microseconds)
  ZK_HOSTS=$PROXY$CHROOT run -0 zk-lock /l bash -c 'echo "${EPOCHREALTIME//[!0-9]/}"'
  # The connection request is one delay; the create and the list, which share their way, another.
  assert_between 1000 "$(((output - begin) / 1000))" 1499
}

@test "zk-lock -v says who is ahead, when it enters, and when it leaves" {
  hold first --label 'the first' /l
  start second zk-lock -v /l true
  in_line 1 /l
  leave first
  finish second
  assert_success
  assert_output ''
  says "waiting for /l, number 1 in line, behind $(hostname):$(pid_of first) (the first)"$'\n'
  assert_regex "$stderr" 'zk-lock: inside /l after [0-9.]+m?s'
  assert_regex "$stderr" 'zk-lock: left /l after [0-9.]+m?s$'
}

@test "zk-lock says nothing when all goes well" {
  run -0 --separate-stderr zk-lock /l true
  assert_output ''
  assert_equal "$stderr" ''
}

# --- readers and writers ---

@test "zk-lock -s shares the lock with readers, and a writer waits until the last has left" {
  hold r1 -s /l
  hold r2 --shared /l
  contend w /l
  in_line 1 /l
  leave r1
  waiting_are 1 /l
  outside w
  leave r2
  wait_inside w
  leave w
}

@test "zk-lock -s waits behind a writer that waits, so that no writer starves" {
  hold r1 -s /l
  contend w -x /l
  in_line 1 /l
  contend r2 -s /l
  in_line 2 /l
  leave r1
  wait_inside w
  wait_for 5 "the reader to watch the writer, as that does itself" watches_equal "$(nodes /l | head -n 1)" "$(nodes /l | head -n 1)"
  outside r2
  leave w
  wait_inside r2
  leave r2
}

@test "zk-lock -s waits for the next writer when the nearest one gives up" {
  hold w1 /l
  start w2 zk-lock /l true
  in_line 1 /l
  contend r -s /l
  in_line 2 /l
  signal TERM w2
  finish w2
  assert_failure 143
  # It has looked again, and watches the one that is before it now.
  wait_for 5 "the reader to watch the holder" watches_equal "$(nodes /l | head -n 1)" "$(nodes /l | head -n 1)"
  outside r
  leave w1
  wait_inside r
  leave r
}

@test "zk-lock -s lets all readers behind a writer in when it leaves" {
  local n
  hold w /l
  contend r1 -s /l
  contend r2 -s /l
  contend r3 -s /l
  in_line 3 /l
  wait_for 5 "all to watch the writer" watches_are 4
  for n in 1 2 3; do outside "r$n"; done
  leave w
  wait_inside r1
  wait_inside r2
  wait_inside r3
  leave r2
  leave r1
  leave r3
}

@test "zk-lock never lets a writer in with anybody else" {
  local n log=$BATS_TEST_TMPDIR/log
  for n in 1 2 3 4 5 6 7 8; do
    start "c$n" sh -c 'for n in 1 2 3 4 5 6; do
      if [ $((($1 + n) % 3)) = 0 ]; then mode=-x; else mode=-s; fi
      zk-lock $mode /l sh -c "echo enter $mode; sleep 0.02; echo leave $mode" >>"$2" || exit
    done' - "$n" "$log"
  done
  for n in 1 2 3 4 5 6 7 8; do
    finish "c$n" 30
    assert_success
  done
  run -0 awk '
    $1 == "enter" { n[$2]++; all++ }
    $1 == "leave" { n[$2]-- }
    n["-x"] > 1 || (n["-x"] && n["-s"]) { print "overlap in line " NR }
    n["-s"] > most { most = n["-s"] }
    END { print all, (most > 1 ? "readers met" : "no readers met") }' "$log"
  assert_output '48 readers met'
}

# --- at most N ---

@test "zk-lock --limit 3 never admits four, also while holders are killed" {
  local n pid log=$BATS_TEST_TMPDIR/log
  cat >"$BATS_TEST_TMPDIR/worker" <<'SCRIPT'
#!/bin/sh
# A worker that is told to stop is inside until it says that it leaves.
trap 'echo leave $$; exit 1' TERM
echo enter $$
sleep 0.15 &
wait
echo leave $$
SCRIPT
  chmod +x "$BATS_TEST_TMPDIR/worker"
  allow_lingering
  for n in 1 2 3 4 5 6 7 8; do
    start "c$n" sh -c 'for n in 1 2 3 4 5 6; do zk-lock --limit 3 --session-timeout 500ms /l "$1"; done >>"$2"; true' - "$BATS_TEST_TMPDIR/worker" "$log"
  done
  for n in 1 2 3 4 5; do
    wait_for 10 "three to be inside" holders_are 3 /l
    pid=$(zk-lock --list --json /l | json 'pid if inside else ""' | grep . | shuf -n 1)
    kill -KILL "$pid" || true # it may have left by itself since
    wait_for 10 "the lock of the killed one to expire" zk_lock_of_is_gone "$pid" /l
  done
  for n in 1 2 3 4 5 6 7 8; do
    finish "c$n" 30
    assert_success
  done
  run -0 awk '
    $1 == "enter" { here[$2] = 1 }
    $1 == "leave" { delete here[$2] }
    { n = 0; for (pid in here) n++; if (n > most) most = n }
    END { print most " at once" }' "$log"
  assert_output '3 at once'
  assert_between 40 "$(grep -c enter "$log")" 48
}

holders_are() { (($(zk-lock --list "$2" | grep -c '^inside') == $1)); } # N PATH

zk_lock_of_is_gone() { ! zk-lock --list --json "$2" | json pid | grep -qx "$1"; } # PID PATH

@test "zk-lock --limit lets the next one in when any holder leaves" {
  hold a --limit 2 /l
  hold b --limit 2 /l
  contend c --limit 2 /l
  in_line 1 /l
  contend d --limit 2 /l
  in_line 2 /l
  contend e --limit 2 /l
  in_line 3 /l
  outside c
  leave b
  wait_inside c
  outside d
  leave c
  wait_inside d
  outside e
  leave a
  wait_inside e
  leave e
  leave d
}

@test "zk-lock --limit lets as many in as have left at once" {
  local n holders
  for n in 1 2 3; do hold "a$n" --limit 3 /l; done
  for n in 1 2 3 4; do
    contend "b$n" --limit 3 /l
    in_line "$n" /l
  done
  # At the same moment for the waiters: their first sees one change of the folder.
  mapfile -t holders < <(nodes /l | head -n 3)
  kazoo 'transaction = zk.transaction()
for node in sys.argv[1:]: transaction.delete(node)
transaction.commit()' "${holders[@]}"
  for n in 1 2 3; do
    wait_inside "b$n"
    finish "a$n"
    assert_failure 120
  done
  outside b4
  leave b2
  wait_inside b4
  for n in 1 3 4; do leave "b$n"; done
}

@test "zk-lock --limit lets the next one in although the first in line has given up" {
  hold a --limit 1 /l
  start b zk-lock --limit 1 /l true
  in_line 1 /l
  contend c --limit 1 /l
  in_line 2 /l
  contend d --limit 1 /l
  in_line 3 /l
  signal TERM b
  finish b
  assert_failure 143
  outside c
  leave a
  wait_inside c
  outside d
  leave c
  wait_inside d
  leave d
}

@test "a waiting zk-lock --limit watches only the contender before it, and the first in line no contender" {
  local n all
  hold a --limit 2 /l
  hold b --limit 2 /l
  for n in 1 2 3; do
    start "c$n" zk-lock --limit 2 /l true
    in_line "$n" /l
  done
  mapfile -t all < <(nodes /l)
  # The holders watch their own nodes; the watch that the first in line has on the folder is not shown here.
  wait_for 5 "each to watch one node" watches_equal "${all[@]:0:4}"
  leave a
  leave b
  for n in 1 2 3; do finish "c$n"; done
}

@test "zk-lock --limit wakes two of 20 waiters when a holder leaves" {
  local n before
  hold a --session-timeout 60s --limit 2 /l
  hold b --session-timeout 60s --limit 2 /l
  contend c --session-timeout 60s --limit 2 /l
  in_line 1 /l
  contend d --session-timeout 60s --limit 2 /l
  in_line 2 /l
  for n in {1..18}; do start "c$n" zk-lock --session-timeout 60s --limit 2 /l true; done
  in_line 20 /l
  wait_for 10 "all but the first in line to watch a node" watches_are 21
  before=$(traffic)
  leave a
  wait_inside c
  wait_for 5 "the next to be the first in line" watches_are 20
  run -0 comm -13 <(printf '%s\n' "$before") <(traffic)
  # The one who enters, and the one who is the first in line now.
  assert_equal "$(cut -d ' ' -f 1 <<<"$output")" "$(session_of 2,3 /l | sort)"
  leave b
  wait_inside d
  leave c
  leave d
  for n in {1..18}; do
    finish "c$n" 30
    assert_success
  done
}

@test "zk-lock --limit keeps to the order in which they came" {
  local n
  hold first --limit 1 /l
  for n in 1 2 3 4; do
    start "c$n" zk-lock --limit 1 /l -c "echo $n >>'$BATS_TEST_TMPDIR/order'"
    in_line "$n" /l
  done
  leave first
  for n in 1 2 3 4; do
    finish "c$n"
    assert_success
  done
  assert_equal "$(<"$BATS_TEST_TMPDIR/order")" $'1\n2\n3\n4'
}

@test "zk-lock --limit refuses another limit than the lock has, and names both" {
  hold a --limit 3 /l
  refuses '/l has a limit of 3, not 2' --limit 2 /l true
  refuses '/l has a limit of 3, not 4' --limit 4 /l true
  ephemerals_are 1
  leave a
}

@test "zk-lock --limit and zk-lock without it refuse each other" {
  hold limited --limit 3 /l
  refuses '/l is in use with a limit; say --limit' /l true
  refuses '/l is in use with a limit; say --limit' --shared /l true
  hold exclusive /m
  refuses '/m is in use without a limit, not with --limit 3' --limit 3 /m true
  hold shared -s /n
  refuses '/n is in use without a limit, not with --limit 3' --limit 3 /n true
  ephemerals_are 3
  leave limited
  leave exclusive
  leave shared
}

@test "zk-lock --limit refuses a folder that holds something else" {
  zk create /l 'a recipe for soup'
  refuses '/l holds data of something else' --limit 3 /l true
  assert_equal "$(zk get /l)" 'a recipe for soup'
}

# --- several locks ---

@test "zk-lock --also holds both locks" {
  hold both /b --also /a
  run -124 zk-lock -n /a true
  run -124 zk-lock -n /b true
  leave both
  run -0 zk-lock -n /a true
  run -0 zk-lock -n /b true
}

@test "zk-lock --also cannot deadlock with another that names the same locks in another order" {
  local n script='mkdir "$1/busy" || exit 9; rmdir "$1/busy"'
  local loop='for n in 1 2 3 4 5 6 7 8 9 10; do zk-lock "$2" --also "$3" --wait 20s sh -c "$4" - "$1" || exit; done'
  for n in 1 2 3; do
    start "ab$n" sh -c "$loop" - "$BATS_TEST_TMPDIR" /a /b "$script"
    start "ba$n" sh -c "$loop" - "$BATS_TEST_TMPDIR" /b /a "$script"
  done
  for n in 1 2 3; do
    finish "ab$n" 30
    assert_success
    finish "ba$n" 30
    assert_success
  done
}

@test "zk-lock --also refuses to take the same lock twice" {
  refuses 'the lock /a is named twice' /a --also /a true
  refuses 'the lock /b is named twice' /a --also /b --also /b true
}

@test "zk-lock --also tells the command the token of each lock" {
  run -0 zk-lock /b --also /a --also /c sh -c 'echo "path $ZK_LOCK_PATH $ZK_LOCK_TOKEN"; printf %s "$ZK_LOCK_TOKENS"
    for lock in a b c; do echo "$(zk.py stat /$lock/$(zk.py children /$lock) czxid) /$lock"; done'
  assert_equal "${#lines[@]}" 7
  assert_equal "${lines[*]:1:3}" "${lines[*]:4:3}"
  assert_equal "${lines[0]}" "path /b ${lines[5]%% *}"
}

@test "zk-lock --also gives back what it has when another of the locks is not free" {
  hold b /b
  run -124 zk-lock -n /a --also /b true
  ephemerals_are 1
  run -124 zk-lock --wait 300ms /c --also /b true
  ephemerals_are 1
  leave b
}

# --- exit statuses ---

@test "zk-lock exits with the command's own status" {
  run -0 zk-lock /l true
  run -1 zk-lock /l false
  run -7 zk-lock /l sh -c 'exit 7'
  run -124 zk-lock /l sh -c 'exit 124'
  run -255 zk-lock /l sh -c 'exit 255'
}

@test "zk-lock exits with 128+N when signal N ended the command" {
  local sig number
  for sig in HUP INT KILL TERM SEGV; do
    number=$(kill -l "$sig")
    start "$sig" zk-lock /l sh -c 'ulimit -c 0; kill -s "$1" $$' - "$sig"
    finish "$sig"
    assert_failure $((128 + number))
  done
}

@test "zk-lock exits with 126 if the command cannot be executed, with 127 if there is none" {
  touch "$BATS_TEST_TMPDIR/data"
  run -126 --separate-stderr zk-lock /l "$BATS_TEST_TMPDIR/data"
  assert_output ''
  says "cannot execute $BATS_TEST_TMPDIR/data: Permission denied"
  run -126 --separate-stderr zk-lock /l "$BATS_TEST_TMPDIR"
  says "cannot execute $BATS_TEST_TMPDIR: Permission denied"
  run -127 --separate-stderr zk-lock /l no-such-command
  assert_output ''
  says 'cannot execute no-such-command: No such file or directory'
  ephemerals_are 0
}

@test "zk-lock -n gives up at once with 124, and leaves no node" {
  hold first /l
  measure -124 --separate-stderr zk-lock -n /l touch "$BATS_TEST_TMPDIR/ran"
  ephemerals_are 1
  assert_output ''
  assert_equal "$stderr" 'zk-lock: /l is not free'
  assert_between 0 "$took" 500
  run -124 zk-lock --nonblock --shared /l touch "$BATS_TEST_TMPDIR/ran"
  ephemerals_are 1
  assert_not_exist "$BATS_TEST_TMPDIR/ran"
  hold reader -s /m
  run -0 zk-lock -n -s /m true
  run -124 zk-lock -n -x /m true
  hold permit --limit 1 /n
  run -124 zk-lock -n --limit 1 /n true
  ephemerals_are 3
  leave first
  leave reader
  leave permit
}

@test "zk-lock --wait gives up in time with 124, and leaves no node" {
  hold first /l
  measure -124 --separate-stderr zk-lock --wait 700ms /l touch "$BATS_TEST_TMPDIR/ran"
  ephemerals_are 1
  assert_output ''
  assert_equal "$stderr" 'zk-lock: gave up waiting for /l'
  assert_between 700 "$took" 1100
  measure -124 --separate-stderr zk-lock -w 0.3 -s /l touch "$BATS_TEST_TMPDIR/ran"
  ephemerals_are 1
  assert_between 300 "$took" 700
  assert_not_exist "$BATS_TEST_TMPDIR/ran"
  leave first
  run -0 zk-lock --wait 1m /l true
}

@test "zk-lock --wait does not limit the command's own time" {
  run -5 zk-lock --wait 300ms /l sh -c 'sleep 0.6; exit 5'
}

@test "zk-lock --wait counts the time that connecting takes" {
  proxy_start
  proxy_mode hold
  measure -124 --separate-stderr zk-lock --hosts "$PROXY" --wait 500ms /l true
  says "gave up waiting for a connection to ZooKeeper at $PROXY"
  assert_between 500 "$took" 900
}

@test "zk-lock -E sets the status for not getting the lock, and no other" {
  hold first /l
  run -3 zk-lock -n -E 3 /l true
  run -0 zk-lock -n -E 0 /l true
  run -42 zk-lock --wait 200ms --conflict-exit-code 42 /l true
  run -7 zk-lock -n -E 3 /m sh -c 'exit 7'
  run -125 zk-lock -n -E 3 m true
  leave first
}

@test "zk-lock refuses wrong usage with 125 and a sentence that names what is wrong" {
  local run=(/l touch "$BATS_TEST_TMPDIR/ran") wrong
  refuses 'PATH is missing'
  refuses 'PATH is missing' --shared
  refuses '--bogus' --bogus "${run[@]}"
  refuses '-Z' -nZ "${run[@]}"
  refuses '--nonblock' --nonblock=maybe "${run[@]}"
  for wrong in 0 -1 1000001 99999999999 3.5 three ''; do refuses "--limit: '$wrong'" --limit "$wrong" "${run[@]}"; done
  for wrong in -1 256 x ''; do refuses "-E, --conflict-exit-code: '$wrong'" -E "$wrong" "${run[@]}"; done
  for wrong in x -1 1.2.3 1e3 3w . s '1 s' 99999999999h ''; do
    refuses "-w, --wait: '$wrong' is not a duration" --wait "$wrong" "${run[@]}"
  done
  refuses '--wait' /l --wait
  refuses '--grace: ' --grace x "${run[@]}"
  refuses "--on-lost: 'maybe' is not one of stop|continue" --on-lost maybe "${run[@]}"
  refuses "--acl: 'nobody' is not one of open|creator" --acl nobody "${run[@]}"
  refuses '--acl creator needs --auth-file' --acl creator "${run[@]}"
  refuses '--session-timeout: ' --session-timeout x "${run[@]}"
  refuses '--session-timeout 0' --session-timeout 0 "${run[@]}"
  refuses '--session-timeout 25h' --session-timeout 25h "${run[@]}"
  refuses '--connect-timeout: ' --connect-timeout x "${run[@]}"
  refuses '--shared excludes --exclusive' -s -x "${run[@]}"
  refuses '--shared excludes --exclusive and --limit' -s --limit 2 "${run[@]}"
  refuses '--exclusive excludes --limit' -x --limit 2 "${run[@]}"
  refuses '--json goes with --list' --json "${run[@]}"
  refuses '-c STRING excludes a COMMAND' -c true "${run[@]}"
  refuses '--list' --list "${run[@]}"
  refuses '-c' /l -c
  ZK_SESSION_TIMEOUT=soon refuses "ZK_SESSION_TIMEOUT: 'soon'" "${run[@]}"
  assert_not_exist "$BATS_TEST_TMPDIR/ran"
}

@test "zk-lock refuses addresses that are none, and says how to write one" {
  local hosts
  for hosts in ',' :2181 a,,b a: a:b a:0 a:65536 ::1 '[::1' '[::1]2181' 'a b' $'a\e[31m' a:-1 /chroot; do
    refuses 'write HOST:PORT[,HOST:PORT...][/CHROOT]' --hosts "$hosts" /l true
    [[ $stderr != *$'\e'* ]] || fail "escape sequence on standard error: ${stderr@Q}"
  done
  ZK_HOSTS=a:b refuses "hosts 'a:b'" /l true
  refuses "path '/a//b' is not valid" --hosts 127.0.0.1:1/a//b /l true
}

@test "zk-lock shows the terminal nothing but text, whatever the arguments are" {
  local evil=$'\e[31mx\n\x9b' option
  for option in --wait --limit -E --on-lost --hosts --session-timeout --"$evil"; do
    run -125 --separate-stderr zk-lock "$option" "$evil" /l true
    [[ $stderr != *$'\e'* && $stderr != *$'\x9b'* ]] || fail "escape sequence on standard error: ${stderr@Q}"
  done
  refuses 'not valid' "/$evil" true
  [[ $stderr != *$'\e'* ]] || fail "escape sequence on standard error: ${stderr@Q}"
}

# --- the command line ---

@test "zk-lock takes options before and after PATH, and leaves those of the command alone" {
  run -0 zk-lock -n /l echo -n --wait -x
  assert_output -- '--wait -x'
  run -0 zk-lock /l -n --wait 1s echo -s --list
  assert_output -- '-s --list'
  run -0 zk-lock --wait=1s /l --label=me -- echo -- x
  assert_output -- '-- x'
  run -0 zk-lock -n -- /l echo y
  assert_output y
  run -127 zk-lock /l -- -n
  assert_output --partial 'cannot execute -n'
}

@test "zk-lock takes bundled options as flock does" {
  hold first /l
  run -124 zk-lock -nx /l true
  run -124 zk-lock -xn /l true
  run -124 zk-lock -sn /l true
  run -9 zk-lock -nE9 /l true
  run -9 zk-lock -nE 9 /l true
  run -9 zk-lock -xw0.2 -E 9 /l true
  run -9 zk-lock /l -sw 0.2 -E9 true
  leave first
}

@test "zk-lock -c gives its string to the shell" {
  run -3 zk-lock /l -c 'echo "$((6 * 7)) $ZK_LOCK_PATH"; exit 3'
  assert_output '42 /l'
  run -0 zk-lock -c 'echo before; echo PATH' /l
  assert_output $'before\nPATH'
  run -0 zk-lock /l --command='echo long'
  assert_output long
}

@test "zk-lock executes the command without a shell" {
  run -0 zk-lock /l printf '<%s>' 'a b' '$HOME' '' '*' ';true' $'new\nline'
  assert_output $'<a b><$HOME><><*><;true><new\nline>'
}

@test "zk-lock --help shows the options, the statuses and an example; --version the version" {
  run -0 --separate-stderr zk-lock --help
  assert_equal "$stderr" ''
  local option
  assert_line --index 0 --regexp '^Usage: zk-lock '
  for option in --exclusive --shared --nonblock --wait --conflict-exit-code --limit --also --label --grace --on-lost --list \
    --json --hosts --session-timeout --connect-timeout --auth-file --acl --quiet --verbose --help --version; do
    assert_line --partial -- "$option"
  done
  assert_line --regexp '^  124 +gave up'
  assert_line --partial 'backup.sh'
  run -0 zk-lock --version
  assert_output --regexp '^zk-lock \(zkutils\) [0-9]+\.[0-9]+'
}

# --- what the command knows ---

@test "zk-lock tells the command what it holds" {
  export ZK_LOCK_PATH=/old ZK_LOCK_NODE=/old/node ZK_LOCK_TOKEN=1 ZK_LOCK_MODE=old ZK_SESSION_ID=1
  run -0 zk-lock /a/b sh -c 'for name in PATH NODE TOKEN MODE; do eval "echo \$ZK_LOCK_$name"; done; echo $ZK_HOSTS; printf "0x%x\n" $ZK_SESSION_ID
    zk.py children /a/b; zk.py stat "$ZK_LOCK_NODE" czxid; zk.py stat "$ZK_LOCK_NODE" ephemeralOwner'
  local path=${lines[0]} node=${lines[1]} token=${lines[2]} mode=${lines[3]} hosts=${lines[4]} session=${lines[5]}
  assert_equal "$path" /a/b
  assert_equal "$node" "/a/b/${lines[6]}"
  assert_equal "$token" "${lines[7]}"
  assert_equal "$mode" exclusive
  assert_equal "$hosts" "$ZK_HOSTS"
  assert_equal "$session" "${lines[8]}"
}

@test "zk-lock tells the command how it holds the lock" {
  local show='echo $ZK_LOCK_MODE'
  run -0 zk-lock -x /l -c "$show"
  assert_output exclusive
  run -0 zk-lock -s /l -c "$show"
  assert_output shared
  run -0 zk-lock --limit 2 /l -c "$show"
  assert_output limited
}

@test "zk-lock hands its --hosts on, so that tools in the command find the same servers" {
  local hosts=$ZK_HOSTS/elsewhere
  ZK_HOSTS=127.0.0.1:1 run -0 zk-lock --hosts "$hosts" /l -c 'echo $ZK_HOSTS; zk-lock --list /l'
  assert_line --index 0 "$hosts"
  assert_line --index 1 --regexp '^inside '
}

@test "zk-lock gives tokens that rise from holder to holder, also after its folder was deleted" {
  local last=0 turn
  for turn in 1 2 3 deleted 4 5; do
    if [[ $turn == deleted ]]; then
      zk deleteall /l
      continue
    fi
    run -0 zk-lock /l -c 'echo $ZK_LOCK_TOKEN; echo $ZK_LOCK_NODE'
    assert_between $((last + 1)) "${lines[0]}" $((1 << 62))
    last=${lines[0]}
    # The server counts anew in a new folder, so its number would not do.
    if [[ $turn == 4 ]]; then assert_equal "${lines[1]: -10}" 0000000000; fi
  done
}

# --- looking at a lock ---

@test "zk-lock --list shows holders and queue in order, a line each" {
  local names=(r1 r2 w r3) labels=('reader one' sh sh 'reader three') modes=(shared shared exclusive shared) n field
  hold r1 -s --label 'reader one' /l
  hold r2 -s /l
  contend w /l
  in_line 1 /l
  contend r3 -s --label 'reader three' /l
  in_line 2 /l
  run -0 --separate-stderr zk-lock --list /l
  assert_equal "$stderr" ''
  assert_equal "${#lines[@]}" 4
  for n in 0 1 2 3; do
    for field in "$(hostname):$(pid_of "${names[n]}") \(${labels[n]}\)" "${modes[n]}" 'token [0-9]+' \
      'since 20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z'; do
      assert_regex "${lines[n]}" "  $field(  |\$)"
    done
  done
  assert_equal "${lines[*]%% *}" 'inside inside waiting waiting'
  assert_regex "${lines[0]}" "  token $(token_of r1)(  |\$)"
  assert_regex "${lines[1]}" "  token $(token_of r2)(  |\$)"
  leave r1
  leave r2
  wait_inside w
  leave w
  wait_inside r3
  leave r3
}

@test "zk-lock --list --json shows the same as JSON, an object a line" {
  hold a --limit 1 --label "quotes \" and \\" /l
  contend b --limit 1 /l
  in_line 1 /l
  run -0 --separate-stderr zk-lock --list --json /l
  assert_equal "${#lines[@]}" 2
  local fields='[inside, mode, host, pid, label, token if inside else 0, 0 < token, since[10] + since[-1]]'
  assert_equal "$(json "$fields" <<<"${lines[0]}")" \
    "[True, 'limited', '$(hostname)', $(pid_of a), 'quotes \" and \\\\', $(token_of a), True, 'TZ']"
  assert_equal "$(json "$fields" <<<"${lines[1]}")" "[False, 'limited', '$(hostname)', $(pid_of b), 'sh', 0, True, 'TZ']"
  local nodes
  mapfile -t nodes < <(json node <<<"$output")
  assert_equal "$(printf '%s\n' "${nodes[@]}" | sort)" "$(ephemerals)"
  assert_equal "$(session_of 1 /l)" "$(zk stat "${nodes[0]}" ephemeralOwner)"
  leave a
  wait_inside b
  leave b
}

@test "zk-lock --list shows nothing for a lock that nobody uses" {
  run -0 --separate-stderr zk-lock --list /never/used
  assert_output ''
  assert_equal "$stderr" ''
  run -0 --separate-stderr zk-lock --list --json /never/used
  assert_output ''
  run -0 zk-lock /l true
  run -0 --separate-stderr zk-lock /l --list
  assert_output ''
  run -1 zk exists /never # it only looked
}

# Control characters but the newline, as bytes and as UTF-8, and what turns or hides text.
refute_harmful() { # TEXT
  run -1 grep -qaP '[\x00-\x09\x0b-\x1f\x7f]' <<<"$1"
  run -1 env LC_ALL=C.UTF-8 grep -qP '[\x{80}-\x{9f}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}]' <<<"$1"
  iconv -f UTF-8 -t UTF-8 <<<"$1" >/dev/null || fail "not UTF-8: ${1@Q}"
}

@test "zk-lock --list and -v escape what others wrote" {
  local evil=$'\e[31m\e]0;owned\a\nwaiting  forged \u202e\u200b\u009b2J\x7f' text
  hold a --label "$evil"$'\xff' /l
  start b zk-lock -v /l true
  in_line 1 /l
  run -0 zk-lock --list /l
  assert_equal "${#lines[@]}" 2
  assert_line --partial '\x1b[31m\x1b]0;owned\x07\nwaiting  forged \u{202e}\u{200b}\u{9b}2J\x7f'
  refute_harmful "$output"
  run -0 zk-lock --list --json /l
  assert_equal "${#lines[@]}" 2
  run -1 env LC_ALL=C grep -q '[^ -~]' <<<"$output"
  run -0 zk-lock --list --json /l
  text=$(head -n 1 <<<"$output" | json label)
  assert_equal "$text" "$evil"$'\ufffd'
  leave a
  finish b
  assert_success
  says '\x1b[31m'
  refute_harmful "$stderr"
}

@test "zk-lock --list and -v survive any data in the nodes of a lock" {
  # Persistent nodes in the place of contenders, one for each kind of data. They block the lock, as they should.
  kazoo 'evil = "\x1b[2J\n\u202e\x9b"
import json
for data in [b"", b"\xff\xfe\x1b[31m", b"null", b"[1]", b"{}", b"{\"pid\":", b"[" * 900000, b"{\"pid\":1e400}", b"{\"pid\":\"7\"}",
             b"{\"pid\":7,\"host\":[],\"label\":{},\"since\":8}", b"{\"pid\":99999999999999999999}",
             json.dumps({"pid": 7, "host": evil, "label": evil, "since": evil}).encode(),
             json.dumps({"pid": 7, "host": "h" * 300000, "label": "l" * 300000, "since": "s" * 300000}).encode()]:
    zk.create("/l/abc-write-", data, sequence=True, makepath=True)'
  run -0 --separate-stderr zk-lock --list /l
  assert_equal "$stderr" ''
  assert_equal "${#lines[@]}" 13
  assert_between 13 "${#output}" 5000
  refute_harmful "$output"
  run -0 --separate-stderr zk-lock --list --json /l
  assert_equal "${#lines[@]}" 13
  assert_equal "$(json 'mode' <<<"$output" | sort -u)" exclusive
  run -124 --separate-stderr zk-lock -v --wait 300ms /l true
  says 'number 13 in line'
  refute_harmful "$stderr"
  kazoo 'zk.delete(sorted(zk.get_children("/l"))[-1].join(["/l/", ""]))' # now the evil one is the last
  run -124 --separate-stderr zk-lock -v --wait 300ms /l true
  says 'behind \x1b[2J\n\u{202e}\u{9b}:7'
  refute_harmful "$stderr"
}

@test "zk-lock ignores nodes in its folder that are no contenders" {
  kazoo 'for name in ["readme", "lock-0000000000", "xyz-write-0000000000", "ABC-write-0000000000", "abc-writer-0000000000", "-write-0000000000",
             "abc-write-", "abc-write-000000000", "abc-write-00000000000", "abc-write-99999999999", "abc-write-+000000000",
             "abc-write-00000000x0", "abc-write- 000000000", "abc-write-0000000000.bak", "abc_write_0000000000", "x-abc-write-0000000000",
             "abc-read-write-0000000000", "abc--0000000000", "0000000000", "\u00fc\u202e-write-0000000000"]:
    zk.create("/l/" + name, b"\x1b[31m", makepath=True)'
  run -0 zk-lock --list /l
  assert_output ''
  run -0 zk-lock -n -s /l true
  hold first -n /l
  run -0 zk-lock --list /l
  assert_equal "${#lines[@]}" 1
  contend second /l
  in_line 1 /l
  leave first
  wait_inside second
  leave second
  run -0 zk-lock --limit 2 -n /l true
  kazoo 'assert len(zk.get_children("/l")) == 20'
}

# --- by hand ---

@test "zk-lock without a command holds the lock until end of input, and prints node and token" {
  hold_by_hand first /l
  run -124 zk-lock -n /l true
  local node
  node=$(nodes /l)
  assert_equal "$(<"$(out first)")" "$node $(zk stat "$node" czxid)"
  printf 'text that nobody reads\n' >&"$input"
  run -124 zk-lock --wait 300ms /l true
  end_input
  finish first
  assert_success
  assert_equal "$stderr" ''
  ephemerals_are 0
}

@test "zk-lock without a command ends at a signal with 128+N, and releases at once" {
  local sig
  for sig in TERM INT HUP QUIT USR1; do
    hold_by_hand "$sig" /l
    signal "$sig" "$sig"
    finish "$sig"
    ephemerals_are 0
    assert_failure $((128 + $(kill -l "$sig")))
    assert_equal "$stderr" ''
    end_input
  done
}

@test "zk-lock without a command ends at once when it has no input" {
  run -0 zk-lock /l </dev/null
  assert_output --regexp '^/l/[0-9a-f]+-write-0000000000 [0-9]+$'
  start closed sh -c 'exec zk-lock /l <&-'
  finish closed 3
  assert_success
  ephemerals_are 0
}

@test "zk-lock --also without a command prints a line for each lock" {
  run -0 zk-lock /b --also /a </dev/null
  assert_equal "${#lines[@]}" 2
  assert_line --index 0 --regexp '^/a/[^ ]+ [0-9]+$'
  assert_line --index 1 --regexp '^/b/[^ ]+ [0-9]+$'
}

# --- folders ---

zk_gone() { ! zk exists "$1"; }

@test "zk-lock makes the folder that is missing, which vanishes when it is no longer used" {
  run -0 zk-lock /a/b/c -c 'zk.py exists /a/b/c'
  wait_for 10 "the server to remove the empty folders" zk_gone /a
}

@test "zk-lock makes a chroot that is missing, which stays" {
  ZK_HOSTS=$ZK_HOSTS/x/y run -0 zk-lock /l true
  wait_for 10 "the server to remove the empty folder" zk_gone /x/y/l
  run -0 zk-lock /later true
  wait_for 10 "the server to remove empty folders once more" zk_gone /later
  run -0 zk exists /x/y
}

@test "zk-lock takes the chroot itself for a lock" {
  hold first /
  run -124 zk-lock -n / true
  run -0 zk-lock --list /
  assert_equal "${#lines[@]}" 1
  leave first
}

@test "zk-lock uses a folder that somebody else made" {
  zk create /l 'important data'
  run -0 zk-lock /l true
  run -0 zk-lock -s /l true
  assert_equal "$(zk get /l)" 'important data'
}

@test "zk-lock gets in line again when the folder was deleted while it waited" {
  local n
  hold first /l
  for n in 1 2 3 4; do
    start "c$n" zk-lock /l sh -c 'mkdir "$1/busy" || exit 9; echo turn; rmdir "$1/busy"' - "$BATS_TEST_TMPDIR"
    in_line "$n" /l
  done
  # All at once: whoever saw only a part of it could be inside already.
  kazoo 'transaction = zk.transaction()
for name in zk.get_children("/l"): transaction.delete("/l/" + name)
transaction.delete("/l")
assert not any(isinstance(result, Exception) for result in transaction.commit())'
  finish first
  assert_failure 120
  for n in 1 2 3 4; do
    finish "c$n"
    assert_success
    assert_output turn
  done
}

@test "zk-lock --limit gets in line again when the folder was deleted while it waited" {
  local n
  hold first --limit 1 /l
  for n in 1 2 3; do
    start "c$n" zk-lock --limit 1 /l echo turn
    in_line "$n" /l
  done
  kazoo 'transaction = zk.transaction()
for name in zk.get_children("/l"): transaction.delete("/l/" + name)
transaction.delete("/l")
assert not any(isinstance(result, Exception) for result in transaction.commit())'
  for n in 1 2 3; do
    finish "c$n"
    assert_success
    assert_output turn
  done
  finish first
  assert_failure 120
}

@test "zk-lock takes deep and long paths, and letters of all kinds" {
  local path
  path=$(printf '/%s' {1..60} "$(head -c 700 /dev/zero | tr '\0' x)" 'mit Umlaut ü' 錠)
  hold first "$path"
  run -124 zk-lock -n "$path" true
  run -0 zk-lock --list "$path"
  assert_equal "${#lines[@]}" 1
  leave first
  kazoo 'zk.delete("/1", recursive=True)' # sixty generations would outlive the test for a minute
}

@test "zk-lock refuses invalid paths before it asks any server" {
  local path
  for path in '' l l/m /l/ //l /a//b / /./a /a/. /a/../b /.. /zookeeper /zookeeper/config $'/a\x01' $'/a\nb' $'/a\x7f' $'/\xc2\x85' $'/\xff' \
    $'/\xc0\xaf' $'/\xee\x80\x80' $'/\xef\xbf\xbf' "/$(head -c 16384 /dev/zero | tr '\0' x)"; do
    if [[ $path == / ]]; then continue; fi
    refuses 'is not valid: ' --hosts 127.0.0.1:1 "$path" true
    refuses 'is not valid: ' --hosts 127.0.0.1:1 /l --also "$path" true
    refuses 'is not valid: ' --hosts 127.0.0.1:1 --list "$path"
  done
}

@test "zk-lock takes the longest label that the system lets through" {
  # A control character takes six bytes in JSON, which is how 128 KiB grow to most of what a node may hold.
  local label
  label=$(head -c 131000 /dev/zero | tr '\0' '\1')
  hold first --label "$label" /l
  hold permit --limit 2 --label "$label" /m
  run -0 zk-lock --list /l
  assert_between 400 "${#output}" 2000
  run -0 --separate-stderr zk-lock --list --json /l
  assert_equal "$(json 'len(label)' <<<"$output")" 131000
  leave first
  leave permit
}

# --- connecting ---

# HOSTS: gives up after two seconds and little work, and says where it tried and what to do
assert_unreachable() {
  measure -125 --separate-stderr zk-lock --hosts "$1" --connect-timeout 2s /l touch "$BATS_TEST_TMPDIR/ran"
  assert_output ''
  says "no ZooKeeper answered at ${1//,/, } within 2s"
  says '--hosts or ZK_HOSTS'
  says 'zk-server start'
  assert_between 2000 "$took" 2300
  assert_between 0 "$cpu" 190
  assert_not_exist "$BATS_TEST_TMPDIR/ran"
}

@test "zk-lock gives up in time when nobody listens at its only address" { assert_unreachable 127.0.0.1:1; }

@test "zk-lock gives up in time when nobody listens at two addresses" { assert_unreachable 127.0.0.1:1,127.0.0.1:2; }

@test "zk-lock gives up in time when nobody listens at four addresses" {
  assert_unreachable 127.0.0.1:1,127.0.0.1:2,127.0.0.1:3,127.0.0.1:4
}

@test "zk-lock gives up in time when the server accepts and is silent" {
  proxy_start
  proxy_mode hold
  assert_unreachable "$PROXY"
}

@test "zk-lock gives up in time when one server is silent and another is not there" {
  proxy_start
  proxy_mode hold
  assert_unreachable "$PROXY,127.0.0.1:1"
}

# MILLISECONDS HOSTS OPTION...: six at once connect in time. Each takes the addresses in an order of its own, so some meet
# the bad ones first.
assert_all_connect() {
  local limit=$1 hosts=$2 n begin
  shift 2
  begin=$(microseconds)
  for n in 1 2 3 4 5 6; do start "c$n" zk-lock -s --hosts "$hosts" "$@" /l true; done
  for n in 1 2 3 4 5 6; do
    finish "c$n"
    assert_success
  done
  assert_between 0 "$((($(microseconds) - begin) / 1000))" "$limit"
}

@test "zk-lock connects quickly when one of two addresses is dead" { assert_all_connect 1500 "127.0.0.1:1,$ZK_HOSTS"; }

@test "zk-lock connects quickly when two of four addresses are dead" {
  assert_all_connect 1500 "127.0.0.1:1,$SERVER,127.0.0.1:2,localhost:${SERVER##*:}$CHROOT"
}

@test "zk-lock connects quickly when three of four addresses are dead" {
  assert_all_connect 1500 "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3,$ZK_HOSTS"
}

@test "zk-lock connects when one of two servers is silent" {
  proxy_start
  proxy_mode hold
  assert_all_connect 5000 "$PROXY,$ZK_HOSTS"
}

@test "zk-lock shares a short --connect-timeout among a silent server and one that answers" {
  proxy_start
  proxy_mode hold
  assert_all_connect 2300 "$PROXY,$ZK_HOSTS" --connect-timeout 2s
}

@test "zk-lock connects when two of three servers are silent" {
  proxy_start
  proxy_mode hold
  local silent=$PROXY
  proxy_start "${SERVER##*:}" other
  proxy_mode hold other
  assert_all_connect 5000 "$silent,$PROXY,$ZK_HOSTS" --session-timeout 4s
}

@test "zk-lock names the host that it cannot resolve" {
  measure -125 --separate-stderr zk-lock --hosts no-such-host.invalid:2181 --connect-timeout 2s /l true
  assert_output ''
  says 'no-such-host.invalid'
  assert_between 0 "$took" 2300
  run -0 --separate-stderr zk-lock --hosts "no-such-host.invalid,$ZK_HOSTS" /l true
  assert_equal "$stderr" ''
}

@test "zk-lock connects to localhost" {
  measure -0 --separate-stderr zk-lock --hosts "localhost:${SERVER##*:}$CHROOT" /l true
  assert_between 0 "$took" 1500
}

@test "zk-lock stops trying to connect at a signal" {
  proxy_start
  proxy_mode hold
  start first zk-lock --hosts "$PROXY" --connect-timeout 1m /l true
  wait_for 5 "the connection to the proxy" grep -q opened "$(proxy_log)"
  signal TERM first
  finish first 2
  assert_failure 143
  assert_equal "$stderr" ''
}

# --- credentials ---

credentials() { # LINE...: prints the name of a file that holds them
  local file=$BATS_TEST_TMPDIR/credentials-$#-$RANDOM
  (umask 077 && printf '%s\n' "$@" >"$file")
  printf '%s\n' "$file"
}

@test "zk-lock --auth-file makes a lock that nobody else can read, delete or join" {
  local alice command
  alice=$(credentials digest:alice:wonderland)
  hold first --auth-file "$alice" /vault
  local node
  node=$(zk-lock --auth-file "$alice" --list --json /vault | json node)
  for command in "get $node" "set $node x" "delete $node" "setacl $node world:anyone:cdrwa" 'get /vault' 'set /vault x' 'children /vault' \
    'create /vault/x' 'create /vault/abc-write- --sequence' 'setacl /vault world:anyone:cdrwa' 'delete /vault' 'create /other'; do
    # shellcheck disable=SC2086 # a command of several words
    run -1 zk $command
    assert_output --partial NoAuth
  done
  leave first
  run -1 zk delete /vault
  assert_output --partial NoAuth
  run -0 zk-lock --auth-file "$alice" -n /vault true
}

@test "zk-lock with other credentials or none is refused at once" {
  local alice mallory
  alice=$(credentials digest:alice:wonderland)
  mallory=$(credentials digest:alice:guess)
  hold first --auth-file "$alice" /vault
  measure -125 --separate-stderr zk-lock --auth-file "$mallory" /vault true
  assert_output ''
  assert_regex "$stderr" '^zk-lock: [^:]* /vault[^:]*: not authorised \(see --auth-file\)$'
  assert_between 0 "$took" 2000
  refuses 'not authorised (see --auth-file)' /vault true
  refuses 'not authorised (see --auth-file)' --list /vault
  refuses 'not authorised (see --auth-file)' --limit 2 /vault true
  leave first
}

@test "zk-lock gives up at once when the server does not accept its credentials" {
  # The first lines are enough, should there be no end of them.
  run -125 bash -c 'timeout 3 zk-lock "$@" 2>&1 | head -n 3; exit "${PIPESTATUS[0]}"' - \
    --auth-file "$(credentials nosuchscheme:alice:wonderland)" /l true
  assert_equal "${#lines[@]}" 1
  assert_output --partial '--auth-file'
  refute_output --partial wonderland
}

@test "zk-lock --auth-file does not silently use a folder in which everybody may delete" {
  zk create /open
  run --separate-stderr zk-lock --auth-file "$(credentials digest:alice:wonderland)" /open true
  says /open
}

@test "zk-lock --acl open leaves the lock to everybody, credentials or not" {
  local alice
  alice=$(credentials digest:alice:wonderland)
  hold first --auth-file "$alice" --acl open /l
  run -124 zk-lock -n /l true
  run -0 zk-lock --list /l
  assert_equal "${#lines[@]}" 1
  leave first
}

@test "zk-lock takes several credentials, comments and empty lines from ZK_AUTH_FILE" {
  local all bob
  all=$(credentials '# ours' '' digest:alice:wonderland digest:bob:builder)
  bob=$(credentials digest:bob:builder)
  ZK_AUTH_FILE=$all hold first /l
  run -124 zk-lock --auth-file "$bob" -n /l true
  leave first
}

@test "zk-lock refuses an auth file that others can read, and what is no auth file" {
  local file good mode line
  good=$(credentials digest:alice:wonderland)
  cd "$BATS_TEST_TMPDIR"
  for mode in 0644 0640 0604 0620 0602; do
    install -m "$mode" "$good" "mode-$mode"
    refuses "auth file mode-$mode: can be read by others; chmod 600 it" --auth-file "mode-$mode" /l true
  done
  ln -s "$good" link
  refuses 'auth file link: is a symbolic link' --auth-file link /l true
  refuses 'auth file missing: No such file or directory' --auth-file missing /l true
  mkdir -m 700 folder
  refuses 'auth file folder: is not a regular file' --auth-file folder /l true
  mkfifo -m 600 fifo
  refuses 'auth file fifo: is not a regular file' --auth-file fifo /l true
  refuses 'auth file /dev/null: is not a regular file' --auth-file /dev/null /l true
  head -c 70000 /dev/zero | tr '\0' '#' | install -m 600 /dev/stdin large
  refuses 'auth file large: is too large' --auth-file large /l true
  for line in '' '#' wonderland :wonderland wonderland:; do
    file=$(credentials "$line")
    refuses "auth file $file: " --auth-file "$file" /l true
    [[ $stderr != *wonderland* ]] || fail "the secret is on standard error: $stderr"
  done
  chmod 400 "$good"
  run -0 zk-lock --auth-file "$good" /l true
}

@test "zk-lock refuses an auth file of another user" {
  requires_root 'giving a file to another user'
  local file
  file=$(credentials digest:alice:wonderland)
  chown 12345 "$file"
  refuses "auth file $file: belongs to another user" --auth-file "$file" /l true
}

@test "zk-lock shows its credentials to nobody" {
  local file
  file=$(credentials digest:alice:wonderland)
  printf 'wonderland' >"$BATS_TEST_TMPDIR/pattern" # for grep, which is not to find itself
  hold first -vv --auth-file "$file" /l
  start second zk-lock -vv --auth-file "$file" /l sh -c 'env; cat /proc/$$/cmdline /proc/$$/environ'
  wait_for 5 "the second to wait" ephemerals_are 2
  run grep -aslFf "$BATS_TEST_TMPDIR/pattern" /proc/[0-9]*/cmdline /proc/[0-9]*/environ
  assert_output ''
  leave first
  [[ $stderr == *'inside /l'* ]] || fail "expected a talkative zk-lock: $stderr"
  [[ $stderr != *wonderland* ]] || fail "the secret is on standard error: $stderr"
  finish second
  assert_success
  [[ $output == *ZK_LOCK_TOKEN=* ]] || fail "$output"
  [[ $output$stderr != *wonderland* ]] || fail "the secret is in the output or in the command's environment: $output $stderr"
}
