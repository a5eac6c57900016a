import Glibc
import Model

/// Why a file could not be handled: the call and the system's reason, no path.
struct FileError: Error, CustomStringConvertible {
    var call: String
    var code: Int32

    var description: String { "\(call): \(String(cString: strerror(code)))" }
    var isDiskFull: Bool { code == ENOSPC || code == EDQUOT }
}

/// The few blocking file calls that durability needs. Only on a `BlockingQueue`.
enum DurableFiles {
    /// Makes `root/ab/cd`, synced up to the root.
    static func folder(_ root: String, for name: String) throws -> String {
        let first = "\(root)/\(name.prefix(2))"
        let second = "\(first)/\(name.dropFirst(2).prefix(2))"
        if mkdir(second, 0o750) == 0 {
            try sync(folder: first)
        } else if errno == ENOENT {
            if mkdir(first, 0o750) != 0, errno != EEXIST { throw FileError(call: "mkdir", code: errno) }
            try sync(folder: root)
            if mkdir(second, 0o750) != 0, errno != EEXIST { throw FileError(call: "mkdir", code: errno) }
            try sync(folder: first)
        } else if errno != EEXIST {
            throw FileError(call: "mkdir", code: errno)
        }
        return second
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o640)
        guard file >= 0 else { throw FileError(call: "open", code: errno) }
        defer { close(file) }
        try append(bytes, to: file)
        guard fsync(file) == 0 else { throw FileError(call: "fsync", code: errno) }
    }

    static func append(_ bytes: some Collection<UInt8>, to file: Int32) throws {
        let written: Void? = try bytes.withContiguousStorageIfAvailable { buffer in
            var rest = UnsafeRawBufferPointer(buffer)
            while !rest.isEmpty {
                let count = Glibc.write(file, rest.baseAddress, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    throw FileError(call: "write", code: errno)
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
        if written == nil { try append(Array(bytes), to: file) }
    }

    static func rename(_ from: String, to: String) throws {
        guard Glibc.rename(from, to) == 0 else { throw FileError(call: "rename", code: errno) }
    }

    static func sync(folder: String) throws {
        let file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw FileError(call: "open", code: errno) }
        defer { close(file) }
        guard fsync(file) == 0 else { throw FileError(call: "fsync", code: errno) }
    }

    /// Bytes; nil if there is no such file.
    static func size(of path: String) -> Int? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        let end = lseek(file, 0, SEEK_END)
        return end >= 0 ? Int(end) : nil
    }

    /// Nil if there is none.
    static func read(_ path: String) throws -> [UInt8]? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw FileError(call: "open", code: errno)
        }
        defer { close(file) }
        let end = lseek(file, 0, SEEK_END)
        guard end >= 0, lseek(file, 0, SEEK_SET) == 0 else { throw FileError(call: "lseek", code: errno) }
        let size = Int(end)
        return try [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let got = Glibc.read(file, buffer.baseAddress.map { $0 + count }, size - count)
                if got < 0 {
                    if errno == EINTR { continue }
                    throw FileError(call: "read", code: errno)
                }
                if got == 0 { break }
                count += got
            }
        }
    }

    // MARK: - Sweeping

    /// Runs the work while the folder is locked, against this process and every other.
    static func locked<T>(_ folder: String, _ operation: Int32, _ work: () throws -> T) throws -> T {
        let file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard file >= 0 else { throw FileError(call: "open", code: errno) }
        // Closing lets go of the lock.
        defer { close(file) }
        while flock(file, operation) != 0 {
            guard errno == EINTR else { throw FileError(call: "flock", code: errno) }
        }
        return try work()
    }

    /// Makes the file as new as now; false if there is none.
    static func touch(_ path: String) -> Bool { utimensat(AT_FDCWD, path, nil, 0) == 0 }

    /// Whether there is such a file, last written or touched before that time.
    static func isOlder(_ path: String, than time: Timestamp) -> Bool {
        var found = stat()
        guard lstat(path, &found) == 0, found.st_mode & S_IFMT == S_IFREG else { return false }
        return Int64(found.st_mtim.tv_sec) * 1_000_000 + Int64(found.st_mtim.tv_nsec) / 1_000 < time.microseconds
    }

    /// What the folder holds, in no order; nothing if it is not there.
    static func names(in folder: String) throws -> [String] {
        guard let stream = opendir(folder) else {
            if errno == ENOENT { return [] }
            throw FileError(call: "opendir", code: errno)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }
}
