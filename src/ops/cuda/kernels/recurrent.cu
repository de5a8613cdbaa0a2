// One time step of all sentences that still run, forward and backward (ops/recurrent/cell.rs has the equations).
//
// Sentences stand by length, the longest first; `order` has their numbers. `slots` (running, 4 · hidden) holds the recurrent
// product before a step forward and the gates after it; before a step backward the gates, after it the gates' gradients.

#define LAST 0
#define MEAN 1
#define MAX 2

static __device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// Puts a new state where the next step and the pooled sentence look for it.
static __device__ __forceinline__ void place(float state, uint i, uint j, uint hidden, uint next, float *new_states,
                                             float *pooled, uint *maxima, const uint *order, const uint *lengths, uint t,
                                             uint pooling) {
    if (i < next) new_states[(ulong64)i * hidden + j] = state;
    const ulong64 at = (ulong64)order[i] * hidden + j;
    if (pooling == LAST) {
        if (i >= next) pooled[at] = state;
    } else if (pooling == MEAN) {
        pooled[at] += state / (float)lengths[i];
    } else if (t == 0 || state > pooled[at]) {
        pooled[at] = state;
        maxima[at] = t;
    }
}

// The gradient that pooling gives the state of time t.
static __device__ __forceinline__ float unpooled(const float *g, const uint *maxima, const uint *order, const uint *lengths,
                                                 uint i, uint j, uint hidden, uint next, uint t, uint pooling) {
    const ulong64 at = (ulong64)order[i] * hidden + j;
    if (pooling == LAST) return i >= next ? g[at] : 0.0f;
    if (pooling == MEAN) return g[at] / (float)lengths[i];
    return maxima[at] == t ? g[at] : 0.0f;
}

// r, z = σ(…), u = U h + c, n = tanh(W x + b + r u), h' = n + z (h − n)
KERNEL gru_step(float *slots, const float *inputs, const uint *tokens, const float *bias, const float *states,
                float *new_states, float *pooled, uint *maxima, const uint *order, const uint *lengths, uint running,
                uint next, uint hidden, uint t, uint pooling) {
    ELEMENT(at, running * hidden);
    const uint i = at / hidden, j = at % hidden;
    float *slot = slots + (ulong64)i * 4 * hidden + j;
    const float *input = inputs + (ulong64)tokens[i] * 3 * hidden + j;
    const bool first = t == 0;
    const float r = sigmoid(input[0] + (first ? 0.0f : slot[0]));
    const float z = sigmoid(input[hidden] + (first ? 0.0f : slot[hidden]));
    const float u = (first ? 0.0f : slot[2 * hidden]) + bias[2 * hidden + j];
    const float n = tanhf(fmaf(r, u, input[2 * hidden]));
    const float old = first ? 0.0f : states[at];
    slot[0] = r;
    slot[hidden] = z;
    slot[2 * hidden] = u;
    slot[3 * hidden] = n;
    place(fmaf(z, old - n, n), i, j, hidden, next, new_states, pooled, maxima, order, lengths, t, pooling);
}

// `grad` (sentences, hidden) comes as the gradient of the new states and leaves as the direct part of the old ones'.
KERNEL gru_back(float *slots, const float *states, float *grad, const float *g, const uint *maxima, const uint *order,
                const uint *lengths, uint running, uint next, uint hidden, uint t, uint pooling) {
    ELEMENT(at, running * hidden);
    const uint i = at / hidden, j = at % hidden;
    float *slot = slots + (ulong64)i * 4 * hidden + j;
    const float r = slot[0], z = slot[hidden], u = slot[2 * hidden], n = slot[3 * hidden];
    const float old = t == 0 ? 0.0f : states[at];
    const float d = (i < next ? grad[at] : 0.0f) + unpooled(g, maxima, order, lengths, i, j, hidden, next, t, pooling);
    const float dn = d * (1.0f - z) * (1.0f - n * n);
    slot[0] = dn * u * r * (1.0f - r);
    slot[hidden] = d * (old - n) * z * (1.0f - z);
    slot[2 * hidden] = dn * r;
    slot[3 * hidden] = dn;
    grad[at] = d * z;
}

// i, f, o = σ(…), g = tanh(…), c' = f c + i g, h' = o tanh(c')
KERNEL lstm_step(float *slots, const float *inputs, const uint *tokens, const float *states, float *new_states,
                 const float *carries, float *new_carries, float *pooled, uint *maxima, const uint *order,
                 const uint *lengths, uint running, uint next, uint hidden, uint t, uint pooling) {
    ELEMENT(at, running * hidden);
    const uint row = at / hidden, j = at % hidden;
    float *slot = slots + (ulong64)row * 4 * hidden + j;
    const float *input = inputs + (ulong64)tokens[row] * 4 * hidden + j;
    const bool first = t == 0;
    const float i = sigmoid(input[0] + (first ? 0.0f : slot[0]));
    const float f = sigmoid(input[hidden] + (first ? 0.0f : slot[hidden]));
    const float g = tanhf(input[2 * hidden] + (first ? 0.0f : slot[2 * hidden]));
    const float o = sigmoid(input[3 * hidden] + (first ? 0.0f : slot[3 * hidden]));
    const float c = fmaf(f, first ? 0.0f : carries[at], i * g);
    slot[0] = i;
    slot[hidden] = f;
    slot[2 * hidden] = g;
    slot[3 * hidden] = o;
    if (row < next) new_carries[at] = c;
    place(o * tanhf(c), row, j, hidden, next, new_states, pooled, maxima, order, lengths, t, pooling);
}

KERNEL lstm_back(float *slots, const float *carries, float *grad, float *grad_carries, const float *pull, const uint *maxima,
                 const uint *order, const uint *lengths, uint running, uint next, uint hidden, uint t, uint pooling) {
    ELEMENT(at, running * hidden);
    const uint row = at / hidden, j = at % hidden;
    float *slot = slots + (ulong64)row * 4 * hidden + j;
    const float i = slot[0], f = slot[hidden], g = slot[2 * hidden], o = slot[3 * hidden];
    const float old = t == 0 ? 0.0f : carries[at];
    const float dh =
        (row < next ? grad[at] : 0.0f) + unpooled(pull, maxima, order, lengths, row, j, hidden, next, t, pooling);
    const float c = tanhf(fmaf(f, old, i * g));
    const float d = fmaf(dh * o, 1.0f - c * c, row < next ? grad_carries[at] : 0.0f);
    grad_carries[at] = d * f;
    slot[0] = d * g * i * (1.0f - i);
    slot[hidden] = d * old * f * (1.0f - f);
    slot[2 * hidden] = d * i * (1.0f - g * g);
    slot[3 * hidden] = dh * c * o * (1.0f - o);
    grad[at] = 0.0f;
}

// out (tokens, gates · hidden): the gates' gradients of each token, summed over its places. A GRU's third input gate is its
// fourth slot.
KERNEL sum_gates(float *out, const float *slots, const uint *starts, const uint *places, uint tokens, uint hidden,
                 uint gates) {
    ELEMENT(at, tokens * gates * hidden);
    const uint width = gates * hidden, token = at / width, j = at % width;
    const uint column = gates == 3 && j >= 2 * hidden ? j + hidden : j;
    float sum = 0.0f;
    for (uint k = starts[token]; k < starts[token + 1]; k++) sum += slots[(ulong64)places[k] * 4 * hidden + column];
    out[at] = sum;
}
