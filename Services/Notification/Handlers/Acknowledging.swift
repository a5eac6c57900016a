import FoundationEssentials
import HTTPTypes
import Model
import Outbox
import Postgres
import ServiceKit

/// What people do with a notice: acknowledge it, comment on it. Both by the console or API and by a signed link.
struct Acknowledging: Sendable {
    let database: PostgresClient
    let messaging: Messaging
    let announcer: NoticeAnnouncer

    /// Who does it.
    struct Person: Sendable {
        /// For `history.actor` and the notice: an account's or recipient's id.
        var actor: String
        var name: String
    }

    /// Acknowledges. A second time changes nothing and answers the same. Throws a `Problem` (404) if there is no such
    /// notice in scope: from inside the transaction, so that the key is not taken by what has no answer.
    func acknowledge(
        _ id: Notice.ID, by person: Person, scope: DistrictScope, key: IdempotencyKey?,
        answer: @Sendable (NoticeRecord) throws -> StoredResponse, allowed: @Sendable (NoticeRecord) throws -> Void
    ) async throws -> StoredResponse {
        let result: (StoredResponse, [Announcement]) = try await database.transaction(scope: scope) { transaction in
            let answers = try await transaction.send((key.map { [$0.claim] } ?? []) + [NoticeStore.lock(id)])
            guard let row = answers[answers.count - 1].first else { throw Problem.notFound }
            var notice = try NoticeRecord(row)
            try allowed(notice)
            guard notice.state != .acknowledged else {
                let response = try answer(notice)
                try await transaction.commit(try key.map { [try $0.complete(response)] } ?? [])
                return (response, [])
            }
            let now = messaging.sources.now()
            let calming = notice.calmsItsCase ? [NoticeStore.calm(case: notice.caseID, upTo: notice.round)] : []
            notice.state = .acknowledged
            notice.acknowledgedAt = now
            notice.version += 1
            let announcements = [
                try announcer.announce(
                    .noticeAcknowledged, notice.snapshot(acknowledgedBy: person.actor), actor: person.actor)
            ]
            let response = try answer(notice)
            try await transaction.commit(
                [NoticeStore.acknowledge(id, by: person.actor, name: person.name, at: now)] + calming
                    + messaging.announce(announcements) + (try key.map { [try $0.complete(response)] } ?? []))
            return (response, announcements)
        }
        messaging.committed(result.1)
        return result.0
    }

    /// Adds a comment, once for its key. Throws as `acknowledge` does.
    func comment(
        _ id: Notice.ID, body: String, by person: Person, scope: DistrictScope, key: IdempotencyKey,
        allowed: @Sendable (NoticeRecord) throws -> Void
    ) async throws -> StoredResponse {
        let comment = messaging.sources.randomUUID(messaging.sources.now())
        let result: (StoredResponse, [Announcement]) = try await database.transaction(scope: scope) { transaction in
            let answers = try await transaction.send([key.claim, NoticeStore.lock(id)])
            guard let row = answers[answers.count - 1].first else { throw Problem.notFound }
            let notice = try NoticeRecord(row)
            try allowed(notice)
            let announcements = [
                try announcer.announce(.noticeCommented, notice.snapshot(), actor: person.actor)
            ]
            let response = try StoredResponse(
                .created, json: ["id": Identifier<Message>(comment).description, "notice_id": id.description])
            try await transaction.commit(
                [
                    NoticeStore.comment(
                        comment, notice: notice, author: person.actor, authorName: person.name, body: body)
                ] + messaging.announce(announcements) + [try key.complete(response)])
            return (response, announcements)
        }
        messaging.committed(result.1)
        return result.0
    }
}

extension NoticeRecord {
    /// Whether acknowledging it says that the office knows of the emergency. Who clears an inbox of a routine notice, of
    /// one that was taken back or of word that it is over says nothing about what burns now.
    var calmsItsCase: Bool {
        switch purpose {
        case .emergency, .escalation: state != .withdrawn
        case .routine, .stoodDown: false
        }
    }
}
