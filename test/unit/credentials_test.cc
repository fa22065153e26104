#include "credentials.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "error.h"

namespace {

// A file with the given text and mode, removed at the end.
struct File {
  explicit File(const std::string& text, mode_t mode = 0600) {
    close(mkstemp(name));
    std::ofstream(name) << text;
    chmod(name, mode);
  }
  ~File() { unlink(name); }
  char name[32] = "/tmp/credentials-XXXXXX";
};

std::string refusal(const std::string& file) {
  try {
    zk::read_credentials(file);
    return "";
  } catch (const zk::Refused& refused) {
    return refused.what();
  }
}

}  // namespace

TEST_CASE("credentials are read, a line each") {
  const File file("# who we are\n\ndigest:ana:s:ecret\nip:10.0.0.1\n");
  const auto found = zk::read_credentials(file.name);
  REQUIRE(found.size() == 2);
  CHECK(found[0].scheme == "digest");
  CHECK(found[0].secret == "ana:s:ecret");
}

TEST_CASE("a file that others may read, a link, and what is no file are refused") {
  CHECK(refusal(File("digest:a:b\n", 0640).name).find("chmod 600") != std::string::npos);
  CHECK(refusal(File("digest:a:b\n", 0604).name).find("chmod 600") != std::string::npos);
  CHECK(refusal("/tmp").find("not a regular file") != std::string::npos);
  CHECK(refusal("/tmp/there-is-no-such-file").find("No such file") != std::string::npos);
  const File file("digest:a:b\n");
  const std::string link = std::string(file.name) + ".link";
  REQUIRE(symlink(file.name, link.c_str()) == 0);
  CHECK(refusal(link).find("symbolic link") != std::string::npos);
  unlink(link.c_str());
}

TEST_CASE("a malformed line is refused by its number, and no secret is quoted") {
  const auto text = refusal(File("digest:a:b\nhunter2\n").name);
  CHECK(text.find("line 2") != std::string::npos);
  CHECK(text.find("hunter2") == std::string::npos);
  CHECK_FALSE(refusal(File("").name).empty());
}
