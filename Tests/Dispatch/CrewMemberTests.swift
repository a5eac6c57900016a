import Foundation
import HTTPTypes
import Model
import Postgres
import Rules
import ServiceKit
import Testing

@testable import DispatchService

@Suite("Whose accounts a crew's are")
struct CrewMemberTests {
    /// Sends these members with a new crew, and with a change of one that is there.
    private static func sendBoth(
        _ members: [Account.ID], stage: Stage, caller: Caller, crew: Crew.ID, version: Int = 1, token: String
    ) async throws -> [Answer] {
        let accounts = members.map { "\"\($0)\"" }.joined(separator: ",")
        let body = """
            {"district_id":"\(stage.district)","name":"抢险二班","skills":[],"depot_lon":114.0,"depot_lat":22.5,\
            "members":[\(accounts)]}
            """
        return [
            try await caller.post("/v1/crews", token, body),
            try await caller.change(
                .patch, "/v1/crews/\(crew)", token, "{\"members\":[\(accounts)]}", version: version),
        ]
    }

    private static func members(_ crew: Crew.ID, _ stage: Stage) async throws -> Int {
        try await stage.count("SELECT count(*) FROM dispatch.crew_member WHERE crew_id = \(crew)")
    }

    @Test("An account that is named twice is refused by its place")
    func twice() async throws {
        try await Stage.with { stage in
            let token = try stage.token([.dispatcher])
            let crew = try await stage.crew()
            try await stage.serving { caller in
                let account = Account.ID(UUID())
                let answers = try await Self.sendBoth(
                    [account, account], stage: stage, caller: caller, crew: crew, token: token)
                for answer in answers {
                    #expect(answer.status == 422, "\(answer.text)")
                    #expect(answer.string("errors.0.field") == "members[1]")
                    #expect(answer.string("errors.0.code") == "duplicate")
                }
                #expect(try await Self.members(crew, stage) == 0)
            }
        }
    }

    @Test("An account of another district's crew stays there, and nothing else is done; of one's own it moves")
    func elsewhere() async throws {
        try await Stage.with { stage in
            let token = try stage.token([.dispatcher])
            let (theirs, ours) = (Account.ID(UUID()), Account.ID(UUID()))
            let crew = try await stage.crew()
            let other = try await stage.crew("theirs", district: stage.otherDistrict, account: theirs)
            let neighbour = try await stage.crew("ours", account: ours)
            try await stage.serving { caller in
                let before = try await stage.count("SELECT count(*) FROM dispatch.crew")
                let refused = try await Self.sendBoth(
                    [ours, theirs], stage: stage, caller: caller, crew: crew, token: token)
                for answer in refused {
                    #expect(answer.status == 409, "\(answer.text)")
                    #expect(answer.string("code") == "member_elsewhere")
                    #expect(answer.string("errors.0.field") == "members")
                }
                #expect(try await stage.count("SELECT count(*) FROM dispatch.crew") == before)
                #expect(try await Self.members(other, stage) == 1)
                #expect(try await Self.members(neighbour, stage) == 1)

                let moved = try await Self.sendBoth([ours], stage: stage, caller: caller, crew: crew, token: token)
                #expect(moved.map(\.status) == [201, 200])
                #expect(try await Self.members(neighbour, stage) == 0)
                #expect(try await Self.members(crew, stage) == 1)
                // Whoever is at work in both districts may move it from one to the other.
                let wide = try stage.token([.dispatcher], everything: true)
                let all = try await Self.sendBoth(
                    [theirs], stage: stage, caller: caller, crew: crew, version: 2, token: wide)
                #expect(all.map(\.status) == [201, 200])
                #expect(try await Self.members(other, stage) == 0)
            }
        }
    }
}
