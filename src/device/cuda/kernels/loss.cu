// Losses over a matrix of similarities. Anchors are its rows, or its columns: an anchor's similarities lie `step` floats apart,
// those of the next one begin `stride` floats further. Anchors and items of one picture match.

#define MOST_NEGATIVES 256

// Anchors and the items among which they look for their match, both in a row: all that a loss compares, or what it compares of a
// language. `matches` are the pairs of both that match, `matched` the rows that have a match.
typedef struct {
    uint first_anchor, anchors, first_item, items, matches, matched;
} Span;

// The anchor of this block, in the span blockIdx.y; where there is none its sum is 0.
#define ANCHOR                                                                                                         \
    const Span span = spans[blockIdx.y];                                                                               \
    sums += (ulong64)blockIdx.y * gridDim.x + blockIdx.x;                                                              \
    if (blockIdx.x >= span.anchors) {                                                                                  \
        if (threadIdx.x == 0) *sums = 0.0;                                                                             \
        return;                                                                                                        \
    }                                                                                                                  \
    const uint anchor = span.first_anchor + blockIdx.x, own = anchors[anchor], count = span.items;                     \
    const ulong64 place = (ulong64)anchor * stride + (ulong64)span.first_item * step;                                  \
    const float *row = s + place;                                                                                      \
    float *to = grad + place;                                                                                          \
    items += span.first_item

static __device__ __forceinline__ float closeness(float cosine, uint euclidean) {
    return euclidean ? -sqrtf(fmaxf(2.0f - 2.0f * cosine + 1e-4f, 1e-8f)) : cosine;
}

static __device__ __forceinline__ float slope(float cosine, uint euclidean) {
    return euclidean ? -1.0f / closeness(cosine, euclidean) : 1.0f;
}

// Finds the best of the block's candidates (value, place): the larger value, of equal ones the first place.
static __device__ __forceinline__ void best_of(float *value, uint *place) {
    __shared__ float values[BLOCK / 32];
    __shared__ uint places[BLOCK / 32];
    for (int step = 16; step > 0; step /= 2) {
        const float v = __shfl_xor_sync(WHOLE_WARP, *value, step);
        const uint p = __shfl_xor_sync(WHOLE_WARP, *place, step);
        if (v > *value || (v == *value && p < *place)) *value = v, *place = p;
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) values[threadIdx.x / 32] = *value, places[threadIdx.x / 32] = *place;
    __syncthreads();
    *value = values[0], *place = places[0];
    for (int w = 1; w < BLOCK / 32; w++)
        if (values[w] > *value || (values[w] == *value && places[w] < *place)) *value = values[w], *place = places[w];
}

// The largest of an anchor's similarities; one that is no number is the largest, and must reach the trainer: it would not win a comparison.
static __device__ __forceinline__ float largest(const float *row, uint count, uint step) {
    float most = -1.0f / 0.0f;
    for (uint j = threadIdx.x; j < count; j += BLOCK) {
        const float x = row[(ulong64)j * step];
        if (!(most >= x) && most == most) most = x;
    }
    return block_max(most);
}

// The hinges of an anchor's matches against its `top_n` closest negatives: their mean's share times `weight`, and its gradient, added.
// `farthest`: only the least similar match counts. `siblings`: other matches are negatives, too. A block for each anchor of each span.
KERNEL triplet(double *sums, float *grad, const float *s, const uint *anchors, const uint *items, const Span *spans,
               uint stride, uint step, float margin, uint top_n, uint euclidean, uint farthest, uint siblings,
               float weight) {
    __shared__ uint worst[MOST_NEGATIVES];
    ANCHOR;
    const float none = -1.0f / 0.0f;
    if (top_n > count) top_n = count;
    const float scale = weight / ((float)(farthest ? span.matched : span.matches) * (float)top_n);

    const float most = largest(row, count, step);
    if (most != most) {
        if (threadIdx.x == 0) *sums = most;
        return;
    }

    uint only = count; // the one match that counts
    if (farthest) {
        float least = none;
        for (uint j = threadIdx.x; j < count; j += BLOCK)
            if (items[j] == own && (only == count || -row[(ulong64)j * step] > least)) least = -row[(ulong64)j * step], only = j;
        best_of(&least, &only);
        if (only == count) {
            if (threadIdx.x == 0) *sums = 0.0;
            return;
        }
    }

    double sum = 0.0;
    uint found = 0;
    bool chosen = false;
    for (uint match = farthest ? only : 0; match < (farthest ? only + 1 : count); match++) {
        if (items[match] != own) continue;
        if (!chosen || siblings) {
            // One after another: the closest among those that come after the last one.
            float bound = 1.0f / 0.0f;
            uint after = 0;
            found = 0;
            while (found < top_n) {
                float value = none;
                uint place = count;
                for (uint j = threadIdx.x; j < count; j += BLOCK) {
                    const float x = row[(ulong64)j * step];
                    const bool negative = siblings ? j != match : items[j] != own;
                    const bool later = found == 0 || x < bound || (x == bound && j > after);
                    if (negative && later && (x > value || place == count)) value = x, place = j;
                }
                best_of(&value, &place);
                if (place == count) break;
                if (threadIdx.x == 0) worst[found] = place;
                found++;
                bound = value, after = place;
            }
            chosen = true;
            __syncthreads();
        }
        const float at_match = closeness(row[(ulong64)match * step], euclidean);
        float violated = 0.0f;
        for (uint k = threadIdx.x; k < found; k += BLOCK) {
            const float x = row[(ulong64)worst[k] * step];
            const float hinge = margin + closeness(x, euclidean) - at_match;
            if (!(hinge <= 0.0f)) { // a hinge that is no number must reach the trainer
                sum += (double)hinge;
                violated += 1.0f;
                to[(ulong64)worst[k] * step] += slope(x, euclidean) * scale;
            }
        }
        violated = block_sum(violated);
        if (threadIdx.x == 0)
            to[(ulong64)match * step] -= violated * slope(row[(ulong64)match * step], euclidean) * scale;
        __syncthreads();
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) *sums = sum * (double)scale;
}

// The hinges of an anchor's matches against all its negatives, 1 − `hardest` times their sum, and `hardest` times the closest one's hinge: their
// sum times `scale`, and its gradient, added. `siblings`: other matches are negatives, too. A block for each anchor of each span.
KERNEL summed(double *sums, float *grad, const float *s, const uint *anchors, const uint *items, const Span *spans,
              uint stride, uint step, float margin, uint euclidean, uint siblings, float hardest, float scale) {
    ANCHOR;
    const float most = largest(row, count, step);
    if (most != most) {
        if (threadIdx.x == 0) *sums = most;
        return;
    }
    double sum = 0.0;
    uint closest = count;
    bool chosen = false;
    for (uint match = 0; match < count; match++) {
        if (items[match] != own) continue;
        if (!chosen || siblings) {
            float value = -1.0f / 0.0f;
            closest = count;
            for (uint j = threadIdx.x; j < count; j += BLOCK) {
                const float x = row[(ulong64)j * step];
                const bool negative = siblings ? j != match : items[j] != own;
                if (negative && (x > value || closest == count)) value = x, closest = j;
            }
            best_of(&value, &closest);
            chosen = true;
        }
        const float at_match = closeness(row[(ulong64)match * step], euclidean);
        float violated = 0.0f;
        for (uint j = threadIdx.x; j < count; j += BLOCK) {
            if (siblings ? j == match : items[j] == own) continue;
            const float x = row[(ulong64)j * step];
            const float hinge = margin + closeness(x, euclidean) - at_match;
            if (!(hinge <= 0.0f)) { // a hinge that is no number must reach the trainer
                const float weight = (1.0f - hardest) + (j == closest ? hardest : 0.0f);
                sum += (double)hinge * (double)weight;
                violated += weight;
                to[(ulong64)j * step] += slope(x, euclidean) * scale * weight;
            }
        }
        violated = block_sum(violated);
        if (threadIdx.x == 0)
            to[(ulong64)match * step] -= violated * slope(row[(ulong64)match * step], euclidean) * scale;
        __syncthreads();
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) *sums = sum * (double)scale;
}

// The contrast of an anchor's matches with its other items: their mean's share times `weight`, and its gradient, added. With a
// trained temperature `log_scale` is where the logarithm of its inverse is, and `along` gets the anchor's share of the gradient of that.
// A block for each anchor of each span.
KERNEL info_nce(double *sums, double *along, float *grad, const float *s, const uint *anchors, const uint *items,
                const Span *spans, uint stride, uint step, const float *log_scale, float temperature, float smoothing,
                float margin, float weight) {
    along += (ulong64)blockIdx.y * gridDim.x + blockIdx.x;
    if (threadIdx.x == 0) *along = 0.0;
    ANCHOR;
    if (log_scale) temperature = expf(-*log_scale);
    const float share = weight / (float)span.matches, scale = share / temperature;
    float most = -1.0f / 0.0f;
    for (uint j = threadIdx.x; j < count; j += BLOCK) {
        const float x = (row[(ulong64)j * step] - (items[j] == own ? margin : 0.0f)) / temperature;
        if (!(most >= x) && most == most) most = x;
    }
    most = block_max(most);
    double negatives = 0.0, logits = 0.0, others = 0.0;
    for (uint j = threadIdx.x; j < count; j += BLOCK) {
        if (items[j] == own) continue;
        const float x = row[(ulong64)j * step] / temperature;
        negatives += expf(x - most);
        logits += x;
        others += 1.0;
    }
    negatives = block_sum(negatives), logits = block_sum(logits), others = block_sum(others);
    const double even = smoothing / (others + 1.0), target = 1.0 - (double)smoothing;
    double loss = 0.0, matches = 0.0, shared = 0.0, pull = 0.0;
    for (uint j = threadIdx.x; j < count; j += BLOCK) {
        if (items[j] != own) continue;
        const float x = (row[(ulong64)j * step] - margin) / temperature;
        const double each = expf(x - most), total = negatives + each;
        loss += log(total) + most - target * x - even * (logits + x);
        const float slope = (float)(each / total - target - even) * scale;
        to[(ulong64)j * step] += slope;
        pull += (double)slope * (row[(ulong64)j * step] - margin);
        matches += 1.0;
        shared += 1.0 / total;
    }
    loss = block_sum(loss), matches = block_sum(matches), shared = block_sum(shared);
    for (uint j = threadIdx.x; j < count; j += BLOCK) {
        if (items[j] == own) continue;
        const float x = row[(ulong64)j * step] / temperature;
        const float slope = (float)(expf(x - most) * shared - even * matches) * scale;
        to[(ulong64)j * step] += slope;
        pull += (double)slope * row[(ulong64)j * step];
    }
    pull = block_sum(pull);
    if (threadIdx.x == 0) *sums = loss * (double)share, *along = pull;
}

// −log softmax of each row at its class, and its gradient over the number of rows. One block for each row.
KERNEL cross_entropy(double *sums, float *grad, const float *logits, const uint *classes, uint width) {
    const float *row = logits + (ulong64)blockIdx.x * width;
    float most = -1.0f / 0.0f;
    for (uint j = threadIdx.x; j < width; j += BLOCK)
        if (!(most >= row[j]) && most == most) most = row[j];
    most = block_max(most);
    double total = 0.0;
    for (uint j = threadIdx.x; j < width; j += BLOCK) total += exp((double)(row[j] - most));
    total = block_sum(total);
    const uint right = classes[blockIdx.x];
    for (uint j = threadIdx.x; j < width; j += BLOCK) {
        const double share = exp((double)(row[j] - most)) / total;
        grad[(ulong64)blockIdx.x * width + j] = (float)((share - (j == right ? 1.0 : 0.0)) / gridDim.x);
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = log(total) + (double)(most - row[right]);
}

// The distance of two rows. One block for each.
KERNEL row_distances(float *distances, double *sums, const float *a, const float *b, uint width) {
    const ulong64 first = (ulong64)blockIdx.x * width;
    float sum = 0.0f;
    for (uint j = threadIdx.x; j < width; j += BLOCK) {
        const float d = a[first + j] - b[first + j];
        sum += d * d;
    }
    sum = sqrtf(block_sum(sum));
    if (threadIdx.x == 0) distances[blockIdx.x] = sum, sums[blockIdx.x] = sum;
}

// The gradients of the mean distance
KERNEL row_distances_back(float *to_a, float *to_b, const float *a, const float *b, const float *distances, const float *g,
                          uint n, uint width) {
    ELEMENT(i, n * width);
    const float distance = distances[i / width];
    const float d = distance > 0.0f ? *g * (a[i] - b[i]) / (distance * (float)n) : 0.0f;
    to_a[i] += d;
    to_b[i] -= d;
}

// *value += Σ sums · scale. One block.
KERNEL add_sums(float *value, const double *sums, uint n, float scale) {
    double sum = 0.0;
    for (uint i = threadIdx.x; i < n; i += BLOCK) sum += sums[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *value += (float)(sum * (double)scale);
}

// sums[i] = ½ |a[i, :] − b[i, :]|². One block for each row.
KERNEL half_squares(double *sums, const float *a, const float *b, uint width) {
    const ulong64 first = (ulong64)blockIdx.x * width;
    float sum = 0.0f;
    for (uint j = threadIdx.x; j < width; j += BLOCK) {
        const float d = a[first + j] - b[first + j];
        sum += d * d;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = 0.5 * sum;
}

// to += *g · (a − b)
KERNEL half_squares_back(float *to, const float *a, const float *b, const float *g, uint n) {
    ELEMENT(i, n);
    to[i] += *g * (a[i] - b[i]);
}
