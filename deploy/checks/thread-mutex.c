// Swift's Mutex takes and leaves a contended lock inside its own library, which is not built with the thread sanitizer,
// so that the sanitizer sees a race wherever a lock was waited for. Loaded before that library, these two tell it.
// The lock word is the method's self (swift_context). Built by deploy/checks/sanitize with the toolchain's clang.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

typedef __attribute__((swiftcall)) void (*lock_slow)(uint32_t, __attribute__((swift_context)) void *);
typedef __attribute__((swiftcall)) void (*unlock_slow)(__attribute__((swift_context)) void *);
typedef void (*tell)(void *);

// Absent in processes without the sanitizer, such as the package manager itself.
static void tell_sanitizer(const char *name, void *lock) {
    tell function = (tell)dlsym(RTLD_DEFAULT, name);
    if (function) function(lock);
}

__attribute__((swiftcall)) void sluice_lock(uint32_t owner, __attribute__((swift_context)) void *lock) __asm__(LOCK);
__attribute__((swiftcall)) void sluice_lock(uint32_t owner, __attribute__((swift_context)) void *lock) {
    ((lock_slow)dlsym(RTLD_NEXT, LOCK))(owner, lock);
    tell_sanitizer("__tsan_acquire", lock);
}

__attribute__((swiftcall)) void sluice_unlock(__attribute__((swift_context)) void *lock) __asm__(UNLOCK);
__attribute__((swiftcall)) void sluice_unlock(__attribute__((swift_context)) void *lock) {
    tell_sanitizer("__tsan_release", lock);
    ((unlock_slow)dlsym(RTLD_NEXT, UNLOCK))(lock);
}
