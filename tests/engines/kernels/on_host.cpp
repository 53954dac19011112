// Runs the kernels on the host, one thread of the grid after the other: what a machine without a GPU can check.

#include <algorithm>
#include <cmath>

#define __global__
#define __device__
using std::max;
using std::min;

struct dim3 {
    unsigned x, y, z;
};
static dim3 blockIdx, threadIdx, blockDim;

template <typename Number>
void atomicAdd(Number *sum, Number more)
{
    *sum += more;
}

#include "crops.cu"
#include "covers.cu"

template <typename... Arguments>
void each_thread(const dim3 *grid, const dim3 *block, void (*kernel)(Arguments...), Arguments... arguments)
{
    blockDim = *block;
    for (unsigned number = 0; number < grid->x * grid->y * grid->z; ++number) {
        blockIdx = {number % grid->x, number / grid->x % grid->y, number / grid->x / grid->y};
        for (threadIdx.y = 0; threadIdx.y < block->y; ++threadIdx.y)
            for (threadIdx.x = 0; threadIdx.x < block->x; ++threadIdx.x)
                kernel(arguments...);
    }
}

// Structures come by address, all else as the kernel takes it.
#define CUT(name)                                                                                                      \
    extern "C" void host_##name(const dim3 *grid, const dim3 *block, const Surface *surfaces, const Crop *crops,       \
                                const Output *output, float *pixels)                                                   \
    {                                                                                                                  \
        each_thread(grid, block, name, surfaces, crops, *output, pixels);                                              \
    }
#define SUM(name)                                                                                                      \
    extern "C" void host_##name(const dim3 *grid, const dim3 *block, const Picture *pictures, const Cover *covers,     \
                                unsigned long long *sums)                                                              \
    {                                                                                                                  \
        each_thread(grid, block, name, pictures, covers, sums);                                                        \
    }
#define PAINT(name)                                                                                                    \
    extern "C" void host_##name(const dim3 *grid, const dim3 *block, const Cover *covers, const int *tints)            \
    {                                                                                                                  \
        each_thread(grid, block, name, covers, tints);                                                                 \
    }
CUT(cut_8)
CUT(cut_16)
SUM(sum_beside_8)
SUM(sum_beside_16)
PAINT(paint_8)
PAINT(paint_16)
PAINT(paint_core_8)
PAINT(paint_core_16)
extern "C" void host_tint_covers(const dim3 *grid, const dim3 *block, const Picture *pictures, const Cover *covers,
                                 const unsigned long long *sums, const float *relief, int *tints)
{
    each_thread(grid, block, tint_covers, pictures, covers, sums, relief, tints);
}
