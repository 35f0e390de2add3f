/* See os_object.h. For ELF. Any thread. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#ifdef __GLIBC__
#include <execinfo.h>
#endif

#include "atomic.h"
#include "os.h"
#include "os_object.h"

#ifndef __GLIBC__
/* Other C libraries do not walk stacks: samples have none there. */
static int backtrace(void** frames, int most) { (void)frames; (void)most; return 0; }
#endif

/* An executable, which has a place for debuggers, is never unloaded. A library can say that it is not. */
static bool is_kept(const ElfW(Dyn)* d) {
  for (; d->d_tag != DT_NULL; d++) {
    if (d->d_tag == DT_DEBUG) return true;
    if (d->d_tag == DT_FLAGS_1 && (d->d_un.d_val & DF_1_NODELETE) != 0) return true;
  }
  return false;
}

/* The name of the object that this code is in, if somebody could unload it. Not found, or without a dynamic
   section: it is a static program, or was loaded as object files. */
static int look_at(struct dl_phdr_info* object, size_t size, void* name) {
  const uintptr_t here = (uintptr_t)&look_at - object->dlpi_addr;
  const ElfW(Dyn)* dynamic = NULL;
  bool within = false;
  (void)size;
  for (unsigned i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr)* part = &object->dlpi_phdr[i];
    if (part->p_type == PT_LOAD) within |= here - part->p_vaddr < part->p_memsz;
    if (part->p_type == PT_DYNAMIC) dynamic = (const ElfW(Dyn)*)(object->dlpi_addr + part->p_vaddr);
  }
  if (within && dynamic != NULL && !is_kept(dynamic)) *(const char**)name = object->dlpi_name;
  return within;
}

/* A handle of an object that is loaded; else NULL. dlopen is looked up: a static program that has its name
   gets a warning from the linker. */
static void* object_open(const char* file, int flags) {
  void* (*open)(const char*, int);
  *(void**)&open = dlsym(RTLD_DEFAULT, "dlopen");
  return open == NULL ? NULL : open(file, RTLD_LAZY | RTLD_NOLOAD | flags);
}

void mi_os_object_keep(void) {
  const char* name = NULL;
  dl_iterate_phdr(&look_at, &name);
  if (name != NULL) (void)object_open(name, RTLD_NODELETE);               /* never closed */
}

/* The objects after this one are asked first, which allocates nothing. A library that only a plugin uses is
   none of them: it is asked by its name. It stays open, as its function is about to be called. */
void* mi_os_cxx_function(const char* name) {
  static const char* const libraries[] = { "libstdc++.so.6", "libc++.so.1" };
  void* function = dlsym(RTLD_NEXT, name);
  for (size_t i = 0; function == NULL && i < sizeof libraries / sizeof *libraries; i++) {
    void* library = object_open(libraries[i], 0);
    if (library != NULL) function = dlsym(library, name);
  }
  return function;
}

/* ---- stacks ---- */

#define OWN_FRAMES   16u  /* the most of this library that are looked for */
#define FRAMES_MOST  64u

/* The object that this code is in, if nothing else is in it; set before the first walk. */
static mi_atomic(uintptr_t) xown_start, xown_end;

static const char* base_name(const char* path) {
  const char* slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

/* A program or plugin that is linked with the archive has functions of its own, too. */
static bool is_ours_alone(const char* path) {
  static const char* const names[] = { "libmimalloc", "libHSmimalloc" };
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strncmp(base_name(path), names[i], strlen(names[i])) == 0) return true;
  return false;
}

static int look_for_own(struct dl_phdr_info* object, size_t size, void* unused) {
  const uintptr_t here = (uintptr_t)&look_for_own;
  (void)size, (void)unused;
  for (unsigned i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr)* part = &object->dlpi_phdr[i];
    const uintptr_t start = object->dlpi_addr + part->p_vaddr;
    if (part->p_type != PT_LOAD || here - start >= part->p_memsz) continue;
    if (!is_ours_alone(object->dlpi_name)) return 1;
    mi_store_relaxed(&xown_start, start);  /* whoever walks a stack began to sample afterwards */
    mi_store_relaxed(&xown_end, start + part->p_memsz);
    return 1;
  }
  return 0;
}

void mi_os_stack_prepare(void) {
  void* frames[2];
  dl_iterate_phdr(&look_for_own, NULL);
  mi_os_environment_give();
  (void)backtrace(frames, 2);            /* loads the unwinder, which allocates */
}

/* Not inlined, so that the innermost frame is this function's. */
mi_noinline size_t mi_os_stack(void** frames, size_t most) {
  void* all[FRAMES_MOST];
  const uintptr_t start = mi_load_relaxed(&xown_start), end = mi_load_relaxed(&xown_end);   /* as above */
  const int found = backtrace(all, (int)mi_min(most + OWN_FRAMES, FRAMES_MOST));
  const size_t n = found > 0 ? mi_min((size_t)found, FRAMES_MOST) : 0;
  size_t own = n > 0;
  while (own < n && (uintptr_t)all[own] - start < end - start) own++;
  const size_t kept = mi_min(n - own, most);
  memcpy(frames, all + own, kept * sizeof *frames);
  return kept;
}

mi_os_place_t mi_os_place(const void* p) {
  mi_os_place_t place = { NULL, NULL, 0, 0 };
  Dl_info info;
  if (dladdr(p, &info) == 0) return place;
  place.object = info.dli_fname == NULL ? NULL : base_name(info.dli_fname);
  place.in_object = (uintptr_t)p - (uintptr_t)info.dli_fbase;
  place.function = info.dli_sname;
  place.in_function = info.dli_sname == NULL ? 0 : (uintptr_t)p - (uintptr_t)info.dli_saddr;
  return place;
}
