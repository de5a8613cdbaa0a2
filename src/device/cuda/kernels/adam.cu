// Adam over whole tensors and over rows of tables (optim/adam.rs has the equations).

// A tensor in a step: n numbers with a gradient g. With `rows` these are rows of `width` numbers of a table. `rate`, `root`, `decay` and
// `one` are the tensor's own in this step. `first`: its first block.
typedef struct {
    float *p;
    const float *g;
    float *m, *v;
    const uint *rows;
    ulong64 n;
    float rate, root, decay, one;
    uint width, first;
} Job;

// As many as fit among the arguments of a launch. A block works on `stretch` numbers of one of them.
#define MOST_JOBS 48
typedef struct {
    Job job[MOST_JOBS];
    uint count, stretch;
} Jobs;

// The tensor of this block: the last one that begins at or before it.
static __device__ __forceinline__ uint job_of(const Jobs &jobs) {
    uint low = 0, high = jobs.count;
    while (high - low > 1) {
        const uint middle = (low + high) / 2;
        if (jobs.job[middle].first <= blockIdx.x)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// For each number i of this thread, of tensor k
#define NUMBERS(i, k)                                                                                                  \
    const uint k = job_of(jobs);                                                                                       \
    const ulong64 begin = (ulong64)(blockIdx.x - jobs.job[k].first) * jobs.stretch;                                    \
    const ulong64 end = jobs.job[k].n - begin < jobs.stretch ? jobs.job[k].n : begin + jobs.stretch;                   \
    for (ulong64 i = begin + threadIdx.x; i < end; i += BLOCK)

// parts[block] = Σ g² of its stretch
KERNEL square_parts(const Jobs jobs, double *parts) {
    float sum = 0.0f;
    NUMBERS(i, k) sum += jobs.job[k].g[i] * jobs.job[k].g[i];
    const double whole = block_sum((double)sum);
    if (threadIdx.x == 0) parts[blockIdx.x] = whole;
}

// squares[k] = Σ parts of tensor k, of `blocks` in all. A block for each tensor.
KERNEL square_sums(const Jobs jobs, double *squares, const double *parts, uint blocks) {
    const uint k = blockIdx.x, end = k + 1 < jobs.count ? jobs.job[k + 1].first : blocks;
    double sum = 0.0;
    for (uint i = jobs.job[k].first + threadIdx.x; i < end; i += BLOCK) sum += parts[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) squares[k] = sum;
}

// scales[k]: what the gradient of tensor k is multiplied by so that the norm (of all, or of each) is at most `clip`;
// *norm is that of all. One block.
KERNEL clip_scales(float *scales, float *norm, const double *squares, uint n, float clip, uint each) {
    double sum = 0.0;
    for (uint k = threadIdx.x; k < n; k += BLOCK) sum += squares[k];
    const float all = (float)sqrt(block_sum(sum));
    for (uint k = threadIdx.x; k < n; k += BLOCK) {
        const float size = each ? (float)sqrt(squares[k]) : all;
        scales[k] = clip > 0.0f && size > clip ? clip / size : 1.0f;
    }
    if (threadIdx.x == 0) *norm = all;
}

static __device__ __forceinline__ void update(float *p, float g, float *m, float *v, float b1, float b2, float rate,
                                              float root, float decay, float epsilon) {
    *m = b1 * *m + (1.0f - b1) * g;
    *v = b2 * *v + (1.0f - b2) * g * g;
    *p = *p * decay - rate * *m / (sqrtf(*v) * root + epsilon);
}

KERNEL adam(const Jobs jobs, const float *scales, float b1, float b2, float epsilon) {
    NUMBERS(i, k) {
        const ulong64 at = jobs.job[k].rows
            ? (ulong64)jobs.job[k].rows[i / jobs.job[k].width] * jobs.job[k].width + i % jobs.job[k].width
            : i;
        update(jobs.job[k].p + at, jobs.job[k].g[i] * scales[k], jobs.job[k].m + at, jobs.job[k].v + at, b1, b2,
               jobs.job[k].rate, jobs.job[k].root, jobs.job[k].decay, epsilon);
    }
}

// The moments after a step of LAMB, and its step before the trust ratio: r = m / one / (√v · root + ε) + decay · p, a stretch for each
// block; own and step get Σ p² and Σ r² of it.
KERNEL lamb_direction(const Jobs jobs, float *r, double *own, double *step, const float *scales, float b1, float b2,
                      float epsilon) {
    float of_p = 0.0f, of_r = 0.0f;
    r += (ulong64)blockIdx.x * jobs.stretch;
    NUMBERS(i, k) {
        const float x = jobs.job[k].g[i] * scales[k], p = jobs.job[k].p[i];
        const float m = jobs.job[k].m[i] = b1 * jobs.job[k].m[i] + (1.0f - b1) * x;
        const float v = jobs.job[k].v[i] = b2 * jobs.job[k].v[i] + (1.0f - b2) * x * x;
        const float d = m / jobs.job[k].one / (sqrtf(v) * jobs.job[k].root + epsilon) + jobs.job[k].decay * p;
        r[i - begin] = d;
        of_p += p * p;
        of_r += d * d;
    }
    const double whole_p = block_sum((double)of_p), whole_r = block_sum((double)of_r);
    if (threadIdx.x == 0) own[blockIdx.x] = whole_p, step[blockIdx.x] = whole_r;
}

// p −= rate · ‖p‖ / ‖r‖ · r, of whose norms own and step have the squares; where one is 0, rate · r
KERNEL lamb_apply(const Jobs jobs, const float *r, const double *own, const double *step) {
    r += (ulong64)blockIdx.x * jobs.stretch;
    NUMBERS(i, k) {
        const double size = sqrt(own[k]), wanted = sqrt(step[k]);
        const float trust = size > 0.0 && wanted > 0.0 ? (float)(size / wanted) : 1.0f;
        jobs.job[k].p[i] -= jobs.job[k].rate * trust * r[i - begin];
    }
}

// Steps without a gradient for some rows; missed (n, 3): the coefficient of m / (√v + ε), and the powers of β₁ and β₂
KERNEL adam_catch_up(float *p, float *m, float *v, const uint *rows, const float *missed, float epsilon, uint n, uint width) {
    ELEMENT(i, n * width);
    const float *by = missed + 3 * (i / width);
    const ulong64 at = (ulong64)rows[i / width] * width + i % width;
    p[at] -= by[0] * m[at] / (sqrtf(v[at]) + epsilon);
    m[at] *= by[1];
    v[at] *= by[2];
}

// values[i, :] (n, width) += from[places[i], :], where place 2³² − 1 is none
KERNEL add_rows(float *values, const float *from, const uint *places, uint n, uint width) {
    ELEMENT(i, n * width);
    const uint place = places[i / width];
    if (place != 0xffffffffu) values[i] += from[(ulong64)place * width + i % width];
}

// p −= coefficients[row] · m / (√v + ε)
KERNEL adam_settle(float *p, const float *m, const float *v, const float *coefficients, float epsilon, ulong64 n, uint width) {
    const ulong64 i = (ulong64)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    p[i] -= coefficients[i / width] * m[i] / (sqrtf(v[i]) + epsilon);
}
