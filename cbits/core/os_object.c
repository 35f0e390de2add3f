/* See os_object.h. For ELF. Any thread. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>

#include "os_object.h"

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
