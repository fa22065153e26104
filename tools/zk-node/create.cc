#include <unistd.h>

#include <nlohmann/json.hpp>

#include "answers.h"
#include "ending.h"
#include "input.h"
#include "log.h"
#include "node_json.h"
#include "output.h"
#include "path.h"

namespace {

using zk::Code;
using zk::Session;
using zk::Until;

zk::Mode mode_of(const Options& options) {
  using zk::Mode;
  if (options.container) return Mode::container;
  if (options.ephemeral) return options.sequential ? Mode::ephemeral_sequential : Mode::ephemeral;
  if (options.ttl) return options.sequential ? Mode::ttl_sequential : Mode::ttl;
  return options.sequential ? Mode::persistent_sequential : Mode::persistent;
}

zk::Created answer_to(zk::Reply<zk::Created>& reply, const Options& options, const Until& until) {
  try {
    return reply.get(until);
  } catch (const zk::Error& error) {
    if (error.code() != Code::unimplemented || !options.ttl) throw;
    throw zk::Refused("the server does not allow --ttl: it has to be started with zookeeper.extendedTypesEnabled=true");
  }
}

// The ephemeral node that we have made, if we have: only ours belong to our session.
std::optional<zk::Created> made_by_us(Session& session, const Options& options, const Until& until) {
  std::vector<std::string> paths{options.path};
  const std::string parent = zk::parent_of(options.path);
  if (options.sequential) {
    paths.clear();
    const auto names = session.insist(until, [&] { return session.children(parent); });
    for (const auto& name : names.value_or(std::vector<std::string>{}))
      if (name.starts_with(zk::name_of(options.path))) paths.push_back(zk::join(parent, name));
  }
  for (const auto& path : paths) {
    const auto stat = session.insist(until, [&] { return session.stat(path); });
    if (stat && stat->owner == session.id()) return zk::Created{Code::ok, path, *stat};
  }
  return std::nullopt;
}

// Between two looks at a parent, which may have been missing.
bool has_got_no_child(const std::optional<zk::Stat>& before, const std::optional<zk::Stat>& now) {
  if (!before) return !now || now->cversion == 0;
  return now && before->czxid == now->czxid && before->cversion == now->cversion;
}

// Makes it once, also when the answer is lost: the parent counts the children that it got.
zk::Created create_once(Session& session, const Options& options, const std::string& data, const Until& until) {
  const std::string parent = zk::parent_of(options.path);
  for (;;) {
    auto looking = session.stat(parent);
    auto creating = session.create(options.path, data, mode_of(options), options.ttl.value_or(zk::Duration::zero()));
    std::optional<zk::Stat> before;
    try {
      before = looking.get(until);
      return answer_to(creating, options, until);
    } catch (const zk::ConnectionLoss&) {
      const auto now = settled(session, parent, until);
      if (has_got_no_child(before, now)) continue;
      if (!options.ephemeral) unknown("create", options.path);
      if (const auto made = made_by_us(session, options, until)) return *made;
    }
  }
}

zk::Created create_with_parents(Session& session, const Options& options, const std::string& data, const Until& until) {
  const std::string parent = zk::parent_of(options.path);
  for (;;) {
    zk::Created made = create_once(session, options, data, until);
    // The chroot belongs to the connection, and is made like it.
    if (made.code != Code::no_node || (!options.parents && parent != "/")) return made;
    session.make_directory(parent, "", until);
  }
}

// Tells when a node that is ours for as long as our session lives is lost.
void watch_over(Session& session, const std::string& path, zk::Ending& end) {
  const auto lost = [path, &end](const char* why) {
    if (end.status() < 0) zk::log::error("lost: " + path + why);
    end.with(zk::status_lost);
  };
  session.listen({[lost, id = session.id()](const zk::Reading& reading) {
                    if (reading.code == Code::no_node || (reading.code == Code::ok && reading.node.stat.owner != id))
                      lost(" was deleted by someone else");
                    else if (reading.code != Code::ok)
                      lost(" cannot be read any more");
                  },
                  [lost] { lost(" went with its session"); }});
  session.subscribe(path, zk::Aspect::data, /*await_creation=*/false);
}

void wait_for_the_end(const Options& options, const Until& until) {
  if (options.data == "-") zk::pause(std::chrono::hours(24 * 365), until);  // the input has ended already
  if (isatty(STDIN_FILENO) == 1) zk::log::warning("holding " + options.path + "; Ctrl-D or Ctrl-C gives it up");
  zk::wait_for_end_of_input(until);
}

// Throws Stopped on a signal.
int hold(const Options& options, const zk::Ending& end) {
  try {
    wait_for_the_end(options, end.until());
    return zk::status_done;
  } catch (const zk::Stopped&) {
    if (end.status() < 0) throw;
    return end.status();
  }
}

}  // namespace

int create_node(zk::Frame& frame, const Options& options) {
  zk::check_path(options.path);
  if (options.path == "/") throw zk::Refused("/ exists always");
  if (options.ttl && *options.ttl < std::chrono::milliseconds(1)) throw zk::WrongUsage("--ttl must be at least 1ms");
  const std::string data = data_of(options, frame.until);
  zk::Ending end(frame.until.stop);
  Session session(frame.settings, frame.until);
  const auto made = made_or_unknown(
      "create", options.path, [&] { return create_with_parents(session, options, data, patience(frame, session)); });
  if (made.code == Code::node_exists) return no("it exists already: " + options.path);
  if (made.code == Code::no_node)
    return no("no such node: " + zk::parent_of(options.path) + ", the parent of " + options.path + "; -p makes it");
  if (options.ephemeral) watch_over(session, made.path, end);
  zk::Output out;
  if (options.json) {
    nlohmann::ordered_json object{{"path", made.path}};
    zk::add_stat(object, made.stat);
    out.write(zk::line(object), frame.until);
  } else if (options.sequential || options.ephemeral) {
    out.write(shown(out, made.path) + "\n", frame.until);
  }
  return options.ephemeral ? hold(options, end) : zk::status_done;
}
