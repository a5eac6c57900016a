import FoundationEssentials
import Model
import Outbox
import Postgres
import ServiceKit

/// Runs decisions that come by HTTP: on the scoped role, again if a neighbour was quicker, with the hints after COMMIT.
struct Transacting: Sendable {
    let database: PostgresClient
    let messaging: Messaging
    let claims: Wakes
    let live: Wake

    var sources: Sources { messaging.sources }

    /// `body` ends its transaction with `commit` and answers what it announced. Conflicts with neighbours (deadlock,
    /// lock time-out, a version that has moved on, an overlapping period) are looked at and decided again.
    func decide<T: Sendable>(
        scope: DistrictScope, _ body: (PostgresTransaction) async throws -> (T, [Announcement])
    ) async throws -> T {
        var tries = 0
        while true {
            tries += 1
            do {
                let (value, announcements) = try await database.transaction(scope: scope, body)
                if !announcements.isEmpty {
                    messaging.committed(announcements)
                    claims.signal()
                    live.signal()
                }
                return value
            } catch let error as PostgresError where tries < 4 && error.isConflictWithNeighbour {
                continue
            } catch is NeighbourWasQuicker {
                if tries >= 4 { throw Problem.unavailable() }
            }
        }
    }
}

/// What was locked is not what was looked at.
struct NeighbourWasQuicker: Error {}

extension PostgresError {
    var isConflictWithNeighbour: Bool {
        isUniqueViolation(constraint: "dispatch_version") || isUniqueViolation(constraint: "work_order_open_case")
            || isExclusionViolation() || isLockTimeout || sqlState == "40P01" || sqlState == "40001"
    }
}
