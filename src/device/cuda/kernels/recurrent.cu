// One time step of all prefixes of t + 1 tokens, forward and backward (ops/recurrent/cell.rs has the equations, prefixes.rs what
// the numbers of the tree are).
//
// `slots` (prefixes, 4 · hidden) holds the gates after a step forward and their gradients after one backward. `states` (inner
// prefixes, row) holds a state and, behind it, the sum or the maximum of the states so far where one is pooled. `handed` (prefixes of t + 2
// tokens, row) is what each of those hands back to the state that it goes on from, in the same layout; `direct` what the prefixes at hand
// do, but through the product, which is added later. The state before the first token is zero: it has no row that was written.

#define LAST 0
#define MEAN 1
#define MAX 2
#define LEAF 0xffffffffu

static __device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// The width of a row of states with `parts` vectors each.
static __device__ __forceinline__ ulong64 row_of(uint parts, uint hidden, uint pooling) {
    return (ulong64)(pooling == LAST ? parts : parts + 1) * hidden;
}

// Pools the new state of prefix x and puts the result where the next step and the sentences look for it.
static __device__ __forceinline__ void place(float state, uint x, uint j, uint parts, uint hidden, const float *old,
                                             float *states, float *pooled, uint *own, const uint *inner,
                                             const uint *wholes, const uint *sentences, uint t, uint pooling) {
    const ulong64 row = row_of(parts, hidden, pooling), sofar = (ulong64)parts * hidden + j;
    float result = state;
    if (pooling == MEAN && t > 0) result += old[sofar];
    if (pooling == MAX) {
        const bool largest = t == 0 || state > old[sofar] || state != state;
        own[(ulong64)x * hidden + j] = largest;
        if (!largest) result = old[sofar];
    }
    if (inner[x] != LEAF) {
        float *to = states + inner[x] * row;
        to[j] = state;
        if (pooling != LAST) to[sofar] = result;
    }
    if (pooling == MEAN) result /= (float)(t + 1);
    for (uint s = wholes[2 * x]; s < wholes[2 * x + 1]; s++) pooled[(ulong64)sentences[s] * hidden + j] = result;
}

// What the prefixes that go on from prefix x hand back to it, in this column; `first` is the first of those of as many tokens.
static __device__ __forceinline__ float of_children(const float *handed, uint x, uint column, ulong64 row, const uint *inner,
                                                    const uint *children, uint first) {
    if (inner[x] == LEAF) return 0.0f;
    float sum = 0.0f;
    for (uint c = children[inner[x]]; c < children[inner[x] + 1]; c++) sum += handed[(ulong64)(c - first) * row + column];
    return sum;
}

// The gradient of the new state of prefix x: what comes from the prefixes that go on from it and from the sentences that it is the
// whole of. What pooling hands on to the state before goes to `direct`.
static __device__ __forceinline__ float arriving(const float *handed, float *direct, const float *g, const uint *own, uint x,
                                                 uint j, uint parts, uint hidden, const uint *inner, const uint *children,
                                                 uint first, const uint *wholes, const uint *sentences, uint t,
                                                 uint pooling) {
    const ulong64 row = row_of(parts, hidden, pooling);
    const uint sofar = parts * hidden + j;
    const float d = of_children(handed, x, j, row, inner, children, first);
    float pull = pooling != LAST ? of_children(handed, x, sofar, row, inner, children, first) : 0.0f;
    for (uint s = wholes[2 * x]; s < wholes[2 * x + 1]; s++) {
        const float of = g[(ulong64)sentences[s] * hidden + j];
        pull += pooling == MEAN ? of / (float)(t + 1) : of;
    }
    if (pooling == LAST) return d + pull;
    const bool mine = pooling == MEAN || own[(ulong64)x * hidden + j];
    direct[sofar] = pooling == MEAN || !mine ? pull : 0.0f;
    return mine ? d + pull : d;
}

// r, z = σ(…), u = U h + c, n = tanh(W x + b + r u), h' = n + z (h − n). Slots: r, z, u, n.
KERNEL gru_step(float *slots, const float *inputs, const float *products, const float *bias, float *states, float *pooled,
                uint *own, const uint *tokens, const uint *parents, const uint *inner, const uint *wholes,
                const uint *sentences, uint from, uint to, uint first_parent, uint hidden, uint t, uint pooling) {
    ELEMENT(at, (to - from) * hidden);
    const uint x = from + at / hidden, j = at % hidden;
    const bool first = t == 0;
    float *slot = slots + (ulong64)x * 4 * hidden + j;
    const float *input = inputs + (ulong64)tokens[x] * 3 * hidden + j;
    const float *product = products + (ulong64)(parents[x] - first_parent) * 3 * hidden + j;
    const float *old = states + parents[x] * row_of(1, hidden, pooling);
    const float r = sigmoid(input[0] + (first ? 0.0f : product[0]));
    const float z = sigmoid(input[hidden] + (first ? 0.0f : product[hidden]));
    const float u = (first ? 0.0f : product[2 * hidden]) + bias[2 * hidden + j];
    const float n = tanhf(fmaf(r, u, input[2 * hidden]));
    slot[0] = r;
    slot[hidden] = z;
    slot[2 * hidden] = u;
    slot[3 * hidden] = n;
    const float state = fmaf(z, (first ? 0.0f : old[j]) - n, n);
    place(state, x, j, 1, hidden, old, states, pooled, own, inner, wholes, sentences, t, pooling);
}

// The slots leave as the gradients of r, z, u and n before their functions.
KERNEL gru_back(float *slots, const float *states, const float *handed, float *direct, const float *g, const uint *own,
                const uint *parents, const uint *inner, const uint *children, const uint *wholes, const uint *sentences,
                uint from, uint to, uint hidden, uint t, uint pooling) {
    ELEMENT(at, (to - from) * hidden);
    const uint x = from + at / hidden, j = at % hidden;
    const ulong64 row = row_of(1, hidden, pooling);
    float *slot = slots + (ulong64)x * 4 * hidden + j, *on = direct + (x - from) * row;
    const float r = slot[0], z = slot[hidden], u = slot[2 * hidden], n = slot[3 * hidden];
    const float old = t == 0 ? 0.0f : states[parents[x] * row + j];
    const float d = arriving(handed, on, g, own, x, j, 1, hidden, inner, children, to, wholes, sentences, t, pooling);
    const float dn = d * (1.0f - z) * (1.0f - n * n);
    slot[0] = dn * u * r * (1.0f - r);
    slot[hidden] = d * (old - n) * z * (1.0f - z);
    slot[2 * hidden] = dn * r;
    slot[3 * hidden] = dn;
    on[j] = d * z;
}

// i, f, o = σ(…), g = tanh(…), c' = f c + i g, h' = o tanh(c'). Slots: i, f, g, o; states: h, c.
KERNEL lstm_step(float *slots, const float *inputs, const float *products, const float *, float *states, float *pooled,
                 uint *own, const uint *tokens, const uint *parents, const uint *inner, const uint *wholes,
                 const uint *sentences, uint from, uint to, uint first_parent, uint hidden, uint t, uint pooling) {
    ELEMENT(at, (to - from) * hidden);
    const uint x = from + at / hidden, j = at % hidden;
    const ulong64 row = row_of(2, hidden, pooling);
    const bool first = t == 0;
    float *slot = slots + (ulong64)x * 4 * hidden + j;
    const float *input = inputs + (ulong64)tokens[x] * 4 * hidden + j;
    const float *product = products + (ulong64)(parents[x] - first_parent) * 4 * hidden + j;
    const float *old = states + parents[x] * row;
    const float i = sigmoid(input[0] + (first ? 0.0f : product[0]));
    const float f = sigmoid(input[hidden] + (first ? 0.0f : product[hidden]));
    const float g = tanhf(input[2 * hidden] + (first ? 0.0f : product[2 * hidden]));
    const float o = sigmoid(input[3 * hidden] + (first ? 0.0f : product[3 * hidden]));
    const float c = fmaf(f, first ? 0.0f : old[hidden + j], i * g);
    slot[0] = i;
    slot[hidden] = f;
    slot[2 * hidden] = g;
    slot[3 * hidden] = o;
    if (inner[x] != LEAF) states[inner[x] * row + hidden + j] = c;
    place(o * tanhf(c), x, j, 2, hidden, old, states, pooled, own, inner, wholes, sentences, t, pooling);
}

KERNEL lstm_back(float *slots, const float *states, const float *handed, float *direct, const float *pull, const uint *own,
                 const uint *parents, const uint *inner, const uint *children, const uint *wholes, const uint *sentences,
                 uint from, uint to, uint hidden, uint t, uint pooling) {
    ELEMENT(at, (to - from) * hidden);
    const uint x = from + at / hidden, j = at % hidden;
    const ulong64 row = row_of(2, hidden, pooling);
    float *slot = slots + (ulong64)x * 4 * hidden + j, *on = direct + (x - from) * row;
    const float i = slot[0], f = slot[hidden], g = slot[2 * hidden], o = slot[3 * hidden];
    const float old = t == 0 ? 0.0f : states[parents[x] * row + hidden + j];
    const float dh = arriving(handed, on, pull, own, x, j, 2, hidden, inner, children, to, wholes, sentences, t, pooling);
    const float c = tanhf(fmaf(f, old, i * g));
    const float dc = of_children(handed, x, hidden + j, row, inner, children, to);
    const float d = fmaf(dh * o, 1.0f - c * c, dc);
    slot[0] = d * g * i * (1.0f - i);
    slot[hidden] = d * old * f * (1.0f - f);
    slot[2 * hidden] = d * i * (1.0f - g * g);
    slot[3 * hidden] = dh * c * o * (1.0f - o);
    on[j] = 0.0f;
    on[hidden + j] = d * f;
}

// products[p, :] = Σ slots over the prefixes that go on from inner prefix p: the gradients of its product with the recurrent weights.
KERNEL sum_children(float *products, const float *slots, const uint *children, uint count, uint all, uint slots_wide) {
    ELEMENT(at, count * all);
    const uint p = at / all, j = at % all;
    float sum = 0.0f;
    for (uint x = children[p]; x < children[p + 1]; x++) sum += slots[(ulong64)x * slots_wide + j];
    products[at] = sum;
}

// out[i, :] = bias, and the first `shared` columns of the other bias with it
KERNEL fill_gates(float *out, const float *bias, const float *other, uint n, uint width, uint shared) {
    ELEMENT(at, n * width);
    const uint j = at % width;
    out[at] = bias[j] + (j < shared ? other[j] : 0.0f);
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
