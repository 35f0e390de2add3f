# A program for mimalloc's interface, compiled as C and as C++ against the installed headers and the archive.
API_WARN = -Wall -Wextra -Werror -pedantic -O2 -g -Icbits/include
API_DEPS = test/c/api/api.c test/c/api/signatures.h cbits/include/mimalloc.h cbits/include/mimalloc-stats.h \
           $(BUILD)/libmimalloc.a
SUITES += api-c11 api-cxx11 api-cxx17

$(T)/api-c11: $(API_DEPS)
	@mkdir -p $(@D)
	@$(CC) -std=c11 $(API_WARN) $< $(BUILD)/libmimalloc.a -pthread -o $@
$(T)/api-cxx11 $(T)/api-cxx17: $(T)/api-cxx%: $(API_DEPS)
	@mkdir -p $(@D)
	@$(CXX) -std=c++$* $(API_WARN) -x c++ $< -x none $(BUILD)/libmimalloc.a -pthread -o $@

# .. and with the checking and the hard archive.
SUITES += $(LIB_VARIANTS:%=api-c11-%)
$(LIB_VARIANTS:%=$(T)/api-c11-%): $(T)/api-c11-%: $(API_DEPS) $(T)/lib/%/libmimalloc.a
	@$(CC) -std=c11 $(API_WARN) $< $(T)/lib/$*/libmimalloc.a -pthread -o $@

# mimalloc-override.h, mimalloc-new-delete.h and the allocators, in every C++. The first two without
# preload.c: malloc and new are the C and C++ libraries'.
CXXS = cxx98 cxx11 cxx17 cxx20
SUITES += api-override api-override-cxx17 $(CXXS:%=api-new-delete-%) $(CXXS:%=api-allocator-%)
HEADERS = $(wildcard cbits/include/*.h)
$(T)/api-override: test/c/api/override.c $(HEADERS) $(CORE_plain)
	@$(CC) -std=gnu11 $(API_WARN) $< $(CORE_plain) -pthread -o $@
$(T)/api-override-cxx17: test/c/api/override.c $(HEADERS) $(CORE_plain)
	@$(CXX) -std=gnu++17 $(API_WARN) -x c++ $< -x none $(CORE_plain) -pthread -o $@
$(CXXS:%=$(T)/api-new-delete-%): $(T)/api-new-delete-cxx%: test/c/api/new_delete.cpp $(HEADERS) \
    $(CORE_plain)
	@$(CXX) -std=c++$* $(API_WARN) $< $(CORE_plain) -pthread -o $@
$(CXXS:%=$(T)/api-allocator-%): $(T)/api-allocator-cxx%: test/c/api/allocator.cpp $(HEADERS) \
    $(BUILD)/libmimalloc.a
	@mkdir -p $(@D)
	@$(CXX) -std=c++$* $(API_WARN) $< $(BUILD)/libmimalloc.a -pthread -o $@
