// The choice of one latent vector per word, and its gradient (ops/choose.rs). One block for each word, but for `chosen`.

#define MOST_NEAREST 256

// The `top` largest scores of each row and their places (rows, top), the largest first, of equal ones the first place.
KERNEL nearest(uint *places, float *values, const float *scores, uint width, uint top) {
    const float *row = scores + (ulong64)blockIdx.x * width;
    const ulong64 first = (ulong64)blockIdx.x * top;
    float bound = 1.0f / 0.0f;
    uint after = 0;
    // One after another: the largest among those that come after the last one.
    for (uint m = 0; m < top; m++) {
        float value = -1.0f / 0.0f;
        uint place = width;
        for (uint j = threadIdx.x; j < width; j += BLOCK) {
            const float x = row[j];
            const bool later = m == 0 || x < bound || (x == bound && j > after);
            if (later && (x > value || place == width)) value = x, place = j;
        }
        best_of(&value, &place);
        // Nothing comes after what is no number.
        if (place < width) bound = value, after = place;
        if (threadIdx.x == 0) places[first + m] = after, values[first + m] = bound;
    }
}

// out[w, :] = latents[chosen[w], :], where chosen[w] = places[w, picks[w]]
KERNEL choose(float *out, uint *chosen, const float *latents, const uint *places, const uint *picks, uint top, uint n,
              uint width) {
    ELEMENT(i, n * width);
    const uint word = i / width, j = i % width, row = places[(ulong64)word * top + picks[word]];
    out[i] = latents[(ulong64)row * width + j];
    if (j == 0) chosen[word] = row;
}

// The query's gradient, added: Σ slope · key over the nearest. keys (latents, width) times lengths are the latent vectors. A
// slope is that of the softmax-weighted mean of the nearest; if `gate`, that of the chosen one's weight.
KERNEL choose_back(float *to, const float *g, const float *keys, const float *lengths, const uint *places, const float *scores,
                   const uint *picks, float temperature, uint gate, uint top, uint width) {
    __shared__ float slopes[MOST_NEAREST];
    const ulong64 first = (ulong64)blockIdx.x * width, few = (ulong64)blockIdx.x * top;
    const uint pick = picks[blockIdx.x];
    float share = 0.0f;
    for (uint m = threadIdx.x; m < top; m += BLOCK) share += expf((scores[few + m] - scores[few]) / temperature);
    const float total = block_sum(share);
    // The gradient along the latent vectors that count.
    for (uint m = gate ? pick : 0; m < (gate ? pick + 1 : top); m++) {
        const uint row = places[few + m];
        float along = 0.0f;
        for (uint j = threadIdx.x; j < width; j += BLOCK) along += g[first + j] * keys[(ulong64)row * width + j];
        along = block_sum(along) * lengths[row];
        if (threadIdx.x == 0) slopes[m] = along;
    }
    __syncthreads();
    float value = slopes[pick];
    if (!gate) {
        value = 0.0f;
        for (uint m = threadIdx.x; m < top; m += BLOCK)
            value += slopes[m] * expf((scores[few + m] - scores[few]) / temperature) / total;
        value = block_sum(value);
    }
    __syncthreads(); // all have read
    for (uint m = threadIdx.x; m < top; m += BLOCK) {
        const float weight = expf((scores[few + m] - scores[few]) / temperature) / total;
        const float slope = gate ? value * ((m == pick ? 1.0f : 0.0f) - weight) : weight * (slopes[m] - value);
        slopes[m] = slope / temperature;
    }
    __syncthreads();
    for (uint j = threadIdx.x; j < width; j += BLOCK) {
        float sum = 0.0f;
        for (uint m = 0; m < top; m++) sum += slopes[m] * keys[(ulong64)places[few + m] * width + j];
        to[first + j] += sum;
    }
}
