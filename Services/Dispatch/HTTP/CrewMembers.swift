import HTTPTypes
import Model
import Postgres
import ServiceKit

/// The accounts of a crew, as a request names them.
enum CrewMembers {
    static func check(_ members: [Account.ID], _ check: inout Validation) {
        check.count("members", members, 0...40)
        var seen: Set<Account.ID> = []
        for (index, member) in members.prefix(40).enumerated() {
            check.require(
                seen.insert(member).inserted, "members[\(index)]", code: "duplicate", "This account is there twice.",
                zh: "账号重复。")
        }
    }

    /// These and no others; nil changes nothing. A trip of its own, so that no other statement's refusal is taken for
    /// this one's. Throws a `Problem` (409) for an account of a crew whose district the caller does not see: row-level
    /// security lets nobody take it from there.
    static func set(
        _ members: [Account.ID]?, of crew: Crew.ID, district: District.ID, in transaction: PostgresTransaction
    ) async throws {
        guard let members else { return }
        do {
            try await transaction.send(CrewRegister.setMembers(members, of: crew, district: district))
        } catch let error as PostgresError where error.sqlState == "42501" {
            throw elsewhere
        }
    }

    private static let elsewhere = Problem(
        .conflict, code: "member_elsewhere", "An account belongs to a crew of another district.", zh: "有账号属于其他区的班组。",
        fields: [
            FieldError(
                "members", code: "elsewhere", "One of these belongs to a crew of another district.",
                zh: "其中有账号属于其他区的班组。")
        ])
}
