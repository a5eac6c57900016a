#ifndef SLUICE_CLIBPQ_SHIM_H
#define SLUICE_CLIBPQ_SHIM_H

#include <libpq-fe.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* glibc declares it only under _GNU_SOURCE. */
extern int pthread_setname_np(pthread_t thread, const char *name);

#endif
