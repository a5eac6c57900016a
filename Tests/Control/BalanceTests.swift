import Foundation
import Logging
import Model
import Postgres
import PrivateServers
import Testing

@testable import ControlCommands

@Suite("The balance of reports")
struct BalanceTests {
    private static let district = "00000000-0000-7000-8000-00000000000a"

    /// Six reports, one in each place where a report can be; two of them nowhere.
    private static let fixture = """
        SELECT set_config('sluice.districts', '*', false);
        CREATE TEMPORARY TABLE example (n integer, id uuid, at timestamptz);
        INSERT INTO example
        SELECT n, sluice.uuid_v7(at), at
        FROM (SELECT n, clock_timestamp() - CASE WHEN n = 6 THEN interval '1 s' ELSE interval '10 min' END
              FROM generate_series(1, 7) n) e (n, at);
        INSERT INTO intake.report (
            report_id, district_id, kind, category, category_version, channel, emergency, severity, verdict, lon, lat,
            description, language, observed_at, received_at, rule_version, rule_code, rule_reason_zh, rule_reason_en,
            rule_inputs)
        SELECT id, '\(district)', CASE WHEN n = 7 THEN 'reading' ELSE 'hazard' END, 'odour', 1, 'drill', false, 1,
               'routine', 114, 22.5, '', 'zh', at, at, 1, 'routine', '', '', '{}'
        FROM example;
        INSERT INTO dispatch.case_file (
            case_id, district_id, responsible_district_id, kind, category, category_version, category_group, emergency,
            verified, severity, state, lon, lat, cell, opened_at, last_report_at, report_count, reason_code, reason_zh,
            reason_en, version)
        SELECT id, '\(district)', '\(district)', 'hazard', 'odour', 1, 'odour', false, true, 1, 'filed', 114, 22.5, 0,
               at, at, 1, 'new', '', '', 1
        FROM example WHERE n = 1;
        INSERT INTO dispatch.report_state (
            report_id, district_id, outcome, case_id, reason, category, kind, channel, emergency, verified, severity,
            lon, lat, observed_at, received_at, decided_at)
        SELECT id, '\(district)', CASE n WHEN 2 THEN 'rejected' ELSE 'case' END,
               CASE n WHEN 1 THEN id WHEN 3 THEN '00000000-0000-7000-8000-0000000000ff'::uuid END,
               'x', 'odour', 'hazard', 'drill', false, true, 1, 114, 22.5, at, at, at
        FROM example WHERE n IN (1, 2, 3);
        INSERT INTO intake.history (
            id, aggregate, aggregate_id, version, type, district_id, lane, actor, occurred_at, body)
        SELECT id, 'report', id, 1, 'report.received.v1', '\(district)', 'r', 'anonymous', at, '{}' FROM example;
        INSERT INTO intake.outbox (slot, id, district_id) SELECT 0, id, '\(district)' FROM example WHERE n = 4;
        """

    @Test("names each place, and what is nowhere or in a case that is not there")
    func places() async throws {
        let server = try PrivatePostgres.shared()
        let name = try await server.migratedDatabase()
        try await server.open("postgres", database: name).run(Self.fixture)
        let (database, running) = try ControlDatabase.onStage(server, name)
        defer { running.cancel() }

        let since = Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1e6)) - .seconds(3_600)
        let balance = try await ReportBalance.read(since: since, grace: 120, database)
        // 1 filed, 2 rejected, 3 in a case that is not there, 4 in the outbox, 5 nowhere, 6 just accepted; the reading
        // asks for no case.
        #expect(balance.accepted == 6)
        #expect(balance.inCase == 2 && balance.rejected == 1 && balance.dead == 0)
        #expect(balance.onTheWay == 1 && balance.young == 1)
        #expect(balance.orphans == 1)
        #expect(balance.missing == 2)
        #expect(try await ReportBalance.read(since: since, grace: 0, database).missing == 3)
    }
}
