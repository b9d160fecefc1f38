#include "peers.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>

namespace gpu_check {
namespace {

constexpr int kStartSeconds = 90;  // importing PyTorch from a cold disk

}  // namespace

Peers::Peers(const std::string &command) {
  int down[2], up[2];
  if (command.empty()) {
    absent_ = "not asked for";
    return;
  }
  if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) {
    absent_ = "no pipe could be opened";
    return;
  }
  signal(SIGPIPE, SIG_IGN);  // a peer that is gone is told by its answers
  process_ = fork();
  if (process_ == 0) {
    dup2(down[0], 0);
    dup2(up[1], 1);
    execl("/bin/sh", "sh", "-c", ("exec " + command).c_str(), static_cast<char *>(nullptr));
    _exit(127);
  }
  close(down[0]);
  close(up[1]);
  to_ = down[1];
  from_ = up[0];
  std::string line;
  if (!read_line(line, kStartSeconds)) {
    give_up("it did not start: " + command);
    return;
  }
  try {
    about_ = Record::parse(line);
    if (about_.has("absent")) give_up(about_.text("absent"));
  } catch (const std::exception &e) {
    give_up(e.what());
  }
}

Peers::~Peers() { give_up("closed"); }

void Peers::give_up(const std::string &reason) {
  if (absent_.empty()) absent_ = reason;
  if (process_ <= 0) return;
  close(to_);
  close(from_);
  for (int n = 0; n < 50 && waitpid(process_, nullptr, WNOHANG) == 0; ++n) usleep(100'000);
  if (waitpid(process_, nullptr, WNOHANG) == 0) {
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
  }
  process_ = -1;
}

bool Peers::read_line(std::string &line, int seconds) {
  const std::time_t until = std::time(nullptr) + seconds;
  for (;;) {
    const size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      if (!line.empty() && line[0] == '{') return true;
      continue;  // whatever else a library prints
    }
    const std::time_t left = until - std::time(nullptr);
    pollfd waiting{from_, POLLIN, 0};
    if (left <= 0 || poll(&waiting, 1, static_cast<int>(left) * 1000) <= 0) return false;
    char bytes[4096];
    const ssize_t count = read(from_, bytes, sizeof bytes);
    if (count <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(count));
  }
}

Records Peers::ask(const Record &question, int seconds) {
  Records answer;
  if (!present()) return answer;
  const std::string line = question.json() + "\n";
  if (write(to_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    give_up("its process ended");
    return {};
  }
  std::string said;
  while (read_line(said, seconds)) {
    try {
      Record record = Record::parse(said);
      if (record.flag("done")) return answer;
      answer.push_back(record);
    } catch (const std::exception &) {
      continue;  // a line of someone else's that began with a brace
    }
  }
  give_up("no answer within " + std::to_string(seconds) + " s to " + question.json());
  return {};
}

}  // namespace gpu_check
