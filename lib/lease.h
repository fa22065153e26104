// Until when nobody else can hold what this session holds: the lease rule. Pure; the session feeds it.
//
// A lock is an ephemeral node, and the server deletes it when the session expires. Whoever acts under the lock must
// have stopped before that, also when the server is silent, unreachable, or itself cut off from the others while our
// connection to it looks healthy. So the question is: what proves that the leader of the ensemble, which alone expires
// sessions, has heard from us, and when?
//
//  - The leader keeps a session at least T (the negotiated timeout) after the last time it was touched for it, and a
//  new
//    leader starts every session afresh with a full T.
//  - Creating a session is a transaction that starts the timer at the leader: a new session lives until at least
//    T after the connection request was sent.
//  - A reconnection is confirmed by the server that leads: it touches the session there. An isolated former leader can
//    still confirm it, but not commit; so the touch counts once a transaction sent later on that connection was
//    committed.
//  - Replies to reads, the state "connected" and the client library's own pings prove nothing: a server that is cut off
//    from the quorum goes on giving them.
//  - A committed transaction proves that the server was part of the quorum; but a follower passes it on without
//    touching the session. Touches reach the leader with the follower's answer to the leader's ping, every half tick,
//    and in order with the transactions. T is at least two ticks, so half a tick is at most T/4: when the leader
//    handled what we sent at s, it had been told of everything that the same server had got from us before s - T/4.
//    That it had got something by then, we know if its answer was here by then; when it was sent says nothing, for it
//    may have been long on its way.
//
// Hence: a commit of a request sent at s, after another one, sent at a, was answered before s - T/4 on the same
// connection, extends the lease to a + T. A margin covers the difference of two clocks and the time that killing a
// process takes. The argument needs minSessionTimeout to be at least two ticks on the servers, which is ZooKeeper's
// default.
#pragma once
#include <deque>

#include "clock.h"

namespace zk {

class Lease {
 public:
  explicit Lease(Duration session_timeout) : timeout_(session_timeout) {}

  /// The server accepted a new session, asked for not before `asked`.
  void opened(Time asked);

  /// The server confirmed our session on a new connection, asked for not before `asked`.
  void reconnected(Time asked);

  /// Something sent at `sent` on the present connection was answered, which we learnt at `now`.
  void answered(Time sent, Time now);

  /// A transaction sent at `sent` on the present connection was committed, which we learnt at `now`.
  void committed(Time sent, Time now);

  void disconnected();

  /// Nobody else can hold what we hold before this moment.
  Time end() const { return end_; }

  /// How often a holder sends a transaction. What is left of the lease then never sinks below 0.55 T, less two round
  /// trips, while the server answers.
  static Duration beat(Duration timeout) { return timeout / 10; }

  /// How often somebody who may become a holder sends anything at all, so that one commit is enough to open the lease.
  static Duration idle_beat(Duration timeout) { return timeout / 6; }

  /// What one commit after idle beats leaves at least (T less T/4 and T/6, and something for lateness); less is not
  /// worth starting on.
  static Duration enough(Duration timeout) { return timeout * 11 / 20 - margin(timeout); }

  /// How long the stopping of a command may take, for it not to begin, after a start on just enough, before two beats:
  /// they extend the lease. The margin is for the dying itself.
  static Duration longest_grace(Duration timeout);

  static Duration margin(Duration timeout);

 private:
  void extend(Time heard);

  Duration timeout_;
  Time end_{};
  Time confirmed_{};  // the leader was touched not before this, if a commit follows; zero: no such moment
  struct Exchange {
    Time sent, answered;
  };
  std::deque<Exchange> answered_;  // on the present connection, not older than T
};

}  // namespace zk
