// PyTorch's attention in a process of its own (scripts/gpu_peers.py), asked in lines of JSON and answering likewise.
#pragma once

#include <sys/types.h>

#include <string>

#include "record.h"

namespace gpu_check {

class Peers {
 public:
  // An empty command: there are none. A process that does not start or answer is absent, with the reason.
  explicit Peers(const std::string &command);
  ~Peers();
  Peers(const Peers &) = delete;
  Peers &operator=(const Peers &) = delete;

  bool present() const { return absent_.empty(); }
  const std::string &absent() const { return absent_; }
  const Record &about() const { return about_; }

  // The lines of the answer but the last, which says {"done": true}. None when the process has gone or is too slow.
  Records ask(const Record &question, int seconds);

 private:
  void give_up(const std::string &reason);
  bool read_line(std::string &line, int seconds);

  pid_t process_ = -1;
  int to_ = -1, from_ = -1;
  std::string buffer_, absent_;
  Record about_;
};

}  // namespace gpu_check
