import Foundation
import Model
import Postgres
import PrivateServers
import ServiceKit
import Testing

@testable import ScoringService

/// Each query of a big table, explained as the role that runs it and under the scope that it runs in.
@Suite("Plans on big tables", .serialized, .timeLimit(.minutes(5)))
struct PlanTests {
    private static let district = BigCity.district(3)

    @Test("the indicator and the evidence that it rests on")
    func figures() async throws {
        try await BigCity.with(.scoring) { city in
            let time = try await city.stage.admin.rows("SELECT to_char(seed.at(15000), 'YYYY-MM')")
            let month = try #require(time[0][0])
            let caseID = try await city.one(
                "SELECT case_id FROM scoring.case_fact WHERE district_id = '\(Self.district)' LIMIT 1")
            func selection(_ level: PlaceLevel?, _ id: UUID?, _ districts: [UUID]?) -> IndicatorStore.Selection {
                IndicatorStore.Selection(
                    level: level, id: id, month: month, timeZone: "Asia/Shanghai", districts: districts, kinds: nil)
            }
            func statements(_ districts: [UUID]?) -> [SQL] {
                let areas: [(PlaceLevel?, UUID?)] = [
                    (nil, nil), (.district, Self.district.rawValue), (.street, BigCity.id("5", 13)),
                    (.community, BigCity.id("c", 13)), (.grid, BigCity.id("6", 13)),
                ]
                let selections = areas.map { selection($0.0, $0.1, districts) }
                return selections.map { IndicatorStore.figure($0) }
                    + selections.map {
                        IndicatorStore.cases($0, verdict: "in_time", before: nil, limit: 50)
                    } + [
                        IndicatorStore.breakdown(selections[0], into: .district),
                        IndicatorStore.breakdown(selections[1], into: .street),
                        IndicatorStore.breakdown(selections[2], into: .community),
                        IndicatorStore.evidence(caseID, districts: districts, after: nil, limit: 50),
                    ]
            }
            let http = city.stage.context.http
            let ofDistrict = statements([Self.district.rawValue])
            try expectGoodPlans(
                try await city.plans(of: ofDistrict, on: http, scope: .districts([Self.district.rawValue])),
                of: ofDistrict.count, in: city, role: "sluice_scoring_http")
            let ofCity = statements(nil)
            try expectGoodPlans(
                try await city.plans(of: ofCity, on: http, scope: .city), of: ofCity.count, in: city,
                role: "sluice_scoring_http")
        }
    }

    @Test("catching up reads what is new and no more", arguments: HistoryStore.sources)
    func catchUp(_ source: ServiceName) async throws {
        try await BigCity.with(.scoring) { city in
            // All rows of the seed were written by few transactions; a mark behind them is where a running service stands.
            let mark = try await city.stage.admin.rows("SELECT pg_current_xact_id()::text")[0][0] ?? "0"
            let statements = [
                HistoryStore.horizon(source),
                HistoryStore.rows(source, from: mark, to: "\(Int64.max)", after: nil, limit: 500),
                HistoryStore.rows(source, from: "0", to: "\(Int64.max)", after: nil, limit: 500),
                HistoryStore.rows(source, from: "0", to: "\(Int64.max)", after: (mark, UUID()), limit: 500),
            ]
            try expectGoodPlans(
                try await city.plans(of: statements, on: city.stage.context.background, scope: .all),
                of: statements.count, in: city, role: "sluice_scoring_bg", limit: 5_000)
        }
    }
}
