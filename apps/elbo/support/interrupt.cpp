#include "support/interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

namespace elbo::cli {
namespace {

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free);

extern "C" void request_stop(int signal) {
  if (stop_requested.exchange(true)) {  // asked twice: at once
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, request_stop);
  std::signal(SIGTERM, request_stop);
  // By a thread that does nothing else: oneDNN's AVX2 products work with the stack pointer at the
  // beginning of a block of the heap, and a handler called there would write over what lies before.
  std::thread([] {
    for (;;) ::pause();
  }).detach();
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

bool interrupted() { return stop_requested; }

}  // namespace elbo::cli
