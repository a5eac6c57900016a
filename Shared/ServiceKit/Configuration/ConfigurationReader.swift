import Glibc
public import Postgres

/// Reads settings by name from the environment and an optional file, and notes whatever is wrong instead of stopping at
/// it. Every setting may also come as `<name>_FILE`, the path of a file that holds the value.
public struct ConfigurationReader {
    private let environment: [String: String]
    private let file: [String: String]
    public private(set) var errors: [ConfigurationErrors.Item] = []

    /// The file of `SLUICE_CONFIG_FILE` has `NAME=value` lines; blank lines and lines that begin with `#` are skipped. The
    /// environment wins.
    public init(environment: [String: String]) {
        self.environment = environment
        var file: [String: String] = [:]
        var errors: [ConfigurationErrors.Item] = []
        if let path = environment["SLUICE_CONFIG_FILE"], !path.isEmpty {
            if let text = TextFile.read(path) {
                for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
                    .enumerated()
                {
                    let trimmed = line.trimmingBlanks()
                    if trimmed.isEmpty || trimmed.hasPrefix("#") { continue }
                    let parts = trimmed.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    if parts.count == 2, !parts[0].isEmpty {
                        file[parts[0].trimmingBlanks()] = parts[1].trimmingBlanks()
                    } else {
                        errors.append(.init("SLUICE_CONFIG_FILE", "line \(index + 1) is not NAME=value"))
                    }
                }
            } else {
                errors.append(.init("SLUICE_CONFIG_FILE", "the file cannot be read"))
            }
        }
        self.file = file
        self.errors = errors
    }

    public mutating func fail(_ name: String, _ detail: String) {
        errors.append(.init(name, detail))
    }

    /// The text of a setting; nil if it is not set or empty.
    public mutating func optional(_ name: String) -> String? {
        // Whoever sets the environment overrides both forms of the file.
        for source in [environment, file] {
            let value = source[name].flatMap { $0.isEmpty ? nil : $0 }
            let path = source[name + "_FILE"].flatMap { $0.isEmpty ? nil : $0 }
            if value != nil, path != nil {
                fail(name, "is set both as \(name) and as \(name)_FILE; set one")
                return value
            }
            if let value { return value }
            if let path {
                guard let text = TextFile.read(path) else {
                    fail(name + "_FILE", "the file cannot be read")
                    return nil
                }
                let trimmed = text.filter { $0 != "\r" && $0 != "\n" }
                if trimmed.isEmpty { fail(name + "_FILE", "the file is empty") }
                return trimmed
            }
        }
        return nil
    }

    public mutating func text(_ name: String, default fallback: String) -> String { optional(name) ?? fallback }

    /// A setting that has to be there.
    public mutating func required(_ name: String, _ what: String) -> String {
        if let value = optional(name) { return value }
        if !errors.contains(where: { $0.name == name || $0.name == name + "_FILE" }) {
            fail(name, "is required: \(what) (or set \(name)_FILE)")
        }
        return ""
    }

    public mutating func secret(_ name: String, _ what: String) -> Secret { Secret(required(name, what)) }

    public mutating func integer(_ name: String, default fallback: Int, _ range: ClosedRange<Int>) -> Int {
        guard let text = optional(name) else { return fallback }
        guard let value = Int(text), range.contains(value) else {
            fail(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
            return fallback
        }
        return value
    }

    public mutating func number(_ name: String, default fallback: Double, _ range: ClosedRange<Double>) -> Double {
        guard let text = optional(name) else { return fallback }
        guard let value = Double(text), range.contains(value) else {
            fail(name, "must be a number from \(range.lowerBound) to \(range.upperBound)")
            return fallback
        }
        return value
    }

    public mutating func port(_ name: String, default fallback: Int) -> Int {
        integer(name, default: fallback, 1...65_535)
    }

    public mutating func boolean(_ name: String, default fallback: Bool) -> Bool {
        switch optional(name)?.lowercased() {
        case nil: return fallback
        case "true", "yes", "on", "1": return true
        case "false", "no", "off", "0": return false
        default:
            fail(name, "must be true or false")
            return fallback
        }
    }

    /// One of an enum's words.
    public mutating func word<Word: RawRepresentable & CaseIterable>(_ name: String, default fallback: Word) -> Word
    where Word.RawValue == String {
        guard let text = optional(name) else { return fallback }
        guard let word = Word(rawValue: text) else {
            fail(name, "must be one of \(Word.allCases.map(\.rawValue).joined(separator: ", "))")
            return fallback
        }
        return word
    }

    /// `host:port,host:port`
    public mutating func hosts(_ name: String, default fallback: String) -> [(host: String, port: Int)] {
        let text = text(name, default: fallback)
        let hosts = text.split(separator: ",").map { $0.trimmingBlanks() }.map { item -> (host: String, port: Int)? in
            guard let colon = item.lastIndex(of: ":"), colon != item.startIndex,
                let port = Int(item[item.index(after: colon)...]), (1...65_535).contains(port)
            else { return nil }
            return (String(item[..<colon]), port)
        }
        let valid = hosts.compactMap { $0 }
        if valid.isEmpty || valid.count != hosts.count {
            fail(name, "must be host:port, several with commas between them")
            return []
        }
        return valid
    }

    /// An absolute http or https address without a path.
    public mutating func origin(_ name: String, default fallback: String) -> String {
        var text = text(name, default: fallback)
        while text.hasSuffix("/") { text.removeLast() }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "http:" || parts[0] == "https:", parts[1].isEmpty, !parts[2].isEmpty,
            !parts[2].contains("@")
        else {
            fail(name, "must be http://host[:port] or https://host[:port], without a path")
            return fallback
        }
        return text
    }

    /// The path of a file that can be read; nil if not set.
    public mutating func readableFile(_ name: String) -> String? {
        // Not `optional`: here the value is a path already, and `<name>` may itself end in _FILE.
        guard let path = environment[name] ?? file[name], !path.isEmpty else { return nil }
        guard access(path, R_OK) == 0 else {
            fail(name, "the file cannot be read")
            return nil
        }
        return path
    }

    /// The path of a folder that we can write to; nil if not set.
    public mutating func writableFolder(_ name: String) -> String? {
        guard let path = optional(name) else { return nil }
        var information = stat()
        guard stat(path, &information) == 0, information.st_mode & S_IFMT == S_IFDIR, access(path, W_OK | X_OK) == 0
        else {
            fail(name, "must be a folder that this process may write to")
            return nil
        }
        return path
    }

    /// Throws everything that was noted, if anything was.
    public func finish() throws(ConfigurationErrors) {
        if !errors.isEmpty { throw ConfigurationErrors(items: errors) }
    }
}

/// Small text files, read whole.
enum TextFile {
    /// Nil if it cannot be read, is not UTF-8, or is larger than 64 KiB.
    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while bytes.count <= 65_536 {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { return String(validating: bytes, as: UTF8.self) }
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            bytes.append(contentsOf: buffer[..<count])
        }
        return nil
    }
}
