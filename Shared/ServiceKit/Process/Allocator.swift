import Glibc

/// Two functions of glibc's allocator that Swift's module of the C library leaves out. Looked up by name; where another
/// allocator is loaded they do nothing.
enum Allocator {
    /// Each thread's own heap would keep its peak for ever: share so many.
    static func limitArenas(_ count: Int32) {
        guard let symbol = dlsym(nil, "mallopt") else { return }
        // int mallopt(int, int); M_ARENA_MAX is -8.
        let mallopt = unsafeBitCast(symbol, to: (@convention(c) (Int32, Int32) -> Int32).self)
        _ = mallopt(-8, count)
    }

    /// Gives free memory back to the system, but for `keep` bytes at the top.
    static func trim(keep: Int) {
        guard let symbol = dlsym(nil, "malloc_trim") else { return }
        // int malloc_trim(size_t)
        let trim = unsafeBitCast(symbol, to: (@convention(c) (Int) -> Int32).self)
        _ = trim(keep)
    }
}
