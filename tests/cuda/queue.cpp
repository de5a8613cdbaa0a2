// What waits to be done, by streams.
//
// Work is put off until somebody waits for it, as a GPU may do: who reads a result, or reuses pinned memory, without
// waiting gets wrong numbers. Streams that do not wait for each other go on in an order by chance.
#include "state.h"
#include <deque>
#include <map>
#include <random>
#include <vector>

namespace {

struct Work {
    uint64_t number;
    std::function<void()> run;
    std::vector<Submitted> after;
};

// By stream; never destroyed, like the lock. The default stream is null.
std::map<void *, std::deque<Work>> &queues = *new std::map<void *, std::deque<Work>>;
uint64_t submitted = 0;
size_t waiting = 0;

void *plain(void *stream) { return stream == LEGACY_STREAM ? nullptr : stream; }

// Whether a stream other than the default one and the default one wait for each other.
bool blocking(void *stream) { return stream == PER_THREAD_STREAM || static_cast<Stream *>(stream)->blocking; }

Submitted submit(void *stream, std::function<void()> run, std::vector<Submitted> after) {
    static const bool at_once = setting("EMULATED_DEFER", 1) == 0;
    stream = plain(stream);
    for (const auto &[other, queue] : queues)
        if (!queue.empty() && other != stream && (stream ? !other && blocking(stream) : blocking(other)))
            after.push_back({other, queue.back().number});
    queues[stream].push_back({++submitted, std::move(run), std::move(after)});
    Submitted place{stream, submitted};
    ++waiting;
    if (at_once)
        finish(place);
    if (waiting >= 1000)
        flush();
    return place;
}

bool may_run(const Work &work) {
    for (const Submitted &earlier : work.after)
        if (pending(earlier))
            return false;
    return true;
}

void run_one() {
    static std::minstd_rand chance(unsigned(setting("EMULATED_ORDER", 0)) + 1);
    std::vector<std::deque<Work> *> ready;
    for (auto &[stream, queue] : queues)
        if (!queue.empty() && may_run(queue.front()))
            ready.push_back(&queue);
    std::deque<Work> &queue = *ready[chance() % ready.size()];
    queue.front().run();
    queue.pop_front(); // only now: until it ends, it is pending
    --waiting;
}

} // namespace

Submitted emulated_submit(void *stream, std::function<void()> work) { return submit(stream, std::move(work), {}); }

void wait_in_stream(void *stream, Submitted earlier) {
    if (plain(stream) != earlier.stream && pending(earlier))
        submit(stream, [] {}, {earlier});
}

bool pending(Submitted place) {
    auto found = queues.find(place.stream);
    return found != queues.end() && !found->second.empty() && found->second.front().number <= place.number;
}

void finish(Submitted place) {
    while (pending(place))
        run_one();
}

Submitted last_in_stream(void *stream) {
    stream = plain(stream);
    const std::deque<Work> &queue = queues[stream];
    return {stream, queue.empty() ? 0 : queue.back().number};
}

void flush() {
    while (waiting > 0)
        run_one();
}

void forget_stream(void *stream) {
    finish(last_in_stream(stream));
    queues.erase(stream);
}

void forget_all() {
    queues.clear();
    waiting = 0;
}
