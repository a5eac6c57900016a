import FoundationEssentials
import HTTPTypes
import Hummingbird
import Model
import NIOCore
import Outbox
import Postgres
import ServiceKit

/// `/v1/live`: what happens, as server-sent events. `Last-Event-ID` continues without a gap for an hour; after that the
/// client is told to `reset`, and loads anew.
struct LiveRoutes: Sendable {
    let desk: Desk
    let hub: LiveHub
    let verifier: TokenVerifier

    func register(_ router: Router<APIContext>, _ document: inout OpenAPIDocument) {
        router.add(&document, Self.operation) { request, context in try await live(request, context) }
    }

    static let operation = Operation(
        .get, "/v1/live", "What happens, as server-sent events",
        access: .roles([.dispatcher, .manager, .office, .admin]),
        description: """
            Each event's name is the type of what happened (`case.changed.v1`; `order.photo` for a photo of the work), its \
            data `{at, district_id, version, data}`. `hello` comes first, or `reset` when the gap cannot be filled: load anew.
            """,
        parameters: [
            Operation.Parameter(
                "Last-Event-ID", .string(pattern: "^[0-9]{1,18}$"), in: .header, required: false, "The last one seen.")
        ],
        answers: [
            Operation.Answer(.ok, "A stream that does not end", .of(("text/event-stream", .object([], open: true))))
        ])

    private func live(_ request: Request, _ context: APIContext) async throws -> Response {
        let claims = try context.require(.dispatcher, .manager, .office, .admin)
        var since: Int64?
        if let text = request.headers[.lastEventID] {
            guard text.utf8.count <= 18, let number = Int64(text), number >= 0 else {
                throw Problem.invalid(
                    "Last-Event-ID", code: "form", "A number from this stream is wanted.", zh: "应为本事件流的编号。")
            }
            since = number
        }
        let scope = context.scope
        let verifier = verifier
        let subscribed = hub.subscribe(scope: scope, until: claims.expiresAt) { verifier.isRevoked(claims) }
        guard let (stream, last) = subscribed else { throw Problem.unavailable() }
        let start = try await begin(after: since, last: last)
        let database = desk.database
        let body = ResponseBody { writer in
            try await writer.write(start.greeting)
            var sent = start.from
            let seen = max(last, start.from)
            // What was missed, by the reader's own role and scope; the stream holds what comes meanwhile.
            while sent < last {
                let rows = try await database.query(LiveStore.after(sent, limit: 500), scope: scope)
                let page = try rows.map { try LiveMessage($0) }
                for message in page where message.seq <= last { try await writer.write(message.frame) }
                guard let end = page.last?.seq, page.count == 500 else { break }
                sent = end
            }
            for await output in stream {
                switch output {
                case .heartbeat: try await writer.write(LiveHub.heartbeat)
                case .message(let message) where message.seq > seen: try await writer.write(message.frame)
                case .message: break
                }
            }
            try await writer.finish(nil)
        }
        var headers = HTTPFields()
        headers[.contentType] = "text/event-stream; charset=utf-8"
        headers[.cacheControl] = "no-store"
        // nginx would hold the events back otherwise.
        if let buffering = HTTPField.Name("X-Accel-Buffering") { headers[buffering] = "no" }
        return Response(status: .ok, headers: headers, body: body)
    }

    private func begin(after since: Int64?, last: Int64) async throws -> (from: Int64, greeting: ByteBuffer) {
        guard let since, since != last else { return (last, Self.greeting("hello", last)) }
        let bounds = try await desk.transacting.database.query(LiveStore.bounds, scope: .city).first
        let first = try bounds?.decode("first", as: Int64?.self) ?? last + 1
        // Another instance may have been quicker than this one.
        let newest = max(last, try bounds?.decode("last", as: Int64?.self) ?? 0)
        // Numbers may have gaps, so this errs on the side of a reload. One beyond the newest is of rows that are gone: all
        // were purged before this instance began, or the database is an older one.
        guard since + 1 >= first, since <= newest else { return (last, Self.greeting("reset", last)) }
        return (since, Self.greeting("hello", since))
    }

    private static func greeting(_ name: String, _ seq: Int64) -> ByteBuffer {
        ByteBuffer(string: "retry: 2000\nid: \(seq)\nevent: \(name)\ndata: {}\n\n")
    }
}

extension HTTPField.Name {
    // A well-formed literal, so the initialiser cannot answer nil.
    static let lastEventID = Self("Last-Event-ID")!
}
