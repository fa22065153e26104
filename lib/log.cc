#include "log.h"

// Header-only here, and nowhere else: an executable needs neither library then.
#define FMT_HEADER_ONLY

#include <fcntl.h>
#include <poll.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <mutex>

#include "text.h"

namespace zk::log {

namespace {

// For errors, which come last; nothing else is worth a moment of a thread that others wait for.
constexpr int patience_milliseconds = 100;

// Writes each line at once. A pipe or a terminal is opened anew so that it can be written to without blocking although
// others, the command among them, share the descriptor.
class Stderr : public spdlog::sinks::base_sink<std::mutex> {
 public:
  Stderr() {
    struct stat status {};
    if (fstat(STDERR_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)))
      own_ = ::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    const char* no_color = std::getenv("NO_COLOR");
    colored_ = isatty(STDERR_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
  }
  ~Stderr() override {
    if (own_ >= 0) close(own_);
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const char* color = !colored_                              ? ""
                        : message.level >= spdlog::level::err  ? "\033[31m"
                        : message.level == spdlog::level::warn ? "\033[33m"
                                                               : "\033[36m";
    std::string line;
    line.append(color).append(message.logger_name.data(), message.logger_name.size()).append(":");
    // Whatever came into the message from an argument, a node or a server: it reaches the terminal as text.
    line.append(colored_ ? "\033[0m " : " ");
    line.append(printable({message.payload.data(), message.payload.size()})).append("\n");
    const int fd = own_ >= 0 ? own_ : STDERR_FILENO;
    pollfd room{fd, POLLOUT, 0};
    if (poll(&room, 1, message.level >= spdlog::level::err ? patience_milliseconds : 0) != 1) return;
    [[maybe_unused]] const ssize_t size = write(fd, line.data(), line.size());
  }
  void flush_() override {}

 private:
  int own_ = -1;
  bool colored_ = false;
};

}  // namespace

void open(const std::string& name, Level level) {
  auto logger = std::make_shared<spdlog::logger>(name, std::make_shared<Stderr>());
  logger->set_level(level == Level::errors     ? spdlog::level::err
                    : level == Level::warnings ? spdlog::level::warn
                    : level == Level::steps    ? spdlog::level::info
                                               : spdlog::level::debug);
  spdlog::set_default_logger(std::move(logger));
}

void error(const std::string& text) { spdlog::default_logger_raw()->log(spdlog::level::err, text); }
void warning(const std::string& text) { spdlog::default_logger_raw()->log(spdlog::level::warn, text); }
void step(const std::string& text) { spdlog::default_logger_raw()->log(spdlog::level::info, text); }
void detail(const char* text) { spdlog::default_logger_raw()->log(spdlog::level::debug, text); }

}  // namespace zk::log
