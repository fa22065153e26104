# zk-barrier: who starts with whom, in which order and how often, and its command line, on a healthy server. What happens
# when members die and things break has a file of its own.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells and awks that are started with it
# shellcheck disable=SC2154 # some variables are set by Bats, helpers and barrier
load helpers
load barrier

setup() {
  test_setup
  cd "$BATS_TEST_TMPDIR" || return
}

# Under `run`: what hangs is ended here, because Bats at its timeout would wait for the end of the output first.
zk-barrier() { timeout --foreground -s KILL 20 zk-barrier "$@"; }

# TEXT ARGUMENT...: zk-barrier refuses the arguments, and says TEXT to that
refuses() {
  run -125 --separate-stderr zk-barrier "${@:2}"
  assert_output ''
  [[ $stderr == *"$1"* ]] || fail "standard error does not say '$1': $stderr"
}

# --- together ---

@test "zk-barrier starts no command before all are there, and ends none before all have left" {
  member b --members 3 /b
  member c --members 3 /b
  wait_shows 'forming b:waiting c:waiting'
  assert_not_exist log
  member a --members 3 /b
  for id in a b c; do wait_inside "$id"; done
  release a
  wait_shows 'open a:left b:inside c:inside'
  running a || fail "it did not wait for the others"
  release c
  wait_shows 'open a:left b:inside c:left'
  running a || fail "it did not wait for the last one"
  running c || fail "it did not wait for the last one"
  release b
  for id in a b c; do leaves "$id"; done
  judge 3 1
}

@test "zk-barrier gives each member its rank, all the same members and generation, and its own command's status" {
  for id in x m z a; do start "$id" zk-barrier --id "$id" --members 4 /b -- sh -c 'env | grep "^ZK_BARRIER" | sort; exit $((ZK_BARRIER_RANK + 5))'; done
  local rank=0
  for id in a m x z; do
    finish "$id"
    assert_failure $((rank + 5))
    assert_line --index 0 ZK_BARRIER_GENERATION=1
    assert_line --index 1 'ZK_BARRIER_MEMBERS=a m x z'
    assert_line --index 2 --regexp "^ZK_BARRIER_NODE=/b/here-$id@4#[0-9]{10}$"
    assert_line --index 3 ZK_BARRIER_PATH=/b
    assert_line --index 4 "ZK_BARRIER_RANK=$rank"
    assert_equal "${#lines[@]}" 5
    refute_stderr
    rank=$((rank + 1))
  done
  assert_empty_barrier /b
}

@test "zk-barrier with one member is inside at once" {
  run -3 --separate-stderr zk-barrier --members 1 /b -c 'echo $ZK_BARRIER_RANK; exit 3'
  assert_output 0
  assert_equal "$stderr" ''
}

@test "zk-barrier -c gives its string to the shell, and takes options behind PATH" {
  start a zk-barrier /b --id a -m 2 -c 'echo "$ZK_BARRIER_MEMBERS" | tr a-z A-Z'
  start b zk-barrier /b -m 2 --id b -- printf '%s|' -m 3 --list
  finish a
  assert_success
  assert_output 'A B'
  finish b
  assert_success
  assert_output '-m|3|--list|'
}

@test "zk-barrier hands its --hosts on, and the number of the session that is inside, and its node" {
  local hosts=$ZK_HOSTS
  ZK_HOSTS=127.0.0.1:1 run -0 zk-barrier --hosts "$hosts" -m 1 /b -c 'echo "$ZK_HOSTS $ZK_SESSION_ID $ZK_BARRIER_NODE"; zk-barrier --list --json /b'
  assert_line --index 0 "$hosts $(sed 1d <<<"$output" | json '"{session} {node}".format(**places[0])')"
}

@test "zk-barrier --id is by default a name of its own for each process" {
  for n in 1 2 3; do start "n$n" zk-barrier -m 3 /b -c 'echo $ZK_BARRIER_MEMBERS'; done
  for n in 1 2 3; do
    finish "n$n"
    assert_success
  done
  assert_equal "$(tr ' ' '\n' <<<"$output" | sort)" \
    "$(for n in 1 2 3; do printf '%s-%s\n' "$(hostname | tr -c 'A-Za-z0-9._\n-' _)" "$(pid_of "n$n")"; done | sort)"
}

@test "zk-barrier ends with 126 or 127 if its command cannot be executed, and the others are not held up" {
  touch no-program
  start a zk-barrier --id a -m 3 /b ./no-program
  start b zk-barrier --id b -m 3 /b ./not-there
  start c zk-barrier --id c -m 3 /b true
  finish a
  assert_failure 126
  finish b
  assert_failure 127
  finish c
  assert_success
}

@test "zk-barrier -v says whom it waits for, before and after" {
  start a zk-barrier -v --id a -m 2 /b true
  wait_for 10 "a to say that it waits" grep -q 'waiting at /b: 1 of 2' "$(err a)"
  member b -m 2 /b
  wait_for 10 "a to say that it has left" grep -q 'left /b; waiting for b' "$(err a)"
  start c zk-barrier -v --id c -m 2 --wait 10s /b true
  wait_for 10 "c to say that it is full" grep -q 'waiting at /b: generation 1 is full' "$(err c)"
  release b
  leaves b
  finish a
  assert_success
  assert_stderr --partial 'inside /b, generation 1: a, b'
  signal TERM c
  finish c
  assert_failure 143
}

@test "64 zk-barriers on one machine are one generation with the ranks 0 to 63" {
  local n expected
  for n in {1..64}; do start "n$n" zk-barrier --id "n$n" --members 64 /b -- sh -c 'echo "in $ZK_BARRIER_GENERATION $ZK_BARRIER_RANK $0 $ZK_BARRIER_MEMBERS" >>log' "n$n"; done
  for n in {1..64}; do
    finish "n$n" 40
    assert_success
  done
  expected=$(seq 0 63)
  assert_equal "$(awk '{ print $3 }' log | sort -n)" "$expected"
  assert_equal "$(cut -d ' ' -f 2,5- log | sort -u | wc -l)" 1
  assert_empty_barrier /b
}

# --- without a command ---

@test "zk-barrier without a command says begin when all are there, and end when all have left" {
  by_hand ana -m 2 /duel
  wait_shows 'forming ana:waiting' /duel
  assert_equal "$(<"$(out ana)")" ''
  by_hand bob -m 2 /duel
  wait_begun ana
  wait_begun bob
  end_input ana
  wait_shows 'open ana:left bob:inside' /duel
  running ana || fail "it did not wait for the other one"
  end_input bob
  finish ana
  assert_success
  assert_output $'begin generation 1 rank 0 members ana bob\nend generation 1 rank 0 members ana bob'
  assert_equal "$stderr" ''
  finish bob
  assert_success
  assert_output $'begin generation 1 rank 1 members ana bob\nend generation 1 rank 1 members ana bob'
  assert_empty_barrier /duel
}

@test "zk-barrier without a command leaves at INT and at TERM, waits for the other one, and ends with 0" {
  for sig in INT TERM; do
    by_hand ana -m 2 /duel
    by_hand bob -m 2 /duel
    wait_begun ana
    wait_begun bob
    signal "$sig" ana
    wait_shows 'open ana:left bob:inside' /duel
    running ana || fail "it did not wait for the other one"
    signal "$sig" bob
    for id in ana bob; do
      finish "$id"
      assert_success
      assert_line --partial 'end generation'
    done
  done
}

@test "zk-barrier that gets a second Ctrl-C, while it waits for the other one, ends with 130, and has left" {
  by_hand ana -m 2 /duel
  by_hand bob -m 2 /duel
  wait_begun ana
  wait_begun bob
  signal INT ana
  wait_shows 'open ana:left bob:inside' /duel
  signal INT ana
  finish ana
  assert_failure 130
  refute_line --partial end
  wait_shows 'open ana:left bob:inside' /duel
  end_input bob
  finish bob
  assert_success
  assert_line --partial 'end generation'
  assert_empty_barrier /duel
}

@test "zk-barrier without a command and without input leaves at once" {
  start a zk-barrier --id a -m 2 /b
  start closed sh -c 'exec zk-barrier --id b -m 2 /b <&-'
  for id in a closed; do
    finish "$id"
    assert_success
    assert_line --index 1 --partial 'end generation 1'
  done
}

@test "zk-barrier without a command whose reader has gone ends with 141, and has left for the others" {
  mkfifo pipe
  start reader sh -c 'exec <pipe'
  # It has nobody to talk to when it is inside, but stays what it is to the other one: one who came and left.
  start a bash -c 'exec >pipe; until test -e gone; do sleep 0.02; done; exec zk-barrier --id a -m 2 /b'
  finish reader
  touch gone
  member b -m 2 /b
  finish a
  assert_failure 141
  release b
  leaves b
  assert_empty_barrier /b
}

@test "zk-barrier without a command whose standard output is closed still starts and ends with the others" {
  start a sh -c 'exec zk-barrier --id a -m 2 /b >&-'
  member b -m 2 /b
  wait_inside b
  release b
  leaves b
  finish a
  assert_empty_barrier /b
}

@test "zk-barrier without a command leaves by TERM while nobody reads what it says" {
  mkfifo pipe
  exec {pipe}<>pipe
  dd if=/dev/zero of=pipe oflag=nonblock bs=4096 2>/dev/null || true # until it is full
  start a sh -c 'exec zk-barrier --id a -m 2 /b >pipe'
  member b -m 2 /b
  wait_inside b
  wait_shows 'open a:inside b:inside'
  signal TERM a
  wait_shows 'open a:left b:inside'
  release b
  leaves b
  signal TERM a # it has something to say still, and nobody reads it
  finish a
  assert_failure 143
  exec {pipe}>&-
  assert_empty_barrier /b
}

@test "zk-barrier whose terminal is gone leaves, and ends without waiting for the others, 129" {
  by_hand a -m 3 /b
  member b -m 3 /b
  member c -m 3 /b
  wait_begun a
  for id in b c; do wait_inside "$id"; done
  for id in a b; do
    signal HUP "$id"
    finish "$id"
    assert_failure 129
    refute_output --partial end
  done
  wait_shows 'open a:left b:left c:inside'
  release c
  leaves c
  assert_empty_barrier /b
}

@test "zk-barrier goes on when its command lives through HUP" {
  member b -m 2 /b
  start a zk-barrier --id a -m 2 /b -- bash -c 'trap "echo reloaded >>log" HUP; echo in >>log; until test -e a.go; do sleep 0.02; done; exit 7'
  wait_inside b
  wait_for 5 "its command" grep -qx in log
  signal HUP a
  wait_for 5 "its command to have it" grep -qx reloaded log
  touch a.go
  wait_shows 'open a:left b:inside'
  release b
  leaves b
  finish a
  assert_failure 7
}

# --- only to start together ---

@test "zk-barrier --enter-only starts together, and runs its command after it has left" {
  start a zk-barrier --enter-only --id a -m 2 /b -- sh -c 'echo "$ZK_BARRIER_RANK $ZK_BARRIER_MEMBERS"; until test -e go; do sleep 0.02; done; exit 5'
  wait_shows 'forming a:waiting'
  start b zk-barrier --enter-only --id b -m 2 /b -- sh -c 'echo "$ZK_BARRIER_RANK $ZK_BARRIER_MEMBERS"'
  finish b
  assert_success
  assert_output '1 a b'
  wait_for 5 "a to run" test -s "$(out a)"
  assert_empty_barrier /b # while its command runs
  touch go
  finish a
  assert_failure 5
  assert_output '0 a b'
}

@test "zk-barrier --enter-only without a command only says begin, and those who leave at once leave nothing" {
  local round
  for round in 1 2 3 4 5; do
    for id in a b; do start "$id" zk-barrier --enter-only --id "$id" -m 2 /b; done
    finish a
    assert_success
    assert_output "begin generation $round rank 0 members a b"
    finish b
    assert_success
    assert_output "begin generation $round rank 1 members a b"
    assert_empty_barrier /b
    assert_equal "$(zk get /b | json 'phase, generation')" "('forming', $round)"
  done
}

@test "zk-barrier --enter-only and members that stay form one generation, which lasts as long as those" {
  start a zk-barrier --enter-only --id a -m 2 /b true
  member b -m 2 /b
  finish a
  assert_success
  wait_inside b
  wait_shows 'open a:left b:inside'
  release b
  leaves b
}

# --- more than N, and again ---

@test "N + 3 zk-barriers: N run together, and the others are the beginning of the next generation" {
  local n inside=() waiting=()
  for n in 1 2 3 4 5 6 7; do member "n$n" -m 4 /b; done
  wait_for 10 "four to be inside" eval '(($(grep -c "^in" log) == 4))'
  wait_for 10 "three to wait" eval '(($(zk-barrier --list /b | grep -c ^waiting) == 3))'
  mapfile -t inside < <(awk '{ print $4 }' log)
  mapfile -t waiting < <(zk-barrier --list /b | awk '$1 == "waiting" { print $2 }')
  assert_equal "$(printf '%s\n' "${inside[@]}" "${waiting[@]}" | sort | tr '\n' ' ')" 'n1 n2 n3 n4 n5 n6 n7 '
  for n in "${inside[@]}"; do
    release "$n"
  done
  for n in "${inside[@]}"; do leaves "$n"; done
  assert_equal "$(grep -c '^in' log)" 4 # nobody has slipped in
  member n8 -m 4 /b
  for n in "${waiting[@]}" n8; do wait_inside "$n"; done
  for n in "${waiting[@]}" n8; do release "$n"; done
  for n in "${waiting[@]}" n8; do leaves "$n"; done
  judge 4 2
}

@test "2 N zk-barriers started at once are two generations, one after the other" {
  for round in 1 2 3 4 5; do
    rm -f log
    for n in 1 2 3 4 5 6; do start "n$n" zk-barrier --id "n$n" -m 3 "/b$round" -- sh -c "$note" "n$n"; done
    for n in 1 2 3 4 5 6; do
      finish "n$n" 20
      assert_success
    done
    judge 3 2
  done
}

@test "zk-barrier is used 60 times in a row by fast and slow members, without one mixed roster" {
  looping fast 60 ''
  looping slow 60 'sleep 0.0$((RANDOM % 6))'
  looping late 60 '' 'sleep 0.0$((RANDOM % 6))'
  for id in fast slow late; do
    finish "$id" 50
    assert_success
    refute_stderr
  done
  judge 3 60
  assert_equal "$(cut -d ' ' -f 5- log | grep . | sort -u)" 'fast late slow'
}

@test "zk-barrier with more who come again and again than there are places has always N, and nobody in two" {
  local counts
  # Each comes until the end; what remains then are fewer than N, who give up.
  for n in 1 2 3 4 5; do
    start "n$n" bash -c 'until test -e over; do zk-barrier --id "$0" -m 3 --wait 3s /b -- bash -c "$1; sleep 0.0\$((RANDOM % 4))" "$0"; s=$?; test $s = 0 || { test $s = 124 && test -e over || exit 1; }; done' "n$n" "$note"
  done
  wait_for 30 "15 generations" eval '(($(grep -c "^in" log) >= 45))'
  touch over
  for n in 1 2 3 4 5; do
    finish "n$n" 20
    assert_success
  done
  counts=$(($(grep -c '^in' log) / 3))
  judge 3 "$counts"
  assert_equal "$(awk '$1 == "in" { print $4 }' log | sort -u | tr '\n' ' ')" 'n1 n2 n3 n4 n5 '
  assert_empty_barrier /b
}

# --- giving up ---

@test "zk-barrier --wait gives up with 124, and leaves no trace" {
  run -124 --separate-stderr zk-barrier --id a -m 2 --wait 200ms /b touch ran
  assert_output ''
  [[ $stderr == *'gave up waiting at /b: 1 of 2 are here'* ]] || fail "it says: $stderr"
  assert_not_exist ran
  assert_empty_barrier /b
  run -7 zk-barrier -m 2 --wait 200ms -E 7 /b touch ran
  run -124 zk-barrier -m 2 --wait 1ms /b touch ran
  # Those who are too few do not complete anything for those who come later.
  run -124 zk-barrier --id b -m 2 --wait 200ms /b touch ran
  assert_not_exist ran
  assert_empty_barrier /b
}

@test "zk-barrier --wait does not limit the time of the command, nor that of the others" {
  start a zk-barrier --id a -m 2 --wait 1s /b true
  start b zk-barrier --id b -m 2 --wait 1s /b sleep 1.5
  finish a
  assert_success
  finish b
  assert_success
}

@test "zk-barrier --wait that gives up while another generation is inside does not disturb it" {
  member a -m 2 /b
  member b -m 2 /b
  wait_inside a
  run -124 zk-barrier --id c -m 2 --wait 300ms /b touch ran
  wait_shows 'open a:inside b:inside'
  for id in a b; do release "$id"; done
  for id in a b; do leaves "$id"; done
  assert_not_exist ran
  assert_empty_barrier /b
}

@test "zk-barrier that gets a signal while it waits leaves no trace, and ends with 128+N" {
  local sig
  for sig in INT TERM HUP; do
    start a zk-barrier --id a -m 2 /b touch ran
    wait_shows 'forming a:waiting'
    signal "$sig" a
    finish a
    assert_failure $((128 + $(kill -l "$sig")))
    assert_empty_barrier /b
  done
  assert_not_exist ran
}

# Of four who come at about the same time and hardly wait, three may or may not get in.
@test "zk-barrier whose time is over when the last one comes has either entered with all others, or left no trace" {
  start storm bash -c '
    for ((round = 1; round <= 20; round++)); do
      for n in 1 2 3 4; do
        (
          sleep 0.0$((RANDOM % 5))$((RANDOM % 10))
          zk-barrier --id "n$n" -m 3 --wait $((round * 9 - 8 + RANDOM % 30))ms "/b$round" -- \
            sh -c "echo \"$round \$ZK_BARRIER_GENERATION \$ZK_BARRIER_RANK n$n \$ZK_BARRIER_MEMBERS\" >>log"
          echo "$round n$n $?" >>statuses
        ) &
      done
      wait
    done'
  finish storm 50
  assert_equal "$(wc -l <statuses)" 80
  run -0 awk '
    FILENAME == "log" {
      key = $1 " " $2
      roster = $5 " " $6 " " $7
      if (NF != 7 || $(5 + $3) != $4) print "not three, or a wrong rank: " $0
      if (rosters[key] != "" && rosters[key] != roster) print "a mixed roster: " $0
      rosters[key] = roster
      if (ran[$1, $4]++) print "in two: " $0
      if (++count[key] > 3) print "too many: " $0
      next
    }
    $3 == 0 { entered++; if (!ran[$1, $2]) print "entered and did not run: " $0 }
    $3 == 124 { gone++; if (ran[$1, $2]) print "gave up and ran: " $0 }
    $3 != 0 && $3 != 124 { print "another status: " $0 }
    END {
      for (key in count) if (count[key] != 3) print "incomplete: generation " key ": " count[key]
      print (entered > 10 ? "some entered" : "too few entered: " entered+0), (gone > 10 ? "some gave up" : "too few gave up: " gone+0)
    }' log statuses
  assert_output 'some entered some gave up'
  ephemerals_are 0 || fail "nodes are left: $(ephemerals)"
  run -0 bash -c 'zk.py tree / | grep -c "^/b[0-9]*/" || true'
  assert_output 0
}

@test "zk-barrier --leave-wait gives up with 124, and has left for the others" {
  member a -m 2 --leave-wait 300ms /b
  member b -m 2 /b
  wait_inside b
  release a
  finish a
  assert_failure 124
  assert_stderr --partial 'gave up waiting for the others'
  wait_shows 'open a:left b:inside'
  release b
  leaves b
  assert_empty_barrier /b
}

# --- signals inside ---

@test "zk-barrier hands TERM to its command, and has left when that ends" {
  member a -m 2 /b
  member b -m 2 /b
  wait_inside a
  wait_inside b
  signal TERM a
  wait_shows 'open a:left b:inside'
  release b
  finish a
  assert_failure 143
  leaves b
}

@test "zk-barrier that gets a signal at any moment of entering has left for the other one, or has never been there" {
  local moment
  for moment in 0 5 10 15 20 25 30 40; do
    start a zk-barrier --id a -m 2 "/b$moment" true
    start b zk-barrier --id b -m 2 --wait 400ms "/b$moment" true
    sleep "$(printf '0.%03d' "$moment")" # the moment itself
    kill -TERM "$(pid_of a)" 2>/dev/null || true # it may have ended
    finish a
    [[ $status == 143 || $status == 0 ]] || fail "after $moment ms: a ended with $status"
    finish b
    [[ $status == 124 || $status == 0 ]] || fail "after $moment ms: b ended with $status"
  done
}

# --- looking ---

@test "zk-barrier --list shows which generation there is, who is here and who is missing, in each phase" {
  local me
  me=$(hostname)
  run -0 --separate-stderr zk-barrier --list /b
  assert_output ''
  assert_equal "$stderr" ''
  member b -m 3 --label 'the first one' /b
  wait_shows 'forming b:waiting'
  run -0 --separate-stderr zk-barrier --list /b
  assert_equal "$stderr" ''
  assert_line --index 0 '/b  generation 0  forming  3 members, 2 missing'
  assert_line --index 1 --regexp "^waiting  b  $me:$(pid_of b) \(the first one\)  since 20[0-9-]+T[0-9:]+Z$"
  member c -m 3 /b
  member a -m 3 /b
  for id in a b c; do wait_inside "$id"; done
  member d -m 3 /b
  wait_shows 'open a:inside b:inside c:inside d:waiting'
  run -0 zk-barrier --list /b
  assert_line --index 0 '/b  generation 1  open  3 members'
  release a
  wait_shows 'open a:left b:inside c:inside d:waiting'
  run -0 zk-barrier --list --json /b
  assert_equal "${#lines[@]}" 1
  assert_equal "$(json '[path, generation, phase, members, missing]' <<<"$output")" "['/b', 1, 'open', 3, 0]"
  assert_equal "$(json '[(p["id"], p["state"], p.get("rank", "-"), p["label"]) for p in places]' <<<"$output")" \
    "[('a', 'left', 0, 'sh'), ('b', 'inside', 1, 'the first one'), ('c', 'inside', 2, 'sh'), ('d', 'waiting', '-', 'sh')]"
  assert_equal "$(json '[p["pid"] for p in places]' <<<"$output")" "[$(pid_of a), $(pid_of b), $(pid_of c), $(pid_of d)]"
  assert_equal "$(json '"\n".join(p["node"] for p in places)' <<<"$output" | sort)" "$(ephemerals | grep /here-)"
  release b
  release c
  for id in a b c; do leaves "$id"; done
  wait_shows 'forming d:waiting'
  run -0 zk-barrier --list --json /b
  assert_equal "$(json '[generation, phase, missing]' <<<"$output")" "[1, 'forming', 2]"
  signal TERM d
  finish d
}

@test "zk-barrier --list escapes what others wrote" {
  kazoo 'import json
evil = "\x1b[31m\n\u202e\x9b2J"
zk.create("/b", json.dumps({"members": 2, "generation": 3, "phase": "forming", "roster": []}).encode(), makepath=True)
zk.create("/b/here-x\u202ey@2#0000000001", json.dumps({"pid": 7, "host": evil, "label": evil, "since": evil}).encode())
for n, data in enumerate([b"", b"\xff\xfe\x1b[31m", b"null", b"[1]", b"{", b"[" * 900000]):
  zk.create("/b/here-z%d@2#%010d" % (n, n + 2), data)'
  run -0 zk-barrier --list /b
  assert_equal "${#lines[@]}" 8
  assert_line --partial '\x1b[31m'
  run -1 env LC_ALL=C grep -q '[^ -~]' <<<"$output"
  run -0 zk-barrier --list --json /b
  assert_equal "${#lines[@]}" 1
  run -1 env LC_ALL=C grep -q '[^ -~]' <<<"$output"
}

@test "zk-barrier and --list survive a state with names in it that lead elsewhere" {
  local name phase
  zk create /a/secret
  for phase in open forming; do
    for name in a//b x/../../a/secret / 'a\u001bb'; do
      zk create /b '{"members":2,"generation":3,"phase":"'$phase'","roster":["'"$name"'@2#0000000001","c@2#0000000002"]}'
      run zk-barrier --list /b
      [[ $status == 0 || $status == 125 ]] || fail "--list with $name, $phase: $status, $output"
      # Those who are not here are dead.
      run zk-barrier -m 2 --wait 100ms /b true
      [[ $status == 124 || $status == 125 ]] || fail "with $name, $phase: $status, $output"
      zk deleteall /b
    done
  done
  zk exists /a/secret
}

# --- what is refused ---

@test "zk-barrier refuses another number of members than the others want, and names both" {
  member a -m 3 /b
  wait_shows 'forming a:waiting'
  refuses '/b is used by 3 members, not 2' -m 2 /b true
  refuses '/b is used by 3 members, not 4' -m 4 /b true
  wait_shows 'forming a:waiting'
  member b -m 3 /b
  member c -m 3 /b
  for id in a b c; do wait_inside "$id"; done
  refuses '/b is used by 3 members, not 2' -m 2 /b true
  for id in a b c; do release "$id"; done
  for id in a b c; do leaves "$id"; done
}

@test "zk-barrier takes another number of members when those before have gone" {
  for id in a b c; do start "$id" zk-barrier --id "$id" -m 3 /b -- sh -c "$note" "$id"; done
  for id in a b c; do leaves "$id"; done
  judge 3 1
  rm log
  for id in a b; do start "$id" zk-barrier --id "$id" -m 2 /b -- sh -c "$note" "$id"; done
  for id in a b; do leaves "$id"; done
  judge 2 1
  assert_equal "$(zk get /b | json 'members, generation')" '(2, 2)'
}

@test "zk-barriers that start at once with a new number, on a barrier that had another, agree" {
  local round n
  for round in 1 2 3 4; do
    zk create "/b$round" '{"members":5,"generation":4,"phase":"forming","roster":[]}'
    rm -f log
    for n in 1 2 3 4; do start "n$n" zk-barrier --id "n$n" -m 4 "/b$round" -- sh -c "$note" "n$n"; done
    for n in 1 2 3 4; do
      finish "n$n"
      assert_success
    done
    judge 4 1
    assert_equal "$(sed -n 's/^in \([0-9]*\) .*/\1/p' log | sort -u)" 5
  done
}

@test "zk-barriers that start at once and want different numbers: one number wins, the others are told both, nobody hangs" {
  local round n
  for round in 1 2 3 4; do
    rm -f log
    for n in 1 2 3 4; do start "n$n" zk-barrier --id "n$n" -m $((n % 2 + 1)) --wait 1s "/b$round" -- sh -c "$note" "n$n"; done
    for n in 1 2 3 4; do
      finish "n$n"
      case $status in
        0) grep -q "^in [0-9]* [0-9]* n$n " log || fail "n$n did not run" ;;
        125) assert_stderr --regexp 'is used by [12] members?, not [12]' ;;
        124) assert_stderr --partial 'of 2 are here' ;;
        *) fail "n$n: status $status" ;;
      esac
      if [[ $status != 0 ]]; then refute grep -qs "^in [0-9]* [0-9]* n$n " log; fi
    done
    # Each has as many beside itself as it wanted.
    run -0 awk '$1 == "in" { id = substr($4, 2); if (NF - 4 != id % 2 + 1) print }' log
    assert_output ''
  done
}

@test "zk-barrier refuses more members than one transaction can end" {
  refuses 'is too long for 1000 members' -m 1000 "/$(printf 'x%.0s' {1..600})" true
}

@test "zk-barrier refuses an id that is here already, and says whose it is" {
  member a -m 2 /b
  wait_shows 'forming a:waiting'
  refuses 'the id a is at /b already' --id a -m 2 /b true
  [[ $stderr == *"$(hostname):$(pid_of a) (sh)"* ]] || fail "it does not say whose: $stderr"
  wait_shows 'forming a:waiting'
  member b -m 2 /b
  wait_inside a
  wait_inside b
  refuses 'the id b is at /b already' --id b -m 2 /b true
  for id in a b; do release "$id"; done
  for id in a b; do leaves "$id"; done
  judge 2 1
}

@test "zk-barrier of several that come at once with the same id lets one in" {
  local n refused=0
  for n in 1 2 3 4; do start "n$n" zk-barrier --id same -m 2 /b -- sh -c "$note" same; done
  wait_for 10 "three to be refused" eval '(($(cat ./*.err | grep -c "is at /b already") == 3))'
  member other -m 2 /b
  release other
  leaves other
  for n in 1 2 3 4; do
    finish "n$n"
    if [[ $status == 125 ]]; then
      refused=$((refused + 1))
    else
      assert_success
    fi
  done
  assert_equal "$refused" 3
  judge 2 1
}

@test "zk-barrier refuses wrong usage with 125 and a sentence that names what is wrong" {
  local id
  refuses '--members' /b true
  refuses '--members' -m 0 /b true
  refuses '--members' -m 1001 /b true
  refuses '--members' -m two /b true
  refuses 'PATH' -m 2
  refuses '-c STRING excludes a COMMAND' -m 2 /b -c true true
  refuses '--json goes with --list' --json -m 2 /b true
  refuses '--list goes with a PATH' --list -m 2 /b
  refuses '--list goes with a PATH' --list /b true
  refuses '--enter-only excludes --leave-wait' --enter-only --leave-wait 1s -m 2 /b true
  refuses '--on-crash' --on-crash cry -m 2 /b true
  refuses '--wait' --wait soon -m 2 /b true
  refuses '--grace 40s' --grace 40s --session-timeout 3s -m 1 /b true
  for id in . .. a/b 'a b' 'a#0000000001' a@2 $'a\nb' ä "$(printf 'x%.0s' {1..65})"; do
    refuses '--id' --id "$id" -m 2 /b true
  done
}

@test "zk-barrier refuses invalid paths before it asks any server" {
  local path
  for path in b '' /b/ //b /a/../b /zookeeper $'/a\x01b'; do
    refuses 'is not valid: ' --hosts 127.0.0.1:1 -m 2 "$path" true
    [[ $stderr != *127.0.0.1* ]] || fail "it asked a server: $stderr"
  done
}

@test "zk-barrier refuses a PATH that holds something else, and leaves it as it was" {
  zk create /b 'a recipe for soup'
  refuses '/b holds data of something else' -m 2 /b true
  refuses '/b holds data of something else' --list /b
  assert_equal "$(zk get /b)" 'a recipe for soup'
  assert_equal "$(zk children /b)" ''
}

@test "zk-barrier takes a folder that somebody else made" {
  zk create /b
  run -0 zk-barrier -m 1 /b echo inside
  assert_output inside
}

@test "zk-barrier says so at once when it has no permission" {
  zk create /b '' --acl world:anyone:r
  refuses '/b' -m 1 /b true
  zk create /c '{"members":1,"generation":4,"phase":"forming","roster":[]}' --acl world:anyone:rcd # it may come, and not open
  refuses '/c' -m 1 /c true
  assert_equal "$(zk children /c)" ''
  zk create /d '' --acl digest:x:y:cdrwa
  refuses '/d' -m 1 /d true
  refuses '/d' --list /d
}
