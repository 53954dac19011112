"""CUDA kernels for pictures in planes, each with what defines it: a twin in numpy, or `operators.paint`.

    crops.py    crops.cu    planes -> normalised crops, one launch for all crops of a batch
    covers.py   covers.cu   covers painted into planes, in place
    launch.py   what a device is; cuda_kernels.py has the real one, and is the only file that needs a GPU

A plane is a numpy array or anything with `__cuda_array_interface__`, of any strides: U of NV12 is `uv[..., 0]`.
"""
