#include "until.h"

#include <condition_variable>
#include <mutex>

#include "error.h"

namespace zk {

void pause(Duration time, const Until& until) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  never.wait_until(lock, until.stop, until.within(time).deadline, [] { return false; });
  if (until.stop.stop_requested()) throw Stopped("stopped");
  if (until.expired()) throw TimedOut("gave up");
}

}  // namespace zk
