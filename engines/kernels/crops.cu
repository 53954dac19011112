// Crops of pictures in planes, normalised for a network. `crops.py` says what is computed, and fills the tables.

#include "planes.h"

struct Surface {
    Plane planes[3];
    float to_rgb[12];   // of Y, U, V and 1 as they are stored, to R, G, B in 0..255
    float step_x, step_y;  // of chroma
};

struct Crop {
    int surface;
    int across, down;  // samples of each pixel of the crop
    float to_picture[6];
};

struct Output {
    int width, height;
    float mean[3], scale[3];
};

// Between four samples; beyond the border it repeats.
template <typename Sample>
__device__ float bilinear(const Plane &plane, float x, float y)
{
    x = fminf(fmaxf(x, 0.0f), plane.columns - 1.0f);
    y = fminf(fmaxf(y, 0.0f), plane.rows - 1.0f);
    const int left = (int)x, top = (int)y;
    const long long right = left + 1 < plane.columns ? plane.column : 0;
    const long long below = top + 1 < plane.rows ? plane.row : 0;
    const Sample *at = (const Sample *)plane.samples + top * plane.row + left * plane.column;
    const float u = x - left, v = y - top;
    const float upper = at[0] + u * ((float)at[right] - at[0]);
    const float lower = at[below] + u * ((float)at[below + right] - at[below]);
    return upper + v * (lower - upper);
}

// One thread for each pixel of each crop; pixels are (crops, 3, height, width).
template <typename Sample>
__device__ void cut(const Surface *surfaces, const Crop *crops, const Output &output, float *pixels)
{
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= output.width || row >= output.height)
        return;
    const Crop &crop = crops[blockIdx.z];
    const Surface &surface = surfaces[crop.surface];
    const float *a = crop.to_picture;

    float yuv[3] = {0, 0, 0};
    for (int j = 0; j < crop.down; ++j) {
        const float t = row + (j + 0.5f) / crop.down - 0.5f;
        for (int i = 0; i < crop.across; ++i) {
            const float s = column + (i + 0.5f) / crop.across - 0.5f;
            const float x = a[0] * s + a[1] * t + a[2], y = a[3] * s + a[4] * t + a[5];
            const float chroma_x = (x + 0.5f) / surface.step_x - 0.5f, chroma_y = (y + 0.5f) / surface.step_y - 0.5f;
            yuv[0] += bilinear<Sample>(surface.planes[0], x, y);
            yuv[1] += bilinear<Sample>(surface.planes[1], chroma_x, chroma_y);
            yuv[2] += bilinear<Sample>(surface.planes[2], chroma_x, chroma_y);
        }
    }

    const float share = 1.0f / (crop.across * crop.down);
    const long long area = (long long)output.width * output.height;
    float *pixel = pixels + blockIdx.z * 3 * area + (long long)row * output.width + column;
    for (int channel = 0; channel < 3; ++channel) {
        const float *m = surface.to_rgb + 4 * channel;
        const float value = (m[0] * yuv[0] + m[1] * yuv[1] + m[2] * yuv[2]) * share + m[3];
        const float clipped = fminf(fmaxf(value, 0.0f), 255.0f);
        pixel[channel * area] = (clipped - output.mean[channel]) * output.scale[channel];
    }
}

extern "C" __global__ void cut_8(const Surface *surfaces, const Crop *crops, Output output, float *pixels)
{
    cut<unsigned char>(surfaces, crops, output, pixels);
}

extern "C" __global__ void cut_16(const Surface *surfaces, const Crop *crops, Output output, float *pixels)
{
    cut<unsigned short>(surfaces, crops, output, pixels);
}
