# make lib     build/libmimalloc.so and .a: the C allocator, to be linked or preloaded
# make install    that, the headers, files for pkg-config and CMake, to PREFIX (/usr/local), below DESTDIR;
#              make uninstall
# make test    the C suites; ./check runs these and the Haskell ones
# make lint    layers, lengths, orders; make matrix: every GHC
# make live    the live page's suite (./check runs it, too), and the page in Debian's chromium
# make soak    the stress suites for long; make bytes-long: 100 million operations that move bytes about;
#              make forks-long: 1000 forks of each kind
# make mutants seeds faults in copies of the tree, and looks that the suite that is there for each fails;
#              some minutes
# make busy    ./check beside busy loops: TIMES=3 LOOPS=4, or PARTS="c haskell"; see tools/busy
# make bench   every benchmark, figures and plots to docs/bench; see bench/README.md

CC     ?= cc
BUILD  ?= build
WARN    = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wpointer-arith -Wundef
CFLAGS ?= -O2 -g
BASE    = -std=gnu11 -fPIC -fvisibility=hidden -fno-semantic-interposition -fno-builtin-malloc -pthread \
  -Icbits/include -Icbits $(WARN)

CORE = $(wildcard cbits/core/*.c cbits/thread*.c) cbits/debug/check.c
LIB  = $(CORE) cbits/preload.c
# C++'s operators: the shared library's only. A program's own come before them everywhere (the list).
CXX_LIB = cbits/preload_cxx.c
HEAD = $(wildcard cbits/*.h cbits/*/*.h)
OBJ  = $(LIB:%.c=$(BUILD)/o/%.o)
CXX_OBJ = $(CXX_LIB:%.c=$(BUILD)/o/%.o)

# The shared library is libmimalloc.so.VERSION; its soname changes with what programs were linked against.
VERSION := $(shell awk '$$1 == "version:" { print $$2 }' mimalloc.cabal)
SONAME   = libmimalloc.so.0

lib: $(BUILD)/libmimalloc.so $(BUILD)/libmimalloc.a

$(BUILD)/o/%.o: %.c $(HEAD)
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) -c $< -o $@

# Optimised with all other files at once, its operators would be taken for those that the program calls.
$(BUILD)/o/cbits/preload_cxx.o: override CFLAGS += -fno-lto

# Never unloaded: its thread and what it left in other threads would go on without it. A program that is
# linked with it here finds it by its soname. Its constructors run before all others (initfirst): handlers of
# fork that others register in theirs are then outside ours (thread.c).
LIB_LINK = -Wl,-Bsymbolic-functions -Wl,--dynamic-list=cbits/preload_cxx.list -Wl,-z,now -Wl,-z,nodelete \
  -Wl,-z,initfirst
$(BUILD)/libmimalloc.so: $(OBJ) $(CXX_OBJ) cbits/preload_cxx.list
	$(CC) -shared -Wl,-soname,$(SONAME) $(LIB_LINK) $(CFLAGS) -pthread $(OBJ) $(CXX_OBJ) -o $@
	@ln -sf $(@F) $(BUILD)/$(SONAME)

$(BUILD)/libmimalloc.a: $(OBJ)
	rm -f $@
	$(AR) rcs $@ $^

# ---- installing: the usual variables. A program that is linked with the shared library has its malloc
# replaced, too; with the archive, if it calls malloc itself or is linked with -Wl,-u,malloc, as mimalloc.pc
# and the CMake target say; C++'s new and delete are its C++ library's then.

PREFIX         ?= /usr/local
prefix         ?= $(PREFIX)
exec_prefix    ?= $(prefix)
libdir         ?= $(exec_prefix)/lib
includedir     ?= $(prefix)/include
pkgconfigdir   ?= $(libdir)/pkgconfig
INSTALL        ?= install
INSTALL_DATA    ?= $(INSTALL) -m 644
INSTALL_PROGRAM ?= $(INSTALL) -m 755
cmakedir       ?= $(libdir)/cmake/mimalloc
PUBLIC = mimalloc.h mimalloc-stats.h mimalloc-profile.h mimalloc-override.h mimalloc-new-delete.h
INSTALLED = $(libdir)/libmimalloc.so.$(VERSION) $(libdir)/$(SONAME) $(libdir)/libmimalloc.so \
  $(libdir)/libmimalloc.a \
            $(PUBLIC:%=$(includedir)/%) $(pkgconfigdir)/mimalloc.pc \
            $(cmakedir)/mimalloc-config.cmake $(cmakedir)/mimalloc-config-version.cmake

define PC
prefix=$(prefix)
exec_prefix=$(exec_prefix)
libdir=$(libdir)
includedir=$(includedir)

# A shared object that is linked with the archive stays loaded when it is closed.
Name: mimalloc
Description: Memory allocator whose heaps belong to GHC capabilities or to threads
Version: $(VERSION)
Libs: -L$${libdir} -lmimalloc
Libs.private: -Wl,-u,malloc -pthread
Cflags: -I$${includedir}
endef
export PC

# For find_package(mimalloc).
define CMAKE_CONFIG
# The targets `mimalloc`, the shared library, which replaces a program's malloc, and `mimalloc-static`.
set(MIMALLOC_INCLUDE_DIR "$(includedir)")
set(MIMALLOC_LIBRARY_DIR "$(libdir)")
if(NOT TARGET mimalloc)
  add_library(mimalloc SHARED IMPORTED)
  set_target_properties(mimalloc PROPERTIES IMPORTED_LOCATION "$(libdir)/libmimalloc.so.$(VERSION)"
    IMPORTED_SONAME $(SONAME) INTERFACE_INCLUDE_DIRECTORIES "$(includedir)")
endif()
if(NOT TARGET mimalloc-static)
  add_library(mimalloc-static STATIC IMPORTED)
  set_target_properties(mimalloc-static PROPERTIES IMPORTED_LOCATION "$(libdir)/libmimalloc.a"
    INTERFACE_LINK_LIBRARIES "-Wl,-u,malloc;-pthread" INTERFACE_INCLUDE_DIRECTORIES "$(includedir)")
endif()
endef
define CMAKE_VERSION
# Whoever asks for mimalloc up to 2.2 gets its interface.
set(PACKAGE_VERSION $(VERSION))
if(PACKAGE_FIND_VERSION VERSION_LESS 2.3)
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
endef
export CMAKE_CONFIG CMAKE_VERSION

install: lib
	$(INSTALL) -d $(DESTDIR)$(libdir) $(DESTDIR)$(includedir) $(DESTDIR)$(pkgconfigdir) $(DESTDIR)$(cmakedir)
	$(INSTALL_PROGRAM) $(BUILD)/libmimalloc.so $(DESTDIR)$(libdir)/libmimalloc.so.$(VERSION)
	ln -sf libmimalloc.so.$(VERSION) $(DESTDIR)$(libdir)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(libdir)/libmimalloc.so
	$(INSTALL_DATA) $(BUILD)/libmimalloc.a $(DESTDIR)$(libdir)/libmimalloc.a
	$(INSTALL_DATA) $(PUBLIC:%=cbits/include/%) $(DESTDIR)$(includedir)
	echo "$$PC" >$(BUILD)/mimalloc.pc
	$(INSTALL_DATA) $(BUILD)/mimalloc.pc $(DESTDIR)$(pkgconfigdir)/mimalloc.pc
	echo "$$CMAKE_CONFIG" >$(BUILD)/mimalloc-config.cmake
	echo "$$CMAKE_VERSION" >$(BUILD)/mimalloc-config-version.cmake
	$(INSTALL_DATA) $(BUILD)/mimalloc-config.cmake $(BUILD)/mimalloc-config-version.cmake $(DESTDIR)$(cmakedir)

uninstall:
	rm -f $(INSTALLED:%=$(DESTDIR)%)

include test/c/tests.mk

lint:
	tools/lint

live:
	tools/suite live tools/live
	tools/suite browser tools/live browser

matrix:
	tools/matrix

busy:
	tools/busy $(or $(TIMES),3) $(or $(LOOPS),4) $(PARTS)

bench: lib
	tools/install bench c haskell
	bench/preload --save
	bench/haskell --save
	bench/memory --save
	bench/instructions --save
	bench/limits --runs 3 --save
	bench/policy --save
	bench/pressure --save
	bench/warp --save

clean:
	rm -rf $(BUILD)/o $(BUILD)/t $(BUILD)/libmimalloc.* $(BUILD)/mimalloc.pc $(BUILD)/mimalloc-config*.cmake

.PHONY: lib install uninstall test soak bytes-long forks-long mutants busy lint live matrix bench clean
