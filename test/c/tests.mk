# The C suites: `make test` and `make soak`. Included by the Makefile.
#
# The convention. A suite NAME is a program (or a script) build/t/NAME that prints "ok TEST" or "not ok TEST:
# why", a line each, to a line-buffered stdout. To add one, from here or from a file included below: a rule
# that makes build/t/NAME, and `SUITES += NAME`. Each runs as `tools/suite NAME build/t/NAME` with its address
# space limited (not those named *-tsan and *-asan) and its time (SUITE_SECONDS); a suite that does not build
# or that fails does not keep the others from running. By itself: make build/t/NAME && build/t/NAME [TEST..].
#
# Variants of the core, each in build/t/o/VARIANT. A suite in the plain one, as it ships, has the bare name,
# in another NAME-VARIANT.
#   plain  check: all assertions and the walker  hard: and every rare path common
#   tsan, hard-tsan  asan: address and undefined behaviour
T = $(BUILD)/t
#   key: what a thread has for itself is found by a thread key, as in the Haskell package
VARIANTS = plain check hard tsan hard-tsan asan
CHECKED  = -DMI_CHECK=2
HARD     = $(CHECKED) -DMI_HARD=1
TSAN     = -fsanitize=thread
ASAN     = -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_plain     = -O2 -g
FLAGS_check     = -O2 -g $(CHECKED)
FLAGS_hard      = -O2 -g $(HARD)
FLAGS_tsan      = -O1 -g $(TSAN) $(CHECKED)
FLAGS_hard-tsan = -O1 -g $(TSAN) $(HARD)
FLAGS_asan      = -O1 -g $(ASAN) $(CHECKED)

define VARIANT_RULES
$(T)/o/$(1)/%.o: %.c $(HEAD) test/c/test.h test/c/stress/blocks.h
	@mkdir -p $$(@D)
	@$$(CC) $$(BASE) -Itest/c -Wno-alloc-size-larger-than $$(FLAGS_$(1)) -c $$< -o $$@
CORE_$(1) = $(CORE:%.c=$(T)/o/$(1)/%.o)
LINK_$(1) = $$(CC) $$(FLAGS_$(1)) -pthread
endef
$(foreach v,$(VARIANTS),$(eval $(call VARIANT_RULES,$(v))))
.SECONDARY:

# The whole library in a variant, for the suites `process` and `preload`; it is not installed.
define LIB_RULES
$(T)/lib/$(1)/libmimalloc.so: $$(CORE_$(1)) $(T)/o/$(1)/cbits/preload.o $(T)/o/$(1)/cbits/preload_cxx.o
	@mkdir -p $$(@D)
	@$$(LINK_$(1)) -shared -Wl,-soname,$$(SONAME) $$(LIB_LINK) $$^ -o $$@
	@ln -sf $$(@F) $$(@D)/$$(SONAME)
$(T)/lib/$(1)/libmimalloc.a: $$(CORE_$(1)) $(T)/o/$(1)/cbits/preload.o
	@mkdir -p $$(@D)
	@rm -f $$@ && $$(AR) rcs $$@ $$^
endef
LIB_VARIANTS = check hard
$(foreach v,$(LIB_VARIANTS),$(eval $(call LIB_RULES,$(v))))

comma = ,
# ---- unit: one for each module, in test/c/unit

UNITS = $(patsubst test/c/unit/%.c,%,$(sort $(wildcard test/c/unit/*.c)))
SUITES += $(UNITS) $(UNITS:%=%-check) $(UNITS:%=%-hard)
TEST_O = $(T)/o/$(1)/test/c/test.o $(CORE_$(1))

$(UNITS:%=$(T)/%): $(T)/%: $(T)/o/plain/test/c/unit/%.o $(call TEST_O,plain)
	@$(LINK_plain) $(WRAP) $^ -o $@
$(UNITS:%=$(T)/%-check): $(T)/%-check: $(T)/o/check/test/c/unit/%.o $(call TEST_O,check)
	@$(LINK_check) $(WRAP) $^ -o $@
$(UNITS:%=$(T)/%-hard): $(T)/%-hard: $(T)/o/hard/test/c/unit/%.o $(call TEST_O,hard)
	@$(LINK_hard) $(WRAP) $^ -o $@
$(T)/budget $(T)/budget-%: WRAP = $(patsubst %,-Wl$(comma)--wrap=%,\
  mi_os_now_ms mi_os_cpu_us mi_os_wait mi_purger_charge)
$(T)/lheap $(T)/lheap-%: WRAP = -Wl,--wrap=mi_page_collect,--wrap=mi_os_now_ms
$(T)/many_heaps $(T)/many_heaps-%: WRAP = -Wl,--wrap=mi_bitmap_next,--wrap=mi_snapshot_take
$(T)/realloc $(T)/realloc-check $(T)/realloc-hard: WRAP = -Wl,--wrap=syscall
$(T)/os $(T)/os-%: WRAP = $(patsubst %,-Wl$(comma)--wrap=%,pthread_attr_setdetachstate pthread_sigmask)
$(T)/unregistered $(T)/unregistered-%: WRAP = -Wl,--wrap=__register_atfork

# Those with threads, under ThreadSanitizer too; any other by hand: make build/t/NAME-asan.
THREADED = cache keys label bitmap many_heaps meta pagemap remote pool_bits heap owner pressure purger thread
THREADED += stats budget thread_names thread_stats
SUITES += $(THREADED:%=%-hard-tsan)
$(UNITS:%=$(T)/%-hard-tsan): $(T)/%-hard-tsan: $(T)/o/hard-tsan/test/c/unit/%.o $(call TEST_O,hard-tsan)
	@$(LINK_hard-tsan) $(WRAP) $^ -o $@
$(UNITS:%=$(T)/%-asan): $(T)/%-asan: $(T)/o/asan/test/c/unit/%.o $(call TEST_O,asan)
	@$(LINK_asan) $(WRAP) $^ -o $@

# What a thread has for itself is found without thread-local storage.
KEYED = local thread fork
FLAGS_key = -O2 -g $(CHECKED) -DMI_LOCAL_BY_KEY=1
$(eval $(call VARIANT_RULES,key))
CORE_key := $(filter-out %/core/local.o,$(CORE_key)) $(T)/o/key/cbits/ghc/local_key.o
SUITES += $(KEYED:%=%-key)
$(UNITS:%=$(T)/%-key): $(T)/%-key: $(T)/o/key/test/c/unit/%.o $(call TEST_O,key)
	@$(LINK_key) $(WRAP) $^ -o $@

# ---- steps: every order of the steps of two actors, in the core itself; each atomic operation is a step

FLAGS_steps = -O1 -g -Wno-shadow $(CHECKED) -include test/c/steps/step.h
$(eval $(call VARIANT_RULES,steps))
$(T)/o/steps/test/c/steps/%.o: test/c/steps/step.h test/c/steps/steps.h
SUITES += steps
$(T)/steps: $(T)/o/steps/test/c/steps/steps.o $(T)/o/steps/test/c/steps/scheduler.o $(call TEST_O,steps)
	@$(LINK_steps) -Wl,--wrap=mi_lock,--wrap=mi_trylock,--wrap=mi_unlock,--wrap=mi_os_yield $^ -o $@

# ---- misuse: one misuse, one program, its exact message; a suite runs them all

MISUSES = $(filter-out misuse,$(patsubst test/c/misuse/%.c,%,$(sort $(wildcard test/c/misuse/*.c))))
define MISUSE_RULES
SUITES += misuse$(2)
$(T)/misuse$(2).d/%: $(T)/o/$(1)/test/c/misuse/%.o $(T)/o/$(1)/test/c/misuse/misuse.o $$(CORE_$(1))
	@mkdir -p $$(@D)
	@$$(LINK_$(1)) $$^ -o $$@
$(T)/misuse$(2): $(MISUSES:%=$(T)/misuse$(2).d/%)
	@printf '#!/bin/sh\nbad=0; for p in %s/*; do "$$$$p" || bad=1; done; exit $$$$bad\n' $$@.d >$$@
	@chmod +x $$@
endef
$(eval $(call MISUSE_RULES,plain,))
$(eval $(call MISUSE_RULES,check,-check))
$(eval $(call MISUSE_RULES,hard,-hard))

# ---- fuzz: random operations of eight owners against a shadow

SUITES += fuzz fuzz-check fuzz-hard fuzz-asan
define FUZZ_RULES
$(T)/fuzz$(2): $(T)/o/$(1)/test/c/fuzz/fuzz.o $$(call TEST_O,$(1))
	@$$(LINK_$(1)) $$^ -o $$@
endef
# bytes: what nobody wrote is moved about between live blocks, and no free is taken for a second one.
# make bytes-long: 100 million operations in each variant.
SUITES += bytes bytes-check bytes-hard bytes-asan
define BYTES_RULES
$(T)/bytes$(2): $(T)/o/$(1)/test/c/fuzz/bytes.o $$(call TEST_O,$(1))
	@$$(LINK_$(1)) $$^ -o $$@
endef
$(eval $(call BYTES_RULES,plain,))
$(foreach v,check hard asan,$(eval $(call BYTES_RULES,$(v),-$(v))))

$(eval $(call FUZZ_RULES,plain,))
$(foreach v,check hard asan,$(eval $(call FUZZ_RULES,$(v),-$(v))))

# ---- stress: the same programs in every variant; a few seconds each in `make test`, minutes in `make soak`

STRESS_PROGRAMS = stress heapstress destroystress forkstress
STRESSES = $(foreach s,$(STRESS_PROGRAMS),$(s) $(patsubst %,$(s)-%,$(filter-out plain,$(VARIANTS))))
SUITES += $(STRESSES)
define STRESS_RULES
$(T)/stress$(2): $(T)/o/$(1)/test/c/stress/stress.o $$(call TEST_O,$(1))
	@$$(LINK_$(1)) $$^ -o $$@
$(T)/heapstress$(2): $(T)/o/$(1)/test/c/stress/heaps.o $$(call TEST_O,$(1))
	@$$(LINK_$(1)) $$^ -o $$@
$(T)/destroystress$(2): $(T)/o/$(1)/test/c/stress/destroys.o $$(call TEST_O,$(1))
	@$$(LINK_$(1)) $$^ -o $$@
$(T)/forkstress$(2): $(T)/o/$(1)/test/c/stress/forks.o $$(call TEST_O,$(1))
	@$$(LINK_$(1)) $$^ -o $$@
endef
$(eval $(call STRESS_RULES,plain,))
$(foreach v,$(filter-out plain,$(VARIANTS)),$(eval $(call STRESS_RULES,$(v),-$(v))))

# ---- model: the protocols under an exhaustive scheduler (test/c/model/run does everything itself)

SUITES += model
$(T)/model: test/c/model/run
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nexec test/c/model/run "$$@"\n' >$@ && chmod +x $@

-include test/c/preload/preload.mk
-include test/c/fastpath/fastpath.mk
-include test/c/api/api.mk
-include test/c/install/install.mk
-include test/c/process/process.mk
-include test/c/imports/imports.mk
-include test/c/profile/profile.mk

# ---- mutants: does a suite fail where there is a fault? One of them, and whether the others still fit the
# code; all: make mutants

SUITES += mutants
$(T)/mutants: test/c/mutants/run
	@mkdir -p $(@D)
	@printf '%s\n' '#!/bin/sh' 'bad=0; test/c/mutants/run --anchors || bad=1' \
	  'test/c/mutants/run $${*:-D1-not-waiting} || bad=1' 'exit $$bad' >$@ && chmod +x $@

mutants:
	test/c/mutants/run $(MUTANTS)

# ---- running: all are built first; then two suites at a time, and what one prints stands together

SUITE_KIB = 16000000
BYTES     = bytes bytes-check bytes-hard bytes-asan
RUNS      = $(SUITES:%=run/%)
run_suites = $(MAKE) --no-print-directory -k -j2 $(1:%=$(T)/%) || :; \
             $(MAKE) --no-print-directory -k -j2 --output-sync=target $(1:%=run/%)

$(RUNS): run/%:
	@case $* in *-tsan|*-asan) ;; *) ulimit -S -v $(SUITE_KIB) ;; esac; \
	  unset MAKEFLAGS MFLAGS MAKELEVEL; tools/suite $* $(T)/$*
.PHONY: $(RUNS)

test:
	@$(call run_suites,$(SUITES))

bytes-long:
	@export BYTES_OPERATIONS=$${BYTES_OPERATIONS:-100000000} SUITE_SECONDS=$${SUITE_SECONDS:-7200}; \
	  $(call run_suites,$(BYTES))

# A thousand forks of each kind in every variant, and with a library's handlers, preloaded and linked.
FORKSTRESSES = $(filter forkstress%,$(STRESSES)) $(filter process%,$(SUITES))
forks-long:
	@export FORKS=$${FORKS:-1000} SUITE_SECONDS=$${SUITE_SECONDS:-7200} PROCESS_TESTS=handlers; \
	  $(call run_suites,$(FORKSTRESSES))

# Five minutes for each variant, with many more threads than processors; another seed each time (STRESS_SEED=n
# to repeat one).
soak:
	@export STRESS_SECONDS=$${STRESS_SECONDS:-300} STRESS_THREADS=$${STRESS_THREADS:-32}; \
	  $(call run_suites,$(STRESSES))
