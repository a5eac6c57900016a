import Foundation
import Model
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import ScoringService

@Suite("The city's calendar", .serialized)
struct CalendarTests {
    @Test(
        "a month begins at midnight in the city",
        arguments: [
            ("2026-03-31T15:59:59Z", "Asia/Shanghai", "2026-03"), ("2026-03-31T16:00:00Z", "Asia/Shanghai", "2026-04"),
            ("2026-03-31T16:30:00Z", "Asia/Shanghai", "2026-04"), ("2026-12-31T16:30:00Z", "Asia/Shanghai", "2027-01"),
            ("2026-03-31T16:30:00Z", "UTC", "2026-03"), ("2026-04-01T00:30:00Z", "America/New_York", "2026-03"),
        ])
    func months(time: String, timeZone: String, month: String) async throws {
        try await ServiceStage.with(.scoring) { stage in
            let instant = try #require(Timestamp(time))
            let found = try await stage.context.http.query(
                CalendarStore.month(of: instant, timeZone: timeZone), scope: .none)
            #expect(try found.column(String.self) == [month])
        }
    }

    @Test(
        "a zone that there is none of is named with its setting before any figure fails",
        arguments: [
            ("Asia/Shanghai", true), ("UTC", true), ("asia/shanghai", true), ("Asia/Shangai", false),
            // An abbreviation of several zones, and what PostgreSQL would take for an offset.
            ("CST", false), ("City-8", false), ("", false),
        ])
    func zones(timeZone: String, isKnown: Bool) async throws {
        try await ServiceStage.with(.scoring) { stage in
            let check = CalendarCheck(
                timeZone: timeZone, database: stage.context.background, logger: stage.context.logger)
            guard !isKnown else { return try await check.run() }
            let errors = await #expect(throws: ConfigurationErrors.self) { try await check.run() }
            #expect(errors?.items.map(\.name) == ["SLUICE_TIME_ZONE"])
        }
    }

    @Test("no service asks Foundation for a time zone: its essentials have no table of them")
    func foundation() throws {
        for (file, text) in try SourceFiles.ofServices() { #expect(!text.contains("TimeZone("), "\(file)") }
    }
}

/// The services' own source.
enum SourceFiles {
    static func ofServices() throws -> [(file: String, text: String)] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Services")
        let names = try FileManager.default.subpathsOfDirectory(atPath: root.path).filter { $0.hasSuffix(".swift") }
        try #require(!names.isEmpty)
        return try names.map { name in
            (file: name, text: try String(contentsOf: root.appendingPathComponent(name), encoding: .utf8))
        }
    }
}
