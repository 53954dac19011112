"""Child processes with limits, in which hostile bytes are taken apart.

A role is a module with a function `serve(channel, settings)`; `parent.Jail` starts it in a fresh interpreter, never by
a fork. Before the role is imported the child (`child`) has given up new privileges, writing files, core dumps, most
descriptors and most of its address space, and has asked the kernel to be killed when its parent dies.

What both sides say to each other is in `protocol`. Nothing is unpickled on either side, so a child that was taken over
can lie about pictures, and nothing else.
"""
