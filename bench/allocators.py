"""Which allocators there are to measure, and where their libraries lie."""
import os
import subprocess
import sys

from figures import ROOT

WORK = os.path.join(ROOT, "build", "bench")
SYSTEM = "/usr/lib/x86_64-linux-gnu/"
LIBRARIES = {                   # and what to do when it is not there
    # Preloading the C library itself puts its malloc before one that the program is linked with (redis: jemalloc).
    "glibc": ("/lib/x86_64-linux-gnu/libc.so.6", ""),
    "mi": (os.path.join(ROOT, "build", "libmimalloc.so"), "make lib"),
    "jemalloc": (SYSTEM + "libjemalloc.so.2", "apt-get install libjemalloc2"),
    "tcmalloc": (SYSTEM + "libtcmalloc_minimal.so.4", "apt-get install libtcmalloc-minimal4"),
    "mimalloc2": (SYSTEM + "libmimalloc.so.2", "apt-get install libmimalloc2.0"),
    "mimalloc3": (os.path.join(WORK, "lib", "libmimalloc.so.3"), "tools/competitors"),
}


def choose(names, library=None):
    """Allocator -> library, and what is missing: allocator -> how to get it. NAME=PATH is an allocator, too."""
    chosen, missing = {}, {}
    for name in names:
        path, remedy = LIBRARIES.get(name, ("", ""))
        if "=" in name:
            name, path = name.split("=", 1)
        elif not path:
            sys.exit(f"no allocator {name}; there are {', '.join(LIBRARIES)}, NAME=PATH")
        if name == "mi" and library:
            path = library
        elif name == "mi":                      # what stands in the tree now, not what was built at some time
            subprocess.run(["make", "-s", "-C", ROOT, "lib"], check=True, stdout=sys.stderr)
        if name == "mimalloc3" and not os.path.exists(path):
            print("mimalloc3 is not there yet: tools/competitors", file=sys.stderr)
            subprocess.run([os.path.join(ROOT, "tools", "competitors")], check=False)
        if os.path.exists(path):
            chosen[name] = os.path.abspath(path)
        else:
            missing[name] = remedy or path
    return chosen, missing


def compile_c(source, program, *flags):
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-fno-builtin-malloc", "-pthread", *flags,
                    os.path.join(ROOT, "bench", source), "-o", program], check=True)
