/* late PLUGIN NAME: a program in C that loads a plugin in C++, and with it the C++ library, when it has long
   begun; nobody else sees their names. Prints a line. */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char** argv) {
  int (*late_new)(void);
  void* plugin = argc < 3 ? NULL : dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (plugin == NULL) { printf("not ok preload-late: %s\n", dlerror()); return 1; }
  *(void**)&late_new = dlsym(plugin, "late_new");
  if (dlsym(RTLD_DEFAULT, "_ZSt15get_new_handlerv") != NULL) puts("# the C++ library was there before");
  const int wrong = late_new == NULL ? -1 : late_new();
  if (wrong == 0) printf("ok preload-late-%s\n", argv[2]);
  else printf("not ok preload-late-%s: %d\n", argv[2], wrong);
  return wrong != 0;
}
