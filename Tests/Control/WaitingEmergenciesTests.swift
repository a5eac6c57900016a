import Foundation
import Logging
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import ControlCommands

@Suite("Emergencies that still wait after a drill")
struct WaitingEmergenciesTests {
    private static let district = "00000000-0000-7000-8000-00000000000a"
    private static let other = "00000000-0000-7000-8000-00000000000b"

    /// Thirteen cases with a report each, and four crews. All were told of but 5, 8 and 10.
    private static let fixture = """
        SELECT set_config('sluice.districts', '*', false);
        CREATE TABLE public.example (
            n integer, id uuid, at timestamptz, state text, emergency boolean, severity integer, skill text,
            district uuid);
        INSERT INTO public.example
        SELECT n, sluice.uuid_v7(at), at, state, emergency, severity, skill, district
        FROM (
            SELECT e.*, clock_timestamp() - CASE WHEN n = 10 THEN interval '0' ELSE interval '10 min' END AS at
            FROM (VALUES
                (1, 'dispatched', true, 4, NULL, '\(district)'::uuid),
                (2, 'filed', true, 4, 'repair', '\(district)'),
                (3, 'filed', true, 4, 'pumping', '\(district)'),
                (4, 'filed', true, 4, 'repair', '\(district)'),
                (5, 'filed', true, 4, 'water_quality', '\(district)'),
                (6, 'filed', true, 4, NULL, '\(district)'),
                (7, 'filed', false, 4, 'repair', '\(district)'),
                (8, 'rejected', true, 4, NULL, '\(district)'),
                (9, 'reopened', true, 4, 'dredging', '\(district)'),
                (10, 'filed', true, 4, 'repair', '\(district)'),
                (11, 'filed', true, 5, 'inspection', '\(district)'),
                (12, 'filed', true, 3, 'inspection', '\(district)'),
                (13, 'filed', true, 4, 'repair', '\(other)')
            ) e (n, state, emergency, severity, skill, district)
        ) e;
        INSERT INTO intake.report (
            report_id, district_id, kind, category, category_version, channel, emergency, severity, verdict, lon, lat,
            description, language, observed_at, received_at, rule_version, rule_code, rule_reason_zh, rule_reason_en,
            rule_inputs)
        SELECT id, district, 'hazard', 'cover_missing', 1, 'drill', emergency, severity, 'signed_in', 114, 22.5, '',
               'zh', at, at, 1, 'x', '', '', '{}'
        FROM public.example;
        INSERT INTO dispatch.case_file (
            case_id, district_id, responsible_district_id, kind, category, category_version, category_group, emergency,
            verified, severity, state, lon, lat, cell, opened_at, last_report_at, closed_at, report_count, reason_code,
            reason_zh, reason_en, version, changed_at)
        SELECT id, district, district, 'hazard', 'cover_missing', 1, 'cover', emergency, true, severity, state, 114,
               22.5, 0, at, at, CASE state WHEN 'rejected' THEN at END, 1, 'new', '', '', 1, at
        FROM public.example;
        INSERT INTO dispatch.report_state (
            report_id, district_id, outcome, case_id, reason, category, kind, channel, emergency, verified, severity,
            lon, lat, observed_at, received_at, decided_at)
        SELECT id, district, 'case', id, 'x', 'cover_missing', 'hazard', 'drill', emergency, true, severity, 114, 22.5,
               at, at, at
        FROM public.example;
        INSERT INTO notification.notice (
            case_id, district_id, emergency, purpose, round, state, case_opened_at, first_attempt_at, reason)
        SELECT id, district, emergency, 'emergency', 1, CASE WHEN n IN (5, 8, 10) THEN 'pending' ELSE 'attempted' END,
               at, CASE WHEN n NOT IN (5, 8, 10) THEN at END, 'x'
        FROM public.example;

        INSERT INTO dispatch.crew (crew_id, district_id, name, skills, depot_lon, depot_lat)
        VALUES ('00000000-0000-7000-8000-0000000000c1', '\(district)', 'free', '{repair}', 114, 22.5),
               ('00000000-0000-7000-8000-0000000000c2', '\(district)', 'has started', '{pumping}', 114, 22.5),
               ('00000000-0000-7000-8000-0000000000c3', '\(district)', 'has declined', '{dredging}', 114, 22.5),
               ('00000000-0000-7000-8000-0000000000c4', '\(district)', 'gives way', '{inspection}', 114, 22.5);
        UPDATE dispatch.crew_slot s
        SET shift_id = s.crew_id, free_since = clock_timestamp() - interval '1 min',
            active_order = CASE WHEN c.name IN ('has started', 'gives way') THEN s.crew_id END,
            active_emergency = CASE WHEN c.name IN ('has started', 'gives way') THEN true END,
            active_severity = CASE WHEN c.name IN ('has started', 'gives way') THEN 3 END,
            active_state = CASE c.name WHEN 'has started' THEN 'en_route' WHEN 'gives way' THEN 'accepted' END
        FROM dispatch.crew c
        WHERE c.crew_id = s.crew_id AND NOT c.canary;
        INSERT INTO dispatch.claim_queue (
            case_id, district_id, emergency, severity, verified, not_before, since, skills, skill_key, excluded, lon,
            lat)
        SELECT id, district, emergency, severity, n <> 4, CASE n WHEN 4 THEN at + interval '1 hour' ELSE at END, at,
               ARRAY[skill], skill,
               CASE n WHEN 9 THEN '{00000000-0000-7000-8000-0000000000c3}' ELSE '{}' END::uuid[], 114, 22.5
        FROM public.example
        WHERE skill IS NOT NULL;
        """

    @Test("wait with reason when no crew may, can and is free; else they were passed over")
    func told() async throws {
        let server = try PrivatePostgres.shared()
        let name = try await server.copiedDatabase()
        let superuser = try await server.open("postgres", database: name)
        try await superuser.run(Self.fixture)
        let (database, running) = try ControlDatabase.onStage(server, name)
        defer { running.cancel() }
        let rows = try await superuser.rows("SELECT id::text FROM public.example")
        let reports = rows.compactMap { row in row[0].flatMap { UUID(uuidString: $0) } }
        try #require(reports.count == 13)
        func waiting() async throws -> WaitingEmergencies {
            try await WaitingEmergencies.read(reports, grace: 60, database)
        }

        // 2 could have the free crew, 6 is not in the queue, 11 could have the one that gives way. For a crew wait 3, 5,
        // 9, 12 and 13, whose crews have started, are not there, have declined, give way to worse only, or are not lent;
        // and 10, which is too young to judge. 4 waits for its verification. 5 is told to nobody; 8 need not be.
        #expect(
            try await waiting()
                == WaitingEmergencies(all: 10, forCrew: 6, forVerification: 1, passedOver: 3, untold: 1))

        // Lent, the free crew could have had 13 too.
        try await superuser.run(
            """
            INSERT INTO dispatch.crew_loan (
                loan_id, crew_id, district_id, responsible_district_id, since, until, lent_by)
            SELECT crew_id, crew_id, '\(Self.other)', district_id, clock_timestamp() - interval '1 hour',
                   clock_timestamp() + interval '1 hour', 'test'
            FROM dispatch.crew WHERE name = 'free'
            """)
        #expect(try await waiting().passedOver == 4)

        // With everybody at home only what is not in the queue is a fault.
        try await superuser.run("UPDATE dispatch.crew_slot SET shift_id = NULL")
        #expect(
            try await waiting()
                == WaitingEmergencies(all: 10, forCrew: 8, forVerification: 1, passedOver: 1, untold: 1))
    }
}
