// The commit protocol of a register over ZooKeeper: its algorithm, to be searched through by spin. See `run`.
//
// Coordinators write transactions; the participants of each one's roster vote; it is committed or aborted in one step
// on the server, by its coordinator or, when that one's session has ended, by any participant. Participants apply what
// is committed, in the order of the log, acknowledge it, and help each other to catch up. What all have acknowledged
// is cleaned up. At any moment participants and coordinators die or lose their session; participants come back, or
// not; a coordinator waits no longer; a dead participant's registration is removed.
//
// What holds in each state or step within the bounds below, and the assertions that say so:
//
//  1. Agreement, for ever. A transaction is decided once: who commits it finds it undecided, who aborts it too
//     (undecided_until_now). Nobody drops one that is not aborted (dropped_only_aborted); all apply the same sequence
//     (same_order). Who is told that one is aborted will not find it committed (told_the_truth, not_denied).
//  2. Only what all can do. What is committed has a yes of each of its roster, no no (all_said_yes), and is on the disk
//     of each (all_can_commit). Each votes once (votes_once).
//  3. What all can do is done. What is aborted has a no, or something has failed or timed out
//     (somebody_said_no_or_failed).
//  4. Order. A vote is decided on just what it would be applied to: every earlier conflicting transaction is decided
//     and, if committed, applied (evaluated_what_it_changes); and so it stays until it is decided (nobody_depends).
//  5. Durability. What is acknowledged is on the disk (ack_is_durable). What is cleaned up is on the disk of somebody
//     who is registered (contents_kept). Who had to vote and has not acknowledged finds the contents in tx
//     (contents_found). Who becomes alive has all that was committed before its session began (caught_up).
//  6. Nobody hangs. When nothing comes from outside any more and all that can happen has happened: if all participants
//     are up they have applied everything (helped_if_all_are_up) and tx is empty (nothing_left). If some are down but
//     those who are up have applied everything, then all is decided (all_decided), the coordinators have come to an end
//     (coordinators_done), nothing is left on the disk of those who are up to be decided, and they are alive
//     (all_done), and what is kept in tx is kept for one who is down (kept_for_who_is_down). And (runs `endless`) there
//     is no cycle: whatever is done comes to an end, in whatever order processes have their turns.
//
// Who has not caught up, while the only ones who have the contents are down, cannot vote, and is alive if it was
// before: the coordinator waits for it until its time-out. That is the one thing that 6 excepts.
//
// Within these bounds. P participants, of which LATE register later; C coordinators, each with T transactions, one
// after the other; KEYS: of how many keys each transaction takes any; NOS=1: any vote may be no; CRASHES of
// participants, who may come back; LOSSES of their sessions while they live; ENDS: so many coordinators die; CUTS of
// their sessions while they live; TIMEOUTS: so many times a coordinator waits no longer; LEAVES of registrations are
// removed; ALL=1: all who are registered must vote; LOST=1: a coordinator may not hear that it has committed; BRISK=1:
// a participant begins a round only if it would do something as things are. The states that spin stored, and the
// seconds (two searches at a time on two cores that had much other work, with the compilation):
//
//   tpc-one           P=2 CRASHES=2 LOSSES=1 ENDS=1 CUTS=1 TIMEOUTS=1     1040834 states   7 s
//   tpc-next          P=2 T=2 CRASHES=2 LOSSES=1 ENDS=1                   1703024 states   8 s
//   tpc-last          P=2 T=3 CRASHES=1 TIMEOUTS=1 LATE=1                 1827173 states   7 s
//   tpc-rivals        P=2 C=2 CRASHES=1 ENDS=1 TIMEOUTS=1                 1338231 states   8 s
//   tpc-rivals-cut    P=2 C=2 LOSSES=1 CUTS=1 LOST=1                       964174 states   8 s
//   tpc-rivals-late   P=2 C=2 CRASHES=1 LATE=1                             988360 states   7 s
//   tpc-keys          P=2 C=2 KEYS=2 ENDS=1 CUTS=1 LOST=1                 1587575 states   9 s
//   tpc-queue         P=2 C=3 KEYS=2                                      2626171 states  10 s
//   tpc-leave         P=2 T=2 CRASHES=2 LATE=1 LEAVES=1                   1595097 states  11 s
//   tpc-three         P=3 CRASHES=1 TIMEOUTS=1                             601924 states   9 s
//   tpc-three-late    P=3 T=2 CRASHES=1 LATE=1 BRISK=1                    1005307 states  11 s
//   tpc-three-twice   P=3 CRASHES=2 ENDS=1 TIMEOUTS=1 BRISK=1             1619256 states  15 s
//   tpc-three-rivals  P=3 C=2 CRASHES=1 BRISK=1                           2252906 states  33 s
//   tpc-three-leave   P=3 CRASHES=2 LATE=1 LEAVES=2 BRISK=1               1941800 states  37 s
//   tpc-all           P=3 CRASHES=1 ENDS=1 CUTS=1 LOST=1 ALL=1 BRISK=1     160911 states  17 s
//   tpc-endless       P=2 T=2 CRASHES=1 LOSSES=1 ENDS=1                    430115 states  16 s
//   tpc-endless-two   P=2 C=2 CRASHES=1 CUTS=1                             650891 states  13 s
//
// And the search finds mistakes, if there are any: with BUG_...
//
//   VOTE_BEFORE_DISK  a yes is sent before it is on the disk (2)
//   COMMIT_UNCHECKED  who is not alive any more need not have voted (2)
//   ABORT_BLIND       aborting deletes whatever is there, `committed` and unseen votes too (1)
//   SETTLE_LIVING     participants settle what has a coordinator (3)
//   NO_SETTLE         nor what has none any more (6)
//   VOTE_TWICE        a participant votes without regard to the vote that is there, or to what is on its disk (2)
//   NO_FENCE          what a dead participant has sent may still arrive when it has begun anew (2)
//   VOTE_BEHIND       voting without having applied the newest log entry (4)
//   VOTE_OVER         voting while an earlier conflicting transaction is undecided (4)
//   LOG_FIRST         the log is listed before tx (4)
//   DELETE_NEWEST     the newest log entry is deleted, too: who is behind takes itself for caught up (4)
//   ALIVE_EARLY       being alive without having caught up (5)
//   ACK_EARLY         acknowledging before it is on the disk (5)
//   DROP_BEHIND       what is gone from tx is taken for aborted by one who is behind, and was removed from the
//                     register while it was down (1)
//   OWN_LOG           what is prepared and needs no vote in this round is taken for aborted, whatever tx has (1)
//   CLEANUP_EARLY     cleaning up does not wait for all acknowledgements (5)
//   CLEANUP_LIVING    participants clean up what has a coordinator: which then takes it for aborted (1)
//   CLEANUP_VACUOUS   cleaning up when none of the roster is registered any more, and nobody else has it (5)
//   CLEANUP_RACE      the clean-up does not check that those who have acknowledged are still registered (5)
//   NO_CLEANUP        participants do not clean up after a coordinator that has gone (6)
//   PRESUME_ABORTED   a coordinator that has lost its session takes for aborted what is not in tx and the log (1)
//   LOOK_STALE        after a lost reply a coordinator takes an older state for the present one: its transaction, which
//                     it does not see, for one that was not created (1)
//
// A reading shows the present. A server may lag behind, but a session reads forwards, and begins at least at the moment
// when it was created: that is the same as an earlier reading of a slow process. It is not where a process has heard in
// another way: of its own writing, whose answer got lost (it must write again, or sync, before it looks: LOOK_STALE),
// or from another's store (it goes on with what it listed before it caught up, as it does here). A participant reads in
// three steps: tx, the log, the contents; writes to its disk; and writes to the server. Committing, settling, and
// cleaning up by participants are one step of reading and writing each, since a yes, an acknowledgement, and the end of
// a session remain; aborting and cleaning up by a coordinator are two. Between any two steps anything may happen.
//
// What is not in it: disks that are lost; the names of transactions (here they are numbered in the order of their
// creation); watches (whoever has something to do begins at some time); values (what counts is which transactions of
// the same key they come from) and conditions (any vote may be no); `recover` (it does what any participant does); more
// than three transactions. A registration is removed only of one who is down, and if others who are registered have
// what is not in tx any more. A participant that dies with a request on the way is, by NO_FENCE, one whose request
// arrives before it begins anew or never: its requests must say which start of it they are from. A participant whose
// session is lost hears of it at its next request. Coordinators do not come back. The participants' help is of those
// that are up and alive, and from their disk. With BRISK=1 rounds that would do nothing when they begin are left out.

#ifndef P
#define P 2        // participants: 2 or 3
#endif
#ifndef C
#define C 1        // coordinators: 1 to 3
#endif
#ifndef T
#define T 1        // transactions of each coordinator, one after the other; C * T is at most 3
#endif
#ifndef KEYS
#define KEYS 1     // keys: transactions of the same key conflict; each takes any of them; 1 or 2
#endif
#ifndef NOS
#define NOS 1      // whether a participant may vote no
#endif
#ifndef CRASHES
#define CRASHES 0  // how many times a participant dies
#endif
#ifndef LOSSES
#define LOSSES 0   // how many times a session ends under a living participant
#endif
#ifndef ENDS
#define ENDS 0     // how many coordinators die
#endif
#ifndef CUTS
#define CUTS 0     // how many times a session ends under a living coordinator
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0 // how many times a coordinator waits no longer
#endif
#ifndef LATE
#define LATE 0     // how many of the participants come for the first time later
#endif
#ifndef LEAVES
#define LEAVES 0   // how many times a dead participant's registration is removed
#endif
#ifndef ALL
#define ALL 0      // whether all who are registered must vote, or those who are alive, if these are a majority
#endif
#ifndef LOST
#define LOST 0     // whether a coordinator may not hear what became of its transaction
#endif
#ifndef ENDLESS
#define ENDLESS 0  // to look for cycles, and not for what hangs
#endif
#ifndef BRISK
#define BRISK ENDLESS // whether a participant begins a round only if that would do something as it is now
#endif

#define BIT(i)     (1 << (i))
#define IN(i, set) (((set) >> (i)) & 1)
#define EVERYBODY  (BIT(P) - 1)

// A history is a sequence of up to three transactions: two bits each, the number of the transaction plus one, the first
// in the lowest.
#define NTH(h, v)  (((h) >> (2 * (v))) & 3)
#define VERSION(h) ((h) == 0 -> 0 : ((h) < 4 -> 1 : ((h) < 16 -> 2 : 3)))
#define SET_OF(h)  (((1 << NTH(h, 0)) | (1 << NTH(h, 1)) | (1 << NTH(h, 2))) >> 1)
#define PLACE(t)   (NTH(history, 0) == (t) + 1 -> 1 : (NTH(history, 1) == (t) + 1 -> 2 : 3))

// --- the server ---

byte created;                  // how many transactions; their numbers are their order
byte tx;                       // whose node is there
byte roster[3];                // who must vote; known for ever, for the assertions
byte yes[3];
byte no[3];
byte owner[3];
byte key;                      // those that have the second key
byte history;                  // all that was committed, as it was: those in it that are in tx have `committed`
byte logged;                   // the versions (minus one) whose log entry is there

byte registered = BIT(P - LATE) - 1;
byte acked[3];
byte alive = BIT(P - LATE) - 1;
byte coordinators = BIT(C) - 1;

#define COMMITTED        SET_OF(history)
#define VOTES(t)         (yes[t] | no[t])
#define SAME_KEY(t)      (IN(t, key) -> key : ~key & 7)
#define NOT_ACKED(t)     ((acked[0] < PLACE(t)) | (acked[1] < PLACE(t)) << 1 | (acked[2] < PLACE(t)) << 2)
#ifdef BUG_CLEANUP_VACUOUS
#define MAY_CLEAN_UP(t)  ((roster[t] & registered & NOT_ACKED(t)) == 0)
#else
#define MAY_CLEAN_UP(t)  ((roster[t] & registered & NOT_ACKED(t)) == 0 && (registered & ~NOT_ACKED(t)) != 0)
#endif
#define IS_UNDECIDED(t)  (IN(t, tx) && !IN(t, COMMITTED))
#define ABORTED(t)       ((t) < created && !IN(t, tx) && !IN(t, COMMITTED))

// --- the participants ---

byte up = BIT(P - LATE) - 1;
byte own = BIT(P - LATE) - 1;  // whose node in alive is that of its session; else that one's session has ended, or will

// On the disk.
byte applied[3];               // a history
byte prepared[3];

// In memory.
#define IDLE  0                // between two rounds
#define LOG   1                // about to list the log
#define APPLY 2
#define WRITE 3                // about to evaluate, and to write to the disk
#define SEND  4
#define JOIN  5
#define LATER 6                // only in mistakes
byte at[3];
byte listed[3];
byte to_vote[3];
byte seen[3];                  // versions (minus one) of the log
byte memory[3];                // a history
byte say_yes[3];
byte say_no[3];
#ifdef BUG_NO_FENCE
byte late_yes[3];              // sent by one that is dead, and not yet there
byte late_no[3];
#endif
byte cut;                      // those whose session has ended, and who do not know it

#define NEWEST_SEEN(p) (IN(2, seen[p]) -> 3 : (IN(1, seen[p]) -> 2 : IN(0, seen[p])))
#define ENTRY(p, v)    (IN(v, seen[p]) -> (1 << NTH(history, v)) >> 1 : 0)
#define SEEN(p)        (ENTRY(p, 0) | ENTRY(p, 1) | ENTRY(p, 2))

// --- the coordinators ---

#define READ   0
#define CREATE 1
#define LOOK   2
#define ABORT  3
#define ACKS   4
#define CLEAN  5
#define DONE   6
#define DEAD   7
byte does[3];
byte own_tx[3];
byte begun[3];
byte chosen[3];                // its roster, before it is written
byte saw[3];                   // the votes that it deletes, or those who have what it cleans up
// Coordinators are alike, so they write their first transactions in the order of their numbers.
#define MAY_CREATE(c) (c == 0 || does[c - 1] > CREATE || begun[c - 1] > 0)

// The outside world.
byte may_crash = CRASHES;
byte may_lose = LOSSES;
byte may_end = ENDS;
byte may_cut = CUTS;
byte may_time_out = TIMEOUTS;
byte may_leave = LEAVES;
#define NOTHING_FAILED (may_crash == CRASHES && may_lose == LOSSES && may_end == ENDS && may_cut == CUTS && \
                        may_time_out == TIMEOUTS)

// Known to nobody, for the assertions: the newest version when a participant's session began, until it is alive.
byte newest_then[3];
byte denied;                   // of which somebody was told that it is aborted

hidden byte i, q, set, ok;

// --- what must be so: by these names `run` knows which assertion has found something ---

hidden byte undecided_until_now, not_denied, all_said_yes, all_can_commit, nobody_depends, somebody_said_no_or_failed;
hidden byte contents_kept;
hidden byte told_the_truth, evaluated_what_it_changes, dropped_only_aborted, same_order, votes_once, ack_is_durable;
hidden byte contents_found, caught_up, helped_if_all_are_up, coordinators_done, all_decided, kept_for_who_is_down;
hidden byte nothing_left, all_done;

#define must(what, condition) what = (condition); assert(what)

// --- decisions ---

inline commit(t) {
  must(undecided_until_now, IS_UNDECIDED(t));
  must(not_denied, !IN(t, denied));
  must(all_said_yes, (yes[t] & roster[t]) == roster[t] && no[t] == 0);
  q = 0;
  do
  :: q < P -> must(all_can_commit, !IN(q, roster[t]) || IN(t, prepared[q])); q++
  :: else -> break
  od;
  // Nobody has evaluated one that this one conflicts with and that is undecided.
  i = 0;
  do
  :: i < created ->
    q = 0;
    do
    :: q < P ->
      must(nobody_depends, i == t || !IS_UNDECIDED(i) || !IN(i, SAME_KEY(t)) || !IN(i, prepared[q]));
      q++
    :: else -> break
    od;
    i++
  :: else -> break
  od;
  logged = logged | BIT(VERSION(history));
  history = history | ((t + 1) << (2 * VERSION(history)))
}

inline remove(t) {
  tx = tx & ~BIT(t);
  yes[t] = 0; no[t] = 0
}

inline abort(t) {
  must(undecided_until_now, IS_UNDECIDED(t));
  must(somebody_said_no_or_failed, no[t] != 0 || !NOTHING_FAILED);
  remove(t)
}

inline clean_up(t) {
  remove(t);
  i = 0;
  do
  :: i < PLACE(t) ->
    if
#ifdef BUG_DELETE_NEWEST
    :: !IN(NTH(history, i) - 1, tx)
#else
    :: !IN(NTH(history, i) - 1, tx) && i + 1 < VERSION(history)
#endif
      -> logged = logged & ~BIT(i)
    :: else
    fi;
    i++
  :: else -> break
  od;
  ok = 0; q = 0;
  do
  :: q < P -> ok = ok || IN(q, registered) && VERSION(applied[q]) >= PLACE(t); q++
  :: else -> break
  od;
  must(contents_kept, ok)
}

// --- a coordinator ---

#define NUMBER_OF(set) (IN(0, set) + IN(1, set) + IN(2, set))

inline next() {
  begun[c]++;
  saw[c] = 0; own_tx[c] = 0; chosen[c] = 0;
  if
  :: begun[c] < T && IN(c, coordinators) -> does[c] = READ
  :: else ->
    does[c] = DONE; begun[c] = T;
    coordinators = coordinators & ~BIT(c)
  fi
}

inline create(with_key) {
  if
  :: IN(c, coordinators) ->
    own_tx[c] = created;
    tx = tx | BIT(created);
    roster[created] = chosen[c];
    owner[created] = c;
    key = key | (with_key << created);
    created++;
    chosen[c] = 0;
    does[c] = LOOK
  :: else -> next()
  fi
}

#define mine      own_tx[c]
#define ALL_YES(t) ((yes[t] & roster[t]) == roster[t])
#ifdef BUG_COMMIT_UNCHECKED
#define IS_AGREED(t) (no[t] == 0 && (roster[t] & alive & ~VOTES(t)) == 0)
#else
#define IS_AGREED(t) ALL_YES(t)
#endif
#ifdef BUG_CLEANUP_RACE
#define STILL_THERE(c) 1
#else
#define STILL_THERE(c) ((saw[c] & ~registered) == 0)
#endif
#define MUST_ABORT(t) (no[t] != 0 || (roster[t] & ~VOTES(t) & ~alive) != 0)

proctype Coordinator(byte c) {
end:
  do
  :: d_step { does[c] == READ ->
      if
      :: ALL && alive != 0 -> chosen[c] = registered; does[c] = CREATE
      :: !ALL && 2 * NUMBER_OF(alive) > NUMBER_OF(registered) -> chosen[c] = alive; does[c] = CREATE
      :: else -> next()   // aborted, and nothing is written
      fi }
  :: d_step { does[c] == CREATE && MAY_CREATE(c) -> create(0) }
  :: d_step { does[c] == CREATE && MAY_CREATE(c) && KEYS > 1 -> create(1) }

  // Who has its session takes it for aborted. Who has not looks into the log, too, and otherwise does not know.
#ifdef BUG_LOOK_STALE
  :: d_step { does[c] == LOOK && IS_UNDECIDED(mine) -> denied = denied | BIT(mine); next() }
#endif
  :: d_step { does[c] == LOOK && !IN(mine, tx) ->
#ifdef BUG_PRESUME_ABORTED
      must(told_the_truth, !IN(mine, COMMITTED) || IN(PLACE(mine) - 1, logged));
#else
      must(told_the_truth, !IN(mine, COMMITTED) || !IN(c, coordinators));
#endif
      next() }
  :: d_step { does[c] == LOOK && IN(mine, tx) && IN(mine, COMMITTED) -> does[c] = ACKS }
  :: d_step { does[c] == LOOK && IS_UNDECIDED(mine) && IS_AGREED(mine) -> commit(mine); does[c] = ACKS }
  :: d_step { LOST && does[c] == LOOK && IS_UNDECIDED(mine) && IS_AGREED(mine) -> commit(mine) }
  :: d_step { does[c] == LOOK && IS_UNDECIDED(mine) && MUST_ABORT(mine) -> saw[c] = VOTES(mine); does[c] = ABORT }
  :: d_step { does[c] == LOOK && IS_UNDECIDED(mine) && !ALL_YES(mine) && may_time_out > 0 ->
      may_time_out--; saw[c] = VOTES(mine); does[c] = ABORT }

  :: d_step { does[c] == ABORT ->
      if
#ifdef BUG_ABORT_BLIND
      :: IN(mine, tx)
#else
      :: IS_UNDECIDED(mine) && VOTES(mine) == saw[c]
#endif
        -> abort(mine); next()
      :: else -> saw[c] = 0; does[c] = LOOK
      fi }

  :: d_step { does[c] == ACKS && !IN(mine, tx) -> next() }
  :: d_step { does[c] == ACKS && IN(mine, tx) && (alive & roster[mine] & NOT_ACKED(mine)) == 0 ->
      if
#ifdef BUG_CLEANUP_EARLY
      :: true -> does[c] = CLEAN
#else
      :: MAY_CLEAN_UP(mine) -> saw[c] = registered & ~NOT_ACKED(mine); does[c] = CLEAN
#endif
      :: else -> next()
      fi }
  :: d_step { does[c] == CLEAN ->
      if
      :: IN(mine, tx) && !STILL_THERE(c) -> saw[c] = 0; does[c] = ACKS
      :: IN(mine, tx) && STILL_THERE(c) -> clean_up(mine); next()
      :: !IN(mine, tx) -> next()
      fi }

  :: d_step { may_end > 0 && does[c] < DONE ->
      may_end--; does[c] = DEAD; own_tx[c] = 0; chosen[c] = 0; saw[c] = 0; begun[c] = T }
  :: d_step { may_cut > 0 && does[c] < DONE && IN(c, coordinators) ->
      may_cut--; coordinators = coordinators & ~BIT(c) }
  od
}

// --- a participant ---

inline forget(p) {
  listed[p] = 0; to_vote[p] = 0; seen[p] = 0; memory[p] = 0; say_yes[p] = 0; say_no[p] = 0;
  cut = cut & ~BIT(p);
  at[p] = IDLE
}

inline list_tx(p) {
  listed[p] = tx;
  to_vote[p] = 0; i = 0;
  do
  :: i < created ->
    if
#ifdef BUG_VOTE_TWICE
    :: IN(i, tx) && IN(p, roster[i]) && !IN(i, COMMITTED)
#else
    :: IN(i, tx) && IN(p, roster[i]) && !IN(p, VOTES(i))
#endif
      -> to_vote[p] = to_vote[p] | BIT(i)
    :: else
    fi;
    i++
  :: else -> break
  od
}

inline list_log(p) {
  seen[p] = logged;
}

// The next entries, as far as their transactions are there.
inline apply(p) {
  do
  :: VERSION(memory[p]) < NEWEST_SEEN(p) && IN(NTH(history, VERSION(memory[p])) - 1, tx & SEEN(p)) ->
    memory[p] = memory[p] | (NTH(history, VERSION(memory[p])) << (2 * VERSION(memory[p])))
  :: else -> break
  od
}

#ifdef BUG_VOTE_OVER
#define HAS_TO_WAIT(p, t) 0
#else
#define HAS_TO_WAIT(p, t) (((BIT(t) - 1) & listed[p] & ~SEEN(p) & SAME_KEY(t)) != 0)
#endif

// Conditions and policy, which denies some; and all is written to the disk at once.
inline evaluate(p, deny) {
  set = 0;
  if
#ifndef BUG_VOTE_BEHIND
  :: VERSION(memory[p]) >= NEWEST_SEEN(p) ->
#else
  :: true ->
#endif
    i = 0;
    do
    :: i < created ->
      if
      :: IN(i, to_vote[p]) && !IN(i, SEEN(p)) && !HAS_TO_WAIT(p, i) ->
        // It sees just what it would be applied to, unless it is aborted by now.
        must(evaluated_what_it_changes,
             !IN(i, tx) || (SET_OF(memory[p]) & SAME_KEY(i)) == (COMMITTED & SAME_KEY(i)));
        if
#ifdef BUG_VOTE_TWICE
        :: IN(i, deny) -> say_no[p] = say_no[p] | BIT(i)
#else
        :: !IN(i, prepared[p]) && IN(i, deny) -> say_no[p] = say_no[p] | BIT(i)
#endif
        :: else -> say_yes[p] = say_yes[p] | BIT(i)
        fi
      :: else
      fi;
      i++
    :: else -> break
    od
  :: else
  fi;
  // Dropped.
  if
#ifdef BUG_DROP_BEHIND
  :: true
#else
  :: VERSION(memory[p]) >= NEWEST_SEEN(p)
#endif
    -> set = prepared[p] & ~listed[p] & ~SEEN(p) & ~SET_OF(memory[p])
  :: else
  fi;
#ifdef BUG_OWN_LOG
  set = set | (prepared[p] & ~say_yes[p] & ~SET_OF(memory[p]));
#endif
  must(dropped_only_aborted, (set & (tx | COMMITTED)) == 0);
  applied[p] = memory[p];
  prepared[p] = (prepared[p]
#ifndef BUG_VOTE_BEFORE_DISK
    | say_yes[p]
#endif
    ) & ~SET_OF(memory[p]) & ~set;
  must(same_order, applied[p] == (history & ((1 << (2 * VERSION(applied[p]))) - 1)));
  at[p] = SEND
}

// Whether each vote's transaction is there, and the vote is not.
#define CAN_CAST(p, t) ((!IN(t, say_yes[p]) || IN(t, tx) && !IN(p, yes[t])) && \
                        (!IN(t, say_no[p]) || IN(t, tx) && !IN(p, no[t])))
#define CAN_SEND(p)    (CAN_CAST(p, 0) && CAN_CAST(p, 1) && CAN_CAST(p, 2))

inline cast_votes(p) {
  i = 0;
  do
  :: i < created ->
    if
    :: IN(i, say_yes[p] | say_no[p]) ->
      must(votes_once, !IN(p, VOTES(i)));
      yes[i] = yes[i] | (IN(i, say_yes[p]) << p);
      no[i] = no[i] | (IN(i, say_no[p]) << p)
    :: else
    fi;
    i++
  :: else -> break
  od
}

inline send(p) {
  if
  :: !IN(p, cut) && CAN_SEND(p) ->
    cast_votes(p);
    acked[p] = VERSION(applied[p]);
    ok = (VERSION(applied[p]) >= NEWEST_SEEN(p) && !IN(p, alive));
    set = say_yes[p];
    forget(p);
    at[p] = (ok -> JOIN : IDLE);
#ifdef BUG_VOTE_BEFORE_DISK
    if
    :: set != 0 -> say_yes[p] = set; at[p] = LATER
    :: else
    fi
#endif
  :: else -> forget(p)
  fi
}

// Whether a round that began now would do anything, if nothing else happened.
#define HAS_MORE(p, r) (r < P && IN(r, up & alive) && VERSION(applied[r]) > VERSION(applied[p]))
#define CAN_APPLY(p)   (VERSION(applied[p]) < VERSION(history) && \
                        (IN(NTH(history, VERSION(applied[p])) - 1, tx) || \
                         HAS_MORE(p, 0) || HAS_MORE(p, 1) || HAS_MORE(p, 2)))
#define CAN_VOTE_ON(p, t) (IS_UNDECIDED(t) && IN(p, roster[t]) && !IN(p, VOTES(t)) && \
                           ((BIT(t) - 1) & tx & ~COMMITTED & SAME_KEY(t)) == 0)
#define IS_NEWEST(p)   (VERSION(applied[p]) == VERSION(history))
#define HAS_WORK(p)    (CAN_APPLY(p) || acked[p] != VERSION(applied[p]) || IS_NEWEST(p) && \
                        (CAN_VOTE_ON(p, 0) || CAN_VOTE_ON(p, 1) || CAN_VOTE_ON(p, 2) || \
                         (prepared[p] & ~tx) != 0 || !IN(p, alive)))

// Whether others who are registered have all that is not in tx any more.
#define IS_GONE(v)     (VERSION(history) >= (v) && !IN(NTH(history, (v) - 1) - 1, tx))
#define LAST_GONE      (IS_GONE(3) -> 3 : (IS_GONE(2) -> 2 : IS_GONE(1)))
#define HAS_IT_TOO(q, p) (q != p && IN(q, registered) && acked[q] >= LAST_GONE)
#define NEEDS_NOT(p)   (LAST_GONE == 0 || HAS_IT_TOO(0, p) || HAS_IT_TOO(1, p) || HAS_IT_TOO(2, p))

proctype Participant(byte p) {
end:
  do
  :: d_step { at[p] == IDLE && IN(p, up) && (!BRISK || HAS_WORK(p)) ->
#ifdef BUG_LOG_FIRST
      list_log(p);
#else
      list_tx(p);
#endif
      at[p] = LOG }
  :: d_step { at[p] == LOG ->
      if
      :: IN(p, cut) -> forget(p)
      :: else ->
#ifdef BUG_LOG_FIRST
        list_tx(p);
#else
        list_log(p);
#endif
        memory[p] = applied[p];
        at[p] = (VERSION(memory[p]) < NEWEST_SEEN(p) -> APPLY : WRITE)
      fi }
  :: d_step { at[p] == APPLY ->
      if
      :: IN(p, cut) -> forget(p)
      :: else ->
        apply(p);
        // Who had to vote on it, and has not acknowledged it, needs nobody to find it.
        must(contents_found, VERSION(memory[p]) >= NEWEST_SEEN(p) || LEAVES > 0 ||
                             !IN(p, roster[NTH(history, VERSION(memory[p])) - 1]));
        q = 0;
        do
        :: VERSION(memory[p]) < NEWEST_SEEN(p) && q < P ->
          if
          :: IN(q, up & alive) && VERSION(applied[q]) > VERSION(memory[p]) -> memory[p] = applied[q]
          :: else
          fi;
          q++
        :: else -> break
        od;
#ifdef BUG_ACK_EARLY
        acked[p] = VERSION(memory[p]);
#endif
        at[p] = WRITE
      fi;
      must(ack_is_durable, VERSION(applied[p]) >= acked[p]) }
  :: d_step { at[p] == WRITE -> evaluate(p, 0) }
  :: d_step { NOS && at[p] == WRITE && to_vote[p] != 0 -> evaluate(p, 7) }
  :: d_step { NOS && at[p] == WRITE && (to_vote[p] & (to_vote[p] - 1)) != 0 ->
      evaluate(p, (to_vote[p] ^ (to_vote[p] & (to_vote[p] - 1)))) }
  :: d_step { at[p] == SEND -> send(p); must(ack_is_durable, VERSION(applied[p]) >= acked[p]) }
  :: d_step { at[p] == JOIN ->
      if
      :: !IN(p, alive) ->
        must(caught_up, VERSION(applied[p]) >= newest_then[p]);
        newest_then[p] = 0;
        alive = alive | BIT(p); own = own | BIT(p)
      :: else
      fi;
      forget(p) }
#ifdef BUG_VOTE_BEFORE_DISK
  :: d_step { at[p] == LATER -> prepared[p] = prepared[p] | say_yes[p]; forget(p) }
#endif
#ifdef BUG_NO_FENCE
  :: d_step { may_crash > 0 && at[p] == SEND && !IN(p, cut) ->
      may_crash--; up = up & ~BIT(p); own = own & ~BIT(p); newest_then[p] = 0;
      late_yes[p] = say_yes[p]; late_no[p] = say_no[p];
      forget(p) }
  :: d_step { (late_yes[p] | late_no[p]) != 0 && at[p] == IDLE ->
      say_yes[p] = late_yes[p]; say_no[p] = late_no[p];
      late_yes[p] = 0; late_no[p] = 0;
      if
      :: CAN_SEND(p) -> cast_votes(p)
      :: else
      fi;
      say_yes[p] = 0; say_no[p] = 0 }
#endif
#ifdef BUG_ALIVE_EARLY
  :: d_step { at[p] == IDLE && IN(p, up) && !IN(p, alive) -> at[p] = JOIN }
#endif

  :: d_step { may_crash > 0 && IN(p, up) ->
      may_crash--; up = up & ~BIT(p); own = own & ~BIT(p); newest_then[p] = 0; forget(p) }
  :: d_step { !IN(p, up) ->
      up = up | BIT(p);
      acked[p] = (IN(p, registered) -> acked[p] : VERSION(applied[p]));
      registered = registered | BIT(p);
      newest_then[p] = VERSION(history) }
  :: d_step { may_lose > 0 && IN(p, own) ->
      may_lose--; own = own & ~BIT(p); alive = alive & ~BIT(p);
      newest_then[p] = VERSION(history);
      cut = cut | ((at[p] != IDLE) << p) }
  :: d_step { IN(p, alive) && !IN(p, own) -> alive = alive & ~BIT(p) }
  :: d_step { may_leave > 0 && IN(p, registered) && !IN(p, up | alive) && NEEDS_NOT(p) ->
      may_leave--; registered = registered & ~BIT(p); acked[p] = 0 }
  od
}

// --- what any participant does, and what is so when nothing happens any more ---

#if defined(BUG_NO_SETTLE)
#define IS_LEFT(t) 0
#elif defined(BUG_SETTLE_LIVING)
#define IS_LEFT(t) 1
#else
#define IS_LEFT(t) IS_ORPHAN(t)
#endif
#if defined(BUG_NO_CLEANUP)
#define IS_OVER(t) 0
#elif defined(BUG_CLEANUP_LIVING)
#define IS_OVER(t) 1
#else
#define IS_OVER(t) IS_ORPHAN(t)
#endif
#define IS_ORPHAN(t)    (!IN(owner[t], coordinators))
#define CAN_SETTLE(t)   (up != 0 && IS_LEFT(t) && IS_UNDECIDED(t))
#define CAN_CLEAN_UP(t) (up != 0 && IS_OVER(t) && IN(t, tx & COMMITTED) && MAY_CLEAN_UP(t))

inline settle(t) {
  if
  :: ALL_YES(t) -> commit(t)
  :: else -> abort(t)
  fi
}

#define RESTS(p)   ((p) >= P || !IN(p, up) || at[p] == IDLE && !HAS_WORK(p))
#define HAS_DONE(c) ((c) >= C || does[c] >= DONE)
#define WAITS(c)   (HAS_DONE(c) || \
                    does[c] == LOOK && IS_UNDECIDED(own_tx[c]) && !IS_AGREED(own_tx[c]) && !MUST_ABORT(own_tx[c]) || \
                    does[c] == ACKS && (alive & roster[own_tx[c]] & NOT_ACKED(own_tx[c])) != 0)
#define IS_DEAD(c) ((c) < C && does[c] == DEAD && IN(c, coordinators))

active proctype World() {
end:
  do
  :: d_step { CAN_SETTLE(0) -> settle(0) }
  :: d_step { CAN_SETTLE(1) -> settle(1) }
  :: d_step { CAN_SETTLE(2) -> settle(2) }
  :: d_step { CAN_CLEAN_UP(0) -> clean_up(0) }
  :: d_step { CAN_CLEAN_UP(1) -> clean_up(1) }
  :: d_step { CAN_CLEAN_UP(2) -> clean_up(2) }
  :: d_step { IS_DEAD(0) -> coordinators = coordinators & ~BIT(0) }
  :: d_step { IS_DEAD(1) -> coordinators = coordinators & ~BIT(1) }
  :: d_step { IS_DEAD(2) -> coordinators = coordinators & ~BIT(2) }
  :: d_step {
      !ENDLESS && (alive & ~own) == 0 && RESTS(0) && RESTS(1) && RESTS(2) && WAITS(0) && WAITS(1) && WAITS(2) &&
      !IS_DEAD(0) && !IS_DEAD(1) && !IS_DEAD(2) && !CAN_SETTLE(0) && !CAN_SETTLE(1) && !CAN_SETTLE(2) &&
      !CAN_CLEAN_UP(0) && !CAN_CLEAN_UP(1) && !CAN_CLEAN_UP(2) ->
      // Who has not caught up cannot, for those who could help are down; then the coordinator waits for its time-out.
      ok = 1; q = 0;
      do
      :: q < P ->
        must(helped_if_all_are_up, !IN(q, up) || IS_NEWEST(q) || up != EVERYBODY);
        ok = ok && (!IN(q, up) || IS_NEWEST(q));
        q++
      :: else -> break
      od;
      must(coordinators_done, !ok || HAS_DONE(0) && HAS_DONE(1) && HAS_DONE(2));
      // Everything is decided, unless nobody is there to do it; what is kept is kept for those who are not.
      must(all_decided, !ok || up == 0 || (tx & ~COMMITTED) == 0);
      i = 0;
      do
      :: i < created ->
        must(kept_for_who_is_down,
             !ok || up == 0 || !IN(i, tx) || (roster[i] & registered & ~up & NOT_ACKED(i)) != 0);
        i++
      :: else -> break
      od;
      q = 0;
      do
      :: q < P -> must(all_done, !ok || !IN(q, up) || prepared[q] == 0 && IN(q, alive)); q++
      :: else -> break
      od;
      must(nothing_left, up != EVERYBODY || tx == 0)
    }
  od
}

init {
  atomic {
    i = 0;
    do
    :: i < P -> run Participant(i); i++
    :: else -> break
    od;
    i = 0;
    do
    :: i < C -> run Coordinator(i); i++
    :: else -> break
    od;
    i = 0
  }
}
