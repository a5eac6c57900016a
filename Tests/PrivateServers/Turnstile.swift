/// Lets a few in at a time, in the order in which they came.
actor Turnstile {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(places: Int) { free = places }

    func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    func leave() {
        if waiting.isEmpty {
            free += 1
        } else {
            waiting.removeFirst().resume()
        }
    }
}

extension PrivatePostgres {
    /// A service takes some fifteen connections and tests run side by side: no more of them at a time than the server
    /// has connections for.
    public func inTurn<T: Sendable>(_ body: @Sendable () async throws -> T) async throws -> T {
        await turnstile.enter()
        do {
            let value = try await body()
            await turnstile.leave()
            return value
        } catch {
            await turnstile.leave()
            throw error
        }
    }
}
