import Logging
import Model
import Outbox
import Postgres
import ServiceKit
import ServiceLifecycle
import Testing

@testable import DispatchService

@Suite("The order of the start")
struct StartTests {
    /// Tells when it runs.
    private struct Told: Service {
        let begun: AsyncStream<Void>.Continuation

        func run() async throws {
            begun.yield()
            begun.finish()
        }
    }

    private func cache(_ stage: Stage) -> CategoryCache {
        CategoryCache(
            database: stage.context.background, now: stage.context.sources.now, logger: stage.context.logger)
    }

    @Test("What decides by the categories begins when they have been read, and not before")
    func begins() async throws {
        try await Stage.with { stage in
            let categories = cache(stage)
            let (begun, continuation) = AsyncStream.makeStream(of: Void.self)
            let held = Told(begun: continuation).beginning {
                await categories.untilRead()
                #expect(categories.current.readAt != nil)
            }
            async let run: Void = held.run()
            try await categories.refresh()
            try await run
            var events = begun.makeAsyncIterator()
            #expect(await events.next() != nil)
            // Whoever comes later does not wait.
            await categories.untilRead()
        }
    }

    @Test("A stop before they could be read ends it without its having begun")
    func stopped() async throws {
        try await Stage.with { stage in
            let categories = cache(stage)
            let (begun, continuation) = AsyncStream.makeStream(of: Void.self)
            let group = ServiceGroup(
                services: [Told(begun: continuation).beginning(after: categories.untilRead)],
                gracefulShutdownSignals: [], logger: stage.context.logger)
            async let run: Void = group.run()
            await group.triggerGracefulShutdown()
            _ = try? await run
            continuation.finish()
            var events = begun.makeAsyncIterator()
            #expect(await events.next() == nil)
        }
    }

    @Test("Both consumers, the claims, the releases and the clocks wait for the categories")
    func wiring() async throws {
        try await Stage.with { stage in
            let parts = (stage.service.services() + stage.service.consumers()).compactMap { $0 as? SupervisedService }
            let waiting = parts.filter { "\(type(of: $0.service))".hasPrefix("Beginning<") }.map(\.name)
            #expect(
                Set(waiting) == [
                    "emergency consumer", "routine consumer", "emergency claims", "routine claims", "releases",
                    "clocks",
                ])
        }
    }
}
