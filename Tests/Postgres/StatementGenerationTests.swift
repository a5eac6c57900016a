import Testing

@testable import Postgres

@Suite("Prepared statements that went stale", .serialized, .timeLimit(.minutes(2)))
struct StatementGenerationTests {
    private func generation(_ core: ClientCore) async -> Int {
        await withCheckedContinuation { (continuation: CheckedContinuation<Int, Never>) in
            core.onReactor { continuation.resume(returning: $0.generation) }
        }
    }

    @Test func `What stands before their removal is still written with them`() async throws {
        try await withDatabase(shared: 1, exclusive: 0) { client in
            try await client.query("SELECT 1")
            let core = client.core
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                core.onReactor { core in
                    // Nothing of it is written before the segment behind it touches the session.
                    core.slots[0].session?.submit(Trip(.probe, ["SELECT 2"], commitIndex: .max))
                    core.generation += 1
                    core.enqueue(Trip(.segment, ["SELECT 3"]) { _ in continuation.resume() })
                }
            }
            // Taken for prepared, it would be missing in the server, and everything be dropped once more.
            #expect(try await client.query("SELECT 2").count == 1)
            #expect(await generation(core) == 1)
        }
    }
}
