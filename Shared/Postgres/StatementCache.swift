import DequeModule

/// Which statements a session has prepared, by text; the least recently used go first.
struct StatementCache {
    private var names: [String: String] = [:]
    private var stamps: [String: UInt64] = [:]
    private var clock: UInt64 = 0
    private var nextName: UInt64 = 0
    /// Names that no longer stand for anything here but still exist in the server.
    private(set) var leftovers: [String] = []
    let capacity: Int

    init(capacity: Int) { self.capacity = max(1, capacity) }

    var count: Int { names.count }

    enum Lookup: Equatable {
        /// Prepared, or being prepared further ahead in the pipeline.
        case known(name: String)
        case new(name: String)
    }

    /// Names are never used twice, so that a statement whose preparation failed cannot be taken for another.
    mutating func name(for text: String) -> Lookup {
        clock += 1
        if let name = names[text] {
            stamps[text] = clock
            return .known(name: name)
        }
        if names.count >= capacity, let oldest = stamps.min(by: { $0.value < $1.value })?.key { remove(oldest) }
        nextName += 1
        let name = "s\(nextName)"
        names[text] = name
        stamps[text] = clock
        return .new(name: name)
    }

    /// The statement is unusable; it is deallocated when `takeLeftovers` is next asked.
    mutating func remove(_ text: String) {
        stamps[text] = nil
        if let name = names.removeValue(forKey: text) { leftovers.append(name) }
    }

    /// Its preparation failed or was skipped, so the server knows nothing of it.
    mutating func forget(_ text: String, name: String) {
        guard names[text] == name else { return }
        names[text] = nil
        stamps[text] = nil
    }

    mutating func takeLeftovers() -> [String] {
        defer { leftovers = [] }
        return leftovers
    }

    mutating func removeAll() {
        names = [:]
        stamps = [:]
        leftovers = []
    }
}
