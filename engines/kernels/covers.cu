// Covers, painted into pictures in their planes. `pipeline/painter.py` says what is painted, `covers.py` fills the
// tables. Three kernels in turn: sums of what lies under the cells, tints of the cells, then the paint.

#include "planes.h"

enum Style { SOLID, IMAGE, MOSAIC, BLUR };

const int FINER = 4;  // blur has so many tints across and down each cell
const int OPAQUE = 255;

struct Rect {
    int x1, y1, x2, y2;
};

struct Cover {
    Plane planes[3];                           // of the picture
    Plane patches[3];                          // of an image: what is pasted over `outer`
    double centre_x, centre_y, per_x, per_y;   // 1 is the edge of the shape
    double reach;                              // the edge of what is soft
    Rect inner, outer;                         // of shape and soft edge, in luma samples
    int step_x, step_y;                        // of chroma
    int style, is_box;
    int across, down;                          // cells
    int sums, tints, noise;                    // where those of this cover begin in their arrays
    int light;                                 // where the sum of the picture's light is
    float light_share, unit;                   // of that sum: the mean; of a sample: one of 8 bits
    float keep[3];
    int colours[3];                            // of a solid cover
};

// A part of a plane.
struct Window {
    int x, y, columns, rows;
};

__device__ Window window(const Rect &rect, const Cover &cover, int plane)
{
    const int step_x = plane ? cover.step_x : 1, step_y = plane ? cover.step_y : 1;
    const int x = rect.x1 / step_x, y = rect.y1 / step_y;
    return {x, y, (rect.x2 + step_x - 1) / step_x - x, (rect.y2 + step_y - 1) / step_y - y};
}

template <typename Sample>
__device__ Sample *sample(const Plane &plane, int x, int y)
{
    return (Sample *)plane.samples + y * plane.row + x * plane.column;
}

__device__ int within(int value, int low, int high)
{
    return min(max(value, low), high);
}

__device__ bool has_cells(const Cover &cover)
{
    return cover.style == MOSAIC || cover.style == BLUR;
}

// One thread for each column of each row of cells, of the first so many planes of each cover.
template <typename Sample>
__device__ void sum_cells(const Cover *covers, int planes, unsigned long long *sums)
{
    const Cover &cover = covers[blockIdx.z / planes];
    const int plane = blockIdx.z % planes;
    const int x = blockIdx.x * blockDim.x + threadIdx.x, cell_row = blockIdx.y * blockDim.y + threadIdx.y;
    if (!has_cells(cover))
        return;
    const Window inner = window(cover.inner, cover, plane);
    const int wide = inner.columns / cover.across, high = inner.rows / cover.down;
    if (x >= wide * cover.across || cell_row >= cover.down)
        return;
    const Plane &from = cover.planes[plane];
    const Sample *at = sample<Sample>(from, inner.x + x, inner.y + cell_row * high);
    unsigned long long sum = 0;
    for (int i = 0; i < high; ++i)
        sum += at[i * from.row];
    atomicAdd(sums + cover.sums + (plane * cover.down + cell_row) * cover.across + x / wide, sum);
}

// What a cell is given: its mean, paled and made noisy. Beyond the border, cells repeat.
__device__ float tint(const Cover &cover, int plane, int i, int j, const unsigned long long *sums, const float *noise)
{
    i = within(i, 0, cover.across - 1);
    j = within(j, 0, cover.down - 1);
    const Window inner = window(cover.inner, cover, plane);
    const int area = (inner.columns / cover.across) * (inner.rows / cover.down);
    const float mean = rint((double)sums[cover.sums + (plane * cover.down + j) * cover.across + i] / area);
    const float middle = plane ? 128 * cover.unit : sums[cover.light] * (double)cover.light_share;
    const float own = noise[(cover.noise + j * cover.across + i) * 3 + plane];
    const float value = rintf(middle + cover.keep[plane] * (mean - middle) + cover.unit * own);
    return fminf(fmaxf(value, 0.0f), 256 * cover.unit - 1);
}

// Weights of four neighbours for a point `t` behind the second.
__device__ void cubic(float t, float weights[4])
{
    const float a = -0.75f;
    weights[0] = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a;
    weights[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
    weights[2] = ((a + 2) * (1 - t) - (a + 3)) * (1 - t) * (1 - t) + 1;
    weights[3] = 1 - weights[0] - weights[1] - weights[2];
}

// One thread for each tint of each plane of each cover.
extern "C" __global__ void tint_cells(const Cover *covers, const unsigned long long *sums, const float *noise,
                                      int *tints)
{
    const Cover &cover = covers[blockIdx.z / 3];
    const int plane = blockIdx.z % 3;
    const int finer = cover.style == BLUR ? FINER : 1;
    const int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    if (!has_cells(cover) || i >= cover.across * finer || j >= cover.down * finer)
        return;
    int *own = tints + cover.tints + (plane * cover.down * finer + j) * cover.across * finer + i;
    if (cover.style == MOSAIC) {
        *own = tint(cover, plane, i, j, sums, noise);
        return;
    }
    const float x = (i + 0.5f) / finer - 0.5f, y = (j + 0.5f) / finer - 0.5f;
    const int left = (int)floorf(x), top = (int)floorf(y);
    float across[4], down[4], smooth = 0;
    cubic(x - left, across);
    cubic(y - top, down);
    for (int v = 0; v < 4; ++v)
        for (int u = 0; u < 4; ++u)
            smooth += down[v] * across[u] * tint(cover, plane, left - 1 + u, top - 1 + v, sums, noise);
    float low = 1e9f, high = 0;  // no overshoot
    for (int v = 0; v < cover.down; ++v)
        for (int u = 0; u < cover.across; ++u) {
            const float value = tint(cover, plane, u, v, sums, noise);
            low = fminf(low, value);
            high = fmaxf(high, value);
        }
    *own = (int)rintf(fminf(fmaxf(smooth, low), high));
}

// Tints, enlarged to the inner window and repeated beyond it.
__device__ int enlarged(const Cover &cover, const Window &inner, int plane, int x, int y, const int *tints)
{
    x = within(x - inner.x, 0, inner.columns - 1);
    y = within(y - inner.y, 0, inner.rows - 1);
    const int finer = cover.style == BLUR ? FINER : 1;
    const int across = cover.across * finer, down = cover.down * finer;
    const int *own = tints + cover.tints + plane * across * down;
    if (cover.style == MOSAIC) {
        const int i = within((int)(x * (1.0 / ((double)inner.columns / across))), 0, across - 1);
        const int j = within((int)(y * (1.0 / ((double)inner.rows / down))), 0, down - 1);
        return own[j * across + i];
    }
    const float s = fminf(fmaxf((x + 0.5f) * across / inner.columns - 0.5f, 0.0f), across - 1.0f);
    const float t = fminf(fmaxf((y + 0.5f) * down / inner.rows - 0.5f, 0.0f), down - 1.0f);
    const int i = (int)s, j = (int)t, right = min(i + 1, across - 1), below = min(j + 1, down - 1);
    const float upper = own[j * across + i] + (s - i) * (own[j * across + right] - own[j * across + i]);
    const float lower = own[below * across + i] + (s - i) * (own[below * across + right] - own[below * across + i]);
    return (int)rintf(upper + (t - j) * (lower - upper));
}

// From the centre to the nearest point of a sample that begins at `start` and is `step` wide; 1 is the shape's edge.
__device__ double distance(int start, int step, double centre, double per)
{
    return fmax(fabs(start + step / 2.0 - centre) - step / 2.0, 0.0) * per;
}

__device__ float ramp(double distance, double reach)
{
    if (reach == 1)
        return distance < 1;
    return (float)fmin(fmax((reach - distance) / (reach - 1), 0.0), 1.0);
}

__device__ int opacity(const Cover &cover, double x, double y)
{
    const double reach = cover.reach;
    if (cover.is_box)
        return (int)rintf(OPAQUE * ramp(y, reach) * ramp(x, reach));
    if (reach == 1)
        return x * x + y * y < 1 ? OPAQUE : 0;
    const double level = (reach * reach - y * y - x * x) * (OPAQUE / (reach * reach - 1));
    return (int)rint(fmin(fmax(level, 0.0), (double)OPAQUE));
}

// Rounded; there are no ties, for OPAQUE is odd.
__device__ int share(int value, int level)
{
    return (value * level + OPAQUE / 2) / OPAQUE;
}

// One thread for each sample of each plane that a cover may touch. No two covers of a launch overlap.
template <typename Sample>
__device__ void paint(const Cover *covers, const int *tints)
{
    const Cover &cover = covers[blockIdx.z / 3];
    const int plane = blockIdx.z % 3;
    const int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    const Window outer = window(cover.outer, cover, plane);
    if (column >= outer.columns || row >= outer.rows)
        return;
    const int step_x = plane ? cover.step_x : 1, step_y = plane ? cover.step_y : 1;
    const int x = outer.x + column, y = outer.y + row;
    const int level = opacity(cover, distance(x * step_x, step_x, cover.centre_x, cover.per_x),
                              distance(y * step_y, step_y, cover.centre_y, cover.per_y));
    int patch = cover.colours[plane];
    if (cover.style == IMAGE)
        patch = *sample<Sample>(cover.patches[plane], column, row);
    else if (has_cells(cover))
        patch = enlarged(cover, window(cover.inner, cover, plane), plane, x, y, tints);
    Sample *under = sample<Sample>(cover.planes[plane], x, y);
    *under = share(patch, level) + share(*under, OPAQUE - level);
}

extern "C" __global__ void sum_cells_8(const Cover *covers, int planes, unsigned long long *sums)
{
    sum_cells<unsigned char>(covers, planes, sums);
}

extern "C" __global__ void sum_cells_16(const Cover *covers, int planes, unsigned long long *sums)
{
    sum_cells<unsigned short>(covers, planes, sums);
}

extern "C" __global__ void paint_8(const Cover *covers, const int *tints)
{
    paint<unsigned char>(covers, tints);
}

extern "C" __global__ void paint_16(const Cover *covers, const int *tints)
{
    paint<unsigned short>(covers, tints);
}
