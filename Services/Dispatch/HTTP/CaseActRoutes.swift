import HTTPTypes
import Hummingbird
import Model
import Outbox
import Postgres
import Rules
import ServiceKit

/// `/v1/cases/{id}/…`: what a dispatcher decides. Each needs the version that it is based on.
struct CaseActRoutes: Sendable {
    let desk: Desk
    let acts: CaseActs

    private struct Plain: Decodable {
        var reason: String
    }

    private struct Reassign: Decodable {
        var crewID: Crew.ID?
        var reason: String

        private enum CodingKeys: String, CodingKey {
            case crewID = "crew_id"
            case reason
        }
    }

    private struct Priority: Decodable {
        var emergency: Bool?
        var severity: Int?
        var reason: String
    }

    private struct Merge: Decodable {
        var into: Case.ID
        var reason: String
    }

    private struct Verify: Decodable {
        var passed: Bool
        var reason: String
    }

    private typealias Reader = @Sendable (JSONBody) throws -> (CaseDecision, String)

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        add("reassign", "Give it to another crew, or back to the queue", Self.reassignFields, router, &document) {
            let body = try $0.decode(Reassign.self)
            return (.reassign(body.crewID), body.reason)
        }
        add("priority", "Raise or lower it", Self.priorityFields, router, &document) {
            let body = try $0.decode(Priority.self)
            var check = Validation()
            check.require(
                body.emergency != nil || body.severity != nil, "severity", code: "missing",
                "Say emergency, severity or both.", zh: "请给出 emergency 或 severity。")
            if let severity = body.severity { check.range("severity", severity, 1...5) }
            try check.finish()
            return (.priority(emergency: body.emergency, severity: body.severity.flatMap(Severity.init)), body.reason)
        }
        add("merge", "It is the same problem as another case", Self.mergeFields, router, &document) {
            let body = try $0.decode(Merge.self)
            return (.merge(into: body.into), body.reason)
        }
        add(
            "verify", "The work, or an unverified source, is in order or not", Self.verifyFields, router, &document
        ) {
            let body = try $0.decode(Verify.self)
            return (.verify(passed: body.passed), body.reason)
        }
        let plain: [(String, String, CaseDecision)] = [
            ("unmerge", "Take a merge back", .unmerge), ("reject", "Not a problem for us", .reject),
            ("suspend", "Put it aside; its clocks stand still", .suspend), ("resume", "Take it up again", .resume),
            ("reopen", "It is not solved after all", .reopen), ("close", "It is solved", .close),
        ]
        for (name, summary, decision) in plain {
            add(name, summary, [], router, &document) { (decision, try $0.decode(Plain.self).reason) }
        }
    }

    private static let reassignFields = [
        Schema.Field("crew_id", .nullable(.uuid), required: false, "Without one the queue finds a crew.")
    ]
    private static let priorityFields = [
        Schema.Field("emergency", .boolean, required: false),
        Schema.Field("severity", .integer(1...5), required: false),
    ]
    private static let mergeFields = [Schema.Field("into", .uuid, "The case that takes the reports.")]
    private static let verifyFields = [Schema.Field("passed", .boolean)]

    private func add(
        _ name: String, _ summary: String, _ fields: [Schema.Field], _ router: Router<APIContext>,
        _ document: inout OpenAPIDocument, _ read: @escaping Reader
    ) {
        let operation = Operation(
            .post, "/v1/cases/{id}/\(name)", summary, access: .dispatch,
            body: .json(
                .object(fields + [Schema.Field("reason", .text(1...500), "In your own words; kept with the decision.")])
            ),
            answers: [.ok(.reference("Case"), versioned: true)], idempotent: true, conditional: true)
        router.add(&document, operation) { request, context in try await act(request, context, read) }
    }

    private func act(_ request: Request, _ context: APIContext, _ read: Reader) async throws -> Response {
        let claims = try context.require(.dispatcher)
        let caseID = try context.pathID("id", Case.self)
        let body = try await request.jsonBody(limit: 16 << 10)
        let (decision, reason) = try read(body)
        var check = Validation()
        check.text("reason", reason, 1...500)
        try check.finish()
        let key = try Idempotency.read(request, context, body: body.bytes)
        let order = CaseActs.Order(
            caseID: caseID, decision: decision, basedOn: try request.ifMatch(), note: reason,
            actor: context.principal.actor, trace: context.traceparent, districts: context.scope,
            covers: claims.covers)
        let now = desk.sources.now()
        return try await desk.once(
            key,
            answer: { (record: CaseRecord) in
                try StoredResponse(
                    .ok, headers: .version(record.version), json: Presented(CaseView(record: record, now: now)))
            },
            { claim, complete in try await acts.carryOut(order, claim: claim, complete: complete) })
    }
}
