// Layer normalisation, attention and activations over packed sentences.

// Mean and 1 / √(variance + ε) of a row, by its block.
static __device__ __forceinline__ void row_statistics(const float *x, uint width, float epsilon, float *mean, float *inverse) {
    float sum = 0.0f;
    for (uint j = threadIdx.x; j < width; j += BLOCK) sum += x[j];
    *mean = block_sum(sum) / (float)width;
    float square = 0.0f;
    for (uint j = threadIdx.x; j < width; j += BLOCK) square += (x[j] - *mean) * (x[j] - *mean);
    *inverse = 1.0f / sqrtf(block_sum(square) / (float)width + epsilon);
}

// One block for each row
KERNEL layer_norm(float *out, const float *x, const float *scale, const float *shift, float epsilon, uint width) {
    const ulong64 first = (ulong64)blockIdx.x * width;
    float mean, inverse;
    row_statistics(x + first, width, epsilon, &mean, &inverse);
    for (uint j = threadIdx.x; j < width; j += BLOCK)
        out[first + j] = (x[first + j] - mean) * inverse * scale[j] + shift[j];
}

// to += the gradient with respect to x; products (rows, width), if given: g times the normalised x, the scale's gradient by row
KERNEL layer_norm_back(float *to, float *products, const float *x, const float *g, const float *scale, float epsilon,
                       uint width) {
    const ulong64 first = (ulong64)blockIdx.x * width;
    float mean, inverse;
    row_statistics(x + first, width, epsilon, &mean, &inverse);
    float sum = 0.0f, along = 0.0f;
    for (uint j = threadIdx.x; j < width; j += BLOCK) {
        const float normal = (x[first + j] - mean) * inverse, d = g[first + j] * scale[j];
        sum += d;
        along += d * normal;
        if (products) products[first + j] = g[first + j] * normal;
    }
    sum = block_sum(sum) / (float)width;
    along = block_sum(along) / (float)width;
    for (uint j = threadIdx.x; j < width; j += BLOCK) {
        const float normal = (x[first + j] - mean) * inverse;
        to[first + j] += inverse * (g[first + j] * scale[j] - sum - normal * along);
    }
}

#define RELU 0
#define QUICK_GELU 1
#define GELU 2
#define GELU_TANH 3
#define TANH 4
#define ROOT_HALF 0.70710678118654752f
#define ROOT_2_PI 0.79788456080286536f // √(2/π)

// out = f(x)
KERNEL activate(float *out, const float *x, uint kind, uint n) {
    ELEMENT(i, n);
    const float v = x[i];
    if (kind == RELU)
        out[i] = fmaxf(v, 0.0f);
    else if (kind == QUICK_GELU)
        out[i] = v / (1.0f + expf(-1.702f * v));
    else if (kind == GELU)
        out[i] = v * 0.5f * (1.0f + erff(v * ROOT_HALF));
    else if (kind == TANH)
        out[i] = tanhf(v);
    else
        out[i] = v * (0.5f + 0.5f * tanhf(ROOT_2_PI * (v + 0.044715f * v * v * v)));
}

// g *= f′(x)
KERNEL activate_back(float *g, const float *x, uint kind, uint n) {
    ELEMENT(i, n);
    const float v = x[i];
    float slope;
    if (kind == RELU) {
        slope = v > 0.0f ? 1.0f : 0.0f;
    } else if (kind == QUICK_GELU) {
        const float s = 1.0f / (1.0f + expf(-1.702f * v));
        slope = s + 1.702f * v * s * (1.0f - s);
    } else if (kind == GELU) {
        slope = 0.5f * (1.0f + erff(v * ROOT_HALF)) + v * 0.3989422804014327f * expf(-0.5f * v * v);
    } else if (kind == TANH) {
        const float t = tanhf(v);
        slope = 1.0f - t * t;
    } else {
        const float t = tanhf(ROOT_2_PI * (v + 0.044715f * v * v * v));
        slope = 0.5f + 0.5f * t + 0.5f * v * (1.0f - t * t) * ROOT_2_PI * (1.0f + 3.0f * 0.044715f * v * v);
    }
    g[i] *= slope;
}

// As many tokens of a sentence, and numbers of a head, as a block can remember.
#define MOST_TOKENS 1024
#define MOST_NUMBERS 256

static __device__ __forceinline__ float dot(const float *a, const float *b, uint n) {
    float sum = 0.0f;
    for (uint c = 0; c < n; c++) sum = fmaf(a[c], b[c], sum);
    return sum;
}

// softmax(q kᵀ / √d) v of one token in one head: a block for each of (tokens, heads). qkv (tokens, 3 · width); a token's sentence
// is bounds[2 t] .. bounds[2 t + 1]. lse (tokens, heads) gets the logarithm of the sum of exponentials.
KERNEL attention(float *context, float *lse, const float *qkv, const uint *bounds, uint width, uint heads, uint causal) {
    __shared__ float query[MOST_NUMBERS];
    __shared__ float shares[MOST_TOKENS];
    const uint token = blockIdx.x, head = blockIdx.y, d = width / heads;
    const uint first = bounds[2 * token], seen = (causal ? token + 1 : bounds[2 * token + 1]) - first;
    const float scale = 1.0f / sqrtf((float)d);
    const float *all = qkv + (ulong64)head * d;
    for (uint c = threadIdx.x; c < d; c += BLOCK) query[c] = all[(ulong64)token * 3 * width + c] * scale;
    __syncthreads();
    float most = -1.0f / 0.0f;
    for (uint j = threadIdx.x; j < seen; j += BLOCK) {
        shares[j] = dot(query, all + (ulong64)(first + j) * 3 * width + width, d);
        most = fmaxf(most, shares[j]);
    }
    most = block_max(most);
    float sum = 0.0f;
    for (uint j = threadIdx.x; j < seen; j += BLOCK) sum += shares[j] = expf(shares[j] - most);
    sum = block_sum(sum);
    __syncthreads();
    for (uint c = threadIdx.x; c < d; c += BLOCK) {
        float mix = 0.0f;
        for (uint j = 0; j < seen; j++) mix = fmaf(shares[j], all[(ulong64)(first + j) * 3 * width + 2 * width + c], mix);
        context[(ulong64)token * width + head * d + c] = mix / sum;
    }
    if (threadIdx.x == 0) lse[token * heads + head] = most + logf(sum);
}

// The gradient of one token's query, and for the next kernel `along` (tokens, heads): Σ share · its gradient
KERNEL attention_back_queries(float *d_qkv, float *along, const float *qkv, const float *g, const float *lse,
                              const uint *bounds, uint width, uint heads, uint causal) {
    __shared__ float slopes[MOST_TOKENS];
    __shared__ float shares[MOST_TOKENS];
    const uint token = blockIdx.x, head = blockIdx.y, d = width / heads;
    const uint first = bounds[2 * token], seen = (causal ? token + 1 : bounds[2 * token + 1]) - first;
    const float scale = 1.0f / sqrtf((float)d), norm = lse[token * heads + head];
    const float *all = qkv + (ulong64)head * d, *query = all + (ulong64)token * 3 * width;
    const float *pull = g + (ulong64)token * width + head * d;
    float sum = 0.0f;
    for (uint j = threadIdx.x; j < seen; j += BLOCK) {
        const float *key = all + (ulong64)(first + j) * 3 * width + width;
        shares[j] = expf(dot(query, key, d) * scale - norm);
        slopes[j] = dot(pull, key + width, d);
        sum += shares[j] * slopes[j];
    }
    sum = block_sum(sum);
    for (uint j = threadIdx.x; j < seen; j += BLOCK) slopes[j] = shares[j] * (slopes[j] - sum) * scale;
    __syncthreads();
    for (uint c = threadIdx.x; c < d; c += BLOCK) {
        float mix = 0.0f;
        for (uint j = 0; j < seen; j++) mix = fmaf(slopes[j], all[(ulong64)(first + j) * 3 * width + width + c], mix);
        d_qkv[(ulong64)token * 3 * width + head * d + c] = mix;
    }
    if (threadIdx.x == 0) along[token * heads + head] = sum;
}

// The gradients of one token's key and value, from all that see it
KERNEL attention_back_keys(float *d_qkv, const float *qkv, const float *g, const float *lse, const float *along,
                           const uint *bounds, uint width, uint heads, uint causal) {
    __shared__ float slopes[MOST_TOKENS];
    __shared__ float shares[MOST_TOKENS];
    const uint token = blockIdx.x, head = blockIdx.y, d = width / heads;
    const uint first = causal ? token : bounds[2 * token], seeing = bounds[2 * token + 1] - first;
    const float scale = 1.0f / sqrtf((float)d);
    const float *all = qkv + (ulong64)head * d, *key = all + (ulong64)token * 3 * width + width;
    for (uint i = threadIdx.x; i < seeing; i += BLOCK) {
        const uint at = (first + i) * heads + head;
        shares[i] = expf(dot(all + (ulong64)(first + i) * 3 * width, key, d) * scale - lse[at]);
        const float slope = dot(g + (ulong64)(first + i) * width + head * d, key + width, d);
        slopes[i] = shares[i] * (slope - along[at]) * scale;
    }
    __syncthreads();
    for (uint c = threadIdx.x; c < d; c += BLOCK) {
        float of_key = 0.0f, of_value = 0.0f;
        for (uint i = 0; i < seeing; i++) {
            of_key = fmaf(slopes[i], all[(ulong64)(first + i) * 3 * width + c], of_key);
            of_value = fmaf(shares[i], g[(ulong64)(first + i) * width + head * d + c], of_value);
        }
        float *to = d_qkv + (ulong64)token * 3 * width + head * d + c;
        to[width] = of_key;
        to[2 * width] = of_value;
    }
}
