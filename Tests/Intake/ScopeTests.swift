import Foundation
import Postgres
import PrivateServers
import Testing

@testable import IntakeService

/// Breaking into another district's reports: by every role that could try, through tables, views and partitions.
@Suite("District scope of intake's rows", .timeLimit(.minutes(5)))
struct ScopeTests {
    private static let httpRoles = [
        "sluice_intake_http", "sluice_dispatch_http", "sluice_scoring_http", "sluice_notification_http",
        "sluice_gis_http",
    ]

    /// A report with contact and photo row in the first district; answers its id.
    private static func report(_ intake: RunningIntake) async throws -> String {
        var report = ReportTests.routine
        report["contact"] = ["phone": "13800000001"]
        let receipt = try await intake.post("/v1/reports", report).json(ReportTests.Receipt.self)
        let blob = UUID().uuidString.replacing("-", with: "").lowercased() + String(repeating: "0", count: 32)
        _ = try await intake.rows(
            "INSERT INTO intake.blob (sha256, content_type, bytes, width, height) VALUES ($1, 'image/jpeg', 1, 1, 1)",
            [blob])
        _ = try await intake.rows(
            """
            INSERT INTO intake.attachment (
                report_id, district_id, ordinal, source_sha256, source_type, source_bytes, sha256, thumbnail_sha256)
            VALUES ($1, $2, 1, $3, 'image/jpeg', 1, $3, $3)
            """, [receipt.id, SmallCity.first, blob])
        return receipt.id
    }

    @Test("a view shows a district's rows to that district's scope only", arguments: httpRoles)
    func views(role: String) async throws {
        let intake = try await RunningIntake.shared()
        let report = try await Self.report(intake)
        let connection = try await intake.server.open(role, database: intake.database)
        for (view, key) in [
            ("intake.api_report", "report_id"), ("intake.api_attachment", "report_id"),
            ("intake.api_history", "aggregate_id"),
        ] {
            for (scope, count) in [
                (SmallCity.first, "1"), (SmallCity.second, "0"), ("", "0"),
                ("\(SmallCity.second),\(SmallCity.first)", "1"), ("*", "1"),
            ] {
                try await connection.rows("SELECT set_config('sluice.districts', $1, false)", [scope])
                let rows = try await connection.rows("SELECT count(*) FROM \(view) WHERE \(key) = $1", [report])
                #expect(rows == [[count]], "\(view) as \(role) in scope '\(scope)'")
            }
        }
    }

    @Test("tables are the service's own, scoped, and partitions are nobody's")
    func tables() async throws {
        let intake = try await RunningIntake.shared()
        let report = try await Self.report(intake)
        let own = try await intake.server.open("sluice_intake_http", database: intake.database)
        try await own.rows("SELECT set_config('sluice.districts', $1, false)", [SmallCity.second])
        for table in ["intake.report", "intake.contact", "intake.attachment"] {
            #expect(try await own.rows("SELECT count(*) FROM \(table) WHERE report_id = $1", [report]) == [["0"]])
        }
        // Writing into another district, or changing what was said, is refused.
        for statement in [
            "INSERT INTO intake.contact (report_id, district_id, person_id, sealed) VALUES (gen_random_uuid(), '\(SmallCity.first)', gen_random_uuid(), '')",
            "UPDATE intake.report SET description = ''", "DELETE FROM intake.report",
            "DELETE FROM intake.tracking WHERE report_id = '\(report)'",
        ] {
            await #expect(throws: (any Error).self, "\(statement)") { try await own.rows(statement) }
        }
        let partitions = try await intake.rows(
            """
            SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'intake' AND c.relispartition AND c.relkind = 'r'
            """)
        #expect(partitions.count > 8)
        for partition in partitions.compactMap({ $0[0] }) {
            await #expect(throws: (any Error).self, "\(partition)") {
                try await own.rows("SELECT 1 FROM \(partition)")
            }
        }
        for role in Self.httpRoles.dropFirst() + ["sluice_dispatch_bg"] {
            let other = try await intake.server.open(role, database: intake.database)
            for table in [
                "report", "contact", "person", "account", "session", "signing_key", "keyring", "refresh_token",
            ] {
                await #expect(throws: (any Error).self, "\(table) as \(role)") {
                    try await other.rows("SELECT 1 FROM intake.\(table)")
                }
            }
        }
    }

    @Test("no view of intake's shows a secret", arguments: ["api_account", "api_jwks", "api_report", "api_attachment"])
    func columns(view: String) async throws {
        let intake = try await RunningIntake.shared()
        let names = try await intake.rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0", ["intake.\(view)"])
        let secret = ["password_hash", "wrapped_private", "wrapped_key", "sealed", "person_id", "account_secret"]
        #expect(names.compactMap { $0[0] }.allSatisfy { !secret.contains($0) })
    }
}
