import FoundationEssentials
import Model
import Postgres
import ServiceKit

/// Erases the sender of a report: destroys the key that their contact is sealed with, and what was sealed, in every report
/// that the same telephone number or mail address sent. The cases' facts stay.
struct ErasePerson: Sendable {
    /// How many reports no longer have a contact.
    struct Answer: Encodable, Sendable {
        var reportID: Report.ID
        var erasedReports: Int

        private enum CodingKeys: String, CodingKey {
            case reportID = "report_id"
            case erasedReports = "erased_reports"
        }
    }

    let database: PostgresClient
    let master: MasterKey

    /// - Parameter complete: the statement that stores the answer under the idempotency key.
    func erase(
        senderOf report: Report.ID, by account: Account.ID, reason: String, claim: SQL, complete: (Answer) throws -> SQL
    ) async throws -> Answer {
        try await database.transaction(scope: .city) { transaction in
            let found = try await transaction.send([claim, ContactStore.lockPerson(of: report)])
            guard let row = found[1].first else { throw Problem.notFound("The contact", zh: "该联系方式") }
            var answer = Answer(reportID: report, erasedReports: 0)
            if let key = try row.decode("wrapped_key", as: Bytes?.self) {
                let person: UUID = try row.decode("person_id")
                let contact = try SealedContact.open(
                    try row.decode("sealed", as: Bytes.self).bytes, wrappedKey: key.bytes, personID: person,
                    master: master)
                let rows = try await transaction.send([
                    ContactStore.erase(
                        person, everywhere: contact.isReachable, by: account, purpose: reason)
                ])
                answer.erasedReports = try rows[0][0].decode("reports")
            }
            try await transaction.commit([try complete(answer)])
            return answer
        }
    }
}
