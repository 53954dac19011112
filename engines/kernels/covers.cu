// Covers, painted into pictures in their planes. `operators/paint` says what is painted, `covers.py` fills the tables. In
// turn: sums of what lies beside the covers, tints of parts of covers, the paint, and once more what is opaque where
// covers overlap.

#include "planes.h"

enum Style { SOLID, IMAGE, MOSAIC, BLUR };
enum Sum { SAMPLES, LUMA, CHROMA_U, CHROMA_V, SQUARES, CAST_SAMPLES, CAST_U, CAST_V, SUMS };

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
    int across, down;                          // tints
    int tints;                                 // where those of this cover, and their relief, begin in their arrays
    int picture;                               // its number
    int blends;                                // where it overlaps others, the brighter one shows
    int colours[3];                            // of a solid cover
};

// What tints are made of; `tones.py` explains it.
struct Picture {
    Plane planes[3];
    int step_x, step_y;             // of chroma
    int stride;                     // of every so many lines and columns a sample counts
    int first, covers;              // which covers are in it
    int unit, low, span;            // steps per unit of 8 bits; black, and the way to white in units
    int neutral, dark;              // limits of what tells the cast, in units
    double origin[3], reach[3];     // of skin
    double usual_light, light_power, darkest, brightest;
    double usual_spread, spread_power;
    double cast, doubt;
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

__device__ bool has_tints(const Cover &cover)
{
    return cover.style == MOSAIC || cover.style == BLUR;
}

// One thread for each sample that counts, of each picture.
template <typename Sample>
__device__ void sum_beside(const Picture *pictures, const Cover *covers, unsigned long long *sums)
{
    const Picture &picture = pictures[blockIdx.z];
    const int x = (blockIdx.x * blockDim.x + threadIdx.x) * picture.stride;
    const int y = (blockIdx.y * blockDim.y + threadIdx.y) * picture.stride;
    if (x >= picture.planes[0].columns || y >= picture.planes[0].rows)
        return;
    for (int i = picture.first; i < picture.first + picture.covers; ++i) {
        const Rect &hidden = covers[i].outer;
        if (x >= hidden.x1 && x < hidden.x2 && y >= hidden.y1 && y < hidden.y2)
            return;
    }
    const int luma = *sample<Sample>(picture.planes[0], x, y);
    const long long u = *sample<Sample>(picture.planes[1], x / picture.step_x, y / picture.step_y) - 128 * picture.unit;
    const long long v = *sample<Sample>(picture.planes[2], x / picture.step_x, y / picture.step_y) - 128 * picture.unit;
    unsigned long long *own = sums + blockIdx.z * SUMS;
    atomicAdd(own + SAMPLES, 1ull);
    atomicAdd(own + LUMA, (unsigned long long)luma);
    atomicAdd(own + CHROMA_U, (unsigned long long)u);
    atomicAdd(own + CHROMA_V, (unsigned long long)v);
    atomicAdd(own + SQUARES, (unsigned long long)(u * u + v * v));
    const long long away = (u < 0 ? -u : u) + (v < 0 ? -v : v);
    if (away >= picture.neutral * picture.unit || luma <= (picture.low + picture.dark) * picture.unit)
        return;
    atomicAdd(own + CAST_SAMPLES, 1ull);
    atomicAdd(own + CAST_U, (unsigned long long)u);
    atomicAdd(own + CAST_V, (unsigned long long)v);
}

// Skin in a picture: where it is black, and how far it lies from there.
__device__ void tone(const Picture &picture, int plane, const unsigned long long *sums, double &origin, double &reach)
{
    origin = picture.origin[plane];
    reach = picture.reach[plane];
    const double samples = (double)sums[SAMPLES];
    if (samples == 0)
        return;
    const double light = fmax((sums[LUMA] / samples / picture.unit - picture.low) / picture.span, 0.0);
    const double adapted = pow(light / picture.usual_light, picture.light_power);
    const double bright = fmin(fmax(adapted, picture.darkest), picture.brightest);
    if (plane == 0) {
        reach *= bright;
        return;
    }
    const double u = (long long)sums[CHROMA_U] / samples, v = (long long)sums[CHROMA_V] / samples;
    const double spread = sqrt(fmax(sums[SQUARES] / samples - u * u - v * v, 0.0)) / picture.unit;
    reach *= fmin(bright, 1.0) * fmin(pow(spread / picture.usual_spread, picture.spread_power), 1.0);
    const double cast = (double)(long long)sums[plane == 1 ? CAST_U : CAST_V];
    origin += picture.cast * cast / (sums[CAST_SAMPLES] + picture.doubt * samples);
}

// One thread for each tint of each plane of each cover.
extern "C" __global__ void tint_covers(const Picture *pictures, const Cover *covers, const unsigned long long *sums,
                                       const float *relief, int *tints)
{
    const Cover &cover = covers[blockIdx.z / 3];
    const int plane = blockIdx.z % 3;
    const int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;
    if (!has_tints(cover) || i >= cover.across || j >= cover.down)
        return;
    const Picture &picture = pictures[cover.picture];
    double origin, reach;
    tone(picture, plane, sums + cover.picture * SUMS, origin, reach);
    const int at = cover.tints + (plane * cover.down + j) * cover.across + i;
    const float value = rintf((float)origin + (float)reach * (1 + relief[at]));
    tints[at] = (int)fminf(fmaxf(value, 0.0f), 256.0f * picture.unit - 1);
}

// Tints, enlarged to the inner window and repeated beyond it.
__device__ int enlarged(const Cover &cover, const Window &inner, int plane, int x, int y, const int *tints)
{
    x = within(x - inner.x, 0, inner.columns - 1);
    y = within(y - inner.y, 0, inner.rows - 1);
    const int across = cover.across, down = cover.down;
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
__device__ void paint(const Cover *covers, const int *tints, bool core)
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
    else if (has_tints(cover))
        patch = enlarged(cover, window(cover.inner, cover, plane), plane, x, y, tints);
    Sample *under = sample<Sample>(cover.planes[plane], x, y);
    if (!core)
        *under = share(patch, level) + share(*under, OPAQUE - level);
    else if (level == OPAQUE)
        *under = cover.blends && plane == 0 ? max(patch, (int)*under) : patch;
}

extern "C" __global__ void sum_beside_8(const Picture *pictures, const Cover *covers, unsigned long long *sums)
{
    sum_beside<unsigned char>(pictures, covers, sums);
}

extern "C" __global__ void sum_beside_16(const Picture *pictures, const Cover *covers, unsigned long long *sums)
{
    sum_beside<unsigned short>(pictures, covers, sums);
}

extern "C" __global__ void paint_8(const Cover *covers, const int *tints)
{
    paint<unsigned char>(covers, tints, false);
}

extern "C" __global__ void paint_16(const Cover *covers, const int *tints)
{
    paint<unsigned short>(covers, tints, false);
}

extern "C" __global__ void paint_core_8(const Cover *covers, const int *tints)
{
    paint<unsigned char>(covers, tints, true);
}

extern "C" __global__ void paint_core_16(const Cover *covers, const int *tints)
{
    paint<unsigned short>(covers, tints, true);
}
