import Foundation
import HTTPTypes
import HummingbirdTesting
import NIOCore
import ServiceKit

/// Sends requests as somebody.
struct Caller: Sendable {
    let client: any TestClientProtocol

    struct Answer: Sendable {
        var status: Int
        var text: String
        var headers: HTTPFields

        /// A text of the answer's object, or nil.
        subscript(_ name: String) -> String? { object?[name] as? String }

        /// The length of its list of this name.
        func count(_ name: String) -> Int { (object?[name] as? [Any])?.count ?? 0 }

        private var object: [String: Any]? {
            try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        }
    }

    func send(
        _ method: HTTPRequest.Method, _ path: String, _ fields: [String: String]? = nil, token: String? = nil,
        key: String = UUID().uuidString
    ) async throws -> Answer {
        var headers: HTTPFields = [:]
        if let token { headers[.authorization] = "Bearer \(token)" }
        var body: ByteBuffer?
        if let fields {
            headers[.contentType] = "application/json"
            headers[.idempotencyKey] = key
            // A key stands for a body, byte for byte.
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            body = ByteBuffer(bytes: try encoder.encode(fields))
        }
        return try await client.execute(uri: path, method: method, headers: headers, body: body) {
            Answer(status: $0.status.code, text: String(buffer: $0.body), headers: $0.headers)
        }
    }

    /// A change that is based on a version.
    func patch(_ path: String, json: String, version: Int, token: String, key: String? = nil) async throws -> Answer {
        var headers: HTTPFields = [
            .authorization: "Bearer \(token)", .contentType: "application/json", .ifMatch: "\"\(version)\"",
        ]
        if let key { headers[.idempotencyKey] = key }
        return try await client.execute(uri: path, method: .patch, headers: headers, body: ByteBuffer(string: json)) {
            Answer(status: $0.status.code, text: String(buffer: $0.body), headers: $0.headers)
        }
    }
}
