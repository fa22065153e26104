// A terminal that is painted again and again from its upper left corner; or, without a terminal, one text after the
// other.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "output.h"
#include "tree_text.h"
#include "until.h"

class Screen {
 public:
  Screen();

  /// Rows that there is room for below the title.
  std::size_t height() const;

  /// See Output::when_reader_goes.
  void when_reader_goes(std::function<void()> gone) { out_.when_reader_goes(std::move(gone)); }

  /// Whether the terminal is somebody else's at the moment: a shell's that has us in the background.
  bool in_background() const;

  /// Blocks while the terminal takes nothing; throws as Output::write does.
  void paint(const std::string& title, const std::vector<zk::Row>& rows, const zk::Until& until);

  /// Gives the terminal back as it was, with the last picture on it. The next paint takes it again.
  void leave();

 private:
  std::string text(const zk::Row& row, std::size_t width) const;

  zk::Output out_;
  bool colored_;
  bool entered_ = false;
};
