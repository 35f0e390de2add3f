# make lib     build/libmimalloc.so and .a: the C allocator, to be linked or preloaded
# make test    the C suites; ./check runs these and the Haskell ones
# make lint    layers, lengths, orders; make matrix: every GHC
# make soak    the stress suites for long
# make bench   every benchmark, figures and plots to docs/bench; see bench/README.md

CC     ?= cc
BUILD  ?= build
WARN    = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wpointer-arith -Wundef
CFLAGS ?= -O2 -g
BASE    = -std=gnu11 -fPIC -fvisibility=hidden -fno-semantic-interposition -fno-builtin-malloc -pthread -Icbits/include -Icbits $(WARN)

CORE = $(wildcard cbits/core/*.c cbits/thread*.c) cbits/debug/check.c
LIB  = $(CORE) cbits/preload.c
HEAD = $(wildcard cbits/*.h cbits/*/*.h)
OBJ  = $(LIB:%.c=$(BUILD)/o/%.o)

lib: $(BUILD)/libmimalloc.so $(BUILD)/libmimalloc.a

$(BUILD)/o/%.o: %.c $(HEAD)
	@mkdir -p $(@D)
	$(CC) $(BASE) $(CFLAGS) -c $< -o $@

$(BUILD)/libmimalloc.so: $(OBJ)
	$(CC) -shared -Wl,-soname,libmimalloc.so -Wl,-Bsymbolic-functions -Wl,-z,now $(CFLAGS) -pthread $^ -o $@

$(BUILD)/libmimalloc.a: $(OBJ)
	rm -f $@
	$(AR) rcs $@ $^

include test/c/tests.mk

lint:
	tools/lint

matrix:
	tools/matrix

bench: lib
	tools/install bench c haskell
	bench/preload --save
	bench/haskell --save
	bench/instructions --save

clean:
	rm -rf $(BUILD)/o $(BUILD)/t $(BUILD)/libmimalloc.*

.PHONY: lib test soak lint matrix bench clean
