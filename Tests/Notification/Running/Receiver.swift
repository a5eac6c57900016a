import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import PrivateServers
import Synchronization

/// A real HTTP server at the other end of webhooks. `/hang` never answers, `/held` only when it is let go, `/drip` at once
/// but its answer has no end, `/away` sends to another place, all else answers with what is told next, or 204.
final class Receiver: Sendable {
    struct Call: Sendable {
        var path: String
        var headers: HTTPFields
        var body: [UInt8]
    }

    let port: Int
    private let state = Mutex((calls: [Call](), answers: [(HTTPResponse.Status, HTTPFields)](), isHeld: true))

    private init() throws { port = try PrivatePostgres.freePort() }

    var url: String { "http://127.0.0.1:\(port)" }
    /// As notification's settings list it.
    var listed: [String: String] { ["SLUICE_WEBHOOK_ALLOW_PRIVATE": "127.0.0.1:\(port)"] }
    func calls(_ path: String) -> [Call] { state.withLock { $0.calls.filter { $0.path == path } } }
    func answerNext(_ status: HTTPResponse.Status, _ headers: HTTPFields = [:]) {
        state.withLock { $0.answers.append((status, headers)) }
    }

    func letGo() { state.withLock { $0.isHeld = false } }

    static func with<T: Sendable>(_ body: @Sendable (Receiver) async throws -> T) async throws -> T {
        let receiver = try Receiver()
        let router = Router()
        router.post("**") { request, _ in try await receiver.receive(request) }
        let application = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: receiver.port)),
            logger: Logger(label: "receiver") { _ in SwiftLogNoOpLogHandler() })
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.run() }
            defer { group.cancelAll() }
            return try await body(receiver)
        }
    }

    private func receive(_ request: Request) async throws -> Response {
        let body = try await request.body.collect(upTo: 1 << 20)
        let call = Call(path: request.uri.path, headers: request.headers, body: Array(body.readableBytesView))
        let (status, headers) = state.withLock { state in
            state.calls.append(call)
            return state.answers.isEmpty ? (.noContent, [:]) : state.answers.removeFirst()
        }
        switch call.path {
        case "/hang":
            try await Task.sleep(for: .seconds(600))
            return Response(status: .ok)
        case "/held":
            while state.withLock(\.isHeld) { try await Task.sleep(for: .milliseconds(5)) }
            return Response(status: .ok)
        case "/drip":
            let body = ResponseBody { writer in
                while !Task.isCancelled {
                    try await writer.write(ByteBuffer(string: "."))
                    try await Task.sleep(for: .milliseconds(100))
                }
                try await writer.finish(nil)
            }
            return Response(status: .ok, body: body)
        case "/away": return Response(status: .temporaryRedirect, headers: [.location: "\(url)/elsewhere"])
        default: return Response(status: status, headers: headers)
        }
    }
}

extension HTTPFields {
    subscript(text name: String) -> String? { HTTPField.Name(name).flatMap { self[$0] } }
}
