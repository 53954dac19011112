// Pictures in planes, as the kernels see them.

#pragma once

struct Plane {
    void *samples;          // unsigned char or unsigned short
    long long row, column;  // from one sample to the next, in samples
    int rows, columns;
};
