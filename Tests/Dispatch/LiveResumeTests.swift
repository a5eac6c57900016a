import Foundation
import HTTPTypes
import HummingbirdTesting
import Model
import NIOCore
import Outbox
import Postgres
import ServiceKit
import Testing

@testable import DispatchService

/// Over HTTP: what a client hears first when it comes back with the number of the last event that it has seen.
@Suite("Coming back to the live stream", .timeLimit(.minutes(5)))
struct LiveResumeTests {
    struct Return: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// Seen from the first number that can still be served; of four events the first two are purged.
        var lastSeen: Int64?
        var greeting: String
        /// What it is sent of what it has missed.
        var missed: Int
    }

    static let returns: [Return] = [
        Return(testDescription: "a new client", lastSeen: nil, greeting: "hello", missed: 0),
        Return(testDescription: "has seen everything", lastSeen: 1, greeting: "hello", missed: 0),
        Return(testDescription: "has missed one", lastSeen: 0, greeting: "hello", missed: 1),
        Return(testDescription: "has missed what is there", lastSeen: -1, greeting: "hello", missed: 2),
        Return(testDescription: "has missed what is purged", lastSeen: -2, greeting: "reset", missed: 0),
        Return(testDescription: "has seen what nobody knows", lastSeen: 1_000, greeting: "reset", missed: 0),
    ]

    @Test("A gap is filled if it can be, and else the client is told to load anew", arguments: returns)
    func back(_ client: Return) async throws {
        try await Stage.with { stage in
            let (first, last) = try await Self.prepare(stage)
            let hub = stage.service.hub
            let running = Task { try await hub.run() }
            defer { running.cancel() }
            try await Self.waitUntilItHasRead(hub, stage)
            let token = try stage.token([.dispatcher])
            let answer = try await stage.serving { caller in
                async let answer = Self.ask(caller, token, lastSeen: client.lastSeen.map { first + $0 })
                while hub.clientCount == 0 { try await Task.sleep(for: .milliseconds(10)) }
                // The stream ends with the hub; what has been sent until then is the answer.
                running.cancel()
                return try await answer
            }
            #expect(answer.status == 200, "\(answer.text)")
            let from = client.greeting == "reset" || client.lastSeen == nil ? last : first + (client.lastSeen ?? 0)
            #expect(answer.text.hasPrefix("retry: 2000\nid: \(from)\nevent: \(client.greeting)\ndata: {}\n\n"))
            let events = answer.text.components(separatedBy: "event: case.opened.v1\n").count - 1
            #expect(events == client.missed, "\(answer.text)")
        }
    }

    @Test("After a restart with everything purged nobody is told that nothing was missed")
    func allPurged() async throws {
        try await Stage.with { stage in
            let (_, last) = try await Self.prepare(stage)
            try await stage.context.background.query("DELETE FROM dispatch.live_event")
            let hub = stage.service.hub
            let running = Task { try await hub.run() }
            defer { running.cancel() }
            try await Self.waitUntilItHasRead(hub, stage)
            let token = try stage.token([.dispatcher])
            let answer = try await stage.serving { caller in
                async let answer = Self.ask(caller, token, lastSeen: last - 1)
                while hub.clientCount == 0 { try await Task.sleep(for: .milliseconds(10)) }
                running.cancel()
                return try await answer
            }
            #expect(answer.text.contains("event: reset\ndata: {}\n\n"), "\(answer.text)")
        }
    }

    /// Four cases, of which the events of the first two are purged.
    /// - Returns: the first and the last number that can be served.
    private static func prepare(_ stage: Stage) async throws -> (first: Int64, last: Int64) {
        for index in 0..<4 {
            try await stage.deliver([stage.report(at: ClaimingTests.north(Double(index) * 1_000))])
        }
        let sequencer = LiveSequencer(
            database: stage.context.background, wake: Wake(), now: stage.context.sources.now, pause: .zero,
            interval: .seconds(1), logger: stage.context.logger)
        #expect(try await sequencer.number() == 4)
        let soon = stage.context.sources.now() + .seconds(60)
        try await stage.context.background.query(LiveStore.purge(before: soon, limit: 2))
        let bounds = try await stage.context.background.query(LiveStore.bounds)[0]
        return (try bounds.decode("first"), try bounds.decode("last"))
    }

    private static func waitUntilItHasRead(_ hub: LiveHub, _ stage: Stage) async throws {
        while hub.subscribe(scope: .none, until: stage.context.sources.now()) == nil {
            try await Task.sleep(for: .milliseconds(10))
        }
        // That was no client: it is gone when it is noticed to be.
        while hub.clientCount > 0 { try await Task.sleep(for: .milliseconds(10)) }
    }

    private static func ask(_ caller: Caller, _ token: String, lastSeen: Int64?) async throws -> Answer {
        var headers: HTTPFields = [.authorization: "Bearer \(token)"]
        headers[.lastEventID] = lastSeen.map { "\($0)" }
        return try await caller.client.execute(uri: "/v1/live", method: .get, headers: headers, body: nil) {
            try Answer($0)
        }
    }
}
