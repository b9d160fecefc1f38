// Binds the functions that moved between glibc's libraries in 2.32 and 2.34 to their first versions, which every later
// glibc keeps: so the library built on a new distribution loads on an old one, from 2.17 on (there they live in libpthread and libdl, which
// every JVM has loaded). Included before every file.
#pragma once

#if defined(__linux__) && defined(__x86_64__)
#define GA_FIRST_VERSION "GLIBC_2.2.5"
#elif defined(__linux__) && defined(__aarch64__)
#define GA_FIRST_VERSION "GLIBC_2.17"
#endif

#if defined(GA_FIRST_VERSION)
__asm__(".symver dladdr, dladdr@" GA_FIRST_VERSION);
__asm__(".symver dlerror, dlerror@" GA_FIRST_VERSION);
__asm__(".symver dlopen, dlopen@" GA_FIRST_VERSION);
__asm__(".symver dlsym, dlsym@" GA_FIRST_VERSION);
__asm__(".symver pthread_create, pthread_create@" GA_FIRST_VERSION);
__asm__(".symver pthread_join, pthread_join@" GA_FIRST_VERSION);
__asm__(".symver pthread_sigmask, pthread_sigmask@" GA_FIRST_VERSION);
#endif
